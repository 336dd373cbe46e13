//! Who looks at a page, and what the act before it did. Every page shows it around its content, so the guard keeps it for
//! the time of a request instead of each page passing it on.

use std::future::Future;

use actix_web::http::Uri;

use super::notice::Notice;
use crate::access::{Caller, Login};
use crate::role::Role;
use crate::state::State;

tokio::task_local! {
    static VISIT: Visit;
}

/// A visit to a page.
#[derive(Debug, Clone, Default)]
pub(crate) struct Visit {
    /// Whether the visitor may read, so that the menu leads somewhere.
    pub(super) is_inside: bool,
    /// Of someone who has logged in.
    pub(super) name: Option<String>,
    /// Whether acts are offered.
    pub(super) may_act: bool,
    pub(super) can_log_in: bool,
    pub(super) can_log_out: bool,
    /// Of the page, for acts that lead back to it.
    pub(super) address: String,
    /// What was done just now.
    pub(super) notice: Option<String>,
}

impl Visit {
    pub(super) fn of(state: &State, caller: &Caller, address: &Uri) -> Self {
        let (name, can_log_out) = match caller {
            Caller::Anybody | Caller::Token(_) => (None, false),
            Caller::Person { login: Login::Password | Login::Both(_), .. } => {
                (Some(shown_name(caller)), true)
            }
            Caller::Person { login: Login::Proxy(_), .. } => (Some(shown_name(caller)), false),
        };
        let has_operators = state.sessions.passwords.of(Role::Operator).is_some();
        Self {
            is_inside: true,
            name,
            may_act: state.access.allow_act(caller).is_ok(),
            can_log_in: has_operators && !caller.is_operator() && !can_log_out,
            can_log_out,
            address: address.path_and_query().map_or("/", |address| address.as_str()).to_owned(),
            notice: address.query().and_then(Notice::in_query).map(|notice| notice.to_string()),
        }
    }
}

/// `anna (viewer)`, or the role of a password.
fn shown_name(caller: &Caller) -> String {
    match caller {
        Caller::Person { login: Login::Proxy(user) | Login::Both(user), role } => format!("{user} ({role})"),
        Caller::Person { login: Login::Password, .. } | Caller::Anybody | Caller::Token(_) => {
            caller.name().to_owned()
        }
    }
}

/// The visit of the request that is being answered.
pub(super) fn current() -> Visit {
    VISIT.try_with(Clone::clone).unwrap_or_default()
}

/// Answers a request of this visit.
pub(super) async fn during<T>(visit: Visit, answer: impl Future<Output = T>) -> T {
    VISIT.scope(visit, answer).await
}
