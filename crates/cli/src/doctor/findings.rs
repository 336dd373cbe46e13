//! Findings of checks: the state, and what to do about it.

use error_text::chain;
use serde::Serialize;
use service::settings::SettingError;
use webhook::closed_set;

use crate::output;

closed_set! {
    /// The subject of a check: the field `check` of `--json`.
    pub(super) enum Check {
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
    /// The result of a check: the field `state` of `--json`.
    pub(super) enum State {
        Ok => "ok",
        Warning => "warning",
        Wrong => "wrong",
    }
}

/// One line of `--json`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Finding {
    check: Check,
    state: State,
    what: String,
    /// `null` when the state is `ok`.
    #[serde(rename = "cure")]
    hint: Option<String>,
}

impl Check {
    pub(super) fn ok(self, what: impl Into<String>) -> Finding {
        Finding { check: self, state: State::Ok, what: what.into(), hint: None }
    }

    pub(super) fn warning(self, what: impl AsRef<str>, hint: impl Into<String>) -> Finding {
        Finding { check: self, state: State::Warning, what: one_line(what.as_ref()), hint: Some(hint.into()) }
    }

    pub(super) fn wrong(self, what: impl AsRef<str>, hint: impl Into<String>) -> Finding {
        Finding { state: State::Wrong, ..self.warning(what, hint) }
    }
}

impl Finding {
    pub(super) fn is_ok(&self) -> bool {
        self.state == State::Ok
    }

    pub(super) fn is_wrong(&self) -> bool {
        self.state == State::Wrong
    }
}

/// The finding for a secret that cannot be read.
pub(super) fn setting(check: Check, error: &SettingError) -> Finding {
    let (what, hint) = match error {
        SettingError::Missing { name, expected } => (
            format!("{name} is not set"),
            format!("set it to {expected}, or set {name}_FILE to the path of a file that contains it"),
        ),
        SettingError::Both { name } => {
            (format!("both {name} and {name}_FILE are set"), "remove one of them".to_owned())
        }
        SettingError::Unreadable { name, .. } => {
            (chain(error), format!("set {name}_FILE to a file that this user can read"))
        }
        SettingError::EmptyFile { name, path, expected } => (
            format!("{name}_FILE: the file {} is empty", path.display()),
            format!("write {expected} into it"),
        ),
        SettingError::Wrong { name, .. } => (chain(error), format!("correct {name}")),
    };
    check.wrong(what, &hint)
}

/// Errors of libraries can span lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(super) fn table(findings: &[Finding], width: u16) -> String {
    let row = |finding: &Finding| {
        let text = match &finding.hint {
            Some(hint) => format!("{}; {hint}", finding.what),
            None => finding.what.clone(),
        };
        vec![finding.state.to_string(), finding.check.to_string(), text]
    };
    output::table("STATE | CHECK | FINDING; WHAT TO DO", findings.iter().map(row), width)
}
