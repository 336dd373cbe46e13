//! The admin port, private and on its own address: `/healthz` (the process lives), `/readyz` (it can do its work now)
//! and `/metrics`. It stays up while the program drains, so that a drain can be watched.

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

/// A readiness check that takes longer is a no.
const READINESS_MAX: Duration = Duration::from_secs(2);
const HEALTHCHECK_MAX: Duration = Duration::from_secs(2);
const REQUEST_HEAD_MAX: Duration = Duration::from_secs(5);

/// Why the admin port could not be opened, or did not answer.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("ADMIN_ADDR: cannot listen on {addr}{}", hint(source))]
    Bind { addr: SocketAddr, source: std::io::Error },
    #[error("{addr} does not answer")]
    NoAnswer { addr: SocketAddr, source: std::io::Error },
    #[error("{addr} does not answer /healthz with 200")]
    Unhealthy { addr: SocketAddr },
}

/// What to do about an address that cannot be listened on.
pub fn hint(error: &std::io::Error) -> &'static str {
    if error.kind() == std::io::ErrorKind::AddrInUse {
        " (another program on this machine has it, perhaps another worker: write another address, or port 0, which takes a \
         free one and logs it)"
    } else {
        ""
    }
}

/// The running admin port.
#[derive(Debug)]
pub struct Admin {
    /// The address it is bound to: with port 0 the one the system chose.
    pub addr: SocketAddr,
    handle: ServerHandle,
}

impl Admin {
    /// Closes the port. The last thing a program does.
    pub async fn stop(self) {
        self.handle.stop(false).await;
    }
}

type Readiness = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

struct State {
    registry: Registry,
    readiness: Box<dyn Fn() -> Readiness + Send + Sync>,
}

/// Opens the admin port and logs its address as `admin.addr`. `readiness` is asked at each `/readyz`; its error is the
/// reason a person reads.
///
/// # Errors
/// [`AdminError::Bind`] when the address is taken or not ours.
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
    let dropped = "Log lines that were dropped because the reader of the log was too slow";
    registry.counter_kept_elsewhere("landfall_log_lines_dropped_total", dropped, log_output::dropped_lines);
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
    tracing::info!(admin.addr = %bound, "admin port open");
    Ok(Admin { addr: bound, handle })
}

async fn healthz() -> HttpResponse {
    json(HttpResponse::Ok(), r#"{"status":"ok"}"#.to_owned())
}

async fn readyz(state: web::Data<State>) -> HttpResponse {
    let answer = tokio::time::timeout(READINESS_MAX, (state.readiness)()).await;
    let reason = match answer {
        Ok(Ok(())) => return json(HttpResponse::Ok(), r#"{"status":"ready"}"#.to_owned()),
        Ok(Err(reason)) => reason,
        Err(_) => format!("no answer within {} s", READINESS_MAX.as_secs()),
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

/// Asks a program's own `/healthz`: what `--healthcheck` does in a container that has no curl. Blocks for a few seconds
/// at most.
///
/// # Errors
/// [`AdminError`] when nobody answers at `admin_addr`, or not with 200.
pub fn healthcheck(admin_addr: SocketAddr) -> Result<(), AdminError> {
    let addr = SocketAddr::new(reachable(admin_addr.ip()), admin_addr.port());
    let status_line = ask(addr).map_err(|source| AdminError::NoAnswer { addr, source })?;
    if status_line == *b"HTTP/1.1 200" { Ok(()) } else { Err(AdminError::Unhealthy { addr }) }
}

/// The first bytes of the answer, up to the status.
fn ask(addr: SocketAddr) -> std::io::Result<[u8; 12]> {
    let mut stream = TcpStream::connect_timeout(&addr, HEALTHCHECK_MAX)?;
    stream.set_read_timeout(Some(HEALTHCHECK_MAX))?;
    stream.set_write_timeout(Some(HEALTHCHECK_MAX))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    Ok(start)
}

/// An address that means "all of ours" cannot be connected to.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}
