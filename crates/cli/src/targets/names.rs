//! The message for an unknown target.

use crate::exit::ExitStatus;
use crate::printable;

/// Reports an unknown target on stderr.
pub(crate) fn no_such_target(name: &str) -> ExitStatus {
    eprintln!("landfall: unknown target {}; see `landfall targets list`", printable::one_line(name));
    ExitStatus::Negative
}
