//! What an OpenAI webhook *is*: how it is signed, how it is verified, what it says. Pure: no I/O, no clock
//! (time is an argument), no async.
//!
//! OpenAI signs by [Standard Webhooks](https://www.standardwebhooks.com): three headers (`webhook-id`,
//! `webhook-timestamp`, `webhook-signature`), HMAC-SHA256 over `{id}.{timestamp}.{raw body}`, base64, behind `v1,`.
//! The body is thin: a type and the id of an object to fetch. [`Verifier`] decides whether a request is genuine,
//! [`Event`] reads the body, and [`states`] names every state and reason the rest of Landfall reports.

mod closed_set;
mod event;
mod event_kind;
mod json_fields;
mod maybe_known;
mod secret;
mod signature;
pub mod states;

pub use event::{Event, ParseError};
pub use event_kind::{EventKind, Family};
pub use json_fields::fields;
pub use maybe_known::{ClosedSet, MaybeKnown};
pub use secret::{SecretError, SigningSecret, split_secrets};
pub use signature::{
    HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, SignatureError, TOLERANCE_SECS, Verified, Verifier,
};
pub use states::{EventState, FetchState, NotificationState, NotificationType, Reason, ReasonClass};

/// For `closed_set!` in other crates.
#[doc(hidden)]
pub use serde;
