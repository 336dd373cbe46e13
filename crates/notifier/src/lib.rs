//! Sends one signed notification to one of the user's applications, and reads the targets from `landfall.toml`.
//!
//! [`Endpoint::send`] makes one attempt: Standard Webhooks headers, with a new signature over the same id and the same
//! bytes. The worker decides what to send and when to retry.
//!
//! # Guarantees
//! * No request reaches a non-public address that the operator has not allowed: neither by a URL, nor by DNS, nor by
//!   DNS rebinding, nor by a redirect, nor through a proxy (test:`no_request_reaches_a_forbidden_address`,
//!   test:`dns_rebinding_has_no_effect`).
//! * Secrets and URLs are never printed.

mod address;
mod allow_list;
mod config;
mod endpoint;
mod error;
mod guard;
mod notification;
mod redaction;
mod result_links;
mod signing;
mod target_response;

pub use address::{AddressKind, ForbiddenAddress};
pub use allow_list::{AllowList, AllowListError};
pub use config::{
    Config, ConfigError, ConfigFile, ConfigFileError, Destination, Filter, HttpDestination, Payload, Problem,
    ReadSecret, SecretRef, Subject, Target,
};
pub use endpoint::{Credentials, Endpoint, EndpointConfig, EndpointError};
pub use error::SendError;
pub use guard::{AddressError, Resolver, system_resolver};
pub use notification::{Notification, ResultLink};
pub use result_links::{LinkQuery, LinkSecrets, RESULTS_PATH, ResultLinks};
pub use signing::{KeyError, Signer};
pub use target_response::{RESPONSE_BYTES_KEPT, TargetResponse};
