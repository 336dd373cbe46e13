//! Sends one signed notification to one of the user's own systems, and reads from `landfall.toml` which those are.
//!
//! [`Endpoint::send`] is one attempt: Standard Webhooks headers, signed afresh over the same id and the same bytes.
//! When to try again, and what there is to send, is the worker's business.
//!
//! # Guarantees
//! * No request reaches an address that is not public, unless the operator allowed it: neither by a URL, nor by a name,
//!   nor by a name that changes its answer, nor by a redirect, nor through a proxy
//!   (test:`no_request_reaches_a_forbidden_address`, test:`a_name_that_changes_its_answer_gains_nothing`).
//! * Secrets and URLs are never printed.

mod address;
mod allow_list;
mod answer;
mod config;
mod endpoint;
mod error;
mod guard;
mod news;
mod redaction;
mod signing;

pub use address::{AddressKind, ForbiddenAddress};
pub use allow_list::{AllowList, WrongException};
pub use answer::{ANSWER_BYTES_KEPT, Answer};
pub use config::{
    Config, ConfigError, ConfigFile, ConfigFileError, Destination, Filter, HttpPlace, Payload, Problem,
    ReadSecret, SecretPlace, Subject, Target,
};
pub use endpoint::{Endpoint, EndpointConfig, EndpointError, Proof};
pub use error::SendError;
pub use guard::{AddressError, Lookup, system_lookup};
pub use news::{News, ResultLink};
pub use signing::{KeyError, Signer};
