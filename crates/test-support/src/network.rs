//! A TCP proxy between a program and a server that injects network faults: black holes, delays, truncated responses,
//! half-open connections, a different server behind the same address.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const PIECE_BYTES_MAX: usize = 64 * 1024;

/// Listens on a free port and forwards connections to a server on this machine.
pub struct Network {
    port: u16,
    state: Arc<watch::Sender<State>>,
}

#[derive(Debug, Clone, Default)]
struct State {
    /// The port that new connections are forwarded to.
    target: u16,
    black_hole: bool,
    delay: Duration,
    cut: Option<Cut>,
    /// Connections with a lower number are silent, or half-open.
    silent_before: u64,
    half_open_before: u64,
    opened: u64,
}

#[derive(Debug, Clone, Copy)]
struct Cut {
    after_bytes: usize,
    times: u32,
}

impl Network {
    /// A proxy to this port, without faults.
    pub async fn start(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let state = Arc::new(watch::Sender::new(State { target, ..State::default() }));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(proxy(client, Arc::clone(&shared)));
            }
        });
        Self { port, state }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Forwards new connections to another server; open ones are kept.
    pub fn set_target(&self, port: u16) {
        self.state.send_modify(|state| state.target = port);
    }

    /// Stops forwarding on all connections, until it is switched off; data sent in the meantime is then forwarded.
    pub fn black_hole(&self, on: bool) {
        self.state.send_modify(|state| state.black_hole = on);
    }

    /// Delays all data.
    pub fn delay(&self, delay: Duration) {
        self.state.send_modify(|state| state.delay = delay);
    }

    /// Truncates the next `times` chunks of responses after this many bytes, and closes their connections.
    pub fn cut_answers(&self, after_bytes: usize, times: u32) {
        self.state.send_modify(|state| state.cut = Some(Cut { after_bytes, times }));
    }

    /// Open connections stay open, but forward nothing any more; new ones work.
    pub fn silence(&self) {
        self.state.send_modify(|state| state.silent_before = state.opened);
    }

    /// Closes open connections on the server's side only, so that the client does not notice; new ones work.
    pub fn half_open(&self) {
        self.state.send_modify(|state| state.half_open_before = state.opened);
    }

    /// How many connections have been opened.
    pub fn opened(&self) -> u64 {
        self.state.borrow().opened
    }

    /// How many chunks are still to be truncated.
    pub fn cuts_left(&self) -> u32 {
        self.state.borrow().cut.map_or(0, |cut| cut.times)
    }
}

async fn proxy(mut client: TcpStream, state: Arc<watch::Sender<State>>) {
    let mut number = 0;
    state.send_modify(|state| {
        number = state.opened;
        state.opened += 1;
    });
    let target = state.borrow().target;
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", target)).await else { return };
    let mut watching = state.subscribe();
    let half_open = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let lost = watching.wait_for(|state| number < state.silent_before.max(state.half_open_before));
        tokio::select! {
            () = pass(from_client, to_server, &state, false) => return,
            () = pass(from_server, to_client, &state, true) => return,
            lost = lost => lost.is_ok_and(|state| number < state.half_open_before),
        }
    };
    let _server = (!half_open).then_some(server);
    // Keeps the client's socket open.
    std::future::pending::<()>().await;
}

/// Forwards one direction until a side closes or the response is truncated.
async fn pass(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, state: &watch::Sender<State>, is_answer: bool) {
    let mut watching = state.subscribe();
    let mut piece = vec![0; PIECE_BYTES_MAX];
    loop {
        let Ok(length @ 1..) = from.read(&mut piece).await else { return };
        let Ok(now) = watching.wait_for(|state| !state.black_hole).await.map(|state| state.clone()) else {
            return;
        };
        if !now.delay.is_zero() {
            tokio::time::sleep(now.delay).await;
        }
        let cut = if is_answer { take_cut(state) } else { None };
        let sent = &piece[..cut.map_or(length, |after_bytes| after_bytes.min(length))];
        if to.write_all(sent).await.is_err() || cut.is_some() {
            return;
        }
    }
}

/// The length to truncate this chunk to, if any.
fn take_cut(state: &watch::Sender<State>) -> Option<usize> {
    let mut after_bytes = None;
    state.send_if_modified(|state| {
        if let Some(cut) = state.cut.as_mut().filter(|cut| cut.times > 0) {
            cut.times -= 1;
            after_bytes = Some(cut.after_bytes);
        }
        false
    });
    after_bytes
}
