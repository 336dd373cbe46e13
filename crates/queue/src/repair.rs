//! The kinds of damage that workers detect and repair, each counted.

use webhook::closed_set;

closed_set! {
    /// A repair: the label `kind` of `landfall_queue_repairs_total`.
    pub enum RepairKind {
        /// The consumer group was missing; it is recreated at 0.
        Group => "group",
        /// The stream was missing, and its group with it.
        Stream => "stream",
        /// A delivered entry was neither pending nor delayed (manual `XACK` or `XGROUP DELCONSUMER`); it is due again.
        StrandedEntry => "stranded_entry",
        /// The consumer name of a dead worker was left behind.
        DeadConsumer => "dead_consumer",
        /// All of the queue's state was gone (`FLUSHALL`, or Redis lost its data).
        QueueVanished => "queue_vanished",
    }
}

/// The repairs of one audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repair {
    pub kind: RepairKind,
    /// The number of repairs of this kind.
    pub count: u64,
}
