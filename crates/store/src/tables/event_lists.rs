//! Lists and counts of the table `events` that use the index of family, state and time, whatever the filter, and however
//! rare a family or state is. SQLite has no statistics that would tell it so.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;
use webhook::{EventState, Family, MaybeKnown};

use crate::columns::Record as _;
use crate::database::Database;
use crate::error::StoreError;
use crate::event::{EventFilter, EventRecord};
use crate::row::Row;
use crate::store::Store;
use crate::value::Value;

/// How many of the newest events are examined: one object may have many events.
const RECENT_EVENTS_MAX: u32 = 200;

/// The families of all events, one index lookup each.
pub(super) const FAMILIES: &str = "WITH RECURSIVE known (family) AS (SELECT min(family) FROM events UNION ALL \
     SELECT (SELECT min(family) FROM events WHERE family > known.family) FROM known WHERE known.family IS NOT NULL)";

/// The states of all events, one index lookup for each family and state. Follows [`FAMILIES`].
pub(super) const STATES: &str = ", found (family, state) AS ( \
     SELECT family, (SELECT min(state) FROM events WHERE events.family = known.family) FROM known \
     WHERE family IS NOT NULL UNION ALL \
     SELECT family, (SELECT min(state) FROM events WHERE events.family = found.family AND state > found.state) \
     FROM found WHERE state IS NOT NULL)";

const COUNT: &str =
    "SELECT family, state, count(*) AS events FROM events GROUP BY family, state ORDER BY family, state";

type Names = BTreeSet<(String, String)>;

impl Store {
    /// Lists events, newest first.
    pub async fn list_events(&self, filter: &EventFilter) -> Result<Vec<EventRecord>, StoreError> {
        let names = names(&self.database).await?;
        newest(&self.database, filter, names.into_iter().filter(|names| is_chosen(filter, names))).await
    }

    /// Counts events by family and state.
    pub async fn count_events(
        &self,
    ) -> Result<Vec<(MaybeKnown<Family>, MaybeKnown<EventState>, i64)>, StoreError> {
        let counted =
            |row: &Row| Ok((row.maybe_known("family")?, row.maybe_known("state")?, row.get("events")?));
        self.database.read("count events", COUNT, &[], counted).await
    }

    /// The newest objects named by events, newest first, each once, with the reason why they are incomplete: `None` if
    /// complete, else the name of a [`webhook::Reason`].
    pub async fn recent_objects(
        &self,
        objects_max: usize,
    ) -> Result<Vec<(String, Option<String>)>, StoreError> {
        let with_objects =
            [Family::Response, Family::Batch, Family::FineTuning, Family::Eval].map(Family::as_str);
        let names = names(&self.database).await?.into_iter();
        let names = names.filter(|(family, state)| {
            with_objects.contains(&family.as_str()) && state != EventState::Received.as_str()
        });
        let filter = EventFilter { limit: RECENT_EVENTS_MAX, ..EventFilter::default() };
        let mut objects: Vec<(String, Option<String>)> = Vec::new();
        for event in newest(&self.database, &filter, names).await? {
            let Some(id) = event.object_id else { continue };
            if objects.len() < objects_max && !objects.iter().any(|(known, _)| *known == id) {
                objects.push((id, event.reason.map(|reason| reason.as_str().to_owned())));
            }
        }
        Ok(objects)
    }

    /// The number of events that wait for a retry because OpenAI rejected the API key.
    pub async fn count_refused_events(&self) -> Result<i64, StoreError> {
        let count = format!(
            "SELECT count(*) AS events FROM events WHERE family IN ({FAMILIES} SELECT family FROM known) \
             AND state = 'retrying' AND reason IN ('unauthorized', 'forbidden')"
        );
        self.database.read_one("count events", AssertSqlSafe(count), &[], |row| row.get("events")).await
    }
}

/// Every family and state that an event may have: those that this version knows, so that no event is missed that
/// changes its state meanwhile, and those of another version.
async fn names(database: &Database) -> Result<Names, StoreError> {
    let select =
        AssertSqlSafe(format!("{FAMILIES}{STATES} SELECT family, state FROM found WHERE state IS NOT NULL"));
    let found = |row: &Row| Ok((row.get("family")?, row.get("state")?));
    let mut names: Names = database.read("list events", select, &[], found).await?.into_iter().collect();
    let families: BTreeSet<String> = names.iter().map(|(family, _)| family.clone()).collect();
    for family in Family::ALL.iter().map(|family| family.as_str().to_owned()).chain(families) {
        names.extend(EventState::ALL.iter().map(|state| (family.clone(), state.as_str().to_owned())));
    }
    Ok(names)
}

fn is_chosen(filter: &EventFilter, (family, state): &(String, String)) -> bool {
    filter.family.is_none_or(|chosen| chosen.as_str() == family)
        && filter.state.is_none_or(|chosen| chosen.as_str() == state)
}

/// The newest events with these names of family and state.
async fn newest(
    database: &Database,
    filter: &EventFilter,
    names: impl Iterator<Item = (String, String)>,
) -> Result<Vec<EventRecord>, StoreError> {
    let names: Vec<(String, String)> = names.collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let (select, values) = select_newest(filter, &names);
    database.read("list events", AssertSqlSafe(select), &values, EventRecord::read).await
}

