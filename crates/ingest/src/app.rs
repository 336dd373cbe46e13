//! The HTTP server: its limits, its single route, and the responses to all requests that are not webhooks.

use std::io;
use std::net::SocketAddr;

use actix_web::dev::Server;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use rustls::ServerConfig;
use service::excerpt;
use tokio_util::sync::CancellationToken;

use crate::connections::ConnectionTracker;
use crate::receive::{Receiver, receive};
use crate::response::refuse;
use crate::settings::Settings;

/// The listen(2) backlog: as large as the kernel allows (`net.core.somaxconn`, 4,096 by default). When it is full, the
/// kernel drops SYNs, which clients retransmit after a second (RFC 6298).
const ACCEPT_BACKLOG: u32 = 65_535;

/// Complete heads above this size are rejected. actix rejects incomplete ones at 128 KiB, and `MAX_CONNECTIONS` limits
/// their number.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Binds the server. It runs when awaited, and drains when `stop` is cancelled.
pub(crate) fn build(
    settings: &Settings,
    receiver: Receiver,
    tls: Option<ServerConfig>,
    stop: CancellationToken,
) -> io::Result<(Server, SocketAddr)> {
    let limits = receiver.limits;
    let connections = ConnectionTracker::new(settings.max_connections as usize);
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // actix applies the limit per worker thread.
    let connections_per_worker =
        ConnectionTracker::open_max(settings.max_connections as usize).div_ceil(workers);
    let server = HttpServer::new(move || {
        App::new().app_data(web::Data::new(receiver.for_thread())).default_service(web::to(route))
    })
    .on_connect(move |connection, connection_data| {
        if let Some(handle) = connections.register(connection) {
            connection_data.insert(handle);
        }
    })
    .workers(workers)
    .max_connections(connections_per_worker)
    // Unfinished TLS handshakes count as connections. With the default limit of actix, 256, a few clients could block
    // all accepts.
    .max_connection_rate(usize::MAX)
    .backlog(ACCEPT_BACKLOG)
    .tcp_nodelay(true)
    .tls_handshake_timeout(limits.head)
    .client_request_timeout(limits.head)
    .client_disconnect_timeout(limits.disconnect)
    .keep_alive(limits.keep_alive)
    .shutdown_timeout(limits.drain.as_secs())
    .shutdown_signal(stop.cancelled_owned());
    let server = match tls {
        None => server.bind(settings.ingest_addr)?,
        // Without the `http2` feature of actix only HTTP/1.1 is offered: over HTTP/2 a rejected client would keep its
        // connection.
        Some(config) => server.bind_rustls_0_23(settings.ingest_addr, config)?,
    };
    let addr = server.addrs()[0];
    Ok((server.run(), addr))
}

/// The entry point of every request. Paths below the webhook path are reserved for additional projects.
async fn route(request: HttpRequest, payload: web::Payload, receiver: web::Data<Receiver>) -> HttpResponse {
    let payload = payload.into_inner();
    let (status, error, warning) = if head_bytes(&request) > HEAD_BYTES_MAX {
        const ERROR: &str = "Request header fields too large";
        (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, ERROR, "received a webhook with a head over 16 KiB")
    } else if request.path() != receiver.webhook_path {
        (StatusCode::NOT_FOUND, "Not found", "received a webhook on a path other than WEBHOOK_PATH")
    } else if request.method() != Method::POST {
        (
            StatusCode::METHOD_NOT_ALLOWED,
            "Method not allowed",
            "received a webhook with a method other than POST",
        )
    } else {
        return receive(&receiver, &request, payload).await;
    };
    // Logged if it looks like a webhook, because the sender will not report the mistake.
    if request.headers().contains_key(webhook::HEADER_SIGNATURE) {
        tracing::warn!(
            http.path = excerpt(request.path()).as_ref(),
            http.status = status.as_u16(),
            "{warning}"
        );
    }
    let mut response = refuse(status, error, payload);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

/// The approximate size of the head in bytes.
fn head_bytes(request: &HttpRequest) -> usize {
    let uri = request.uri();
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    let path_and_query = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let header =
        |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + ": \r\n".len();
    authority + path_and_query + request.headers().iter().map(header).sum::<usize>()
}
