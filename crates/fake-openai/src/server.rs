//! The HTTP server on a thread of its own, so that it works inside any caller's runtime, and the handle to it.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use actix_web::http::header::HeaderName;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::api_error::ApiError;
use crate::config::FakeConfig;
use crate::content::FileContent;
use crate::event::{OutgoingEvent, Payload, random_hex};
use crate::fault_injection::{delay, respond_with_fault};
use crate::faults::{Fault, FaultKind};
use crate::fixtures::PutError;
use crate::generated_lines::LINE_BYTES_DEFAULT;
use crate::http_response::with_header;
use crate::query::Query;
use crate::request_log::RecordedRequest;
use crate::state::State;
use crate::{control, endpoints};

/// Objects come in over the control endpoint; the largest tests put are tens of megabytes.
const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a stop waits for connections to be closed.
const STOP_MAX: Duration = Duration::from_secs(10);

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {addr}")]
    Listen { addr: SocketAddr, source: io::Error },
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// A running fake. It stops when this is dropped.
pub struct FakeOpenAi {
    state: Arc<State>,
    addr: SocketAddr,
    server: ServerHandle,
    /// Closed once every thread of the server, with its connections, is gone.
    ended: mpsc::Receiver<Infallible>,
}

impl FakeOpenAi {
    /// Listens, with the demo objects in the fixtures.
    ///
    /// # Errors
    /// [`StartError`] when the address cannot be had.
    #[expect(clippy::unused_async, reason = "callers await it; starting may come to need that")]
    pub async fn start(config: FakeConfig) -> Result<Self, StartError> {
        let wanted = config.addr;
        let failed = |source| StartError::Listen { addr: wanted, source };
        let listener = TcpListener::bind(wanted).map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let state = Arc::new(State::new(config));
        let data = web::Data::from(Arc::clone(&state));
        let (alive, ended) = mpsc::channel(1);
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .app_data(alive.clone())
                .app_data(web::PayloadConfig::new(BODY_BYTES_MAX))
                .route("/healthz", web::get().to(HttpResponse::Ok))
                .default_service(web::to(serve))
        })
        .workers(2)
        .keep_alive(KEEP_ALIVE)
        .disable_signals()
        .shutdown_timeout(0)
        .listen(listener)
        .map_err(failed)?
        .run();
        let handle = server.handle();
        std::thread::Builder::new()
            .name("fake-openai".into())
            .spawn(move || actix_web::rt::System::new().block_on(server))
            .map_err(StartError::Thread)?;
        Ok(Self { state, addr, server: handle, ended })
    }

    /// What `OPENAI_BASE_URL` is to be: `http://127.0.0.1:PORT/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Where the control endpoint is: `http://127.0.0.1:PORT/_control`.
    pub fn control_url(&self) -> String {
        format!("http://{}/_control", self.addr)
    }

    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Adds or replaces an object of any kind, as its field `object` says.
    ///
    /// # Errors
    /// [`PutError`] when it does not say what it is.
    pub fn add_object(&self, object: &Value) -> Result<(), PutError> {
        self.state.fixtures_mut().put_value(object, None)
    }

    /// The same byte for byte, with values that no JSON library can hold.
    ///
    /// # Errors
    /// [`PutError`] when it is no JSON or does not say what it is.
    pub fn add_raw_object(&self, text: &str) -> Result<(), PutError> {
        let raw = RawValue::from_string(text.to_owned()).map_err(PutError::NotAnObject)?;
        self.state.fixtures_mut().put(raw, None)
    }

    /// Adds a response; `object` may be left out.
    ///
    /// # Panics
    /// Without an `id`.
    pub fn add_response(&self, response: Value) {
        self.add_named(response, "response");
    }

    /// Adds a batch; `object` may be left out.
    ///
    /// # Panics
    /// Without an `id`.
    pub fn add_batch(&self, batch: Value) {
        self.add_named(batch, "batch");
    }

    /// Adds a file with its content; what `object` does not say is filled in.
    ///
    /// # Panics
    /// When `object` gives the file another kind or an empty id.
    pub fn add_file(&self, id: &str, object: &Value, content: impl Into<Bytes>) {
        let content = FileContent::InMemory(content.into());
        let put = self.state.fixtures_mut().put_file(id, object, content);
        put.expect("a file has an id");
    }

    /// Adds a finished batch with so many lines of output, made while they are sent.
    pub fn add_generated_batch(&self, id: &str, lines: usize) {
        self.add_generated_batch_of(id, lines as u64, LINE_BYTES_DEFAULT);
    }

    /// The same with lines of `line_bytes` each, newline included.
    pub fn add_generated_batch_of(&self, id: &str, lines: u64, line_bytes: usize) {
        let mut fixtures = self.state.fixtures_mut();
        fixtures.put_generated_batch(id, lines, line_bytes);
    }

    /// Forgets an object; whether it was there.
    pub fn remove(&self, id: &str) -> bool {
        self.state.fixtures_mut().remove(id)
    }

    /// A file's whole content.
    pub fn file_bytes(&self, file_id: &str) -> Option<Bytes> {
        self.state.fixtures().file_bytes(file_id)
    }

    /// An event about an object of the fixtures; none when it is to carry one that is not there.
    pub fn event(&self, event_type: &str, id: Option<&str>, payload: Payload) -> Option<OutgoingEvent> {
        control::event(&self.state, event_type, id, payload)
    }

    /// From now on, requests meet this fault.
    pub fn inject(&self, fault: Fault) {
        self.state.faults.inject(fault);
    }

    /// From now on, answers to paths that contain the text come so much later.
    pub fn delay_ms(&self, path_contains: &str, ms: u64) {
        self.inject(Fault::always(FaultKind::Delay { ms }, path_contains));
    }

    /// Ends all faults, with the delays and stalls under way.
    pub fn clear_faults(&self) {
        self.state.faults.clear();
    }

    /// Another key from now on: the old one is revoked.
    pub fn set_api_key(&self, api_key: Option<&str>) {
        self.state.change_access(|access| access.api_key = api_key.map(str::to_owned));
    }

    /// Ranges, `ETag` and `Accept-Ranges` on or off.
    pub fn set_ranges(&self, ranges: bool) {
        self.state.change_access(|access| access.ranges = ranges);
    }

    /// Whether an `ETag` is a weak one from now on.
    pub fn set_weak_etags(&self, weak_etags: bool) {
        self.state.change_access(|access| access.weak_etags = weak_etags);
    }

    /// The requests so far, oldest first.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.state.log.all()
    }

    pub fn clear_requests(&self) {
        self.state.log.clear();
    }

    /// Closes the port and all connections.
    pub async fn stop(mut self) {
        self.state.faults.clear();
        self.server.stop(false).await;
        // actix says that it has stopped when its threads know of it, not when their connections are closed.
        tokio::time::timeout(STOP_MAX, self.ended.recv()).await.ok();
    }

    fn add_named(&self, mut object: Value, kind: &str) {
        object["object"] = kind.into();
        self.add_object(&object).expect("an object has an id");
    }
}

