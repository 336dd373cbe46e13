//! One HTTP target: a signed POST with a time limit that only goes to the address of the target.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;
use webhook::{HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP};

use crate::allow_list::AllowList;
use crate::error::SendError;
use crate::guard::{AddressError, Guard, Resolver};
use crate::redaction::{self, Redaction};
use crate::signing::Signer;
use crate::target_response::{self, TargetResponse};

const USER_AGENT: &str = concat!("landfall/", env!("CARGO_PKG_VERSION"));
/// The part of the time-out that connecting may use.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(5);
const IDLE_CONNECTIONS_MAX: usize = 8;

/// How a request authenticates to a target.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// Standard Webhooks.
    Signature(Signer),
    /// A header with a token, for receivers that cannot verify signatures.
    Token { header: String, token: SecretString },
    /// The URL itself is the secret, as with Slack and Discord.
    Url,
}

/// The configuration of an [`Endpoint`].
#[derive(Clone)]
pub struct EndpointConfig {
    pub url: Url,
    /// The URL itself is the credential, as with Slack.
    pub url_is_secret: bool,
    pub credentials: Credentials,
    /// Added to every request.
    pub headers: Vec<(String, String)>,
    /// From the DNS look-up to the last byte of the response.
    pub timeout: Duration,
    pub allow: AllowList,
    pub resolver: Resolver,
}

/// A setting that cannot be sent in a request.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    #[error("the header {0} has an invalid name or value")]
    Header(String),
    #[error("the header {0} is set by Landfall and cannot be configured")]
    OwnHeader(String),
    #[error("cannot initialize TLS")]
    Tls(#[source] reqwest::Error),
}

/// Sends to one URL. Cheap to clone; clones share a connection pool.
#[derive(Clone)]
pub struct Endpoint {
    http: reqwest::Client,
    url: Url,
    guard: Guard,
    credentials: Credentials,
    redaction: Redaction,
}

impl Endpoint {
    /// Opens no connection.
    ///
    /// # Errors
    /// [`EndpointError`] names the header that cannot be sent.
    ///
    /// # Panics
    /// When no rustls crypto provider is installed.
    pub fn new(config: EndpointConfig) -> Result<Self, EndpointError> {
        let guard = Guard::new(&config.url, &config.allow, config.resolver.clone());
        let http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .default_headers(check_headers(&config.headers, &config.credentials)?)
            .timeout(config.timeout)
            .connect_timeout(CONNECT_TIMEOUT_MAX.min(config.timeout))
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .referer(false)
            // The target of a redirect is unchecked. A redirect counts as an ordinary failure.
            .redirect(reqwest::redirect::Policy::none())
            // A proxy would resolve the name itself and bypass the guard.
            .no_proxy()
            .dns_resolver(guard.clone())
            .build()
            .map_err(EndpointError::Tls)?;
        let redaction = Redaction::of(secrets_of(&config));
        Ok(Self { http, url: config.url, guard, credentials: config.credentials, redaction })
    }

    /// Checks whether the address guard would let a request through now. Sends nothing.
    ///
    /// # Errors
    /// [`AddressError`] when the address is forbidden, or the name has no address.
    pub async fn check_address(&self) -> Result<(), AddressError> {
        self.guard.check_address(&self.url).await
    }

    /// Makes one attempt. `id` (of the notification) and `body` (the stored bytes) are the same for every attempt;
    /// `now` is the time of the attempt, which the signature covers.
    ///
    /// # Errors
    /// [`SendError`] for everything except a 2xx response within the time-out.
    pub async fn send(&self, id: &str, body: Bytes, now: DateTime<Utc>) -> Result<TargetResponse, SendError> {
        self.guard.check_host(&self.url).map_err(SendError::Forbidden)?;
        let timestamp = now.timestamp();
        let mut request = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(HEADER_ID, id)
            .header(HEADER_TIMESTAMP, timestamp);
        match &self.credentials {
            Credentials::Signature(signer) => {
                request = request.header(HEADER_SIGNATURE, signer.sign(id, timestamp, &body));
            }
            Credentials::Token { header, token } => {
                let mut value =
                    HeaderValue::from_str(token.expose_secret()).expect("check_headers accepted the token");
                value.set_sensitive(true);
                request = request.header(header.as_str(), value);
            }
            Credentials::Url => {}
        }
        let response = request.body(body).send().await.map_err(SendError::from_request)?;
        let is_success = response.status().is_success();
        let retry_after = target_response::retry_after(response.headers(), now);
        let response = target_response::read(response, &self.redaction).await;
        if is_success { Ok(response) } else { Err(SendError::from_response(response, retry_after)) }
    }
}

/// All secrets of the target.
fn secrets_of(config: &EndpointConfig) -> Vec<SecretString> {
    let mut secrets = redaction::secrets_in_url(&config.url, config.url_is_secret);
    secrets.extend(config.headers.iter().flat_map(|(_, value)| redaction::secrets_in_header(value)));
    match &config.credentials {
        Credentials::Signature(signer) => secrets.extend(signer.texts().iter().cloned()),
        Credentials::Token { token, .. } => {
            secrets.extend(redaction::secrets_in_header(token.expose_secret()))
        }
        Credentials::Url => {}
    }
    secrets
}

/// The configured headers, if all of them are valid.
pub(crate) fn check_headers(
    configured: &[(String, String)],
    credentials: &Credentials,
) -> Result<HeaderMap, EndpointError> {
    const RESERVED: [&str; 8] = [
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
        if RESERVED.contains(&key.as_str()) {
            return Err(EndpointError::OwnHeader(name.clone()));
        }
        headers.insert(key, HeaderValue::from_str(value).map_err(|_| wrong(name))?);
    }
    if let Credentials::Token { header, token } = credentials {
        let key: HeaderName = header.parse().map_err(|_| wrong(header))?;
        if RESERVED.contains(&key.as_str()) {
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
