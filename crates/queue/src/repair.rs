//! What heals itself: the kinds of damage that workers find and mend, each counted.

use webhook::closed_set;

closed_set! {
    /// A repair: the label `kind` of `landfall_queue_repairs_total`.
    pub enum RepairKind {
        /// The consumer group was gone; it is created anew at 0.
        Group => "group",
        /// The stream was gone, and its group with it.
        Stream => "stream",
        /// A delivered entry was neither pending nor delayed (`XACK` or `XGROUP DELCONSUMER` by hand); it is due again.
        StrandedEntry => "stranded_entry",
        /// The name of a worker that died was left behind.
        DeadConsumer => "dead_consumer",
        /// All of the queue's state was gone (`FLUSHALL`, or a Redis that forgot).
        QueueVanished => "queue_vanished",
    }
}

/// What one look has mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repair {
    pub kind: RepairKind,
    /// So many of them.
    pub count: u64,
}
