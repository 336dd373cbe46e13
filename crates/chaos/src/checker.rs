//! Compares the final contents of the database, Redis and the disk with the expected ones.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::Context as _;
use fake_openai::LINE_BYTES_DEFAULT;
use queue::{Keys, QueueAdmin};
use sqlx::sqlite::SqlitePool;
use webhook::{Family, Reason};

use crate::cluster::{Cluster, PREFIX};
use crate::event_plan::{Effect, EventPlan};
use crate::fault_schedule::Kills;
use crate::load::Sent;
use crate::notification_check::NotificationCheck;
use crate::target::Receipts;

/// How many errors of each kind are printed.
const SHOWN_MAX: usize = 10;

#[derive(Debug, Default)]
pub(crate) struct Findings {
    stored: usize,
    responses: usize,
    batch_lines: i64,
    dead: usize,
    /// Acknowledged events whose effect is missing or incomplete.
    lost: Vec<String>,
    stored_twice: Vec<String>,
    /// Rows that were never sent, and dead letters that are not poison.
    unexpected: Vec<String>,
    /// Keys that still exist in Redis.
    left_behind: Vec<String>,
    notifications: NotificationCheck,
}

/// The observations of the sender and the target.
pub(crate) struct Observed<'a> {
    pub(crate) seed: u64,
    pub(crate) sent: &'a Sent,
    pub(crate) receipts: &'a Receipts,
}

impl Findings {
    pub(crate) async fn collect(
        &Observed { seed, sent, receipts }: &Observed<'_>,
        cluster: &Cluster,
        reader: &QueueAdmin,
        database: &SqlitePool,
    ) -> anyhow::Result<Self> {
        let mut findings = Self::default();
        let mut expected = HashMap::new();
        for number in &sent.acknowledged {
            let plan = EventPlan::new(seed, *number);
            expected.insert(plan.webhook_id, plan.effect);
        }
        // Events that were never acknowledged may or may not be stored.
        let maybe: HashSet<String> =
            sent.never_acknowledged.iter().map(|number| EventPlan::new(seed, *number).webhook_id).collect();
        findings.check_events(&expected, &maybe, database).await.context("cannot read the events")?;
        findings.check_responses(&expected, database).await.context("cannot read the responses")?;
        findings.check_batches(&expected, cluster, database).await.context("cannot read the batches")?;
        findings.check_effects(database).await.context("cannot read the records of the triggers")?;
        findings.check_dead_letters(&expected, reader).await.context("cannot read the dead letters")?;
        let notifications = NotificationCheck::check(&expected, receipts, database).await;
        findings.notifications = notifications.context("cannot read the notifications")?;
        findings.check_redis(cluster).await.context("cannot read Redis")?;
        Ok(findings)
    }

    pub(crate) fn is_clean(&self) -> bool {
        let stored = [&self.lost, &self.stored_twice, &self.unexpected, &self.left_behind];
        let notified = [&self.notifications.missing, &self.notifications.wrong];
        stored.iter().chain(&notified).all(|errors| errors.is_empty())
    }

    async fn check_events(
        &mut self,
        expected: &HashMap<String, Effect>,
        maybe: &HashSet<String>,
        database: &SqlitePool,
    ) -> anyhow::Result<()> {
        let query = "SELECT webhook_id, state FROM events";
        let rows: Vec<(String, String)> = sqlx::query_as(query).fetch_all(database).await?;
        let found: HashMap<String, String> = rows.into_iter().collect();
        for (id, effect) in expected {
            let wanted = if *effect == Effect::Dead { "dead" } else { "stored" };
            match found.get(id).map(String::as_str) {
                Some(state) if state == wanted => self.stored += usize::from(state == "stored"),
                Some(state) => self.lost.push(format!("{id} is {state}, not {wanted}")),
                None => self.lost.push(format!("{id} has no row")),
            }
        }
        let unknown = found.keys().filter(|id| !expected.contains_key(*id) && !maybe.contains(*id));
        self.unexpected.extend(unknown.map(|id| format!("{id} has a row, but was never sent")));
        Ok(())
    }

