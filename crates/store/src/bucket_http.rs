//! HTTP to a bucket, with a size limit on responses other than file contents, which `object_store` reads into memory
//! and quotes in errors. S3 quotes a rejected session token, so only the code and message of an error are kept.

use std::fmt;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService, ReqwestConnector,
};
use secrecy::{ExposeSecret as _, SecretString};

/// The largest legitimate response belongs to an upload of 10,000 parts.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// An error's code and message are at its beginning.
const ERROR_BYTES_READ_MAX: usize = 16 << 10;
const ERROR_CHARS_MAX: usize = 300;
const REDACTED: &str = "[redacted]";

/// Connects like the default connector of `object_store`.
#[derive(Clone, Default)]
pub(crate) struct Connector {
    /// Redacted from all messages.
    pub(crate) credentials: Vec<SecretString>,
}

struct Limited {
    inner: HttpClient,
    connector: Connector,
}

#[derive(Debug, thiserror::Error)]
#[error("a response that is not a file is larger than {ANSWER_BYTES_MAX} bytes")]
struct TooLarge;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Limited { inner, connector: self.clone() }))
    }
}

impl HttpService for Limited {
    fn call<'s, 'f>(
        &'s self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let is_get = request.method().as_str() == "GET";
            let (head, body) = self.inner.execute(request).await?.into_parts();
            let body = match (head.status.is_success(), is_get) {
                // A file's content is streamed.
                (true, true) => body,
                (true, false) => {
                    let (read, is_whole) = read(body, ANSWER_BYTES_MAX).await?;
                    if !is_whole {
                        return Err(HttpError::new(HttpErrorKind::Decode, TooLarge));
                    }
                    HttpResponseBody::from(read)
                }
                (false, _) => {
                    let (read, _) = read(body, ERROR_BYTES_READ_MAX).await?;
                    HttpResponseBody::from(self.connector.said(&read))
                }
            };
            Ok(HttpResponse::from_parts(head, body))
        })
    }
}

/// The first bytes of a response, and whether they are all of it.
async fn read(body: HttpResponseBody, bytes_max: usize) -> Result<(Bytes, bool), HttpError> {
    let mut read = BytesMut::new();
    let mut pieces = body.bytes_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        let room = bytes_max - read.len();
        read.extend_from_slice(&piece[..room.min(piece.len())]);
        if piece.len() > room {
            return Ok((read.freeze(), false));
        }
    }
    Ok((read.freeze(), true))
}

impl Connector {
    /// The useful part of an error: S3's code and message, or the beginning of another server's response.
    fn said(&self, body: &[u8]) -> String {
        let mut text = String::from_utf8_lossy(body).into_owned();
        for credential in &self.credentials {
            text = text.replace(credential.expose_secret(), REDACTED);
        }
        let element = |name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>"))?;
            rest.split_once(&format!("</{name}>")).map(|(value, _)| value)
        };
        let said = match (element("Code"), element("Message")) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.to_owned(),
            (None, _) => text,
        };
        said.chars().take(ERROR_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl fmt::Debug for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limited").finish_non_exhaustive()
    }
}
