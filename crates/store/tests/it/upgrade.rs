//! Migration of databases of old versions in place, while workers of those versions run, and next to other sqlx
//! applications in the same database.

use std::path::Path;

use sqlx::migrate::{Migrate, Migrator};
use sqlx::{Connection as _, Executor as _, PgConnection, SqliteConnection};
use store::{EventFilter, Found, ResultFilter, ResultSource, Store, StoreError};

use crate::fixture::{self, Fixture};
use crate::samples::{batch, chunk, completion, event, response, result};

/// The last version whose migrations were recorded in `_sqlx_migrations`.
const OLD_VERSION: i64 = 6;

/// The startup of a worker of that version, verbatim.
pub(crate) async fn start_old_worker(url: &str) -> Result<(), sqlx::migrate::MigrateError> {
    let dialect = if url.starts_with("postgres") { "postgres" } else { "sqlite" };
    let all = Migrator::new(Path::new("migrations").join(dialect)).await?;
    let old = all.iter().filter(|migration| migration.version <= OLD_VERSION).cloned();
    let mut migrator = Migrator::with_migrations(old.collect());
    migrator.set_ignore_missing(true);
    migrator.set_locking(false);
    if dialect == "postgres" {
        let mut connection = PgConnection::connect(url).await?;
        let is_there: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
            .fetch_one(&mut connection)
            .await?;
        if is_there {
            let version = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success";
            if sqlx::query_scalar::<_, i64>(version).fetch_one(&mut connection).await? >= OLD_VERSION {
                return Ok(());
            }
        }
        let mut transaction = connection.begin().await?;
        transaction.execute("SELECT pg_advisory_xact_lock(7809632219746331756)").await?;
        run(&migrator, &mut *transaction).await?;
        transaction.commit().await?;
    } else {
        let mut connection = SqliteConnection::connect(url).await?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        run(&migrator, &mut *transaction).await?;
        transaction.commit().await?;
    }
    Ok(())
}

async fn run(migrator: &Migrator, connection: &mut impl Migrate) -> Result<(), sqlx::migrate::MigrateError> {
    migrator.run_direct(None, connection, false).await
}

/// The write statements of workers of that version, for an event and its objects with the given number.
fn statements_of_old_worker(number: u32) -> String {
    let time = format!("'2026-11-23T20:02:{number:02}.000000Z'");
    format!(
        r#"
INSERT INTO events (project, webhook_id, event_id, type, family, object_id, created_at, received_at, attempts, state, body,
    body_bytes) VALUES ('default', 'wh_old_{number}', 'evt_{number}', 'batch.completed', 'batch',
    'batch_old_{number}', {time}, {time}, 1, 'received', '{{"id":"evt_{number}"}}', NULL)
    ON CONFLICT (project, webhook_id) DO NOTHING;
UPDATE events SET attempts = 2 WHERE project = 'default' AND webhook_id = 'wh_old_{number}' AND attempts < 2;
UPDATE events SET state = 'retrying', attempts = CASE WHEN attempts < 2 THEN 2 ELSE attempts END, reason = 'rate_limited',
    last_error = 'e' WHERE project = 'default' AND webhook_id = 'wh_old_{number}' AND state <> 'stored';
INSERT INTO batches (project, batch_id, status, received_at, fetch_state, fetched_at, terminal, output_file_id, raw)
    VALUES ('default', 'batch_old_{number}', 'completed', {time}, 'fetched', {time}, TRUE, 'file_{number}', '{{}}')
    ON CONFLICT (project, batch_id) DO UPDATE SET project = excluded.project, status = excluded.status
    WHERE (excluded.terminal, excluded.fetched_at IS NOT NULL, excluded.status IS NOT NULL,
        coalesce(excluded.fetched_at, excluded.received_at)) > (batches.terminal, batches.fetched_at IS NOT NULL,
        batches.status IS NOT NULL, coalesce(batches.fetched_at, batches.received_at))
    AND (excluded.raw IS DISTINCT FROM batches.raw OR excluded.raw_bytes IS DISTINCT FROM batches.raw_bytes);
INSERT INTO batch_results (project, batch_id, source, line, custom_id, status_code, request_id, body, body_bytes, error,
    input_tokens, output_tokens, quarantined) VALUES ('default', 'batch_old_{number}', 'output', 1,
    'old-request-{number}', 200, 'req', '{{"choices":[{{"message":{{"content":"old {number}"}}}}]}}', NULL, NULL,
    3, 4, FALSE);
UPDATE batches SET output_next_line = 2, rows_stored = rows_stored + 1, rows_quarantined = rows_quarantined + 0
    WHERE project = 'default' AND batch_id = 'batch_old_{number}';
UPDATE batches SET results_complete = TRUE, import_began_at = NULL, import_began_rows = NULL,
    fetch_state = CASE fetch_state WHEN 'expired' THEN 'fetched' ELSE fetch_state END
    WHERE project = 'default' AND batch_id = 'batch_old_{number}' AND NOT results_complete;
UPDATE events SET state = 'stored', attempts = CASE WHEN attempts < 2 THEN 2 ELSE attempts END, processed_at = {time},
    reason = NULL, last_error = NULL WHERE project = 'default' AND webhook_id = 'wh_old_{number}'
    AND (state <> 'stored' OR (reason IS NOT NULL AND NULL IS NULL));
INSERT INTO responses (project, response_id, status, received_at, fetch_state, fetched_at, terminal, raw)
    VALUES ('default', 'resp_old_{number}', 'completed', {time}, 'fetched', {time}, TRUE, '{{"n":{number}}}')
    ON CONFLICT (project, response_id) DO UPDATE SET project = excluded.project, raw = excluded.raw
    WHERE excluded.received_at > responses.received_at;
INSERT INTO files (project, file_id, object_id, purpose, filename, bytes, sha256, location, created_at, expires_at)
    VALUES ('default', 'file_{number}', 'batch_old_{number}', NULL, NULL, 5, '00', 'a/b', {time}, NULL)
    ON CONFLICT (project, file_id) DO UPDATE SET object_id = excluded.object_id, bytes = excluded.bytes;
INSERT INTO notifications (project, id, target, type, urgent, webhook_id, object_id, created_at, body, state,
    next_attempt_at) VALUES ('default', 'msg_{number}', 'crm', 'batch.stored', FALSE, 'wh_old_{number}',
    'batch_old_{number}', {time}, {bytes}, 'pending', {time}) ON CONFLICT (project, id) DO NOTHING;
"#,
        bytes = "X_BYTES",
    )
}

