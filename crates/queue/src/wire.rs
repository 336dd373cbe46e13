//! A plain TCP connection to Redis for many callers: what they send is written at once in the caller's own turn, and one
//! task reads the replies, which come in order. redis-rs opens it (address, AUTH, SELECT, HELLO); TLS is left to it.

use std::collections::VecDeque;
use std::io::{ErrorKind::WouldBlock, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::future::select_ok;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::{TcpSettings, socket2::SockRef};
use redis::{AsyncConnectionConfig, ConnectionInfo, RedisError, Value};
use tokio::io::AsyncReadExt as _;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::connection::{CONNECT_TIMEOUT, RESPONSE_TIMEOUT, timed_out};
use crate::reply;

/// Clones share the connection; it is closed when the last one is dropped.
#[derive(Clone)]
pub(crate) struct Wire {
    shared: Arc<Shared>,
    _open: Arc<DropGuard>,
}

struct Shared {
    writer: OwnedWriteHalf,
    state: Mutex<State>,
    /// The socket took less than everything.
    blocked: Notify,
}

#[derive(Default)]
struct State {
    /// Whole commands, but for the first, of which the rest is here.
    unsent: VecDeque<Bytes>,
    /// Who waits for a reply, in the order of their commands.
    callers: VecDeque<oneshot::Sender<Result<Value, RedisError>>>,
    end: Option<RedisError>,
}

impl State {
    /// Writes some of what is unsent.
    fn write_on(&mut self, write: impl Fn(&[u8]) -> Result<usize, RedisError>) -> Result<(), RedisError> {
        if let Some(first) = self.unsent.front_mut() {
            first.advance(write(first)?);
            if first.is_empty() {
                self.unsent.pop_front();
            }
        }
        Ok(())
    }
}

impl Wire {
    /// # Errors
    /// When there is no connection in time, or Redis does not let us in.
    pub(crate) async fn connect(host: &str, port: u16, info: &ConnectionInfo) -> Result<Self, RedisError> {
        let opened = timeout(CONNECT_TIMEOUT, open(host, port, info)).await;
        let (reader, writer) = opened.map_err(|_elapsed| timed_out())??.into_split();
        let shared = Arc::new(Shared { writer, state: Mutex::default(), blocked: Notify::new() });
        let closed = CancellationToken::new();
        tokio::spawn(shared.clone().run(reader, closed.clone()));
        Ok(Self { shared, _open: Arc::new(closed.drop_guard()) })
    }

    /// Sends a command, packed as Redis reads it and in as many parts as suit the caller, and waits for the reply. One that
    /// is an error is returned as `Err`.
    ///
    /// # Errors
    /// Also when the connection is lost, or no reply comes in time: then nobody knows what Redis did.
    pub(crate) async fn call(&self, command: &[IoSlice<'_>]) -> Result<Value, RedisError> {
        let reply = self.shared.send(command)?;
        match timeout(RESPONSE_TIMEOUT, reply).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_dropped)) => Err(broken()),
            Err(_elapsed) => Err(timed_out()),
        }
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.shared.state().end.is_some()
    }
}