    async fn check_responses(
        &mut self,
        expected: &HashMap<String, Effect>,
        database: &SqlitePool,
    ) -> anyhow::Result<()> {
        let query = "SELECT response_id, fetch_state, coalesce(output_text, '') FROM responses";
        let rows: Vec<(String, String, String)> = sqlx::query_as(query).fetch_all(database).await?;
        let mut found: HashMap<String, (String, String)> =
            rows.into_iter().map(|(id, state, text)| (id, (state, text))).collect();
        for effect in expected.values() {
            let Effect::Response { id, text, .. } = effect else { continue };
            match found.remove(id) {
                Some((state, stored)) if state == "fetched" && stored == *text => self.responses += 1,
                Some((state, stored)) => self.lost.push(format!("{id} is {state} with text {stored:?}")),
                None => self.lost.push(format!("{id} has no row")),
            }
        }
        self.unexpected.extend(found.keys().map(|id| format!("{id} is stored, but was never sent")));
        Ok(())
    }

    async fn check_batches(
        &mut self,
        expected: &HashMap<String, Effect>,
        cluster: &Cluster,
        database: &SqlitePool,
    ) -> anyhow::Result<()> {
        let query = "SELECT b.batch_id, b.results_complete, b.rows_stored,
                            (SELECT count(*) FROM batch_results r WHERE r.batch_id = b.batch_id),
                            (SELECT coalesce(max(f.location), '') FROM files f WHERE f.object_id = b.batch_id)
                     FROM batches b";
        let rows: Vec<(String, bool, i64, i64, String)> = sqlx::query_as(query).fetch_all(database).await?;
        let mut found: HashMap<String, (bool, i64, i64, String)> = rows
            .into_iter()
            .map(|(id, complete, counted, lines, location)| (id, (complete, counted, lines, location)))
            .collect();
        for effect in expected.values() {
            let Effect::Batch { id, lines: wanted } = effect else { continue };
            let Some((complete, counted, lines, location)) = found.remove(id) else {
                self.lost.push(format!("{id} has no row"));
                continue;
            };
            let wanted = i64::try_from(*wanted)?;
            self.batch_lines += lines;
            let file_bytes = std::fs::metadata(cluster.files().join(location)).map_or(0, |file| file.len());
            let bytes_wanted = wanted.unsigned_abs() * LINE_BYTES_DEFAULT as u64;
            if lines > wanted {
                self.stored_twice.push(format!("{id} has {lines} lines, not {wanted}"));
            } else if !complete || lines < wanted || counted != wanted || file_bytes != bytes_wanted {
                self.lost.push(format!(
                    "{id}: complete {complete}, {lines} lines and {file_bytes} bytes, not {wanted} and {bytes_wanted}"
                ));
            }
        }
        self.unexpected.extend(found.keys().map(|id| format!("{id} is stored, but was never sent")));
        Ok(())
    }

    async fn check_effects(&mut self, database: &SqlitePool) -> anyhow::Result<()> {
        let query = "SELECT webhook_id, count(*) FROM chaos_stored GROUP BY webhook_id HAVING count(*) > 1";
        let twice: Vec<(String, i64)> = sqlx::query_as(query).fetch_all(database).await?;
        self.stored_twice
            .extend(twice.into_iter().map(|(id, times)| format!("{id} became stored {times} times")));
        let undone: Vec<String> =
            sqlx::query_scalar("SELECT what FROM chaos_undone").fetch_all(database).await?;
        self.stored_twice
            .extend(undone.into_iter().map(|what| format!("{what} was changed after it was stored")));
        Ok(())
    }

