//! One connection to Redis for events: opened when it is needed, left when it fails. Unlike redis-rs' own manager it
//! remembers no failure: the first batch after an outage tries again.

use std::io::IoSlice;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, RedisError, ServerErrorKind, Value,
};

use crate::batch::Batch;
use crate::connection::{CONNECT_TIMEOUT, PIPELINE_BUFFER, RESPONSE_TIMEOUT, WRITE_BUFFER_BYTES};
use crate::scripts::ENQUEUE_CODE;
use crate::wire::{self, Wire};

pub(crate) struct Link {
    client: Client,
    current: Mutex<Option<Open>>,
    /// Whoever holds it connects; the last failure, for those who waited for it.
    connecting: tokio::sync::Mutex<Option<RedisError>>,
    failures: AtomicU64,
    bytes_under_way: AtomicUsize,
}

struct Open {
    way: Way,
    since: Instant,
}

/// The hot path has a reader and a writer of its own; what lies around TCP is left to redis-rs.
#[derive(Clone)]
enum Way {
    Plain(Wire),
    /// `rediss://` and sockets in the file system.
    Wrapped(MultiplexedConnection),
}

impl Link {
    pub(crate) fn new(client: Client) -> Self {
        let (current, connecting) = (Mutex::default(), tokio::sync::Mutex::default());
        let (failures, bytes_under_way) = (AtomicU64::new(0), AtomicUsize::new(0));
        Self { client, current, connecting, failures, bytes_under_way }
    }

    /// What was sent and is not answered, about.
    pub(crate) fn bytes_under_way(&self) -> usize {
        self.bytes_under_way.load(Ordering::Relaxed)
    }

    /// Runs the enqueue script by its hash, loading it first where Redis does not have it. Errors inside the reply stay
    /// there.
    pub(crate) async fn enqueue(&self, batch: &Batch, stream_length_max: u64) -> Result<Value, RedisError> {
        let bytes = batch.bytes();
        self.bytes_under_way.fetch_add(bytes, Ordering::Relaxed);
        let reply = self.reply_to(batch, stream_length_max).await;
        self.bytes_under_way.fetch_sub(bytes, Ordering::Relaxed);
        reply
    }

    /// What is seldom is boxed: a batch has memory for the rest alone.
    async fn reply_to(&self, batch: &Batch, stream_length_max: u64) -> Result<Value, RedisError> {
        let way = match self.open_now() {
            Some(way) => way,
            None => Box::pin(self.connect()).await?,
        };
        let reply = way.enqueue(batch, stream_length_max).await;
        if !reply.as_ref().is_err_and(|error| error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)) {
            return reply;
        }
        Box::pin(way.load_script()).await?;
        way.enqueue(batch, stream_length_max).await
    }

    /// Unless it was opened after this moment, the next command does not use the current connection, but opens another.
    /// What is under way on it may still be answered.
    pub(crate) fn leave_if_older(&self, moment: Instant) {
        self.current().take_if(|open| open.since <= moment);
    }

    fn open_now(&self) -> Option<Way> {
        self.current().as_ref().filter(|open| !open.way.is_lost()).map(|open| open.way.clone())
    }

    async fn connect(&self) -> Result<Way, RedisError> {
        let failures = self.failures.load(Ordering::Relaxed);
        let mut last_failure = self.connecting.lock().await;
        if let Some(way) = self.open_now() {
            return Ok(way);
        }
        // A crowd that waits for one attempt shares its failure: in a queue of attempts the last would wait for ever.
        if let (Some(failure), true) = (&*last_failure, self.failures.load(Ordering::Relaxed) != failures) {
            return Err(failure.clone());
        }
        match Way::open(&self.client).await {
            Ok(way) => {
                *self.current() = Some(Open { way: way.clone(), since: Instant::now() });
                Ok(way)
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

impl Way {
    async fn open(client: &Client) -> Result<Self, RedisError> {
        let info = client.get_connection_info();
        if let ConnectionAddr::Tcp(host, port) = info.addr() {
            return Wire::connect(host, *port, info).await.map(Self::Plain);
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_pipeline_buffer_size(PIPELINE_BUFFER)
            .set_write_backpressure_boundary(WRITE_BUFFER_BYTES);
        client.get_multiplexed_async_connection_with_config(&config).await.map(Self::Wrapped)
    }

    async fn enqueue(&self, batch: &Batch, stream_length_max: u64) -> Result<Value, RedisError> {
        match self {
            Self::Plain(wire) => wire.call(&batch.packed(stream_length_max).parts()).await,
            Self::Wrapped(connection) => {
                Box::pin(wrapped(connection, &batch.command(stream_length_max))).await
            }
        }
    }

    async fn load_script(&self) -> Result<Value, RedisError> {
        let mut command = redis::cmd("SCRIPT");
        command.arg("LOAD").arg(ENQUEUE_CODE);
        match self {
            Self::Plain(wire) => wire.call(&[IoSlice::new(&command.get_packed_command())]).await,
            Self::Wrapped(connection) => wrapped(connection, &command).await,
        }
    }

    /// Known to be; redis-rs does not tell before a command fails.
    fn is_lost(&self) -> bool {
        match self {
            Self::Plain(wire) => wire.is_lost(),
            Self::Wrapped(_) => false,
        }
    }
}

async fn wrapped(connection: &MultiplexedConnection, command: &Cmd) -> Result<Value, RedisError> {
    wire::top_level(connection.clone().send_packed_command(command).await?)
}

/// Closed, half-open, or leading to a primary that was demoted: no later command fares better on it.
pub(crate) fn is_lost(error: &RedisError) -> bool {
    error.is_io_error() || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}
