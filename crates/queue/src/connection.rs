//! Connections to Redis: how their sockets are set up, and the shared one that heals itself. Blocking reads have a
//! connection of their own (`consumer.rs`).

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{Client, Cmd, FromRedisValue, IntoConnectionInfo as _, RedisError, ScriptInvocation};
use secrecy::ExposeSecret as _;

use crate::config::QueueConfig;
use crate::error::QueueError;

pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Redis answers our scripts within milliseconds; this is a slow disk's fsync and more.
pub(crate) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Connecting, twice, and the answer.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(4);
const KEEPALIVE: Duration = Duration::from_secs(15);
/// Sent but unacknowledged for so long, the peer is gone.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);
/// A half-open connection times out for ever: redis-rs reconnects on closed sockets only. A consumer's commands come one
/// after the other, so this is two time-outs long for it.
const TIMEOUTS_MAX: u32 = 2;
/// Commands that may wait for the socket (redis-rs: 50) and bytes collected before a flush (8 KiB); many requests
/// share a connection here.
pub(crate) const PIPELINE_BUFFER: usize = 1024;
pub(crate) const WRITE_BUFFER_BYTES: usize = 64 * 1024;

/// A client for the URL, which is checked but not yet connected to.
pub(crate) fn client(config: &QueueConfig) -> Result<Client, QueueError> {
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(TcpKeepalive::new().with_time(KEEPALIVE))
        .set_user_timeout(TCP_USER_TIMEOUT);
    let info = config.url.expose_secret().into_connection_info().map_err(QueueError::InvalidUrl)?;
    Client::open(info.set_tcp_settings(tcp)).map_err(QueueError::InvalidUrl)
}

/// One connection that many tasks use at the same time. It connects when it is first needed, reconnects when its
/// socket closes, and starts afresh where redis-rs would hold on to a dead peer or a demoted primary.
#[derive(Clone)]
pub(crate) struct SharedConnection(Arc<Inner>);

struct Inner {
    client: Client,
    current: RwLock<Current>,
    consecutive_timeouts: AtomicU32,
}

#[derive(Clone)]
struct Current {
    manager: ConnectionManager,
    generation: u64,
}

impl SharedConnection {
    pub(crate) fn new(client: Client) -> Result<Self, QueueError> {
        let current = Current { manager: manager(&client)?, generation: 0 };
        Ok(Self(Arc::new(Inner {
            client,
            current: RwLock::new(current),
            consecutive_timeouts: AtomicU32::new(0),
        })))
    }

    /// Runs a script, loading it first where Redis does not have it.
    pub(crate) async fn invoke<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, RedisError> {
        let mut current = self.current();
        let result = tokio::time::timeout(COMMAND_TIMEOUT, script.invoke_async(&mut current.manager)).await;
        let result = result.unwrap_or_else(|_elapsed| Err(timed_out()));
        self.note(current.generation, result)
    }

    /// Runs a command that does not block.
    pub(crate) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        let mut current = self.current();
        let result = tokio::time::timeout(COMMAND_TIMEOUT, command.query_async(&mut current.manager)).await;
        let result = result.unwrap_or_else(|_elapsed| Err(timed_out()));
        self.note(current.generation, result)
    }

    fn current(&self) -> Current {
        self.0.current.read().expect("nothing panics while it holds the lock").clone()
    }

    fn note<T>(&self, generation: u64, result: Result<T, RedisError>) -> Result<T, RedisError> {
        let dead = match &result {
            Err(error) if error.is_timeout() => {
                self.0.consecutive_timeouts.fetch_add(1, Ordering::Relaxed) + 1 >= TIMEOUTS_MAX
            }
            Err(error) if error.code() == Some("READONLY") => true,
            Ok(_) | Err(_) => {
                self.0.consecutive_timeouts.store(0, Ordering::Relaxed);
                false
            }
        };
        if dead {
            self.start_afresh(generation);
        }
        result
    }

    /// Many commands fail together; only the first of a generation replaces the connection.
    fn start_afresh(&self, generation: u64) {
        let mut current = self.0.current.write().expect("nothing panics while it holds the lock");
        if current.generation != generation {
            return;
        }
        match manager(&self.0.client) {
            Ok(manager) => {
                *current = Current { manager, generation: generation + 1 };
                self.0.consecutive_timeouts.store(0, Ordering::Relaxed);
                tracing::warn!(
                    "the connection to Redis is replaced: it timed out again and again, or became read-only"
                );
            }
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot replace the connection to Redis"
            ),
        }
    }
}

fn manager(client: &Client) -> Result<ConnectionManager, QueueError> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        // Fail fast while Redis is down: the next command tries again.
        .set_number_of_retries(1)
        .set_max_delay(Duration::from_millis(100))
        .set_pipeline_buffer_size(PIPELINE_BUFFER)
        .set_write_backpressure_boundary(WRITE_BUFFER_BYTES);
    ConnectionManager::new_lazy_with_config(client.clone(), config).map_err(QueueError::InvalidUrl)
}

pub(crate) fn timed_out() -> RedisError {
    RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))
}