/// One statement, so that an event which changes its state meanwhile is listed once. Each part reads as many index
/// entries as it returns.
fn select_newest<'a>(filter: &'a EventFilter, names: &'a [(String, String)]) -> (String, Vec<Value<'a>>) {
    const ORDER: &str = "ORDER BY received_at DESC, webhook_id DESC LIMIT $1";
    let mut values = vec![filter.limit.into(), Value::opt_text(filter.project.as_deref())];
    // With `$3 IS NULL OR`, SQLite would not use the index for it.
    let mut since = String::new();
    if let Some(at) = filter.since {
        values.push(Value::time(at));
        since.push_str("AND received_at >= $3 ");
    }
    if let Some(after) = &filter.after {
        let number = values.len() + 1;
        values.extend([Value::time(after.at), Value::key(&after.id)]);
        // The first condition bounds the part of the index that is read.
        since.push_str(&format!(
            "AND received_at <= ${number} AND (received_at, webhook_id) < (${number}, ${}) ",
            number + 1
        ));
    }
    let mut parts = Vec::new();
    for (family, state) in names {
        let number = values.len() + 1;
        values.extend([Value::text(family), Value::text(state)]);
        parts.push(format!(
            "SELECT * FROM (SELECT * FROM events WHERE family = ${number} AND state = ${} {since}\
             AND ($2 IS NULL OR project = $2) {ORDER}) AS part_{number}",
            number + 1
        ));
    }
    (format!("SELECT * FROM ({}) AS parts {ORDER}", parts.join(" UNION ALL ")), values)
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use test_support::postgres::PostgresServer;

    use super::*;
    use crate::page_position::PagePosition;

    /// The lines of the plan that read the table.
    async fn reads_of_events(database: &Database, select: &str, values: &[Value<'_>]) -> Vec<String> {
        let (explain, column) = match database {
            Database::Sqlite(_) => ("EXPLAIN QUERY PLAN", "detail"),
            Database::Postgres(_) => ("EXPLAIN", "QUERY PLAN"),
        };
        let explain = AssertSqlSafe(format!("{explain} {select}"));
        let mut transaction = database.begin().await.unwrap();
        if let Database::Postgres(_) = database {
            // Whether the index can serve the query; of a small table, reading all of it costs less.
            transaction.execute("SET LOCAL enable_seqscan = off", &[]).await.unwrap();
        }
        let plan = transaction.fetch_all(explain, values).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get(column).unwrap()).collect();
        // The line of a bitmap's index follows.
        let no_read = ["Sort Key", "Bitmap Heap Scan"];
        let is_read = |line: &String| line.contains("events") && !no_read.iter().any(|no| line.contains(no));
        plan.into_iter().filter(is_read).collect()
    }

    /// Many events of one family and state, and a few others.
    async fn filled(url: &str) -> Database {
        let database = Database::open(url).await.unwrap();
        let insert = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 20000) \
                      INSERT INTO events (project, webhook_id, type, family, received_at, attempts, state) \
                      SELECT 'default', 'wh_' || n, 'x', CASE WHEN n % 4000 = 0 THEN 'batch' ELSE 'response' END, $1, 1, \
                      CASE WHEN n % 3000 = 0 THEN 'dead' ELSE 'stored' END FROM numbers";
        let steps = async |transaction: &mut crate::database::WriteTransaction| {
            transaction.execute(insert, &[Value::time(Utc::now())]).await?;
            if let crate::database::WriteTransaction::Postgres(_) = transaction {
                transaction.execute("ANALYZE events", &[]).await?;
            }
            Ok(())
        };
        database.write("fill", steps).await.unwrap();
        database
    }

    async fn every_filter_uses_the_index(database: &Database) {
        let (every_family, every_state) = (Family::ALL.iter().copied(), EventState::ALL.iter().copied());
        let families: Vec<_> = every_family.map(Some).chain([None]).collect();
        let states: Vec<_> = every_state.map(Some).chain([None]).collect();
        let names: Vec<(String, String)> = names(database).await.unwrap().into_iter().collect();
        for (family, state) in
            families.iter().flat_map(|family| states.iter().map(move |state| (family, state)))
        {
            let after = PagePosition { at: Utc::now(), id: "wh_7".to_owned() };
            for (since, after) in [(None, None), (Some(Utc::now()), None), (Some(Utc::now()), Some(after))] {
                let filter =
                    EventFilter { family: *family, state: *state, since, after, ..EventFilter::default() };
                let chosen: Vec<_> =
                    names.iter().filter(|names| is_chosen(&filter, names)).cloned().collect();
                let (select, values) = select_newest(&filter, &chosen);
                let reads = reads_of_events(database, &select, &values).await;
                assert!(!reads.is_empty());
                let indexed = |line: &String| line.contains("events_by_state");
                assert!(reads.iter().all(indexed), "{family:?} {state:?}: {reads:#?}");
            }
        }
        // Counts read the index alone; PostgreSQL may prefer the table of a small database.
        if let Database::Sqlite(_) = database {
            let reads = reads_of_events(database, COUNT, &[]).await;
            assert_eq!(reads, ["SCAN events USING COVERING INDEX events_by_state"]);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn lists_of_events_use_the_index_with_every_filter() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/x.db", folder.path().display());
        every_filter_uses_the_index(&filled(&url).await).await;
        every_filter_uses_the_index(&filled(&PostgresServer::shared().database()).await).await;
    }
}
