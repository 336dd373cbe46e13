//! Who may stay when there are more connections than `MAX_CONNECTIONS`: the oldest idle ones go, so that whoever holds
//! connections open without a use for them cannot keep deliveries out. At work is a connection whose request is here as a
//! whole and not yet answered; a trickling head or body is no work.

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

/// Of the connections that may stay, one in so many goes in advance: looking for the oldest is not for every newcomer.
const IN_ADVANCE: usize = 64;
/// Where everybody is at work, one more in so many is let in; the others wait.
const AT_WORK_MORE: usize = 8;

const AT_WORK: u64 = u64::MAX;

/// All connections of the server.
pub(crate) struct Crowd {
    max: usize,
    start: Instant,
    members: Mutex<HashMap<u64, Member>>,
    newest: AtomicU64,
    count: AtomicUsize,
}

struct Member {
    /// The connection once more, to close it from outside.
    handle: TcpStream,
    idle_since: Arc<AtomicU64>,
}

/// One connection's place, given up when the connection ends.
pub(crate) struct Seat {
    crowd: Arc<Crowd>,
    number: u64,
    idle_since: Arc<AtomicU64>,
}

/// While it lives, the connection is not closed for others.
pub(crate) struct Work<'s> {
    seat: &'s Seat,
    since: Instant,
}

impl Crowd {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            start: Instant::now(),
            members: Mutex::default(),
            newest: AtomicU64::new(0),
            count: AtomicUsize::new(0),
        })
    }

    /// How many connections may be open at all, when none of them is idle.
    pub(crate) fn at_work_max(&self) -> usize {
        self.max + self.max.div_ceil(AT_WORK_MORE)
    }

    /// Lets a new connection in. `None` when the system has no descriptor left: then it stays without being known here.
    pub(crate) fn enter(self: &Arc<Self>, connection: &impl AsFd) -> Option<Seat> {
        let handle = TcpStream::from(connection.as_fd().try_clone_to_owned().ok()?);
        let idle_since = Arc::new(AtomicU64::new(self.moment(Instant::now())));
        let number = self.newest.fetch_add(1, Ordering::Relaxed);
        let mut members = self.members();
        members.insert(number, Member { handle, idle_since: idle_since.clone() });
        self.make_room(&mut members);
        Some(Seat { crowd: self.clone(), number, idle_since })
    }

    fn make_room(&self, members: &mut HashMap<u64, Member>) {
        let over = members.len().saturating_sub(self.max);
        if over > 0 {
            let wanted = over + self.max / IN_ADVANCE;
            let mut idle: Vec<u64> =
                members.values().map(Member::idle_since).filter(|&at| at != AT_WORK).collect();
            if let Some(last) = wanted.min(idle.len()).checked_sub(1) {
                let youngest_to_go = *idle.select_nth_unstable(last).1;
                members.retain(|_, member| {
                    let stays = member.idle_since() > youngest_to_go;
                    if !stays {
                        // Its owner notices, and gives up the rest. One that is gone already needs nothing.
                        member.handle.shutdown(Shutdown::Both).ok();
                    }
                    stays
                });
            }
        }
        self.count.store(members.len(), Ordering::Relaxed);
    }

    fn moment(&self, instant: Instant) -> u64 {
        let nanos = instant.saturating_duration_since(self.start).as_nanos();
        u64::try_from(nanos).unwrap_or(AT_WORK - 1)
    }

    fn members(&self) -> MutexGuard<'_, HashMap<u64, Member>> {
        self.members.lock().expect("nothing panics while it holds the lock")
    }
}

impl Member {
    fn idle_since(&self) -> u64 {
        self.idle_since.load(Ordering::Relaxed)
    }
}

impl Seat {
    /// The request has come as a whole; it began `since`.
    pub(crate) fn work(&self, since: Instant) -> Work<'_> {
        self.idle_since.store(AT_WORK, Ordering::Relaxed);
        Work { seat: self, since }
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        let crowd = &self.seat.crowd;
        self.seat.idle_since.store(crowd.moment(self.since), Ordering::Relaxed);
        // They were let in while everybody was at work.
        if crowd.count.load(Ordering::Relaxed) > crowd.max {
            crowd.make_room(&mut crowd.members());
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut members = self.crowd.members();
        members.remove(&self.number);
        self.crowd.count.store(members.len(), Ordering::Relaxed);
    }
}
