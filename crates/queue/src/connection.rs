//! Connections to Redis: socket options, and the multiplexed connection that reconnects by itself. Queries for people
//! and metrics use a pool instead (`admin.rs`).

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use redis::aio::MultiplexedConnection;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue,
    IntoConnectionInfo as _, Pipeline, RedisError, ScriptInvocation, ServerErrorKind,
};
use secrecy::ExposeSecret as _;
use tokio::time::timeout;

use crate::config::QueueConfig;
use crate::error::QueueError;

pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Redis replies to our scripts within milliseconds; the timeout leaves room for the fsync of a slow disk.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
const KEEPALIVE: Duration = Duration::from_secs(15);
/// A peer that has not acknowledged sent data for this long is dead.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);

/// Checks the URL and creates a client, which is not connected yet.
pub(crate) fn client(config: &QueueConfig) -> Result<Client, QueueError> {
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(TcpKeepalive::new().with_time(KEEPALIVE))
        .set_user_timeout(TCP_USER_TIMEOUT);
    let info = config.url.expose_secret().into_connection_info().map_err(QueueError::InvalidUrl)?;
    Client::open(info.set_tcp_settings(tcp)).map_err(QueueError::InvalidUrl)
}

/// The address of Redis, without credentials.
pub(crate) fn address(info: &ConnectionInfo) -> String {
    let scheme = match info.addr() {
        ConnectionAddr::TcpTls { .. } => "rediss",
        ConnectionAddr::Unix(_) => "redis+unix",
        _ => "redis",
    };
    format!("{scheme}://{}/{}", info.addr(), info.redis_settings().db())
}

/// The error of a failed connection attempt, with the address.
pub(crate) fn not_connected(address: &str, error: RedisError) -> RedisError {
    let kind = match error.kind() {
        ErrorKind::AuthenticationFailed => {
            return (ErrorKind::AuthenticationFailed, "it rejects user and password", address.to_owned())
                .into();
        }
        kind @ ErrorKind::Server(_) => {
            let detail = format!("{address}: {}", error.detail().unwrap_or_default());
            return (kind, "it rejects the settings in REDIS_URL", detail).into();
        }
        _ if error.is_timeout() => io::ErrorKind::TimedOut,
        _ if error.is_connection_refusal() => io::ErrorKind::ConnectionRefused,
        _ if error.is_connection_dropped() => io::ErrorKind::ConnectionReset,
        ErrorKind::Io => io::ErrorKind::Other,
        _ => return error,
    };
    io::Error::new(kind, format!("{address}: {error}")).into()
}

/// One connection shared by many tasks, opened on first use. When it is lost, the next command opens a new one
/// immediately: unlike redis-rs' `ConnectionManager`, it neither caches a failure nor keeps an unresponsive peer or a
/// demoted primary.
#[derive(Clone)]
pub(crate) struct SharedConnection(Arc<Inner>);

struct Inner {
    client: Client,
    config: AsyncConnectionConfig,
    current: Mutex<Option<Opening>>,
}

/// A connection attempt and its result. All tasks that need the connection meanwhile wait for the same attempt.
type Opening = Shared<BoxFuture<'static, Result<MultiplexedConnection, RedisError>>>;

impl SharedConnection {
    pub(crate) fn new(client: Client) -> Self {
        Self::with_response_timeout(client, Some(RESPONSE_TIMEOUT))
    }

    /// For [`SharedConnection::query_blocking`], whose caller sets the timeout.
    pub(crate) fn for_blocking(client: Client) -> Self {
        Self::with_response_timeout(client, None)
    }

    fn with_response_timeout(client: Client, response_timeout: Option<Duration>) -> Self {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(response_timeout);
        Self(Arc::new(Inner { client, config, current: Mutex::default() }))
    }

    /// Runs a script, and loads it first if Redis does not have it.
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

    /// Runs commands of which the first may block, in one round trip with exclusive use of the connection. After
    /// `max_wait`, or when the caller is cancelled, the connection is closed; otherwise Redis would go on delivering
    /// entries to it.
    pub(crate) async fn query_blocking<T: FromRedisValue>(
        &self,
        commands: &Pipeline,
        max_wait: Duration,
    ) -> Result<T, RedisError> {
        let opening = self.current().take().unwrap_or_else(|| self.0.connect());
        let reply = async {
            let mut connection = opening.clone().await?;
            commands.query_async(&mut connection).await
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

    /// Many commands fail together; only the first one drops the connection. Commands in flight may still get replies.
    fn disconnect_if_current(&self, opening: &Opening) {
        self.current().take_if(|current| current.ptr_eq(opening));
    }

    fn current(&self) -> MutexGuard<'_, Option<Opening>> {
        self.0.current.lock().expect("nothing panics while it holds the lock")
    }
}

impl Inner {
    /// In a separate task: the attempt continues when the caller that began it is cancelled.
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

/// Closed, half-open, or connected to a demoted primary: no later command can succeed on this connection.
fn is_lost(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_unrecoverable_error()
        || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

/// The connection was closed before or during the reply.
pub(crate) fn is_dropped(error: &RedisError) -> bool {
    error.is_connection_dropped() || error.kind() == ErrorKind::Parse
}

pub(crate) fn timed_out() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

pub(crate) fn closed() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::BrokenPipe).into()
}
