//! OpenAI webhooks: signatures, verification, and the event model. Pure: no I/O, no clock (time is an argument), no
//! async.
//!
//! OpenAI signs according to [Standard Webhooks](https://www.standardwebhooks.com): three headers (`webhook-id`,
//! `webhook-timestamp`, `webhook-signature`) and an HMAC-SHA256 over `{id}.{timestamp}.{raw body}` in base64 after
//! `v1,`. The body is thin: a type and the id of an object to fetch. [`Verifier`] decides whether a request is genuine,
//! [`Event`] parses the body, and [`states`] names every state and reason that Landfall reports.

mod closed_set;
mod event;
mod event_kind;
mod json_fields;
mod maybe_known;
mod secret;
mod signature;
pub mod states;

pub use event::{Event, ParseError};
pub use event_kind::{EventKind, Family, Urgency};
pub use json_fields::fields;
pub use maybe_known::{ClosedSet, MaybeKnown};
pub use secret::{SecretError, SigningSecret, split_secrets};
pub use signature::{
    HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, SignatureError, TOLERANCE_SECS, Verified, Verifier,
};
pub use states::{
    EventState, FetchState, FinalState, NotificationState, NotificationType, Reason, ReasonClass,
};

/// Used by `closed_set!` in other crates.
#[doc(hidden)]
pub use serde;
