//! The HTTP server: its routes and its limits.

use std::any::Any;
use std::net::TcpListener;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::Server;
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpServer, web};
use rustls::ServerConfig;

use crate::crowd::Crowd;
use crate::receive::{Receiver, receive, wrong_method, wrong_path};
use crate::settings::Settings;

/// The server on an already bound listener, with TLS or without; it runs when awaited and stops when its handle says so.
///
/// # Errors
/// When the listener cannot be used.
pub(crate) fn build(
    settings: &Settings,
    receiver: Receiver,
    listener: TcpListener,
    tls: Option<ServerConfig>,
) -> std::io::Result<Server> {
    let limits = receiver.limits;
    let connections = settings.max_connections as usize;
    let workers = worker_threads(connections);
    let crowd = Crowd::new(connections);
    let path = settings.webhook_path.clone();
    let server = HttpServer::new(move || {
        // Runs once in each of the server's threads.
        App::new()
            .app_data(web::Data::new(receiver.apart()))
            .service(
                web::resource(&path).route(web::post().to(receive)).default_service(web::to(wrong_method)),
            )
            .default_service(web::to(wrong_path))
    })
    .workers(workers)
    // actix counts for each of its workers.
    .max_connections(crowd.at_work_max().div_ceil(workers))
    .on_connect(move |connection, data| {
        if let Some(seat) = tcp(connection).and_then(|tcp| crowd.enter(tcp)) {
            data.insert(seat);
        }
    })
    .client_request_timeout(limits.head)
    .tls_handshake_timeout(limits.head)
    .client_disconnect_timeout(limits.disconnect)
    .keep_alive(limits.keep_alive)
    .tcp_nodelay(true)
    .shutdown_timeout(limits.drain.as_secs())
    .disable_signals();
    let server = match tls {
        Some(config) => server.listen_rustls_0_23(listener, config)?,
        None => server.listen(listener)?,
    };
    Ok(server.run())
}

/// The socket below, with TLS or without. With TLS only after the handshake, which has a limit of its own.
fn tcp(connection: &dyn Any) -> Option<&TcpStream> {
    let encrypted = || Some(connection.downcast_ref::<TlsStream<TcpStream>>()?.get_ref().0);
    connection.downcast_ref().or_else(encrypted)
}

/// One for each core, but never more than connections, so that each may have at least one. One thread on two cores took in
/// a fifth less than two, with a line for each event.
fn worker_threads(connections: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    cores.min(connections)
}