async fn work_as_old_worker(url: &str, number: u32) {
    let bytes = if url.starts_with("postgres") { "'\\x7b7d'" } else { "X'7B7D'" };
    fixture::execute(url, &statements_of_old_worker(number).replace("X_BYTES", bytes)).await;
}

/// The rows of `_sqlx_migrations`.
async fn old_migrations(fixture: &Fixture) -> Vec<Vec<Option<String>>> {
    let bytes = if fixture.is_postgres() { "encode(checksum, 'hex')" } else { "hex(checksum)" };
    let select = format!(
        "SELECT version, description, {bytes}, CAST(installed_on AS text), execution_time FROM _sqlx_migrations"
    );
    let mut rows = fixture.select(&select).await;
    rows.sort();
    rows
}

pub(crate) async fn an_old_schema_is_migrated_while_an_old_worker_runs(fixture: Fixture) {
    let fixture = fixture
        .with(async |url| {
            start_old_worker(url).await.unwrap();
            work_as_old_worker(url, 1).await;
        })
        .await;
    let old = old_migrations(&fixture).await;
    assert_eq!(old.len(), 6);
    let versions = fixture.select("SELECT version FROM landfall_migrations ORDER BY version").await;
    assert!(versions.len() > 6, "{versions:?}");

    // A worker of the old version keeps running, and another one is started.
    work_as_old_worker(fixture.direct_url(), 2).await;
    start_old_worker(fixture.direct_url()).await.unwrap();
    work_as_old_worker(fixture.direct_url(), 3).await;
    assert_eq!(old_migrations(&fixture).await, old, "rows of the old version are unchanged");
    assert_eq!(fixture.select("SELECT version FROM landfall_migrations ORDER BY version").await, versions);

    // A worker of this version next to it, reading its rows.
    let store = fixture.another_handle().await;
    store.record_delivery(&event("wh_1", "resp_1"), 1).await.unwrap();
    store.save_response(&response("{}"), &completion("wh_1")).await.unwrap();
    store.begin_batch(&batch()).await.unwrap();
    store.append_batch_results(&chunk(ResultSource::Output, 1, vec![result(1)])).await.unwrap();
    assert_eq!(store.list_events(&EventFilter::default()).await.unwrap().len(), 4);
    for number in [1, 2, 3] {
        let batch_id = format!("batch_old_{number}");
        assert!(matches!(store.find(&batch_id).await.unwrap().as_slice(), [Found::Batch(_)]));
        let mut filter = ResultFilter::of("default", &batch_id, 10);
        filter.custom_id = Some(format!("old-request-{number}"));
        assert_eq!(store.batch_results(&filter).await.unwrap().len(), 1);
        assert_eq!(store.find(&format!("file_{number}")).await.unwrap().len(), 1);
    }
    let looking = Store::open_existing(&fixture.config).await.unwrap();
    assert_eq!(looking.schema_version().await.unwrap(), store.schema_version().await.unwrap());
}

