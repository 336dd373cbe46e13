//! The connection to OpenAI: settings, headers, time limits, and the one way a JSON object is read. The endpoints
//! are in the files of their objects.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect;
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};

use crate::body_memory::{BodyMemory, BodyRoom};
use crate::endpoint::{Endpoint, Observation, Observer};
use crate::error::{ApiError, ClientError, shown};
use crate::exchange::Exchange;

const USER_AGENT: &str = concat!("landfall/", env!("CARGO_PKG_VERSION"));
/// A JSON answer may take this many idle timeouts (the SDKs' total is 600 s, ten times our usual 60): else a byte now
/// and then would hold it open for ever.
const JSON_IDLE_TIMEOUTS_MAX: u32 = 10;
const REDIRECTS_MAX: usize = 5;
/// Proxies make long ones. Escaped it is three times as long, and a URL has at most 64 KiB.
const ID_BYTES_MAX: usize = 16 << 10;
const FOUND_ID_CHARS_MAX: usize = 100;

/// How to reach OpenAI as one project.
#[derive(Clone)]
pub struct ClientConfig {
    /// As `OPENAI_BASE_URL` is written for the SDKs, `/v1` included; nothing is added to it.
    pub base_url: String,
    pub api_key: SecretString,
    pub organization: Option<String>,
    pub project: Option<String>,
    pub connect_timeout: Duration,
    /// How long no byte may come, the wait for the answer's head (connecting included) counted too.
    pub idle_timeout: Duration,
    /// Told about every request.
    pub observer: Option<Observer>,
    /// What bodies may take, of this client and of all that share it.
    pub body_memory: BodyMemory,
}

/// Reads from OpenAI. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    http: reqwest::Client,
    /// Without a slash at the end.
    base_url: String,
    /// Only to strike it out of messages; requests carry it as a header marked sensitive.
    api_key: SecretString,
    idle_timeout: Duration,
    observer: Option<Observer>,
    body_memory: BodyMemory,
}

/// An object as OpenAI holds it now.
#[derive(Debug)]
pub struct Fetched<T> {
    pub object: T,
    /// The answer's body, byte for byte.
    pub raw: Bytes,
    pub request_id: Option<String>,
    /// What the body takes of [`ClientConfig::body_memory`]: to be kept as long as the body, or what is read out of it.
    pub room: BodyRoom,
}

/// A JSON object to ask for.
pub(crate) struct Get {
    endpoint: Endpoint,
    /// Path and query below the base URL; ids in it have gone through [`segment`].
    path: String,
    bytes_max: usize,
}

impl Get {
    pub(crate) fn new(endpoint: Endpoint, path: String, bytes_max: usize) -> Self {
        Self { endpoint, path, bytes_max }
    }
}

impl Client {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// [`ClientError`] names the setting that is unusable.
    ///
    /// # Panics
    /// When the program has installed no rustls crypto provider.
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
            // A proxy has another loopback than we do.
            builder = builder.no_proxy();
        }
        let shared = Shared {
            http: builder.build().map_err(ClientError::Tls)?,
            base_url: base_url.as_str().trim_end_matches('/').to_owned(),
            api_key: config.api_key,
            idle_timeout: config.idle_timeout,
            observer: config.observer,
            body_memory: config.body_memory,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Room for a body that is read piece by piece, out of [`ClientConfig::body_memory`].
    pub fn body_room(&self) -> BodyRoom {
        self.shared.body_memory.room()
    }

    /// Reads a JSON object.
    pub(crate) async fn get<T>(
        &self,
        get: Get,
        parse: impl FnOnce(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<Fetched<T>, ApiError> {
        let exchange = self.begin(get.endpoint, &get.path, "application/json").await?;
        self.read_json(exchange, get.bytes_max, parse).await
    }

    /// Reads the object of an id, and refuses an answer that says that it is another one. One that does not say what it is
    /// passes.
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

    /// Sends a GET, and waits for the head of its answer.
    pub(crate) async fn begin(
        &self,
        endpoint: Endpoint,
        path: &str,
        accept: &'static str,
    ) -> Result<Exchange, ApiError> {
        let exchange = self.send(endpoint, path, accept).await?;
        self.accept(exchange).await
    }

    /// Sends a GET; its answer may be a refusal.
    pub(crate) async fn send(
        &self,
        endpoint: Endpoint,
        path: &str,
        accept: &'static str,
    ) -> Result<Exchange, ApiError> {
        self.send_with(endpoint, path, HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]))
            .await
    }

    /// The same with headers of its own.
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

    /// The answer, unless it is a refusal.
    pub(crate) async fn accept(&self, exchange: Exchange) -> Result<Exchange, ApiError> {
        exchange.accept(self.shared.idle_timeout, self.shared.api_key.expose_secret()).await
    }

    /// The answer to a request for the rest of a file: a part, or that there is nothing more; all else is an error.
    pub(crate) async fn accept_rest(&self, exchange: Exchange) -> Result<Exchange, ApiError> {
        exchange.accept_rest(self.shared.idle_timeout, self.shared.api_key.expose_secret()).await
    }

    /// Reads a whole answer.
    pub(crate) async fn read_json<T>(
        &self,
        exchange: Exchange,
        bytes_max: usize,
        parse: impl FnOnce(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<Fetched<T>, ApiError> {
        let (endpoint, request_id) = (exchange.endpoint(), exchange.request_id.clone());
        let mut room = self.shared.body_memory.room();
        let timeout = self.shared.idle_timeout * JSON_IDLE_TIMEOUTS_MAX;
        let raw = exchange.body(bytes_max, timeout, &mut room).await?;
        match parse(&raw) {
            Ok(object) => Ok(Fetched { object, raw, request_id, room }),
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

/// An id as one segment of a path. Ids come from the network, so all but the plainest characters are escaped: no id
/// can lead to another endpoint, and no two ids to the same object.
pub(crate) fn segment(id: &str) -> Result<String, ApiError> {
    // URLs give the dots a meaning that no escape takes away.
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

fn check_base_url(text: &str) -> Result<Url, ClientError> {
    let url = Url::parse(text).map_err(|_| ClientError::BaseUrl("is not a URL"))?;
    let refused = if !matches!(url.scheme(), "http" | "https") {
        "does not begin with http:// or https://"
    } else if !url.username().is_empty() || url.password().is_some() {
        "holds a user name or password, which would go in place of the API key"
    } else if url.query().is_some() || url.fragment().is_some() {
        "has a ? or # in it"
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

/// The key, and what it lets us read, stay with the host they were meant for: a redirect elsewhere is an answer.
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
            observer: None,
            body_memory: BodyMemory::default(),
        }
    }

    #[test]
    fn an_id_cannot_leave_its_place_in_the_path() {
        assert_eq!(segment("ft:gpt-4.1:acme::B1_~").unwrap(), "ft:gpt-4.1:acme::B1_~");
        assert_eq!(segment("a/../b?c#d%2f\n é").unwrap(), "a%2F..%2Fb%3Fc%23d%252f%0A%20%C3%A9");
        for id in ["", ".", "..", &"x".repeat(ID_BYTES_MAX + 1)] {
            assert!(matches!(segment(id), Err(ApiError::UnusableId)), "{id}");
        }
    }

    #[test]
    fn a_base_url_is_taken_as_given_but_for_slashes_at_its_end() {
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
