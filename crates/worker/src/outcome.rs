//! How deliveries and notifications end: closed sets, which are log fields and metric labels.

use webhook::closed_set;

closed_set! {
    /// How a delivery ended: the log field and metric label `outcome`.
    pub(crate) enum DeliveryOutcome {
        /// The object and the event are stored.
        Stored => "stored",
        /// Nothing to fetch; the event is stored.
        StoredOnly => "kept",
        /// A crash between commit and ack: nothing was left to do.
        AlreadyStored => "already_stored",
        Retry => "retry",
        /// Put back without costing an attempt.
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
        /// It failed; the next attempt is due later.
        Retry => "retry",
        /// It failed, and was the last one of the schedule.
        GivenUp => "given_up",
        /// The target answered 410: it is sent nothing more until a person resumes it.
        Disabled => "disabled",
        /// The lease ran out meanwhile; another worker has it.
        LeaseLost => "lease_lost",
    }
}
