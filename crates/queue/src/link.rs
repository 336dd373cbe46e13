//! One connection to Redis for events: opened when it is needed, left when it fails. Unlike redis-rs' own manager it
//! remembers no failure: the first batch after an outage tries again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, Script, ServerErrorKind, Value};

use crate::connection::{CONNECT_TIMEOUT, PIPELINE_BUFFER, RESPONSE_TIMEOUT, WRITE_BUFFER_BYTES};

pub(crate) struct Link {
    client: Client,
    current: Mutex<Option<Open>>,
    /// Whoever holds it connects; the last failure, for those who waited for it.
    connecting: tokio::sync::Mutex<Option<RedisError>>,
    failures: AtomicU64,
}

struct Open {
    connection: MultiplexedConnection,
    since: Instant,
}

impl Link {
    pub(crate) fn new(client: Client) -> Self {
        let (current, connecting) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { client, current, connecting, failures: AtomicU64::new(0) }
    }

    /// Runs the script that the command calls by its hash, loading it first where Redis does not have it. Errors inside
    /// the reply stay there.
    pub(crate) async fn evaluate(&self, script: &Script, command: &Cmd) -> Result<Value, RedisError> {
        let mut connection = match self.open_now() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let mut reply = top_level(connection.send_packed_command(command).await);
        if reply.as_ref().is_err_and(|error| error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)) {
            reply = match script.load_async(&mut connection).await {
                Ok(_) => top_level(connection.send_packed_command(command).await),
                Err(error) => Err(error),
            };
        }
        reply
    }

    /// Unless it was opened after this moment, the next command does not use the current connection, but opens another.
    /// What is under way on it may still be answered.
    pub(crate) fn leave_if_older(&self, moment: Instant) {
        self.current().take_if(|open| open.since <= moment);
    }

    fn open_now(&self) -> Option<MultiplexedConnection> {
        self.current().as_ref().map(|open| open.connection.clone())
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let failures = self.failures.load(Ordering::Relaxed);
        let mut last_failure = self.connecting.lock().await;
        if let Some(connection) = self.open_now() {
            return Ok(connection);
        }
        // A crowd that waits for one attempt shares its failure: in a queue of attempts the last would wait for ever.
        if let (Some(failure), true) = (&*last_failure, self.failures.load(Ordering::Relaxed) != failures) {
            return Err(failure.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_pipeline_buffer_size(PIPELINE_BUFFER)
            .set_write_backpressure_boundary(WRITE_BUFFER_BYTES);
        match self.client.get_multiplexed_async_connection_with_config(&config).await {
            Ok(connection) => {
                *self.current() = Some(Open { connection: connection.clone(), since: Instant::now() });
                Ok(connection)
            }
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                *last_failure = Some(error.clone());
                Err(error)
            }
        }
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<Open>> {
        self.current.lock().expect("nothing panics while it holds the lock")
    }
}

/// Closed, half-open, or leading to a primary that was demoted: no later command fares better on it.
pub(crate) fn is_lost(error: &RedisError) -> bool {
    error.is_io_error() || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

/// redis-rs hands over an error that is the whole reply like any other value.
fn top_level(reply: Result<Value, RedisError>) -> Result<Value, RedisError> {
    match reply {
        Ok(error @ Value::ServerError(_)) => error.extract_error(),
        reply => reply,
    }
}
