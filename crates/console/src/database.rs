//! The database, opened at the first request that needs it and again after a failure: the console starts without it.

use std::sync::Arc;
use std::time::Duration;

use store::{ReadLimits, Store, StoreConfig, StoreError};
use tokio::sync::OnceCell;

/// Few, so that the console leaves the database to the workers.
const CONNECTIONS_MAX: u32 = 4;
/// A read that takes longer is ended by the database.
const STATEMENT_MAX: Duration = Duration::from_secs(5);

/// The database cannot be opened: the server is down, or the schema is not up to date.
#[derive(Debug, thiserror::Error)]
#[error("the database cannot be opened")]
pub(crate) struct DatabaseDown(#[source] pub(crate) Arc<StoreError>);

/// A database for reading. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    config: Arc<StoreConfig>,
    opened: Arc<OnceCell<Store>>,
}

impl Database {
    pub(crate) fn new(config: StoreConfig) -> Self {
        Self { config: Arc::new(config), opened: Arc::default() }
    }

    /// The open database.
    pub(crate) async fn reader(&self) -> Result<&Store, DatabaseDown> {
        let limits = ReadLimits { connections: CONNECTIONS_MAX, statement_time: STATEMENT_MAX };
        // Boxed: its future is large, and that of every request would be as large.
        let open = || Box::pin(Store::open_for_reading(&self.config, limits));
        self.opened.get_or_try_init(open).await.map_err(|error| DatabaseDown(Arc::new(error)))
    }

    pub(crate) async fn close(&self) {
        if let Some(store) = self.opened.get() {
            store.close().await;
        }
    }
}
