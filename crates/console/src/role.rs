//! What a caller may do.

use store::TokenRole;
use webhook::{MaybeKnown, closed_set};

closed_set! {
    /// The two roles.
    pub(crate) enum Role {
        /// Reads.
        Viewer => "viewer",
        /// Also redrives, discards, replays and fetches.
        Operator => "operator",
    }
}

impl Role {
    /// A role that only a newer version knows may read.
    pub(crate) fn of_token(role: &MaybeKnown<TokenRole>) -> Self {
        match role.known() {
            Some(TokenRole::Operator) => Self::Operator,
            Some(TokenRole::Viewer) | None => Self::Viewer,
        }
    }
}
