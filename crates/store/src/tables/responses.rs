//! The table `responses`.

use std::sync::LazyLock;

use super::events;
use super::upsert::{Existing, upsert};
use crate::columns::Record as _;
use crate::database::WriteTransaction;
use crate::error::StoreError;
use crate::event::Completion;
use crate::response::ResponseRecord;
use crate::schema::RESPONSES;
use crate::store::Store;

static UPSERT: LazyLock<String> =
    LazyLock::new(|| upsert(&RESPONSES, ResponseRecord::COLUMNS, Existing::Improve));

impl Store {
    /// Stores a response, together with its event.
    pub async fn save_response(
        &self,
        response: &ResponseRecord,
        completion: &Completion,
    ) -> Result<(), StoreError> {
        let steps = async |transaction: &mut WriteTransaction| {
            transaction.execute(UPSERT.as_str(), &response.values()).await?;
            events::complete_in(transaction, completion).await
        };
        self.database.write("store a response", steps).await
    }
}
