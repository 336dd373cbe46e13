//! Who may write rows of a batch: one import at a time, with up to two transactions at once.
//!
//! A batch has two locks. An import's first transaction needs both, and only asks whether they are free. The next one
//! begins when that has them, and waits for one of them; the one after it for the other, and so on in turns: so as long as
//! an import writes, it holds at least one, and no other one begins. At any time at most two transactions hold a lock,
//! and only who holds one writes rows. When two do, they are of one import, and the later one waits for the earlier one
//! outside the database; the earlier one waits for nothing but the batch's row. So there is no circle.

use sqlx::Row as _;

use super::WriteTransaction;
use crate::value::Value;

const BOTH: &str = "SELECT pg_try_advisory_xact_lock(hashtextextended($1 || '0', 0)) \
                    AND pg_try_advisory_xact_lock(hashtextextended($1 || '1', 0))";
const ONE: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";

/// Until the transaction ends. `behind` is which of the two locks, for a transaction that is not its import's first.
pub(crate) async fn claim(
    transaction: &mut WriteTransaction,
    project: &str,
    batch_id: &str,
    behind: Option<bool>,
) -> sqlx::Result<bool> {
    let name = format!("landfall import {project} {batch_id} ");
    match behind {
        None => {
            let row = transaction.fetch_optional(BOTH, &[Value::text(&name)]).await?;
            row.ok_or(sqlx::Error::RowNotFound)?.try_get(0)
        }
        Some(second) => {
            let name = format!("{name}{}", u8::from(second));
            transaction.execute(ONE, &[Value::text(&name)]).await.map(|_| true)
        }
    }
}
