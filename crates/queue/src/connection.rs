//! Connections to Redis: how their sockets are set up, and the multiplexed one that heals itself. What people and
//! metrics ask goes through a pool instead (`stats.rs`).

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use redis::aio::MultiplexedConnection;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue,
    IntoConnectionInfo as _, RedisError, ScriptInvocation, ServerErrorKind,
};
use secrecy::ExposeSecret as _;
use tokio::time::timeout;

use crate::config::QueueConfig;
use crate::error::QueueError;

pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Redis answers our scripts within milliseconds; this covers the fsync of a slow disk and more.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
const KEEPALIVE: Duration = Duration::from_secs(15);
/// A peer that has not acknowledged what was sent for so long is gone.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);

/// A client for the URL, which is checked but not yet connected to.
pub(crate) fn client(config: &QueueConfig) -> Result<Client, QueueError> {
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(TcpKeepalive::new().with_time(KEEPALIVE))
        .set_user_timeout(TCP_USER_TIMEOUT);
    let info = config.url.expose_secret().into_connection_info().map_err(QueueError::InvalidUrl)?;
    Client::open(info.set_tcp_settings(tcp)).map_err(QueueError::InvalidUrl)
}

/// Where Redis is, without credentials.
pub(crate) fn address(info: &ConnectionInfo) -> String {
    let scheme = match info.addr() {
        ConnectionAddr::TcpTls { .. } => "rediss",
        ConnectionAddr::Unix(_) => "redis+unix",
        _ => "redis",
    };
    format!("{scheme}://{}/{}", info.addr(), info.redis_settings().db())
}

/// The error of a connection that was not made, with the address that it was to lead to.
pub(crate) fn not_connected(address: &str, error: RedisError) -> RedisError {
    let kind = match error.kind() {
        ErrorKind::AuthenticationFailed => {
            return (ErrorKind::AuthenticationFailed, "it refuses user and password", address.to_owned())
                .into();
        }
        kind @ ErrorKind::Server(_) => {
            let detail = format!("{address}: {}", error.detail().unwrap_or_default());
            return (kind, "it refuses what REDIS_URL asks for", detail).into();
        }
        _ if error.is_timeout() => io::ErrorKind::TimedOut,
        _ if error.is_connection_refusal() => io::ErrorKind::ConnectionRefused,
        _ if error.is_connection_dropped() => io::ErrorKind::ConnectionReset,
        ErrorKind::Io => io::ErrorKind::Other,
        _ => return error,
    };
    io::Error::new(kind, format!("{address}: {error}")).into()
}

/// One connection that many tasks use at the same time. It is opened when it is first needed. When it is lost, the next
/// command opens another one at once: unlike redis-rs' `ConnectionManager` it neither remembers a failure nor holds on to
/// a peer that fell silent or a primary that was demoted.
#[derive(Clone)]
pub(crate) struct SharedConnection(Arc<Inner>);

struct Inner {
    client: Client,
    config: AsyncConnectionConfig,
    current: Mutex<Option<Opening>>,
}

/// An attempt to connect, and what became of it. All who need the connection meanwhile wait for the same attempt.
type Opening = Shared<BoxFuture<'static, Result<MultiplexedConnection, RedisError>>>;

impl SharedConnection {
    pub(crate) fn new(client: Client) -> Self {
        Self::with_response_timeout(client, Some(RESPONSE_TIMEOUT))
    }

    /// For [`SharedConnection::query_blocking`], whose caller says how long an answer may take.
    pub(crate) fn for_blocking(client: Client) -> Self {
        Self::with_response_timeout(client, None)
    }

    fn with_response_timeout(client: Client, response_timeout: Option<Duration>) -> Self {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(response_timeout);
        Self(Arc::new(Inner { client, config, current: Mutex::default() }))
    }

    /// Runs a script; loads it first where Redis does not have it.
    pub(crate) async fn invoke<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, RedisError> {
        let (opening, mut connection) = self.open().await?;
        let reply = script.invoke_async(&mut connection).await;
        self.disconnect_if_lost(&opening, reply)
    }

    /// Runs a command that does not block.
    pub(crate) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        let (opening, mut connection) = self.open().await?;
        let reply = command.query_async(&mut connection).await;
        self.disconnect_if_lost(&opening, reply)
    }

    /// Runs a command that blocks, with the connection to itself. Unless the answer comes within `max_wait`, or when the
    /// caller is cancelled, the connection is closed: Redis would go on giving entries to it.
    pub(crate) async fn query_blocking<T: FromRedisValue>(
        &self,
        command: &Cmd,
        max_wait: Duration,
    ) -> Result<T, RedisError> {
        let opening = self.current().take().unwrap_or_else(|| self.0.connect());
        let reply = async {
            let mut connection = opening.clone().await?;
            command.query_async(&mut connection).await
        };
        let reply = timeout(max_wait, reply).await.unwrap_or_else(|_elapsed| Err(timed_out()))?;
        *self.current() = Some(opening);
        Ok(reply)
    }

    /// The next command opens a new connection.
    pub(crate) fn disconnect(&self) {
        self.current().take();
    }

    async fn open(&self) -> Result<(Opening, MultiplexedConnection), RedisError> {
        let opening = self.current().get_or_insert_with(|| self.0.connect()).clone();
        match opening.clone().await {
            Ok(connection) => Ok((opening, connection)),
            Err(error) => {
                self.disconnect_if_current(&opening);
                Err(error)
            }
        }
    }

    fn disconnect_if_lost<T>(
        &self,
        opening: &Opening,
        reply: Result<T, RedisError>,
    ) -> Result<T, RedisError> {
        if reply.as_ref().is_err_and(is_lost) {
            self.disconnect_if_current(opening);
        }
        reply
    }

    /// Many commands fail together; only the first one leaves their connection. Those under way may still be answered.
    fn disconnect_if_current(&self, opening: &Opening) {
        self.current().take_if(|current| current.ptr_eq(opening));
    }

    fn current(&self) -> MutexGuard<'_, Option<Opening>> {
        self.0.current.lock().expect("nothing panics while it holds the lock")
    }
}

impl Inner {
    /// In a task of its own: the attempt goes on when the caller that began it is cancelled.
    fn connect(&self) -> Opening {
        let (client, config) = (self.client.clone(), self.config.clone());
        let attempt = tokio::spawn(async move {
            let connected = client.get_multiplexed_async_connection_with_config(&config).await;
            connected.map_err(|error| not_connected(&address(client.get_connection_info()), error))
        });
        // The task is only cancelled when its runtime ends.
        attempt.map(|ended| ended.unwrap_or_else(|_cancelled| Err(closed()))).boxed().shared()
    }
}

/// Closed, half-open, or leading to a primary that was demoted: no later command fares better on this connection.
fn is_lost(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_unrecoverable_error()
        || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

/// The connection ended: before the answer came, or in the middle of it.
pub(crate) fn is_dropped(error: &RedisError) -> bool {
    error.is_connection_dropped() || error.kind() == ErrorKind::Parse
}

pub(crate) fn timed_out() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

pub(crate) fn closed() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::BrokenPipe).into()
}
