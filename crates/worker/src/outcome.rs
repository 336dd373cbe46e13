//! How deliveries and notifications end: closed sets, which are log fields and metric labels.

use webhook::closed_set;

closed_set! {
    /// How a delivery ended: the log field and metric label `outcome`.
    pub(crate) enum DeliveryOutcome {
        /// The object and the event are stored.
        Stored => "stored",
        /// Nothing to fetch: only the event is stored.
        StoredOnly => "kept",
        /// Already committed before a crash: only the ack was missing.
        AlreadyStored => "already_stored",
        Retry => "retry",
        /// Put back; does not count as an attempt.
        Snoozed => "snoozed",
        Released => "handed_back",
        Dead => "dead",
        /// Another worker has it now.
        LeaseLost => "lease_lost",
    }
}

closed_set! {
    /// How an attempt to send a notification ended: the log field and metric label `outcome`.
    pub(crate) enum NotificationOutcome {
        Delivered => "delivered",
        /// It failed; the next attempt is scheduled.
        Retry => "retry",
        /// It failed, and was the last of the schedule.
        GivenUp => "given_up",
        /// The target answered 410: sending stops until an operator resumes it.
        Disabled => "disabled",
        /// The lease expired; another worker has it.
        LeaseLost => "lease_lost",
    }
}
