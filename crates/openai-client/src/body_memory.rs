//! A shared memory budget for response bodies: when it is used up, a body waits instead of growing the process.
//!
//! A body never waits for more memory while it holds some, so there is no deadlock. A body of unknown length reserves
//! more as it grows; when the budget is used up, one body at a time may exceed it.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

/// Small bodies are exempt, and never wait behind large ones: there are at most as many as concurrent deliveries.
const FREE_BYTES: usize = 256 << 10;
/// A body is held several times: as bytes, as parsed values, and on its way to the database.
const COPIES: usize = 5;
const UNIT_BYTES: usize = 64 << 10;

/// The budget. Cheap to clone; clones share it. Unlimited by default.
#[derive(Clone, Default)]
pub struct BodyMemory {
    shared: Option<Arc<Shared>>,
}

struct Shared {
    units: Arc<Semaphore>,
    total: u32,
    /// Held by the one body that exceeds the budget.
    beyond: Arc<Mutex<()>>,
}

/// The memory reserved for one body, returned when dropped. A task must hold at most one.
#[derive(Default)]
pub struct BodyReservation {
    memory: Option<Arc<Shared>>,
    permit: Option<OwnedSemaphorePermit>,
    beyond: Option<OwnedMutexGuard<()>>,
}

impl BodyMemory {
    /// A budget of `bytes`, which covers all copies of the bodies.
    pub fn of(bytes: u64) -> Self {
        let total = u32::try_from(bytes / UNIT_BYTES as u64).unwrap_or(u32::MAX).max(1);
        let total = total.min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        let shared =
            Shared { units: Arc::new(Semaphore::new(total as usize)), total, beyond: Arc::default() };
        Self { shared: Some(Arc::new(shared)) }
    }

    /// An empty reservation for one body.
    pub fn reservation(&self) -> BodyReservation {
        BodyReservation { memory: self.shared.clone(), permit: None, beyond: None }
    }
}

impl BodyReservation {
    /// Waits until the budget covers a body of `bytes`, which may grow to `bytes_max`. A body larger than the whole
    /// budget takes all of it.
    pub async fn cover(&mut self, bytes: usize, bytes_max: usize) {
        let Some(memory) = &self.memory else { return };
        if bytes <= FREE_BYTES || self.beyond.is_some() {
            return;
        }
        let needed = memory.units_of(bytes);
        let Some(permit) = &mut self.permit else {
            self.permit = memory.take(needed).await;
            return;
        };
        let held = permit.num_permits();
        if needed as usize <= held {
            return;
        }
        // Doubled, so that growing bodies reserve rarely.
        let wanted = memory.units_of(bytes.saturating_mul(2).min(bytes_max)) as usize - held;
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        match Arc::clone(&memory.units).try_acquire_many_owned(wanted) {
            Ok(more) => permit.merge(more),
            Err(_) => self.beyond = Some(Arc::clone(&memory.beyond).lock_owned().await),
        }
    }

    /// Whether it holds memory that others may be waiting for.
    pub fn is_held(&self) -> bool {
        self.permit.is_some()
    }

    /// Returns everything to the budget; the reservation can be used again.
    pub fn free(&mut self) {
        (self.permit, self.beyond) = (None, None);
    }

    /// The body is complete: returns the excess to the budget.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let (Some(memory), Some(permit)) = (&self.memory, &mut self.permit) else { return };
        let spare = permit.num_permits().saturating_sub(memory.units_of(bytes) as usize);
        drop(permit.split(spare));
    }
}

impl Shared {
    /// Capped at the whole budget.
    fn units_of(&self, bytes: usize) -> u32 {
        let units = bytes.saturating_mul(COPIES).div_ceil(UNIT_BYTES);
        u32::try_from(units).unwrap_or(u32::MAX).min(self.total)
    }

    /// First come, first served: small bodies cannot starve a large one.
    async fn take(&self, units: u32) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.units).acquire_many_owned(units).await.ok()
    }
}

impl fmt::Debug for BodyMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyMemory").field("units", &self.shared.as_ref().map(|shared| shared.total)).finish()
    }
}

impl fmt::Debug for BodyReservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        f.debug_struct("BodyReservation")
            .field("units", &units)
            .field("beyond", &self.beyond.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    const MIB: usize = 1 << 20;

    fn budget(bytes: usize) -> BodyMemory {
        BodyMemory::of((bytes * COPIES) as u64)
    }

    async fn covered(memory: &BodyMemory, bytes: usize) -> BodyReservation {
        let mut reservation = memory.reservation();
        reservation.cover(bytes, 64 * MIB).await;
        reservation
    }

    fn free(memory: &BodyMemory) -> usize {
        memory.shared.as_ref().unwrap().units.available_permits() * UNIT_BYTES / COPIES
    }

    #[tokio::test]
    async fn a_body_waits_for_the_budget_and_a_small_one_never_does() {
        let memory = budget(10 * MIB);
        let first = covered(&memory, 8 * MIB).await;
        let mut waiting = pin!(covered(&memory, 4 * MIB));
        let poll = waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll.is_pending(), "the budget is used up");
        drop(covered(&memory, FREE_BYTES).await);
        drop(first);
        drop(waiting.await);
        assert_eq!(free(&memory), 10 * MIB);
    }

    #[tokio::test]
    async fn a_body_larger_than_the_budget_gets_all_of_it() {
        let memory = budget(MIB);
        let reservation = covered(&memory, 50 * MIB).await;
        assert_eq!(free(&memory), 0);
        drop(reservation);
        assert_eq!(free(&memory), MIB);
    }

    #[tokio::test]
    async fn bodies_that_outgrow_the_budget_together_do_not_deadlock() {
        let memory = budget(8 * MIB);
        let grow = |memory: BodyMemory| async move {
            let mut reservation = memory.reservation();
            for bytes in (0..=20).map(|n| n * MIB) {
                reservation.cover(bytes, 64 * MIB).await;
                tokio::task::yield_now().await;
            }
            reservation.shrink_to(20 * MIB);
        };
        let all: Vec<_> = (0..16).map(|_| tokio::spawn(grow(memory.clone()))).collect();
        for one in all {
            one.await.unwrap();
        }
        assert_eq!(free(&memory), 8 * MIB);
    }

    #[tokio::test]
    async fn the_excess_of_a_complete_body_is_returned() {
        let memory = budget(64 * MIB);
        let mut reservation = memory.reservation();
        reservation.cover(MIB, 64 * MIB).await;
        reservation.cover(5 * MIB, 64 * MIB).await;
        assert_eq!(free(&memory), 54 * MIB);
        reservation.shrink_to(6 * MIB);
        assert_eq!(free(&memory), 58 * MIB);
    }

    #[tokio::test]
    async fn an_unlimited_budget_never_blocks() {
        drop(covered(&BodyMemory::default(), usize::MAX).await);
    }
}
