//! The table `eval_runs`.

use std::sync::LazyLock;

use super::events;
use super::upsert::{Existing, upsert};
use crate::columns::Record as _;
use crate::database::Database;
use crate::eval_run::EvalRunRecord;
use crate::event::Completion;
use crate::schema::EVAL_RUNS;

static UPSERT: LazyLock<String> =
    LazyLock::new(|| upsert(&EVAL_RUNS, EvalRunRecord::COLUMNS, Existing::Improve));

pub(crate) async fn save(
    database: &Database,
    run: &EvalRunRecord,
    completion: &Completion,
) -> sqlx::Result<()> {
    let mut transaction = database.begin().await?;
    transaction.execute(UPSERT.as_str(), &run.values()).await?;
    events::complete_in(&mut transaction, completion).await?;
    transaction.commit().await
}
