//! The HTTP client for OpenAI: settings, headers, time limits, and reading of JSON objects. The endpoints are in the
//! files of their objects.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect;
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};

use crate::body_memory::{BodyMemory, BodyReservation};
use crate::endpoint::{Endpoint, Observation, Observer};
use crate::error::{ApiError, ClientError, shown};
use crate::exchange::Exchange;

const USER_AGENT: &str = concat!("landfall/", env!("CARGO_PKG_VERSION"));
/// A JSON response may take this many idle time-outs (the SDKs have a total of 600 s, ten times our usual 60 s);
/// otherwise a slow trickle could hold it open forever.
const JSON_IDLE_TIMEOUTS_MAX: u32 = 10;
const REDIRECTS_MAX: usize = 5;
/// Some proxies use long ids. Escaping may triple the length, and a URL has at most 64 KiB.
const ID_BYTES_MAX: usize = 16 << 10;
const FOUND_ID_CHARS_MAX: usize = 100;

/// Connection settings for one OpenAI project.
#[derive(Clone)]
pub struct ClientConfig {
    /// The base URL as in `OPENAI_BASE_URL` of the SDKs, including `/v1`; nothing is added to it.
    pub base_url: String,
    pub api_key: SecretString,
    pub organization: Option<String>,
    pub project: Option<String>,
    pub connect_timeout: Duration,
    /// Maximum time without a byte, including the wait for the response head and connecting.
    pub idle_timeout: Duration,
    /// Requests responses with `web_search_call.results`.
    pub web_search_results: bool,
    /// Called for every request.
    pub observer: Option<Observer>,
    /// The memory budget for bodies, shared with all other users of it.
    pub body_memory: BodyMemory,
}

/// A read-only OpenAI client. Cheap to clone; clones share a connection pool.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    http: reqwest::Client,
    /// Without a trailing slash.
    base_url: String,
    /// Only used to redact messages; requests send it in a header marked as sensitive.
    api_key: SecretString,
    idle_timeout: Duration,
    web_search_results: bool,
    observer: Option<Observer>,
    body_memory: BodyMemory,
}

/// An object as fetched from OpenAI.
#[derive(Debug)]
pub struct Fetched<T> {
    pub object: T,
    /// The response body, byte for byte.
    pub raw: Bytes,
    pub request_id: Option<String>,
    /// The part of [`ClientConfig::body_memory`] reserved for the body. Hold it as long as the body or the values
    /// parsed from it.
    pub reservation: BodyReservation,
}

/// A GET of a JSON object.
pub(crate) struct Get {
    endpoint: Endpoint,
    /// Path and query relative to the base URL; ids in it have been escaped by [`segment`].
    path: String,
    bytes_max: usize,
    /// The header `OpenAI-Beta`.
    beta: Option<&'static str>,
}

impl Get {
    pub(crate) fn new(endpoint: Endpoint, path: String, bytes_max: usize) -> Self {
        Self { endpoint, path, bytes_max, beta: None }
    }

    /// Of an API that is a beta, with the header `OpenAI-Beta`.
    pub(crate) fn beta(self, beta: &'static str) -> Self {
        Self { beta: Some(beta), ..self }
    }
}

