//! Rows of `api_tokens`: what the console's API accepts as `Authorization: Bearer`.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use webhook::{MaybeKnown, closed_set};

use crate::columns::{columns, fields};
use crate::value::Value;

closed_set! {
    /// What the holder of a token may do.
    pub enum TokenRole {
        /// Read everything.
        Viewer => "viewer",
        /// Also redrive, discard, replay and fetch.
        Operator => "operator",
    }
}

fields! {
    TokenRole: Value::member, member;
}

/// A token. The token itself is not stored: it has 256 random bits, so it cannot be found from its hash.
#[derive(Debug, Clone, Serialize)]
pub struct ApiToken {
    pub name: String,
    pub role: MaybeKnown<TokenRole>,
    /// Lower-case hex.
    pub sha256: String,
    pub created_at: DateTime<Utc>,
    pub revoked_at: Option<DateTime<Utc>>,
}

impl ApiToken {
    /// What is stored of a token: its SHA-256 in lower-case hex.
    pub fn sha256_of(token: &str) -> String {
        Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

columns! {
    ApiToken {
        name: Text,
        role: Text,
        sha256: Text,
        created_at: Time,
        revoked_at: Time,
    }
}
