//! The HTTP server and its limits. Put together from actix' parts, not by `HttpServer` and `App`: the connections are our
//! own (`connection.rs`), and one path needs no router (docs/benchmarks.md has what that saves).

use std::future::ready;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Request};
use actix_server::{GracefulShutdownSignal, Server};
use actix_service::{ServiceFactory, ServiceFactoryExt as _, fn_service};
use actix_tls::accept::TlsError;
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::connection::Connection;
use crate::crowd::{Crowd, Seat};
use crate::receive::Receiver;
use crate::route::{Route, route};
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
    const NAME: &str = "webhooks";
    let connections = settings.max_connections as usize;
    let workers = worker_threads(connections);
    let limits = receiver.limits;
    let server = Server::build()
        .workers(workers)
        // actix counts for each of its workers.
        .max_concurrent_connections(Crowd::at_work_max(connections).div_ceil(workers))
        .shutdown_timeout(limits.drain.as_secs())
        .disable_signals();
    let thread = Thread {
        receiver,
        path: settings.webhook_path.clone(),
        crowd: Crowd::new(connections),
        stopping: server.graceful_shutdown_signal(),
    };
    let server = match tls {
        None => server.listen(NAME, listener, move || thread.clone().plain())?,
        Some(config) => server.listen(NAME, listener, move || thread.clone().encrypted(config.clone()))?,
    };
    Ok(server.run())
}

/// What each of the server's threads makes its part from.
#[derive(Clone)]
struct Thread {
    receiver: Receiver,
    path: String,
    crowd: Arc<Crowd>,
    stopping: GracefulShutdownSignal,
}

impl Thread {
    fn plain(
        self,
    ) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()>
    {
        let crowd = self.crowd.clone();
        fn_service(move |stream| ready(Ok((Connection::new(stream, &crowd), None))))
            .and_then(self.http(Connection::seat))
    }

    fn encrypted(
        self,
        mut config: ServerConfig,
    ) -> impl ServiceFactory<
        TcpStream,
        Config = (),
        Response = (),
        Error = TlsError<std::io::Error, DispatchError>,
        InitError = (),
    > {
        // Not HTTP/2: whoever is refused could then keep the connection (`answer.rs`).
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut acceptor = Acceptor::new(config);
        acceptor.set_handshake_timeout(self.receiver.limits.head);
        let crowd = self.crowd.clone();
        fn_service(move |stream| ready(Ok(Connection::new(stream, &crowd))))
            .and_then(acceptor.map_err(TlsError::into_service_error))
            .map(|connection: TlsStream<Connection>| (connection, None))
            .and_then(
                self.http(|connection: &TlsStream<Connection>| connection.get_ref().0.seat())
                    .map_err(TlsError::Service),
            )
    }

    /// Of connections' addresses nothing is asked (`None` above): behind a proxy they are the proxy's.
    fn http<C>(
        self,
        seat: impl Fn(&C) -> Arc<Seat> + 'static,
    ) -> impl ServiceFactory<
        (C, Option<SocketAddr>),
        Config = (),
        Response = (),
        Error = DispatchError,
        InitError = (),
    >
    where
        C: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let webhooks = Rc::new(Route { path: self.path, receiver: self.receiver.apart() });
        let limits = self.receiver.limits;
        HttpService::build()
            .client_request_timeout(limits.head)
            .client_disconnect_timeout(limits.disconnect)
            .keep_alive(limits.keep_alive)
            .graceful_shutdown_signal(move || {
                let stopping = self.stopping.clone();
                async move { stopping.notified().await }
            })
            .on_connect_ext(move |connection, data| {
                data.insert(seat(connection));
            })
            .h1(fn_service(move |request: Request| route(webhooks.clone(), request)))
    }
}

/// One for each core, but never more than connections, so that each may have at least one. One thread on two cores took in
/// a fifth less than two, with a line for each event.
fn worker_threads(connections: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    cores.min(connections)
}