impl Shared {
    fn send(
        &self,
        command: &[IoSlice<'_>],
    ) -> Result<oneshot::Receiver<Result<Value, RedisError>>, RedisError> {
        let (caller, reply) = oneshot::channel();
        let mut state = self.state();
        if let Some(error) = &state.end {
            return Err(error.clone());
        }
        let sent = if state.unsent.is_empty() { self.write(command)? } else { 0 };
        let rest = after(command, sent);
        if !rest.is_empty() {
            state.unsent.push_back(rest);
            self.blocked.notify_one();
        }
        state.callers.push_back(caller);
        Ok(reply)
    }

    /// How much the socket took.
    fn write(&self, parts: &[IoSlice<'_>]) -> Result<usize, RedisError> {
        match self.writer.try_write_vectored(parts) {
            Ok(sent) => Ok(sent),
            Err(error) if error.kind() == WouldBlock => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    async fn run(self: Arc<Self>, reader: OwnedReadHalf, closed: CancellationToken) {
        let error = tokio::select! {
            biased;
            error = self.read_replies(reader) => error,
            error = self.write_what_is_left() => error,
            () = closed.cancelled() => broken(),
        };
        let mut state = self.state();
        for caller in state.callers.drain(..) {
            caller.send(Err(error.clone())).ok();
        }
        state.end = Some(error);
    }

    async fn read_replies(&self, mut reader: OwnedReadHalf) -> RedisError {
        let mut bytes = BytesMut::with_capacity(4096);
        loop {
            match reader.read_buf(&mut bytes).await {
                Ok(0) => return broken(),
                Ok(_) => {}
                Err(error) => return error.into(),
            }
            loop {
                match reply::read(&bytes) {
                    Ok(Some((value, length))) => {
                        bytes.advance(length);
                        let Some(caller) = self.state().callers.pop_front() else {
                            return broken();
                        };
                        // Nobody listens to a call that timed out.
                        caller.send(top_level(value)).ok();
                    }
                    Ok(None) => break,
                    Err(error) => return error,
                }
            }
        }
    }

    async fn write_what_is_left(&self) -> RedisError {
        loop {
            self.blocked.notified().await;
            while !self.state().unsent.is_empty() {
                if let Err(error) = self.writer.writable().await {
                    return error.into();
                }
                if let Err(error) = self.state().write_on(|bytes| self.write(&[IoSlice::new(bytes)])) {
                    return error;
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }
}

/// What comes after so many bytes.
fn after(parts: &[IoSlice<'_>], mut bytes: usize) -> Bytes {
    let mut rest = BytesMut::new();
    for part in parts {
        let gone = bytes.min(part.len());
        rest.extend_from_slice(&part[gone..]);
        bytes -= gone;
    }
    rest.freeze()
}

/// Only an error that is the whole reply; those inside stay where they are.
pub(crate) fn top_level(value: Value) -> Result<Value, RedisError> {
    match value {
        error @ Value::ServerError(_) => error.extract_error(),
        value => Ok(value),
    }
}

async fn open(host: &str, port: u16, info: &ConnectionInfo) -> Result<TcpStream, RedisError> {
    let addresses = lookup_host((host, port)).await?;
    let attempts: Vec<_> = addresses.map(|address| Box::pin(TcpStream::connect(address))).collect();
    if attempts.is_empty() {
        return Err(std::io::Error::new(std::io::ErrorKind::NotFound, "the host has no address").into());
    }
    let (stream, _slower) = select_ok(attempts).await?;
    set_up(&stream, info.tcp_settings())?;
    let stream = stream.into_std()?;
    // redis-rs asks for nothing that it does not read: when it is done, the socket is ours alone.
    let for_handshake = TcpStream::from_std(stream.try_clone()?)?;
    let config = AsyncConnectionConfig::new();
    let (_connection, _its_task) =
        MultiplexedConnection::new_with_config(info.redis_settings(), for_handshake, config).await?;
    Ok(TcpStream::from_std(stream)?)
}

fn set_up(stream: &TcpStream, settings: &TcpSettings) -> std::io::Result<()> {
    stream.set_nodelay(settings.nodelay())?;
    let socket = SockRef::from(stream);
    if let Some(keepalive) = settings.keepalive() {
        socket.set_tcp_keepalive(keepalive)?;
    }
    socket.set_tcp_user_timeout(settings.user_timeout())
}

fn broken() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::BrokenPipe).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_socket_did_not_take_begins_where_it_stopped() {
        let parts = [&b"*2"[..], b"", b"\r\n$", b"1"].map(IoSlice::new);
        let whole = b"*2\r\n$1";
        for sent in 0..=whole.len() {
            assert_eq!(after(&parts, sent), whole[sent..]);
        }
    }
}
