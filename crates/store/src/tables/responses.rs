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
use crate::value::Value;

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
            save_in(transaction, response).await?;
            events::complete_in(transaction, completion).await
        };
        self.database.write("store a response", steps).await
    }

    /// A stored response.
    pub async fn response(
        &self,
        project: &str,
        response_id: &str,
    ) -> Result<Option<ResponseRecord>, StoreError> {
        let select = "SELECT * FROM responses WHERE project = $1 AND response_id = $2";
        let values = [Value::text(project), Value::key(response_id)];
        Ok(self.database.read("read a response", select, &values, ResponseRecord::read).await?.pop())
    }
}

pub(super) async fn save_in(
    transaction: &mut WriteTransaction,
    response: &ResponseRecord,
) -> sqlx::Result<()> {
    transaction.execute(UPSERT.as_str(), &response.values()).await.map(drop)
}
