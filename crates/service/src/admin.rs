//! The admin port, on a private address: `/healthz` (the process is alive), `/readyz` (it can do its work now) and
//! `/metrics`. It stays open during the drain, so that the drain can be observed.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::header;
use actix_web::{App, HttpResponse, HttpServer, web};

use crate::log_output;
use crate::metrics::{self, Registry};

/// A readiness check that takes longer counts as failed.
const READINESS_MAX: Duration = Duration::from_secs(2);
const HEALTHCHECK_MAX: Duration = Duration::from_secs(2);
const REQUEST_HEAD_MAX: Duration = Duration::from_secs(5);

/// Why the admin port cannot be opened, or did not respond.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("ADMIN_ADDR: cannot listen on {addr}{}", hint(source))]
    Bind { addr: SocketAddr, source: std::io::Error },
    #[error("{addr} does not respond")]
    NoAnswer { addr: SocketAddr, source: std::io::Error },
    #[error("{addr} does not respond to /healthz with 200")]
    Unhealthy { addr: SocketAddr },
}

/// A hint on how to fix an address that cannot be bound.
pub fn hint(error: &std::io::Error) -> &'static str {
    if error.kind() == std::io::ErrorKind::AddrInUse {
        " (the address is in use by another program, perhaps another worker: use another address, or port 0, which picks \
         a free port and logs it)"
    } else {
        ""
    }
}

/// The running admin port.
#[derive(Debug)]
pub struct Admin {
    /// The bound address; for port 0, with the port that the kernel chose.
    pub addr: SocketAddr,
    handle: ServerHandle,
}

impl Admin {
    /// Closes the port. Programs call it last.
    pub async fn stop(self) {
        self.handle.stop(false).await;
    }
}

type Readiness = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

struct State {
    registry: Registry,
    readiness: Box<dyn Fn() -> Readiness + Send + Sync>,
}

/// Opens the admin port and logs its address as `admin.addr`. `readiness` is called for each `/readyz`; its error is
/// the reason in the response.
///
/// # Errors
/// [`AdminError::Bind`] if the address is in use or not local.
///
/// # Panics
/// Outside a Tokio runtime.
pub fn serve<F>(
    addr: SocketAddr,
    mut registry: Registry,
    readiness: impl Fn() -> F + Send + Sync + 'static,
) -> Result<Admin, AdminError>
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let bind = |source| AdminError::Bind { addr, source };
    let listener = TcpListener::bind(addr).map_err(bind)?;
    let bound = listener.local_addr().map_err(bind)?;
    let dropped = "Log lines dropped because the reader of stderr was too slow";
    registry.counter_from_fn("landfall_log_lines_dropped_total", dropped, log_output::dropped_lines);
    let state =
        web::Data::from(Arc::new(State { registry, readiness: Box::new(move || Box::pin(readiness())) }));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .route("/healthz", web::get().to(healthz))
            .route("/readyz", web::get().to(readyz))
            .route("/metrics", web::get().to(show_metrics))
            .default_service(web::to(not_found))
    })
    .workers(1)
    .disable_signals()
    .client_request_timeout(REQUEST_HEAD_MAX)
    .listen(listener)
    .map_err(bind)?
    .run();
    let handle = server.handle();
    tokio::spawn(server);
    tracing::info!(admin.addr = %bound, "opened the admin port");
    Ok(Admin { addr: bound, handle })
}

async fn healthz() -> HttpResponse {
    json(HttpResponse::Ok(), r#"{"status":"ok"}"#.to_owned())
}

async fn readyz(state: web::Data<State>) -> HttpResponse {
    let result = tokio::time::timeout(READINESS_MAX, (state.readiness)()).await;
    let reason = match result {
        Ok(Ok(())) => return json(HttpResponse::Ok(), r#"{"status":"ready"}"#.to_owned()),
        Ok(Err(reason)) => reason,
        Err(_) => format!("the readiness check timed out after {} s", READINESS_MAX.as_secs()),
    };
    let body = serde_json::json!({ "status": "not ready", "reason": reason });
    json(HttpResponse::ServiceUnavailable(), body.to_string())
}

async fn show_metrics(state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, metrics::CONTENT_TYPE))
        .body(state.registry.encode())
}

async fn not_found() -> HttpResponse {
    json(HttpResponse::NotFound(), r#"{"error":"Not found"}"#.to_owned())
}

fn json(mut response: actix_web::HttpResponseBuilder, body: String) -> HttpResponse {
    response
        .insert_header(header::ContentType::json())
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(body)
}

/// Checks `/healthz` of a running program: the `--healthcheck` flag, for containers without curl. Blocks for a few
/// seconds at most.
///
/// # Errors
/// [`AdminError`] if `admin_addr` does not respond, or not with 200.
pub fn healthcheck(admin_addr: SocketAddr) -> Result<(), AdminError> {
    let addr = SocketAddr::new(reachable(admin_addr.ip()), admin_addr.port());
    let status_line = ask(addr).map_err(|source| AdminError::NoAnswer { addr, source })?;
    if status_line == *b"HTTP/1.1 200" { Ok(()) } else { Err(AdminError::Unhealthy { addr }) }
}

/// The first bytes of the response, up to the status.
fn ask(addr: SocketAddr) -> std::io::Result<[u8; 12]> {
    let mut stream = TcpStream::connect_timeout(&addr, HEALTHCHECK_MAX)?;
    stream.set_read_timeout(Some(HEALTHCHECK_MAX))?;
    stream.set_write_timeout(Some(HEALTHCHECK_MAX))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    Ok(start)
}

/// Replaces the unspecified address, which cannot be connected to, with the loopback address.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}
