//! How a verb ends, and the exit code that scripts see: 0 done, 1 the answer is no, 2 wrong use, 3 something that
//! was needed could not be reached. Part of the interface: codes never change their meaning.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use error_text::chain;
use service::settings::SettingError;

use crate::printable;

/// The answer of a verb that ran to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    /// Not found, not valid, not accepted.
    No,
}

/// Why a verb has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line makes no sense; the text says what to write.
    #[error("{0}")]
    WrongUse(String),
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error("cannot read {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("{what}")]
    Unreachable { what: String, source: Box<dyn Error + Send + Sync> },
    /// The same, with what leads out of it on a line of its own.
    #[error("{failure}")]
    Hinted {
        #[source]
        failure: Box<Failure>,
        hint: String,
    },
    #[error("cannot write to stdout")]
    Output(#[from] io::Error),
}

impl Failure {
    /// Redis, the database, OpenAI or ingest did not do what was asked. `what` names it as its user knows it.
    pub(crate) fn unreachable(
        what: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Unreachable { what: what.into(), source: source.into() }
    }

    /// What leads out of it: said on a second line.
    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self::Hinted { failure: Box::new(self), hint: hint.into() }
    }

    fn code(&self) -> u8 {
        match self {
            Self::Hinted { failure, .. } => failure.code(),
            Self::WrongUse(_) | Self::Setting(_) | Self::Unreadable { .. } | Self::Unwritable { .. } => 2,
            Self::Unreachable { .. } => 3,
            // `landfall events | head`: the reader has seen enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Output(_) => 3,
        }
    }
}

/// Says on stderr what went wrong, and gives the code to exit with.
pub(crate) fn code(end: Result<Answer, Failure>) -> ExitCode {
    match end {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Err(failure) => {
            let code = failure.code();
            if code != 0 {
                eprintln!("landfall: {}", printable::sentence(&chain(&failure)));
                if let Failure::Hinted { hint, .. } = &failure {
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
    fn the_whole_chain_of_causes_is_said_once() {
        let cause = io::Error::other("connection refused");
        let failure = Failure::unreachable("cannot reach Redis", cause);
        assert_eq!(chain(&failure), "cannot reach Redis: connection refused");
        assert_eq!(failure.code(), 3);
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_error() {
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).code(), 0);
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::StorageFull)).code(), 3);
    }
}
