//! What is to become of a delivery: the write that its handler returns, or why there is none.

use openai_client::BodyReservation;
use store::{BatchEnd, Completion, EvalRunRecord, FineTuningRecord, NewEvent, ResponseRecord};
use webhook::FetchState;

use crate::failure::Failure;
use crate::outcome::DeliveryOutcome;

/// What a handler made of an event, ready to be committed: its effect, and the event's row with the notifications.
pub(crate) struct Write {
    pub(crate) effect: Effect,
    pub(crate) completion: Completion,
    /// `None` when there was nothing to fetch.
    pub(crate) fetch_state: Option<FetchState>,
    /// What the object takes of the memory for bodies: held until it is stored.
    pub(crate) reservation: BodyReservation,
}

/// What is stored besides the event's row.
pub(crate) enum Effect {
    Response(Box<ResponseRecord>),
    /// The last step of a batch, whose rows are stored already.
    Batch {
        batch_id: String,
        end: BatchEnd,
    },
    FineTuning(Box<FineTuningRecord>),
    EvalRun(Box<EvalRunRecord>),
    /// The event is its own record.
    EventOnly(Box<NewEvent>),
}

/// How a delivery is to be settled.
pub(crate) enum Settlement {
    Ack {
        outcome: DeliveryOutcome,
        fetch_state: Option<FetchState>,
    },
    /// Retry, snooze or dead-letter, as the failure advises.
    Fail(Failure),
    /// Hand it to another worker: neither an attempt nor a crash.
    Release,
    /// Leave it unsettled: another worker has it.
    LeaseLost,
}

impl Settlement {
    /// A crash between commit and ack: nothing is left to do.
    pub(crate) fn already_stored() -> Self {
        Self::Ack { outcome: DeliveryOutcome::AlreadyStored, fetch_state: None }
    }
}
