//! Who may stay when there are more connections than `MAX_CONNECTIONS`: the oldest idle ones go, so that whoever holds
//! connections open without a use for them cannot keep deliveries out. At work is a connection whose request is here as a
//! whole and not yet answered; a trickling head or body is no work.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::task::AtomicWaker;

/// Of the connections that may stay, one in so many goes in advance: looking for the oldest is not for every newcomer.
const IN_ADVANCE: usize = 64;
/// Where everybody is at work, one more in so many is let in; the others wait.
const AT_WORK_MORE: usize = 8;

const AT_WORK: u64 = u64::MAX;

/// All connections of the server.
pub(crate) struct Crowd {
    max: usize,
    start: Instant,
    seats: Mutex<HashMap<u64, Arc<Seat>>>,
    newest: AtomicU64,
    count: AtomicUsize,
}

/// One connection's place, given up when the connection ends.
pub(crate) struct Seat {
    crowd: Arc<Crowd>,
    number: u64,
    idle_since: AtomicU64,
    must_go: AtomicBool,
    /// The connection's request waits for its next turn, and for nothing that would wake it.
    looks_again: AtomicBool,
    /// The connection's task, while it waits for its client.
    waiting: AtomicWaker,
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
            seats: Mutex::default(),
            newest: AtomicU64::new(0),
            count: AtomicUsize::new(0),
        })
    }

    /// How many connections may be open at all, when none of them is idle.
    pub(crate) fn at_work_max(max: usize) -> usize {
        max + max.div_ceil(AT_WORK_MORE)
    }

    /// Lets a new connection in.
    pub(crate) fn enter(self: &Arc<Self>) -> Arc<Seat> {
        let number = self.newest.fetch_add(1, Ordering::Relaxed);
        let seat = Arc::new(Seat {
            crowd: self.clone(),
            number,
            idle_since: AtomicU64::new(self.moment(Instant::now())),
            must_go: AtomicBool::new(false),
            looks_again: AtomicBool::new(false),
            waiting: AtomicWaker::new(),
        });
        let mut seats = self.seats();
        seats.insert(number, seat.clone());
        self.make_room(&mut seats);
        seat
    }

    fn make_room(&self, seats: &mut HashMap<u64, Arc<Seat>>) {
        let over = seats.len().saturating_sub(self.max);
        if over > 0 {
            let wanted = over + self.max / IN_ADVANCE;
            let mut idle: Vec<u64> =
                seats.values().map(|seat| seat.idle_since()).filter(|&at| at != AT_WORK).collect();
            if let Some(last) = wanted.min(idle.len()).checked_sub(1) {
                let youngest_to_go = *idle.select_nth_unstable(last).1;
                seats.retain(|_, seat| {
                    let stays = seat.idle_since() > youngest_to_go;
                    if !stays {
                        seat.send_away();
                    }
                    stays
                });
            }
        }
        self.count.store(seats.len(), Ordering::Relaxed);
    }

    fn moment(&self, instant: Instant) -> u64 {
        let nanos = instant.saturating_duration_since(self.start).as_nanos();
        u64::try_from(nanos).unwrap_or(AT_WORK - 1)
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<u64, Arc<Seat>>> {
        self.seats.lock().expect("nothing panics while it holds the lock")
    }
}

impl Seat {
    /// What the connection would wait for, or `end` when it has to go instead. Only who waits is sent away: what has come is
    /// read, and what can be written is written.
    pub(crate) fn wait<T>(&self, poll: Poll<T>, context: &Context<'_>, end: impl FnOnce() -> T) -> Poll<T> {
        if poll.is_ready() {
            return poll;
        }
        self.waiting.register(context.waker());
        if self.must_go.load(Ordering::Acquire) { Poll::Ready(end()) } else { Poll::Pending }
    }

    /// Comes back in the connection's next turn, which is nearly always the present one.
    pub(crate) async fn look_again(&self) {
        self.looks_again.store(true, Ordering::Relaxed);
        let mut gone = false;
        poll_fn(|_| if std::mem::replace(&mut gone, true) { Poll::Ready(()) } else { Poll::Pending }).await;
        self.looks_again.store(false, Ordering::Relaxed);
    }

    /// The turn ends: whoever wanted to come back in it, and could not, gets another.
    pub(crate) fn end_turn(&self, context: &Context<'_>) {
        if self.looks_again.load(Ordering::Relaxed) {
            context.waker().wake_by_ref();
        }
    }

    fn send_away(&self) {
        self.must_go.store(true, Ordering::Release);
        self.waiting.wake();
    }

    fn idle_since(&self) -> u64 {
        self.idle_since.load(Ordering::Relaxed)
    }

    /// The connection has ended.
    pub(crate) fn leave(&self) {
        let mut seats = self.crowd.seats();
        seats.remove(&self.number);
        self.crowd.count.store(seats.len(), Ordering::Relaxed);
    }

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
            crowd.make_room(&mut crowd.seats());
        }
    }
}
