//! The table `eval_runs`.

use std::sync::LazyLock;

use super::events;
use super::upsert::{Existing, upsert};
use crate::columns::Record as _;
use crate::database::WriteTransaction;
use crate::error::StoreError;
use crate::eval_run::EvalRunRecord;
use crate::event::Completion;
use crate::schema::EVAL_RUNS;
use crate::store::Store;

static UPSERT: LazyLock<String> =
    LazyLock::new(|| upsert(&EVAL_RUNS, EvalRunRecord::COLUMNS, Existing::Improve));

impl Store {
    /// Stores an eval run, together with its event.
    pub async fn save_eval_run(
        &self,
        run: &EvalRunRecord,
        completion: &Completion,
    ) -> Result<(), StoreError> {
        let steps = async |transaction: &mut WriteTransaction| {
            transaction.execute(UPSERT.as_str(), &run.values()).await?;
            events::complete_in(transaction, completion).await
        };
        self.database.write("store an eval run", steps).await
    }
}
