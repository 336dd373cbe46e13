//! The connection pool for the CLI, metrics and readiness; the queries are in the files that need them. Each query
//! costs an extra round trip, so the event path does not use it.

use std::time::Duration;

use deadpool_redis::{Connection, Manager, Pool, PoolError, Runtime};
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, ScriptInvocation};

use crate::config::QueueConfig;
use crate::connection::{self, CONNECT_TIMEOUT, closed, not_connected, timed_out};
use crate::error::QueueError;
use crate::keys::Keys;

const CONNECTIONS_MAX: usize = 4;
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Converts the reply of `TIME` to unix milliseconds.
pub(crate) fn unix_ms((secs, micros): (i64, i64)) -> i64 {
    secs * 1000 + micros / 1000
}

/// Reads and repairs the queue without consuming it. Clones share a small connection pool.
#[derive(Clone)]
pub struct QueueAdmin {
    pool: Pool,
    /// For connections outside the pool.
    pub(crate) client: Client,
    pub(crate) keys: Keys,
}

impl QueueAdmin {
    /// Connects on first use.
    pub fn new(config: &QueueConfig) -> Result<Self, QueueError> {
        let client = connection::client(config)?;
        let info = client.get_connection_info().clone();
        let connections = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        let manager = Manager::new_with_config(info, connections).map_err(QueueError::InvalidUrl)?;
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS_MAX)
            .wait_timeout(Some(RESPONSE_TIMEOUT))
            .create_timeout(Some(RESPONSE_TIMEOUT))
            .recycle_timeout(Some(RESPONSE_TIMEOUT))
            .runtime(Runtime::Tokio1)
            .build()
            .expect("a runtime is set; nothing else can fail");
        Ok(Self { pool, client, keys: Keys::new(&config.key_prefix) })
    }

    /// The address of Redis as `redis://HOST:PORT/DATABASE`, without credentials.
    pub fn address(&self) -> String {
        connection::address(self.client.get_connection_info())
    }

    /// Whether Redis replies.
    pub async fn ping(&self) -> Result<(), QueueError> {
        self.query("ping Redis", &redis::cmd("PING")).await
    }

    pub(crate) async fn invoke<T: FromRedisValue>(
        &self,
        operation: &'static str,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, QueueError> {
        let reply = script.invoke_async(&mut self.connection().await?).await;
        reply.map_err(QueueError::while_doing(operation))
    }

    pub(crate) async fn query<T: FromRedisValue>(
        &self,
        operation: &'static str,
        command: &Cmd,
    ) -> Result<T, QueueError> {
        let reply = command.query_async(&mut self.connection().await?).await;
        reply.map_err(QueueError::while_doing(operation))
    }

    pub(crate) async fn query_all<T: FromRedisValue>(
        &self,
        operation: &'static str,
        commands: &Pipeline,
    ) -> Result<T, QueueError> {
        let replies = commands.query_async(&mut self.connection().await?).await;
        replies.map_err(QueueError::while_doing(operation))
    }

    async fn connection(&self) -> Result<Connection, QueueError> {
        // Boxed: opening a connection needs 7 KB, which would otherwise enlarge every task that calls this.
        let gotten = Box::pin(self.pool.get()).await;
        let source = |error| match error {
            PoolError::Backend(source) => not_connected(&self.address(), source),
            PoolError::Timeout(_) => not_connected(&self.address(), timed_out()),
            // The pool is never closed, has a runtime, and has no hooks.
            PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => closed(),
        };
        gotten.map_err(source).map_err(QueueError::while_doing("connect to Redis"))
    }
}