impl Drop for FakeOpenAi {
    fn drop(&mut self) {
        self.state.faults.clear();
        // The order to stop goes out with the call; nobody waits for it to be carried out.
        drop(self.server.stop(false));
    }
}

async fn serve(request: HttpRequest, body: Bytes, state: web::Data<State>) -> HttpResponse {
    if let Some(path) = request.match_info().as_str().strip_prefix("/_control/") {
        return control::respond(&state, &request, path, &body).await;
    }
    let started = Instant::now();
    let entry = state.log.record(&request);
    let plan = state.faults.plan(&request.uri().to_string());
    if let Some(name) = plan.name() {
        state.log.set_fault(entry, name);
    }
    if !plan.delay.is_zero() {
        delay(plan.delay, &state.faults).await;
    }
    let answer = || respond(&state, &request).unwrap_or_else(ApiError::into_response);
    let response = match plan.fault {
        Some(kind) => respond_with_fault(kind, &state.faults, answer).await,
        None => answer(),
    };
    state.log.set_status(entry, response.status().as_u16());
    with_default_headers(response, started)
}

fn respond(state: &State, request: &HttpRequest) -> Result<HttpResponse, ApiError> {
    let header = |name: &str| request.headers().get(name)?.to_str().ok();
    let access = state.access();
    let foreign = authorise(header("authorization"), &access)?;
    let (method, path) = (request.method().as_str(), request.uri().path());
    // Decoded, so that `ft%3Agpt…` is found like `ft:gpt…`.
    let Some(tail) = request.match_info().as_str().strip_prefix("/v1/") else {
        return Err(ApiError::invalid_url(method, path));
    };
    let api_request = endpoints::ApiRequest {
        method,
        path,
        tail,
        query: Query::parse(request.query_string()),
        range: header("range"),
        if_range: header("if-range"),
    };
    endpoints::respond(state, &api_request, foreign)
}

/// Whether the key is one of another project.
fn authorise(header: Option<&str>, access: &crate::state::Access) -> Result<bool, ApiError> {
    let key = header.and_then(|header| header.strip_prefix("Bearer ")).map(str::trim);
    let Some(key) = key.filter(|key| !key.is_empty()) else {
        return if access.api_key.is_some() { Err(ApiError::no_key()) } else { Ok(false) };
    };
    if access.foreign_api_key.as_deref() == Some(key) {
        return Ok(true);
    }
    match access.api_key.as_deref() {
        Some(right) if right != key => Err(ApiError::wrong_key(key)),
        Some(_) | None => Ok(false),
    }
}

/// What every answer of the API carries, refusals included. What a fault has set already stays.
fn with_default_headers(response: HttpResponse, started: Instant) -> HttpResponse {
    let defaults = [
        ("x-request-id", format!("req_{}", random_hex())),
        ("openai-processing-ms", started.elapsed().as_millis().to_string()),
        ("openai-version", "2020-10-01".to_owned()),
        ("openai-organization", "org-demo".to_owned()),
        ("x-ratelimit-limit-requests", "5000".to_owned()),
        ("x-ratelimit-remaining-requests", "4999".to_owned()),
        ("x-ratelimit-reset-requests", "12ms".to_owned()),
        ("x-ratelimit-limit-tokens", "4000000".to_owned()),
        ("x-ratelimit-remaining-tokens", "3999500".to_owned()),
        ("x-ratelimit-reset-tokens", "7ms".to_owned()),
    ];
    defaults.into_iter().fold(response, |response, (name, value)| {
        if response.headers().contains_key(HeaderName::from_static(name)) {
            return response;
        }
        with_header(response, name, &value)
    })
}
