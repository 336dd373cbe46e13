//! Findings of checks: the state, and what to do about it.

use serde::Serialize;
use webhook::closed_set;

closed_set! {
    /// The subject of a check: the field `check` of `landfall doctor --json`.
    pub enum Check {
        Settings => "settings",
        Secret => "secret",
        Redis => "redis",
        Programs => "programs",
        Database => "database",
        Files => "files",
        Api => "api",
        Permissions => "permissions",
        Fetches => "fetches",
        Clock => "clock",
        Targets => "targets",
    }
}

closed_set! {
    /// The result of a check: the field `state` of `landfall doctor --json`.
    pub enum State {
        Ok => "ok",
        Warning => "warning",
        Wrong => "wrong",
    }
}

/// One line of `landfall doctor --json`.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    pub check: Check,
    pub state: State,
    pub what: String,
    /// `null` when the state is `ok`.
    #[serde(rename = "cure")]
    pub hint: Option<String>,
}

impl Check {
    pub fn ok(self, what: impl Into<String>) -> Finding {
        Finding { check: self, state: State::Ok, what: what.into(), hint: None }
    }

    pub fn warning(self, what: impl AsRef<str>, hint: impl Into<String>) -> Finding {
        Finding { check: self, state: State::Warning, what: one_line(what.as_ref()), hint: Some(hint.into()) }
    }

    pub fn wrong(self, what: impl AsRef<str>, hint: impl Into<String>) -> Finding {
        Finding { state: State::Wrong, ..self.warning(what, hint) }
    }
}

impl Finding {
    pub fn is_ok(&self) -> bool {
        self.state == State::Ok
    }

    pub fn is_wrong(&self) -> bool {
        self.state == State::Wrong
    }
}

/// Errors of libraries can span lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
