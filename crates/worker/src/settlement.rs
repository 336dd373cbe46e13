//! How a delivery is settled: with the write that its handler returns, or without one and why.

use openai_client::BodyReservation;
use store::{
    AgentRecord, BatchEnd, Completion, EvalRunRecord, FineTuningRecord, ResponseRecord, SafetyAlertRecord,
};
use webhook::FetchState;

use crate::failure::Failure;
use crate::outcome::DeliveryOutcome;

/// A handler's result, ready to commit: the effect, and the event's row with its notifications.
pub(crate) struct Write {
    pub(crate) effect: Effect,
    pub(crate) completion: Completion,
    /// `None` when there was nothing to fetch.
    pub(crate) fetch_state: Option<FetchState>,
    /// The body memory that the object uses: held until it is stored.
    pub(crate) reservation: BodyReservation,
}

/// What is stored in addition to the event's row.
pub(crate) enum Effect {
    Response(Box<ResponseRecord>),
    /// The last step of a batch; its rows are already stored.
    Batch {
        batch_id: String,
        end: BatchEnd,
    },
    FineTuning(Box<FineTuningRecord>),
    EvalRun(Box<EvalRunRecord>),
    SafetyAlert(Box<SafetyAlertRecord>),
    Agent(Box<AgentRecord>),
    /// Only the event itself.
    EventOnly,
}

/// How to settle a delivery.
pub(crate) enum Settlement {
    Ack {
        outcome: DeliveryOutcome,
        fetch_state: Option<FetchState>,
    },
    /// Retry, snooze or dead-letter, as the failure advises.
    Fail(Failure),
    /// Release it to another worker: neither an attempt nor a crash.
    Release,
    /// Leave it unsettled: another worker has it.
    LeaseLost,
}

impl Settlement {
    /// Committed before a crash: only the ack is missing.
    pub(crate) fn already_stored() -> Self {
        Self::Ack { outcome: DeliveryOutcome::AlreadyStored, fetch_state: None }
    }
}
