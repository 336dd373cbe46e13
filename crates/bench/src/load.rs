//! The load generator: one thread, one epoll set, keep-alive connections. During a run it only writes, waits and reads, to
//! leave the cores of a small machine to the server.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use crate::http_response::{self, ParsedResponse};
use crate::plan::{Kind, Plan};

const EVENTS_MAX: usize = 256;
const TICK: Duration = Duration::from_millis(20);
/// A run that takes longer is stopped.
const RUN_MAX: Duration = Duration::from_secs(60);

/// How the load is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoadOptions {
    pub(crate) connections: usize,
    /// Requests per second (open loop); without it, each connection sends its next request after a response (closed loop).
    pub(crate) rate: Option<f64>,
}

/// The results of a run.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) seconds: f64,
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// Latencies of the 200 responses, in microseconds, sorted.
    pub(crate) latencies_us: Vec<f64>,
    pub(crate) lost_connections: u64,
    /// Distinct webhooks that were answered with 200.
    pub(crate) acknowledged: u64,
    pub(crate) forgeries_accepted: u64,
}

struct Job {
    request: usize,
    from: Instant,
    written: usize,
}

struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
    job: Option<Job>,
}

struct Run<'p> {
    plan: &'p Plan,
    options: LoadOptions,
    address: SocketAddr,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    /// Lowest number first, so that a small load uses few connections.
    idle: BinaryHeap<Reverse<usize>>,
    next: usize,
    finished: usize,
    start: Instant,
    acknowledged: Vec<bool>,
    outcome: Outcome,
}

/// Sends the plan to the server.
///
/// # Errors
/// If the server cannot be reached.
pub(crate) fn send(plan: &Plan, options: LoadOptions, address: SocketAddr) -> Result<Outcome> {
    // By default the kernel extends short waits by up to 50 microseconds.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
    let mut run = Run {
        plan,
        options,
        address,
        epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        connections: Vec::with_capacity(options.connections),
        idle: BinaryHeap::new(),
        next: 0,
        finished: 0,
        start: Instant::now(),
        acknowledged: vec![false; plan.len()],
        outcome: Outcome::default(),
    };
    for number in 0..options.connections {
        let connection = run.connect(number)?;
        run.connections.push(connection);
        run.idle.push(Reverse(number));
    }
    run.start = Instant::now();
    run.go()?;
    let mut outcome = run.outcome;
    outcome.acknowledged = run.acknowledged.iter().filter(|&&acknowledged| acknowledged).count() as u64;
    outcome.latencies_us.sort_by(f64::total_cmp);
    Ok(outcome)
}

impl Run<'_> {
    fn connect(&self, number: usize) -> Result<Connection> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let interest = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        epoll::add(&self.epoll, &stream, epoll::EventData::new_u64(number as u64), interest)?;
        Ok(Connection { stream, unread: Vec::new(), job: None })
    }

    fn go(&mut self) -> Result<()> {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        while self.finished < self.plan.len() && self.start.elapsed() < RUN_MAX {
            let next_due = self.dispatch()?;
            let wait = next_due.map_or(TICK, |due| due.saturating_duration_since(Instant::now()).min(TICK));
            let wait = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&wait))?;
            for event in events.drain(..) {
                let number = usize::try_from(event.data.u64())?;
                let flags = event.flags;
                if flags.contains(epoll::EventFlags::OUT) {
                    self.write(number)?;
                }
                if flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
                    self.read(number)?;
                }
            }
        }
        self.outcome.seconds = self.start.elapsed().as_secs_f64();
        Ok(())
    }

    /// Assigns due requests to idle connections. Returns when the next one is due.
    fn dispatch(&mut self) -> Result<Option<Instant>> {
        while self.next < self.plan.len() {
            let now = Instant::now();
            let due = match self.options.rate {
                // Latency is measured from the scheduled time, so that a stall is not hidden (coordinated omission).
                Some(rate) => self.start + Duration::from_secs_f64(self.next as f64 / rate),
                None => now,
            };
            if due > now {
                return Ok(Some(due));
            }
            let Some(Reverse(number)) = self.idle.pop() else { return Ok(None) };
            self.connections[number].job = Some(Job { request: self.next, from: due, written: 0 });
            self.next += 1;
            self.write(number)?;
        }
        Ok(None)
    }

    fn write(&mut self, number: usize) -> Result<()> {
        let Connection { stream, job, .. } = &mut self.connections[number];
        let Some(job) = job else { return Ok(()) };
        let bytes = self.plan.bytes(job.request);
        while job.written < bytes.len() {
            match stream.write(&bytes[job.written..]) {
                Ok(written) => job.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return self.reconnect(number),
            }
        }
        Ok(())
    }

    fn read(&mut self, number: usize) -> Result<()> {
        let Connection { stream, unread, job } = &mut self.connections[number];
        let mut ended = false;
        let mut chunk = [0; 4096];
        loop {
            match stream.read(&mut chunk) {
                Ok(0) => ended = true,
                Ok(bytes) => unread.extend_from_slice(&chunk[..bytes]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => ended = true,
            }
            if ended {
                break;
            }
        }
        match http_response::parse(unread) {
            ParsedResponse::Complete { status, bytes, closes } if job.is_some() => {
                unread.drain(..bytes);
                let job = job.take().expect("the guard checks it");
                self.record_response(&job, status);
                if closes || ended {
                    self.connections[number] = self.connect(number)?;
                }
                self.idle.push(Reverse(number));
                Ok(())
            }
            ParsedResponse::Partial if !ended => Ok(()),
            ParsedResponse::Partial | ParsedResponse::Malformed | ParsedResponse::Complete { .. } => {
                self.reconnect(number)
            }
        }
    }

    fn record_response(&mut self, job: &Job, status: u16) {
        self.finished += 1;
        *self.outcome.statuses.entry(status).or_default() += 1;
        if status != 200 {
            return;
        }
        self.outcome.latencies_us.push(job.from.elapsed().as_secs_f64() * 1e6);
        match self.plan.kind(job.request) {
            Kind::Fresh => self.acknowledged[job.request] = true,
            Kind::Duplicate(first) => self.acknowledged[first] = true,
            Kind::Forged => self.outcome.forgeries_accepted += 1,
        }
    }

    fn reconnect(&mut self, number: usize) -> Result<()> {
        ensure!(self.outcome.lost_connections < 10_000, "the server closes every connection");
        let busy = self.connections[number].job.is_some();
        self.connections[number] = self.connect(number)?;
        if busy {
            self.outcome.lost_connections += 1;
            self.finished += 1;
            self.idle.push(Reverse(number));
        }
        Ok(())
    }
}

impl Outcome {
    /// The latency quantile for this share, in microseconds.
    pub(crate) fn latency_us(&self, share: f64) -> f64 {
        let count = self.latencies_us.len();
        let rank = (count as f64 * share).ceil() as usize;
        self.latencies_us.get(rank.clamp(1, count.max(1)) - 1).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn answers(&self) -> u64 {
        self.statuses.values().sum()
    }

    pub(crate) fn rate(&self) -> f64 {
        self.answers() as f64 / self.seconds
    }
}
