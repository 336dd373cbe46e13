//! The right to write rows of a batch: one import at a time. In SQLite, which has one writer, every transaction has it.
//! In PostgreSQL an import may use two transactions at once:
//!
//! A batch has two locks. An import's first transaction needs both, and does not wait for them. The next transaction
//! starts once the first holds them, and waits for one of them; the one after that waits for the other, and so on. So a
//! writing import always holds at least one lock, and no other import can start. At most two transactions hold a lock,
//! and only lock holders write rows. If there are two, they belong to the same import, and the later one waits for the
//! earlier one outside the database, while the earlier one waits only for the batch's row. So there is no deadlock.

use crate::database::WriteTransaction;
use crate::value::Value;

const BOTH: &str = "SELECT pg_try_advisory_xact_lock(hashtextextended($1 || '0', 0)) \
                    AND pg_try_advisory_xact_lock(hashtextextended($1 || '1', 0)) AS is_free";
const ONE: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";

/// Whether this transaction may write rows. `uses_second_lock` selects the lock of a transaction that is not its
/// import's first.
pub(super) async fn claim(
    transaction: &mut WriteTransaction,
    project: &str,
    batch_id: &str,
    uses_second_lock: Option<bool>,
) -> sqlx::Result<bool> {
    if let WriteTransaction::Sqlite(_) = transaction {
        return Ok(true);
    }
    let name = format!("landfall import {project} {batch_id} ");
    match uses_second_lock {
        None => transaction.fetch_one(BOTH, &[Value::text(&name)]).await?.get("is_free"),
        Some(second) => {
            let name = format!("{name}{}", u8::from(second));
            transaction.execute(ONE, &[Value::text(&name)]).await.map(|_| true)
        }
    }
}
