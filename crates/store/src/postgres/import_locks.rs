//! Who may write rows of a batch: one import at a time, with up to two transactions at once.
//!
//! A batch has two locks. An import's first transaction needs both, and only asks whether they are free. The next one
//! begins when that has them, and waits for one of them; the one after it for the other, and so on in turns: so as long as
//! an import writes, it holds at least one, and no other one begins. At any time at most two transactions hold a lock,
//! and only who holds one writes rows. When two do, they are of one import, and the later one waits for the earlier one
//! outside the database; the earlier one waits for nothing but the batch's row. So there is no circle.

pub(crate) const BOTH: &str = "SELECT pg_try_advisory_xact_lock(hashtextextended($1 || '0', 0)) \
                               AND pg_try_advisory_xact_lock(hashtextextended($1 || '1', 0)) AS is_free";
pub(crate) const ONE: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