    async fn check_dead_letters(
        &mut self,
        expected: &HashMap<String, Effect>,
        reader: &QueueAdmin,
    ) -> anyhow::Result<()> {
        let mut found: HashMap<String, u32> = HashMap::new();
        for &family in Family::ALL {
            for letter in reader.dead_letters(family, usize::MAX >> 1).await? {
                let id = letter.content.map_or_else(|error| error.to_string(), |entry| entry.webhook_id);
                if expected.get(&id) != Some(&Effect::Dead) || letter.reason != Some(Reason::Rejected) {
                    let why = letter.last_error.unwrap_or_default();
                    self.unexpected.push(format!("{id} is a dead letter: {why}"));
                }
                *found.entry(id).or_default() += 1;
            }
        }
        self.dead = found.len();
        let twice = found.iter().filter(|(_, times)| **times > 1);
        self.stored_twice.extend(twice.map(|(id, times)| format!("{id} is {times} dead letters")));
        let poison = expected.iter().filter(|(_, effect)| **effect == Effect::Dead);
        let missing = poison.filter(|(id, _)| !found.contains_key(*id));
        self.lost.extend(missing.map(|(id, _)| format!("{id} is poison, but not a dead letter")));
        Ok(())
    }

    /// Streams, delayed sets and attempts must be empty. Only streams exist when they are empty, because of their group.
    async fn check_redis(&mut self, cluster: &Cluster) -> anyhow::Result<()> {
        let client = redis::Client::open(cluster.redis.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let keys = Keys::new(PREFIX);
        for &family in Family::ALL {
            let (events, delayed, attempts) =
                (keys.events(family), keys.delayed(family), keys.attempts(family));
            let length: u64 = redis::cmd("XLEN").arg(&events).query_async(&mut connection).await?;
            if length > 0 {
                self.left_behind.push(format!("{events} holds {length} entries"));
            }
            for key in [delayed, attempts] {
                if redis::cmd("EXISTS").arg(&key).query_async(&mut connection).await? {
                    self.left_behind.push(key);
                }
            }
        }
        Ok(())
    }
}

impl Findings {
    pub(crate) fn print(&self, sent: &Sent, kills: &Kills, ended: &[String], drained: Option<Duration>) {
        let drained = drained.map_or("never".to_owned(), |took| format!("{:.1} s", took.as_secs_f64()));
        let rows: [(&str, String); 18] = [
            ("events acknowledged (2xx)", sent.acknowledged.len().to_string()),
            ("events never acknowledged", sent.never_acknowledged.len().to_string()),
            ("requests answered 503", sent.refused.to_string()),
            ("requests without a response", sent.unanswered.to_string()),
            ("duplicates sent", sent.duplicates.to_string()),
            ("processes killed (SIGKILL)", kills.all().to_string()),
            ("  redis-server", kills.redis.to_string()),
            ("  ingest", kills.ingest.to_string()),
            ("  worker", kills.worker.to_string()),
            ("workers frozen past their lease", kills.frozen.to_string()),
            ("time to drain after the last kill", drained),
            ("events stored", self.stored.to_string()),
            ("responses stored", self.responses.to_string()),
            ("batch lines stored", self.batch_lines.to_string()),
            ("dead letters (poison events)", self.dead.to_string()),
            ("notifications delivered", self.notifications.delivered.to_string()),
            ("  repeated deliveries", self.notifications.repeated.to_string()),
            ("unexpected exits", ended.len().to_string()),
        ];
        println!();
        for (name, value) in rows {
            println!("  {name:<36} {value:>9}");
        }
        for line in ended {
            println!("      {line}");
        }
        let errors = [
            ("lost", &self.lost),
            ("stored twice", &self.stored_twice),
            ("unexpected", &self.unexpected),
            ("left behind in Redis", &self.left_behind),
            ("notifications missing", &self.notifications.missing),
            ("notifications wrong", &self.notifications.wrong),
        ];
        for (name, found) in errors {
            println!("  {name:<36} {:>9}", found.len());
            for line in found.iter().take(SHOWN_MAX) {
                println!("      {line}");
            }
        }
    }
}
