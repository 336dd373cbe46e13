//! What a check found: how it stands, and what to do.

use error_text::chain;
use serde::Serialize;
use service::settings::SettingError;
use webhook::closed_set;

use crate::screen;

closed_set! {
    /// What was checked: the field `check` of `--json`.
    pub(super) enum Check {
        Settings => "settings",
        Secret => "secret",
        Redis => "redis",
        Programs => "programs",
        Database => "database",
        Files => "files",
        Api => "api",
        Fetches => "fetches",
        Clock => "clock",
        Targets => "targets",
    }
}

closed_set! {
    /// How it stands: the field `state` of `--json`.
    pub(super) enum State {
        Ok => "ok",
        Warning => "warning",
        Wrong => "wrong",
    }
}

/// One line of `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    check: Check,
    state: State,
    what: String,
    /// `null` when all is well.
    cure: Option<String>,
}

impl Check {
    pub(super) fn ok(self, what: impl Into<String>) -> Finding {
        Finding { check: self, state: State::Ok, what: what.into(), cure: None }
    }

    pub(super) fn warning(self, what: impl AsRef<str>, cure: impl Into<String>) -> Finding {
        Finding { check: self, state: State::Warning, what: one_line(what.as_ref()), cure: Some(cure.into()) }
    }

    pub(super) fn wrong(self, what: impl AsRef<str>, cure: impl Into<String>) -> Finding {
        Finding { state: State::Wrong, ..self.warning(what, cure) }
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

/// A secret that cannot be had.
pub(super) fn setting(check: Check, error: &SettingError) -> Finding {
    let (what, cure) = match error {
        SettingError::Missing { name, expected } => (
            format!("{name} is not set"),
            format!("set it to {expected}, or set {name}_FILE to the path of a file that contains it"),
        ),
        SettingError::Both { name } => {
            (format!("both {name} and {name}_FILE are set"), "remove one of them".to_owned())
        }
        SettingError::Unreadable { name, .. } => {
            (chain(error), format!("let {name}_FILE name a file that this user may read"))
        }
        SettingError::EmptyFile { name, path, expected } => (
            format!("the file {} of {name}_FILE is empty", path.display()),
            format!("write {expected} into it"),
        ),
        SettingError::Wrong { name, .. } => (chain(error), format!("correct {name}")),
    };
    check.wrong(what, &cure)
}

/// Errors of libraries may span lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(super) fn table(findings: &[Finding], width: u16) -> String {
    let row = |finding: &Finding| {
        let text = match &finding.cure {
            Some(cure) => format!("{}; {cure}", finding.what),
            None => finding.what.clone(),
        };
        vec![finding.state.to_string(), finding.check.to_string(), text]
    };
    screen::table("STATE | CHECK | WHAT IS SO; WHAT TO DO", findings.iter().map(row), width)
}