pub(crate) async fn an_old_schema_is_distinguished_from_none(fixture: Fixture) {
    let config = fixture.another_database();
    let nothing = Store::open_existing(&config).await.unwrap_err();
    assert!(matches!(nothing, StoreError::NoTables(_) | StoreError::NoDatabase(_)), "{nothing:?}");
    let fixture = fixture.with(async |url| start_old_worker(url).await.unwrap()).await;
    fixture.execute("DROP TABLE landfall_migrations").await;
    let old = Store::open_existing(&fixture.config).await.unwrap_err();
    assert!(matches!(old, StoreError::OldSchema { found: 6, needed: 7.. }), "{old:?}");
}

pub(crate) async fn migrations_of_another_application_are_not_touched(fixture: Fixture) {
    let fixture = fixture
        .with(async |url| {
            let (time, bytes) =
                if url.starts_with("postgres") { ("timestamptz", "bytea") } else { ("TIMESTAMP", "BLOB") };
            let theirs = format!(
                "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
                 installed_on {time} NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, \
                 checksum {bytes} NOT NULL, execution_time BIGINT NOT NULL); \
                 INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (1, 'schema', TRUE, 'theirs', 5), (20230101120000, 'users', TRUE, 'theirs', 7), \
                 (20230101120001, 'failed', FALSE, 'theirs', -1); CREATE TABLE users (name text);"
            );
            fixture::execute(url, &theirs).await;
        })
        .await;
    let theirs = old_migrations(&fixture).await;
    assert_eq!(theirs.len(), 3);
    let store = fixture.another_handle().await;
    store.record_delivery(&event("wh_1", "resp_1"), 1).await.unwrap();
    assert!((7..100).contains(&store.schema_version().await.unwrap()));
    Store::open_existing(&fixture.config).await.unwrap();
    assert_eq!(old_migrations(&fixture).await, theirs);
    let versions = fixture.select("SELECT version FROM landfall_migrations ORDER BY version").await;
    assert_eq!(versions[0][0].as_deref(), Some("1"));
    assert!(versions.len() < 100 && fixture.select("SELECT name FROM users").await.is_empty());
}

pub(crate) async fn many_workers_migrate_an_old_schema_at_once(fixture: Fixture) {
    let fixture = fixture.with(async |url| start_old_worker(url).await.unwrap()).await;
    let mut old = "DELETE FROM landfall_migrations WHERE version > 6; DROP TABLE event_attempts; \
                   ALTER TABLE batches DROP COLUMN results_confirmed_at; DROP VIEW usage_by_day; DROP TABLE response_files; \
                   DROP INDEX batches_by_forbidden_input; ALTER TABLE batches DROP COLUMN input_state; \
                   ALTER TABLE fine_tuning_jobs DROP COLUMN checkpoints_state; \
                   ALTER TABLE fine_tuning_jobs DROP COLUMN events_state; DROP TABLE fine_tuning_checkpoints; \
                   DROP TABLE fine_tuning_events; DROP TABLE batch_inputs; DROP TABLE api_tokens; DROP TABLE console_keys; \
                   ALTER TABLE notifications DROP COLUMN expires_at; ALTER TABLE notifications DROP COLUMN reason; \
                   DROP INDEX events_by_state; DROP INDEX responses_by_received_at; \
                   CREATE INDEX events_by_family ON events (family, state); \
                   CREATE INDEX events_by_received_at ON events (received_at); \
                   CREATE INDEX events_by_webhook_id ON events (webhook_id); \
                   CREATE INDEX notifications_by_id ON notifications (id); \
                   DROP VIEW unfetched_objects; DROP TABLE safety_alerts; DROP TABLE agent_sessions; \
                   DROP TABLE agent_turns; CREATE VIEW unfetched_objects AS SELECT 'response' AS family, project, \
                   response_id AS object_id, status, fetch_state, received_at FROM responses;"
        .to_owned();
    let tokens = ["cached_tokens", "cache_write_tokens", "reasoning_tokens"];
    let of_responses = [
        "input_tokens",
        "output_tokens",
        "tool_usage",
        "service_tier",
        "conversation_id",
        "previous_response_id",
    ];
    let of_responses = tokens.iter().chain(&of_responses).map(|column| ("responses", column));
    for (table, column) in of_responses.chain(tokens.iter().map(|column| ("batch_results", column))) {
        old.push_str(&format!("ALTER TABLE {table} DROP COLUMN {column};"));
    }
    fixture.execute(&old).await;
    let starts = [0; 6].map(|_| {
        let config = fixture.config.clone();
        tokio::spawn(async move { Store::open(&config).await })
    });
    for (number, start) in starts.into_iter().enumerate() {
        let store = start.await.unwrap().unwrap();
        store.record_delivery(&event(&format!("wh_{number}"), "x"), 1).await.unwrap();
    }
    assert_eq!(fixture.dump("events").await.len(), 6);
}
