//! Results of verbs and their exit codes: 0 success, 1 negative result, 2 usage error, 3 a required service could not be
//! reached. Scripts depend on the codes, so their meanings never change.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use error_text::chain;
use service::settings::SettingError;

use crate::printable;

/// The result of a verb that completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    Success,
    /// Not found, invalid or rejected.
    Negative,
}

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The command line or a file is invalid; the text says what to write.
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error("cannot read {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("{what}")]
    Unreachable {
        what: String,
        source: Box<dyn Error + Send + Sync>,
        /// What to do about it, printed on a second line.
        hint: Option<String>,
    },
    #[error("cannot write to stdout")]
    Output(#[from] io::Error),
}

impl CliError {
    /// Redis, the database, OpenAI or ingest failed. `what` describes the failed operation in the user's terms.
    pub(crate) fn unreachable(
        what: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Unreachable { what: what.into(), source: source.into(), hint: None }
    }

    /// Like [`CliError::unreachable`], with what to do about it.
    pub(crate) fn unreachable_hint(
        what: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
        hint: Option<String>,
    ) -> Self {
        Self::Unreachable { what: what.into(), source: source.into(), hint }
    }

    fn code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Setting(_) | Self::Unreadable { .. } | Self::Unwritable { .. } => 2,
            Self::Unreachable { .. } => 3,
            // The reader closed the pipe, as in `landfall events | head`.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Output(_) => 3,
        }
    }
}

/// Prints the error on stderr, and returns the exit code.
pub(crate) fn code(result: Result<ExitStatus, CliError>) -> ExitCode {
    match result {
        Ok(ExitStatus::Success) => ExitCode::SUCCESS,
        Ok(ExitStatus::Negative) => ExitCode::from(1),
        Err(error) => {
            let code = error.code();
            if code != 0 {
                eprintln!("landfall: {}", printable::sentence(&chain(&error)));
                if let CliError::Unreachable { hint: Some(hint), .. } = &error {
                    eprintln!("  hint: {}", printable::sentence(hint));
                }
            }
            ExitCode::from(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_printed_once() {
        let cause = io::Error::other("connection refused");
        let error = CliError::unreachable("cannot reach Redis", cause);
        assert_eq!(chain(&error), "cannot reach Redis: connection refused");
        assert_eq!(error.code(), 3);
    }

    #[test]
    fn a_closed_pipe_is_not_an_error() {
        assert_eq!(CliError::from(io::Error::from(io::ErrorKind::BrokenPipe)).code(), 0);
        assert_eq!(CliError::from(io::Error::from(io::ErrorKind::StorageFull)).code(), 3);
    }
}
