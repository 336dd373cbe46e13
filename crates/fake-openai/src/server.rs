//! The HTTP server and its handle. It runs on a separate thread, so that it works with any async runtime.

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
use crate::{control, creation, endpoints};

/// Limit for objects that are put through the control API; tests put tens of megabytes.
const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a stop waits for connections to close.
const STOP_MAX: Duration = Duration::from_secs(10);

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {addr}")]
    Listen { addr: SocketAddr, source: io::Error },
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// A running server. It stops when this handle is dropped.
pub struct FakeOpenAi {
    state: Arc<State>,
    addr: SocketAddr,
    server: ServerHandle,
    /// Closes once all threads and connections of the server have ended.
    ended: mpsc::Receiver<Infallible>,
}

impl FakeOpenAi {
    /// Starts the server with the demo objects.
    ///
    /// # Errors
    /// [`StartError`] if the address cannot be bound.
    #[expect(clippy::unused_async, reason = "callers await it; starting may become asynchronous")]
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

    /// The value for `OPENAI_BASE_URL`: `http://127.0.0.1:PORT/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// The URL of the control API: `http://127.0.0.1:PORT/_control`.
    pub fn control_url(&self) -> String {
        format!("http://{}/_control", self.addr)
    }

    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Adds or replaces an object; its field `object` is its kind.
    ///
    /// # Errors
    /// [`PutError`] if the kind or id is missing.
    pub fn add_object(&self, object: &Value) -> Result<(), PutError> {
        self.state.fixtures_mut().put_value(object, None)
    }

    /// Adds or replaces an object that is served byte for byte, for values that a JSON library cannot represent.
    ///
    /// # Errors
    /// [`PutError`] if the text is not JSON, or the kind or id is missing.
    pub fn add_raw_object(&self, text: &str) -> Result<(), PutError> {
        let raw = RawValue::from_string(text.to_owned()).map_err(PutError::NotAnObject)?;
        self.state.fixtures_mut().put(raw, None)
    }

    /// Adds a response; the field `object` is optional.
    ///
    /// # Panics
    /// If `id` is missing.
    pub fn add_response(&self, response: Value) {
        self.add_named(response, "response");
    }

    /// Adds a batch; the field `object` is optional.
    ///
    /// # Panics
    /// If `id` is missing.
    pub fn add_batch(&self, batch: Value) {
        self.add_named(batch, "batch");
    }

    /// Adds a file and its content; fields missing in `object` are filled in.
    ///
    /// # Panics
    /// If `object` has another kind or an empty id.
    pub fn add_file(&self, id: &str, object: &Value, content: impl Into<Bytes>) {
        let content = FileContent::InMemory(content.into());
        let put = self.state.fixtures_mut().put_file(id, object, content);
        put.expect("a file has an id");
    }

    /// Adds a file of the code interpreter and, if it does not exist yet, its container.
    ///
    /// # Panics
    /// If an id is empty.
    pub fn add_container_file(
        &self,
        container_id: &str,
        file_id: &str,
        filename: &str,
        content: impl Into<Bytes>,
    ) {
        let mut fixtures = self.state.fixtures_mut();
        let put = fixtures.put_container_file(container_id, file_id, filename, content.into());
        put.expect("both have an id");
    }

    /// Lets a container expire after this time, whatever its objects say.
    pub fn expire_container(&self, id: &str, after: Duration) {
        self.state.fixtures_mut().expire_container(id, after);
    }

    /// Adds the artifact of an agent session and its content.
    ///
    /// # Panics
    /// If it has no id or session.
    pub fn add_artifact(&self, artifact: &Value, content: impl Into<Bytes>) {
        let put = self.state.fixtures_mut().put_artifact(artifact, content.into());
        put.expect("an artifact has an id and a session");
    }

    /// Adds a completed batch with this many lines of generated output.
    pub fn add_generated_batch(&self, id: &str, lines: usize) {
        self.add_generated_batch_of(id, lines as u64, LINE_BYTES_DEFAULT);
    }

    /// The same with lines of `line_bytes` each, including the newline.
    pub fn add_generated_batch_of(&self, id: &str, lines: u64, line_bytes: usize) {
        let mut fixtures = self.state.fixtures_mut();
        fixtures.put_generated_batch(id, lines, line_bytes);
    }

    /// Removes an object. Returns whether it existed.
    pub fn remove(&self, id: &str) -> bool {
        self.state.fixtures_mut().remove(id)
    }

    /// The whole content of a file.
    pub fn file_bytes(&self, file_id: &str) -> Option<Bytes> {
        self.state.fixtures().file_bytes(file_id)
    }

    /// An event about an object; `None` if the object to embed does not exist.
    pub fn event(&self, event_type: &str, id: Option<&str>, payload: Payload) -> Option<OutgoingEvent> {
        control::event(&self.state, event_type, id, payload)
    }

    /// Injects a fault into the following requests.
    pub fn inject(&self, fault: Fault) {
        self.state.faults.inject(fault);
    }

    /// Delays the responses to all paths that contain the text.
    pub fn delay_ms(&self, path_contains: &str, ms: u64) {
        self.inject(Fault::always(FaultKind::Delay { ms }, path_contains));
    }

    /// Removes all faults and ends the delays and stalls in progress.
    pub fn clear_faults(&self) {
        self.state.faults.clear();
    }

    /// Replaces the API key: the old one is revoked.
    pub fn set_api_key(&self, api_key: Option<&str>) {
        self.state.change_access(|access| access.api_key = api_key.map(str::to_owned));
    }

    /// Enables or disables range requests, `ETag` and `Accept-Ranges`.
    pub fn set_ranges(&self, ranges: bool) {
        self.state.change_access(|access| access.ranges = ranges);
    }

    /// Enables or disables weak ETags.
    pub fn set_weak_etags(&self, weak_etags: bool) {
        self.state.change_access(|access| access.weak_etags = weak_etags);
    }

    /// Sends the webhooks of jobs that are created from now on to this receiver. They are signed with
    /// [`FakeConfig::webhook_secret`].
    pub fn send_to(&self, url: &str) {
        self.state.change_created_jobs(|jobs| jobs.send_to = Some(url.to_owned()));
    }

    /// All logged requests, oldest first.
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
        // actix reports the stop once its threads are notified, before their connections are closed.
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
        // The call sends the stop command; its future is not awaited.
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
    let answer = || respond(&state, &request, &body).unwrap_or_else(ApiError::into_response);
    let response = match plan.fault {
        Some(kind) => respond_with_fault(kind, &state.faults, answer).await,
        None => answer(),
    };
    state.log.set_status(entry, response.status().as_u16());
    with_default_headers(response, started)
}

fn respond(state: &Arc<State>, request: &HttpRequest, body: &Bytes) -> Result<HttpResponse, ApiError> {
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
        beta: header("openai-beta"),
        content_type: header("content-type"),
        body,
    };
    let created = creation::respond(state, &api_request, foreign);
    created.unwrap_or_else(|| endpoints::respond(state, &api_request, foreign))
}

/// Checks the API key. Returns whether it belongs to another project.
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

/// Adds the headers of every API response, including errors. Headers set by a fault are kept.
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
