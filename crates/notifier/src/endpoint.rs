//! One target over HTTP: a POST that is signed afresh, goes nowhere but to the target's own address, and ends in time.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;
use webhook::{HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP};

use crate::allow_list::AllowList;
use crate::answer::{self, Answer};
use crate::error::SendError;
use crate::guard::{AddressError, Guard, Lookup};
use crate::redaction::{self, Redaction};
use crate::signing::Signer;

const USER_AGENT: &str = concat!("landfall/", env!("CARGO_PKG_VERSION"));
/// Of the whole time-out, no more than this goes into connecting.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(5);
const IDLE_CONNECTIONS_MAX: usize = 8;

/// How a target recognises us.
#[derive(Debug, Clone)]
pub enum Proof {
    /// Standard Webhooks.
    Signature(Signer),
    /// For tools that cannot check signatures: a header of the operator's choice.
    Token { header: String, token: SecretString },
    /// The URL is the secret, as with Slack and Discord.
    Url,
}

/// What an [`Endpoint`] is made of.
#[derive(Clone)]
pub struct EndpointConfig {
    pub url: Url,
    /// The URL itself is the credential, as with Slack.
    pub url_is_secret: bool,
    pub proof: Proof,
    /// Sent with each request.
    pub headers: Vec<(String, String)>,
    /// From the first look-up to the last byte of the answer.
    pub timeout: Duration,
    pub allow: AllowList,
    pub lookup: Lookup,
}

/// Something in the configuration that no request can carry.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    #[error("the header {0} has a name or a value that HTTP does not take")]
    Header(String),
    #[error("the header {0} is Landfall's own")]
    OwnHeader(String),
    #[error("could not prepare TLS")]
    Tls(#[source] reqwest::Error),
}

/// Sends to one URL. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Endpoint {
    http: reqwest::Client,
    url: Url,
    guard: Guard,
    proof: Proof,
    redaction: Redaction,
}

impl Endpoint {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// [`EndpointError`] names the header that cannot be sent.
    ///
    /// # Panics
    /// When the program has installed no rustls crypto provider.
    pub fn new(config: EndpointConfig) -> Result<Self, EndpointError> {
        let guard = Guard::new(&config.url, &config.allow, config.lookup.clone());
        let http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .default_headers(check_headers(&config.headers, &config.proof)?)
            .timeout(config.timeout)
            .connect_timeout(CONNECT_TIMEOUT_MAX.min(config.timeout))
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .referer(false)
            // A redirect leads where nobody has looked. It is an answer like any other that is no success.
            .redirect(reqwest::redirect::Policy::none())
            // A proxy would resolve the name itself, behind the guard's back.
            .no_proxy()
            .dns_resolver(guard.clone())
            .build()
            .map_err(EndpointError::Tls)?;
        let redaction = Redaction::of(credentials(&config));
        Ok(Self { http, url: config.url, guard, proof: config.proof, redaction })
    }

    /// Whether the address guard would let a request through now. Sends nothing.
    ///
    /// # Errors
    /// [`AddressError`] when it would not, or when the name has no address.
    pub async fn check_address(&self) -> Result<(), AddressError> {
        self.guard.check_address(&self.url).await
    }

    /// One attempt. `id` is the notification's own and `body` its stored bytes: both the same on every attempt; `now`
    /// is the attempt's time, which the signature covers.
    ///
    /// # Errors
    /// [`SendError`] for anything but a 2xx in time.
    pub async fn send(&self, id: &str, body: Bytes, now: DateTime<Utc>) -> Result<Answer, SendError> {
        self.guard.check_host(&self.url).map_err(SendError::Forbidden)?;
        let timestamp = now.timestamp();
        let mut request = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(HEADER_ID, id)
            .header(HEADER_TIMESTAMP, timestamp);
        match &self.proof {
            Proof::Signature(signer) => {
                request = request.header(HEADER_SIGNATURE, signer.sign(id, timestamp, &body));
            }
            Proof::Token { header, token } => {
                let mut value =
                    HeaderValue::from_str(token.expose_secret()).expect("checked when it was made");
                value.set_sensitive(true);
                request = request.header(header.as_str(), value);
            }
            Proof::Url => {}
        }
        let response = request.body(body).send().await.map_err(SendError::of_request)?;
        let is_success = response.status().is_success();
        let retry_after = answer::retry_after(response.headers(), now);
        let answer = answer::read(response, &self.redaction).await;
        if is_success { Ok(answer) } else { Err(SendError::of_answer(answer, retry_after)) }
    }
}

/// All credentials of the target.
fn credentials(config: &EndpointConfig) -> Vec<SecretString> {
    let mut credentials = redaction::of_url(&config.url, config.url_is_secret);
    credentials.extend(config.headers.iter().flat_map(|(_, value)| redaction::of_header(value)));
    match &config.proof {
        Proof::Signature(signer) => credentials.extend(signer.texts().iter().cloned()),
        Proof::Token { token, .. } => credentials.extend(redaction::of_header(token.expose_secret())),
        Proof::Url => {}
    }
    credentials
}

/// The headers sent with each request, if all can be sent.
pub(crate) fn check_headers(
    configured: &[(String, String)],
    proof: &Proof,
) -> Result<HeaderMap, EndpointError> {
    const OWN: [&str; 8] = [
        HEADER_ID,
        HEADER_TIMESTAMP,
        HEADER_SIGNATURE,
        "content-type",
        "content-length",
        "transfer-encoding",
        "connection",
        "host",
    ];
    let wrong = |name: &str| EndpointError::Header(name.to_owned());
    let mut headers = HeaderMap::new();
    for (name, value) in configured {
        let key: HeaderName = name.parse().map_err(|_| wrong(name))?;
        if OWN.contains(&key.as_str()) {
            return Err(EndpointError::OwnHeader(name.clone()));
        }
        headers.insert(key, HeaderValue::from_str(value).map_err(|_| wrong(name))?);
    }
    if let Proof::Token { header, token } = proof {
        let key: HeaderName = header.parse().map_err(|_| wrong(header))?;
        if OWN.contains(&key.as_str()) {
            return Err(EndpointError::OwnHeader(header.clone()));
        }
        HeaderValue::from_str(token.expose_secret()).map_err(|_| wrong(header))?;
    }
    Ok(headers)
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The path of a URL may be a secret.
        f.debug_struct("Endpoint").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}
