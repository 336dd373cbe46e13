//! The table `events` in the order in which workers first saw events: the column `place`, which increases with each
//! row.

use sqlx::AssertSqlSafe;
use webhook::Family;

use crate::columns::Record as _;
use crate::database::Database;
use crate::error::StoreError;
use crate::event::{EventFilter, EventRecord, EventSeq};
use crate::row::Row;
use crate::store::Store;
use crate::value::Value;

const READ: &str = "read events";

/// Each name takes two parameters; SQLite accepts at most 32766 per statement.
const NAMES_PER_STATEMENT: usize = 500;

impl Store {
    /// The watermark up to which all events are visible: no event appears below it later, however late a worker
    /// commits.
    pub async fn event_watermark(&self) -> Result<EventSeq, StoreError> {
        match &self.database {
            // With one writer at a time, events become visible in order.
            Database::Sqlite(_) => {
                let newest = "SELECT coalesce(max(place), 0) AS place FROM events";
                self.database.read_one(READ, newest, &[], |row| row.get("place").map(EventSeq)).await
            }
            Database::Postgres(postgres) => {
                postgres.commit_watermark().await.map_err(StoreError::database(READ))
            }
        }
    }

    /// The events after `after`, up to and including `up_to`, with their positions.
    pub async fn events_between(
        &self,
        filter: &EventFilter,
        after: EventSeq,
        up_to: EventSeq,
    ) -> Result<Vec<(EventSeq, EventRecord)>, StoreError> {
        let select = "SELECT * FROM events WHERE ($1 IS NULL OR project = $1) AND ($2 IS NULL OR family = $2) \
                      AND ($3 IS NULL OR state = $3) AND ($4 IS NULL OR received_at >= $4) \
                      AND place > $5 AND place <= $6 ORDER BY place LIMIT $7";
        let mut values = filter.values();
        values.extend([after.0.into(), up_to.0.into(), filter.limit.into()]);
        let numbered = |row: &Row| Ok((EventSeq(row.get("place")?), EventRecord::read(row)?));
        self.database.read(READ, select, &values, numbered).await
    }

    /// The number of events up to `up_to` that match the filter, ignoring its limit.
    pub async fn count_chosen(&self, filter: &EventFilter, up_to: EventSeq) -> Result<u64, StoreError> {
        let count = "SELECT count(*) AS events FROM events \
                     WHERE ($1 IS NULL OR project = $1) AND ($2 IS NULL OR family = $2) \
                     AND ($3 IS NULL OR state = $3) AND ($4 IS NULL OR received_at >= $4) AND place <= $5";
        let mut values = filter.values();
        values.push(up_to.0.into());
        self.database.read_one("count events", count, &values, |row| row.count("events")).await
    }

    /// Events that may still change, newest first, at most `limit`. Uses the index of family and state.
    pub async fn unsettled_events(&self, family: Family, limit: u32) -> Result<Vec<EventRecord>, StoreError> {
        let select = "SELECT * FROM events WHERE family = $1 AND state IN ('received', 'retrying', 'dead') \
                      ORDER BY place DESC LIMIT $2";
        self.database.read(READ, select, &[Value::member(family), limit.into()], EventRecord::read).await
    }

    /// Events by project and `webhook-id`, in any order, without those that do not exist. Uses the primary key.
    pub async fn events_named(&self, names: &[(String, String)]) -> Result<Vec<EventRecord>, StoreError> {
        let mut found = Vec::new();
        for names in names.chunks(NAMES_PER_STATEMENT) {
            let pairs: Vec<String> =
                (0..names.len()).map(|index| format!("(${}, ${})", 2 * index + 1, 2 * index + 2)).collect();
            let select =
                format!("SELECT * FROM events WHERE (project, webhook_id) IN ({})", pairs.join(", "));
            let values: Vec<Value<'_>> = names
                .iter()
                .flat_map(|(project, webhook_id)| [Value::text(project), Value::key(webhook_id)])
                .collect();
            found.extend(self.database.read(READ, AssertSqlSafe(select), &values, EventRecord::read).await?);
        }
        Ok(found)
    }
}
