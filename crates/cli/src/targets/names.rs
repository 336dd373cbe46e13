//! Names of targets in the database, and the message for an unknown target.

use std::collections::BTreeSet;

use store::Store;

use crate::exit::{CliError, ExitStatus};
use crate::printable;

/// The targets in the database, whether they are in the file or not.
pub(super) async fn known(store: &Store) -> Result<BTreeSet<String>, CliError> {
    let health = store.target_health().await?;
    let counts = store.count_notifications().await?;
    Ok(health
        .into_iter()
        .map(|health| health.target)
        .chain(counts.into_iter().map(|count| count.0))
        .collect())
}

/// Reports an unknown target on stderr.
pub(crate) fn no_such_target(name: &str) -> ExitStatus {
    eprintln!("landfall: unknown target {}; see `landfall targets list`", printable::one_line(name));
    ExitStatus::Negative
}