impl Client {
    /// Opens no connection.
    ///
    /// # Errors
    /// [`ClientError`] names the unusable setting.
    ///
    /// # Panics
    /// When no rustls crypto provider is installed.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let base_url = check_base_url(&config.base_url)?;
        let mut builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .default_headers(headers(&config)?)
            .connect_timeout(config.connect_timeout)
            .read_timeout(config.idle_timeout)
            .referer(false)
            .redirect(redirect::Policy::custom(same_origin_only));
        if is_loopback(&base_url) {
            // The loopback address of a proxy is not ours.
            builder = builder.no_proxy();
        }
        let shared = Shared {
            http: builder.build().map_err(ClientError::Tls)?,
            base_url: base_url.as_str().trim_end_matches('/').to_owned(),
            api_key: config.api_key,
            idle_timeout: config.idle_timeout,
            web_search_results: config.web_search_results,
            observer: config.observer,
            body_memory: config.body_memory,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    pub(crate) fn base_url(&self) -> &str {
        &self.shared.base_url
    }

    /// A reservation in [`ClientConfig::body_memory`] for a body that is read piece by piece.
    pub fn body_reservation(&self) -> BodyReservation {
        self.shared.body_memory.reservation()
    }

    pub(crate) fn includes_web_search_results(&self) -> bool {
        self.shared.web_search_results
    }

    /// Fetches and parses a JSON object.
    pub(crate) async fn get<T>(
        &self,
        get: Get,
        parse: impl FnOnce(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<Fetched<T>, ApiError> {
        let exchange = self.begin(get.endpoint, &get.path, headers_of("application/json", get.beta)).await?;
        self.read_json(exchange, get.bytes_max, parse).await
    }

    /// Fetches the object with an id, and rejects a response with a different id. An object without an id is accepted.
    pub(crate) async fn get_object<T>(
        &self,
        get: Get,
        asked: &str,
        parse: impl FnOnce(&[u8]) -> Result<T, serde_json::Error>,
        id: impl FnOnce(&T) -> Option<&str>,
    ) -> Result<Fetched<T>, ApiError> {
        let endpoint = get.endpoint;
        let fetched = self.get(get, parse).await?;
        let found = match id(&fetched.object) {
            Some(found) if found != asked => found,
            _ => return Ok(fetched),
        };
        let found = shown(found, self.shared.api_key.expose_secret(), FOUND_ID_CHARS_MAX);
        Err(ApiError::OtherObject { endpoint, request_id: fetched.request_id, found })
    }

    /// Sends a GET and waits for the head of a successful response.
    pub(crate) async fn begin(
        &self,
        endpoint: Endpoint,
        path: &str,
        headers: HeaderMap,
    ) -> Result<Exchange, ApiError> {
        let exchange = self.send_with(endpoint, path, headers).await?;
        self.accept(exchange).await
    }

    /// Sends a GET; the response may be an error.
    pub(crate) async fn send(
        &self,
        endpoint: Endpoint,
        path: &str,
        accept: &'static str,
    ) -> Result<Exchange, ApiError> {
        self.send_with(endpoint, path, headers_of(accept, None)).await
    }

    /// The same, with additional headers.
    pub(crate) async fn send_with(
        &self,
        endpoint: Endpoint,
        path: &str,
        headers: HeaderMap,
    ) -> Result<Exchange, ApiError> {
        let shared = &*self.shared;
        let request = shared.http.get(format!("{}{path}", shared.base_url)).headers(headers);
        Exchange::send(request, Observation::new(shared.observer.clone(), endpoint)).await
    }

    /// Returns the response unless it is an error.
    pub(crate) async fn accept(&self, exchange: Exchange) -> Result<Exchange, ApiError> {
        exchange.accept(self.shared.idle_timeout, self.shared.api_key.expose_secret()).await
    }

    /// Accepts the response to a request for the rest of a file: that part, or the statement that there is no more.
    /// Other responses are errors.
    pub(crate) async fn accept_rest(&self, exchange: Exchange) -> Result<Exchange, ApiError> {
        exchange.accept_rest(self.shared.idle_timeout, self.shared.api_key.expose_secret()).await
    }

    /// Reads and parses a whole response.
    pub(crate) async fn read_json<T>(
        &self,
        exchange: Exchange,
        bytes_max: usize,
        parse: impl FnOnce(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<Fetched<T>, ApiError> {
        let (endpoint, request_id) = (exchange.endpoint(), exchange.request_id.clone());
        let mut reservation = self.shared.body_memory.reservation();
        let timeout = self.shared.idle_timeout * JSON_IDLE_TIMEOUTS_MAX;
        let raw = exchange.body(bytes_max, timeout, &mut reservation).await?;
        match parse(&raw) {
            Ok(object) => Ok(Fetched { object, raw, request_id, reservation }),
            Err(source) => Err(ApiError::NotJson { endpoint, request_id, source }),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base_url", &self.shared.base_url).finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// Escapes an id as one path segment. Ids come from the network, so all but the plainest characters are escaped: no id
/// can address another endpoint, and no two ids the same object.
pub(crate) fn segment(id: &str) -> Result<String, ApiError> {
    // Dot segments have a meaning that no escaping removes.
    if id.is_empty() || id == "." || id == ".." || id.len() > ID_BYTES_MAX {
        return Err(ApiError::UnusableId);
    }
    let mut segment = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                segment.push(char::from(byte))
            }
            _ => segment.push_str(&format!("%{byte:02X}")),
        }
    }
    Ok(segment)
}

/// The headers of one request.
pub(crate) fn headers_of(accept: &'static str, beta: Option<&'static str>) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
    if let Some(beta) = beta {
        headers.insert("openai-beta", HeaderValue::from_static(beta));
    }
    headers
}

fn check_base_url(text: &str) -> Result<Url, ClientError> {
    let url = Url::parse(text).map_err(|_| ClientError::BaseUrl("is not a URL"))?;
    let refused = if !matches!(url.scheme(), "http" | "https") {
        "does not start with http:// or https://"
    } else if !url.username().is_empty() || url.password().is_some() {
        "contains a user name or password, which would replace the API key"
    } else if url.query().is_some() || url.fragment().is_some() {
        "contains ? or #"
    } else {
        return Ok(url);
    };
    Err(ClientError::BaseUrl(refused))
}

fn headers(config: &ClientConfig) -> Result<HeaderMap, ClientError> {
    let key = config.api_key.expose_secret();
    let mut authorization = HeaderValue::from_str(&format!("Bearer {key}"))
        .ok()
        .filter(|_| !key.trim().is_empty())
        .ok_or(ClientError::ApiKey)?;
    authorization.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, authorization);
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let names = [
        ("organization", "openai-organization", &config.organization),
        ("project", "openai-project", &config.project),
    ];
    for (setting, name, value) in names {
        if let Some(value) = value {
            headers.insert(name, HeaderValue::from_str(value).map_err(|_| ClientError::Header(setting))?);
        }
    }
    Ok(headers)
}

/// The API key and the data must stay with their host: a redirect to another one is not followed.
fn same_origin_only(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let origin = |url: &Url| url.origin();
    let same = attempt.previous().iter().all(|previous| origin(previous) == origin(attempt.url()));
    if same && attempt.previous().len() <= REDIRECTS_MAX { attempt.follow() } else { attempt.stop() }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(base_url: &str, api_key: &str) -> ClientConfig {
        let _ = rustls::crypto::ring::default_provider().install_default();
        ClientConfig {
            base_url: base_url.into(),
            api_key: api_key.into(),
            organization: None,
            project: None,
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(5),
            web_search_results: false,
            observer: None,
            body_memory: BodyMemory::default(),
        }
    }

    #[test]
    fn an_id_cannot_leave_its_path_segment() {
        assert_eq!(segment("ft:gpt-6-luna:acme::B1_~").unwrap(), "ft:gpt-6-luna:acme::B1_~");
        assert_eq!(segment("a/../b?c#d%2f\n é").unwrap(), "a%2F..%2Fb%3Fc%23d%252f%0A%20%C3%A9");
        for id in ["", ".", "..", &"x".repeat(ID_BYTES_MAX + 1)] {
            assert!(matches!(segment(id), Err(ApiError::UnusableId)), "{id}");
        }
    }

    #[test]
    fn a_base_url_only_loses_its_trailing_slashes() {
        let base = |url| Client::new(config(url, "sk-1")).unwrap().shared.base_url.clone();
        assert_eq!(base("http://127.0.0.1:9/v1"), "http://127.0.0.1:9/v1");
        assert_eq!(base("http://127.0.0.1:9/v1/"), "http://127.0.0.1:9/v1");
        assert_eq!(base("http://localhost:9"), "http://localhost:9");
        assert_eq!(base("http://[::1]:9/proxy/openai//"), "http://[::1]:9/proxy/openai");
    }

    #[test]
    fn unusable_settings_are_named_and_not_repeated() {
        let secret = "sk-secret\nx";
        for url in ["", "api.openai.com/v1", "ftp://x/", "https://sk-secret@x/v1", "https://x/v1?sk-secret=1"]
        {
            let error = Client::new(config(url, "sk-1")).unwrap_err();
            assert!(matches!(error, ClientError::BaseUrl(_)), "{url}");
            assert!(!format!("{error} {error:?}").contains("sk-secret"));
        }
        for key in ["", "  ", secret] {
            let error = Client::new(config("http://localhost/", key)).unwrap_err();
            assert!(matches!(error, ClientError::ApiKey));
            assert!(!format!("{error} {error:?}").contains("sk-secret"));
        }
        let config = ClientConfig { project: Some("proj\n1".into()), ..config("http://localhost/", "sk-1") };
        assert!(matches!(Client::new(config), Err(ClientError::Header("project"))));
    }

    #[test]
    fn debug_prints_nothing_of_the_key() {
        let config = config("http://localhost/v1", "sk-secret");
        let client = Client::new(config.clone()).unwrap();
        assert!(!format!("{config:?} {client:?}").contains("sk-secret"));
        assert!(!format!("{:?}", client.shared.http).contains("sk-secret"));
    }
}
