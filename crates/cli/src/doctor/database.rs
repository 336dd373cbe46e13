//! Checks that the database exists, has Landfall's tables, and stores writes durably, and the folder that it is in.

use operations::checks::{Depth, database};
use service::settings::StoreSettings;
use store::Store;

use super::findings::Finding;
use super::folders;
use crate::store_client;

pub(super) struct Checked {
    pub(super) findings: Vec<Finding>,
    /// `None` when the database cannot be read.
    pub(super) store: Option<Store>,
}

pub(super) async fn check(settings: &StoreSettings) -> Checked {
    let (mut findings, store) = match store_client::open_existing(settings).await {
        Ok(store) => match database::check(&store, Depth::Write).await {
            Ok(findings) => (findings, Some(store)),
            Err(error) => (vec![database::unreadable(&error)], None),
        },
        Err(error) => (vec![database::unreadable(&error)], None),
    };
    // A failed write has already been reported with its cause.
    if !findings.iter().any(Finding::is_wrong) {
        findings.extend(folders::database(settings).await.into_iter().filter(|finding| !finding.is_ok()));
    }
    Checked { findings, store }
}
