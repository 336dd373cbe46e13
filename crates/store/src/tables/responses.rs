//! The table `responses`.

use std::sync::LazyLock;

use super::events;
use super::upsert::{Existing, upsert};
use crate::columns::Record as _;
use crate::database::Database;
use crate::event::Completion;
use crate::response::ResponseRecord;
use crate::schema::RESPONSES;

static UPSERT: LazyLock<String> =
    LazyLock::new(|| upsert(&RESPONSES, ResponseRecord::COLUMNS, Existing::Improve));

pub(crate) async fn save(
    database: &Database,
    response: &ResponseRecord,
    completion: &Completion,
) -> sqlx::Result<()> {
    let mut transaction = database.begin().await?;
    transaction.execute(UPSERT.as_str(), &response.values()).await?;
    events::complete_in(&mut transaction, completion).await?;
    transaction.commit().await
}
