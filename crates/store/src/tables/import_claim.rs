//! Who may write rows of a batch: one import at a time. In SQLite, which has one writer at a time, any transaction may. In
//! PostgreSQL an import may use two transactions at once:
//!
//! A batch has two locks. An import's first transaction needs both, and only asks whether they are free. The next one
//! begins when that has them, and waits for one of them; the one after it for the other, and so on in turns: so as long as
//! an import writes, it holds at least one, and no other one begins. At any time at most two transactions hold a lock,
//! and only who holds one writes rows. When two do, they are of one import, and the later one waits for the earlier one
//! outside the database; the earlier one waits for nothing but the batch's row. So there is no circle.

use crate::database::WriteTransaction;
use crate::value::Value;

const BOTH: &str = "SELECT pg_try_advisory_xact_lock(hashtextextended($1 || '0', 0)) \
                    AND pg_try_advisory_xact_lock(hashtextextended($1 || '1', 0)) AS is_free";
const ONE: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";

/// Whether rows may be written until the transaction ends. `uses_second_lock` is which of the two locks, for a transaction that is
/// not its import's first.
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
