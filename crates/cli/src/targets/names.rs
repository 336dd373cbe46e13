//! Names of targets: those in the database, and the message for an unknown one.

use std::collections::BTreeSet;

use store::Store;

use crate::exit::{Answer, Failure};
use crate::printable;

/// Targets that the database knows, in the file or not.
pub(super) async fn known(store: &Store) -> Result<BTreeSet<String>, Failure> {
    let health = store.target_health().await?;
    let counts = store.count_notifications().await?;
    Ok(health
        .into_iter()
        .map(|health| health.target)
        .chain(counts.into_iter().map(|count| count.0))
        .collect())
}

/// Reports an unknown target on stderr.
pub(crate) fn no_such_target(name: &str) -> Answer {
    eprintln!("landfall: there is no target {}; see `landfall targets list`", printable::one_line(name));
    Answer::No
}
