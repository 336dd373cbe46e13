//! How findings are printed, and the finding for a setting that cannot be read.

use error_text::chain;
pub(super) use operations::checks::{Check, Finding};
use service::settings::SettingError;

use crate::output;

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
