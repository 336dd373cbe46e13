//! When the events of the table `events` were received. All reads use the index of family, state and time, and each is
//! bounded, however large the table is.

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use webhook::{EventState, Family, MaybeKnown};

use super::event_lists::{FAMILIES, STATES};
use crate::error::StoreError;
use crate::event_times::{EVENTS_PER_SLOT_MAX, EventSpan, EventsInSlot, StoredLag};
use crate::row::Row;
use crate::store::Store;
use crate::value::Value;

/// SQLite accepts at most 500 parts of a statement.
const PARTS_MAX: usize = 400;

impl Store {
    /// The first and the last event of each family and state.
    pub async fn event_spans(&self) -> Result<Vec<EventSpan>, StoreError> {
        let edge = |order: &str| {
            format!(
                "(SELECT received_at FROM events WHERE events.family = found.family AND events.state = found.state \
                 ORDER BY received_at {order} LIMIT 1)"
            )
        };
        let select = format!(
            "{FAMILIES}{STATES} SELECT family, state, {} AS first_received_at, {} AS last_received_at FROM found \
             WHERE state IS NOT NULL",
            edge("ASC"),
            edge("DESC")
        );
        let span = |row: &Row| {
            // All of a family and state may have been pruned meanwhile.
            let (Some(first_received_at), Some(last_received_at)) =
                (row.time("first_received_at")?, row.time("last_received_at")?)
            else {
                return Ok(None);
            };
            let (family, state) = (row.maybe_known("family")?, row.maybe_known("state")?);
            Ok(Some(EventSpan { family, state, first_received_at, last_received_at }))
        };
        let spans = self.database.read("read the times of events", AssertSqlSafe(select), &[], span).await?;
        Ok(spans.into_iter().flatten().collect())
    }

    /// Counts the events received between each two of these times, which increase. Slots without events are left out.
    pub async fn count_events_in_slots(
        &self,
        edges: &[DateTime<Utc>],
    ) -> Result<Vec<EventsInSlot>, StoreError> {
        if edges.len() < 2 {
            return Ok(Vec::new());
        }
        let mut values = vec![EVENTS_PER_SLOT_MAX.into()];
        let rows: Vec<String> =
            (0_i64..).zip(edges.windows(2)).map(|slot| push_slot(slot, &mut values)).collect();
        let select = format!(
            "{FAMILIES}{STATES}, slots (slot, since, until) AS (VALUES {}) \
             SELECT slot, family, state, (SELECT count(*) FROM (SELECT 1 FROM events \
                 WHERE events.family = found.family AND events.state = found.state \
                 AND received_at >= slots.since AND received_at < slots.until LIMIT $1) AS part) AS events \
             FROM found CROSS JOIN slots WHERE state IS NOT NULL",
            rows.join(", ")
        );
        let counted = |row: &Row| {
            let (family, state) = (row.maybe_known("family")?, row.maybe_known("state")?);
            Ok(EventsInSlot { slot: row.count("slot")?, family, state, count: row.count("events")? })
        };
        let counts = self.database.read("count events", AssertSqlSafe(select), &values, counted).await?;
        // In SQL, a condition on the count would make SQLite count twice.
        Ok(counts.into_iter().filter(|counted| counted.count > 0).collect())
    }

    /// How late the newest stored events of each slot were: at most `each` of every family and slot, which are chosen
    /// as in [`Store::count_events_in_slots`].
    pub async fn stored_lags(
        &self,
        families: &[MaybeKnown<Family>],
        edges: &[DateTime<Utc>],
        each: u32,
    ) -> Result<Vec<StoredLag>, StoreError> {
        let parts: Vec<Part<'_>> = families
            .iter()
            .flat_map(|family| {
                (0_i64..).zip(edges.windows(2)).map(move |slot| Part { family: family.as_str(), slot })
            })
            .collect();
        let mut lags = Vec::new();
        for parts in parts.chunks(PARTS_MAX) {
            let (select, values) = select_lags(parts, each);
            let lag = |row: &Row| {
                let (created_at, processed_at) =
                    (row.required_time("created_at")?, row.required_time("processed_at")?);
                Ok(StoredLag { slot: row.count("slot")?, lag: processed_at - created_at })
            };
            lags.extend(self.database.read("read events", AssertSqlSafe(select), &values, lag).await?);
        }
        Ok(lags)
    }
}

/// A row of the table of slots; adds its values.
fn push_slot<'a>((slot, times): (i64, &[DateTime<Utc>]), values: &mut Vec<Value<'a>>) -> String {
    let number = values.len() + 1;
    values.push(slot.into());
    values.extend(times.iter().map(|at| Value::time(*at)));
    format!("(${number}, ${}, ${})", number + 1, number + 2)
}

/// A family, and a slot with its number.
struct Part<'a> {
    family: &'a str,
    slot: (i64, &'a [DateTime<Utc>]),
}

fn select_lags<'a>(parts: &[Part<'a>], each: u32) -> (String, Vec<Value<'a>>) {
    let mut values = vec![each.into(), Value::member(EventState::Stored)];
    let mut selects = Vec::new();
    for Part { family, slot } in parts {
        values.push(Value::text(family));
        let family = values.len();
        let number = family + 1;
        push_slot(*slot, &mut values);
        selects.push(format!(
            "SELECT ${number} AS slot, created_at, processed_at FROM (SELECT created_at, processed_at FROM events \
             WHERE family = ${family} AND state = $2 AND received_at >= ${} AND received_at < ${} \
             AND created_at IS NOT NULL AND processed_at IS NOT NULL \
             ORDER BY received_at DESC LIMIT $1) AS part_{number}",
            number + 1,
            number + 2
        ));
    }
    (selects.join(" UNION ALL "), values)
}
