//! Export of all rows from one database, and import into another of either kind.

use std::io::Cursor;

use chrono::TimeDelta;
use serde_json::Value;
use store::{ResultSource, TransferError};

use crate::fixture::Fixture;
use crate::objects::run_all_families;
use crate::samples::{batch, chunk, event, result};

async fn exported(fixture: &Fixture) -> Vec<u8> {
    let mut export = Vec::new();
    fixture.store.export(&mut export).await.unwrap();
    export
}

async fn import(fixture: &Fixture, export: &[u8], replace: bool) -> Result<u64, TransferError> {
    fixture.store.import(&mut Cursor::new(export), replace).await
}

/// Fills every table, including bytes that no JSON column accepts.
async fn fill(fixture: &Fixture) {
    run_all_families(fixture, "wh", TimeDelta::zero()).await;
    fixture.store.begin_batch(&batch()).await.unwrap();
    let mut rows: Vec<_> = (1..=250).map(result).collect();
    rows[7].body = Some(b"{\"a\":\"\\u0000\",\"b\":1e400000}".to_vec());
    (rows[8].body, rows[8].quarantined) = (Some(b"\xff no JSON".to_vec()), true);
    fixture.store.append_batch_results(&chunk(ResultSource::Error, 1, rows)).await.unwrap();
    let (bytes, time) = if fixture.is_postgres() {
        ("'\\x00ff'", "'2026-11-24T01:02:03.000004Z'::timestamptz")
    } else {
        ("X'00FF'", "'2026-11-24T01:02:03.000004Z'")
    };
    fixture
        .execute(&format!(
            "INSERT INTO notifications (project, id, target, type, urgent, created_at, body, state) \
             VALUES ('default', 'msg_1', 'crm', 'batch.stored', TRUE, {time}, {bytes}, 'pending'); \
             INSERT INTO notification_attempts (project, notification_id, attempt, started_at, latency_ms) \
             VALUES ('default', 'msg_1', 1, {time}, 5); \
             INSERT INTO notification_targets (target, state, updated_at) VALUES ('crm', 'active', {time}); \
             INSERT INTO api_tokens (name, role, sha256, created_at) VALUES ('app', 'viewer', 'aa', {time});"
        ))
        .await;
    fixture
        .execute(&format!(
            "INSERT INTO event_attempts (project, webhook_id, attempt, worker, started_at, duration_ms, outcome) \
             SELECT project, webhook_id, 1, 'host-1', {time}, 5, 'retry' FROM events"
        ))
        .await;
    let mut odd = event("wh_odd", "x");
    odd.body = b"\xfe\x00".to_vec();
    fixture.store.record_delivery(&odd, 1).await.unwrap();
}

pub(crate) async fn all_rows_move_into_either_database_and_back(fixture: Fixture) {
    fill(&fixture).await;
    let export = exported(&fixture).await;
    for target in [Fixture::on_sqlite().await, Fixture::on_postgres().await] {
        let rows = import(&target, &export, false).await.unwrap();
        assert!(rows > 260, "{rows}");
        assert_eq!(
            target.select("SELECT count(*) FROM events").await,
            fixture.select("SELECT count(*) FROM events").await
        );
        // Both databases agree on text; PostgreSQL preserves only the meaning of JSON.
        let (there, here) = (target.dump_objects().await, fixture.dump_objects().await);
        let count = |table: &str| (there[table].len(), here[table].len());
        assert_eq!(count("batch_results").0, count("batch_results").1);
        let back =
            if fixture.is_postgres() { Fixture::on_postgres().await } else { Fixture::on_sqlite().await };
        import(&back, &exported(&target).await, false).await.unwrap();
        for (table, rows) in back.dump_objects().await {
            assert!(!rows.is_empty(), "{table} is not covered");
            assert_eq!(by_meaning(rows), by_meaning(here[table].clone()), "{table}");
        }
        for table in
            ["events", "event_attempts", "notifications", "notification_attempts", "notification_targets"]
        {
            assert_eq!(back.dump(table).await, fixture.dump(table).await, "{table}");
        }
        // New events follow the imported ones.
        target.store.record_delivery(&event("wh_next", "y"), 1).await.unwrap();
        let newest = "SELECT webhook_id FROM events ORDER BY place DESC LIMIT 1";
        assert_eq!(target.select(newest).await, [[Some("wh_next".to_owned())]]);
    }
}

/// Also normalizes JSON in text columns.
fn by_meaning(mut rows: Vec<Vec<Option<String>>>) -> Vec<Vec<Option<String>>> {
    for field in rows.iter_mut().flatten().flatten() {
        if let Ok(json @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str::<Value>(field) {
            *field = json.to_string();
        }
    }
    rows.sort();
    rows
}

pub(crate) async fn an_import_is_all_or_nothing_and_deletes_only_with_replace(fixture: Fixture) {
    fill(&fixture).await;
    let before = fixture.dump_objects().await;
    let export = exported(&fixture).await;
    assert!(matches!(import(&fixture, &export, false).await, Err(TransferError::NotEmpty("events"))));

    let text = String::from_utf8(export.clone()).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let cut = lines[..lines.len() - 1].concat();
    let fewer = text.replacen(lines[2], "", 1);
    let newer = text.replacen("\"version\":1", "\"version\":2", 1);
    let unknown = text.replacen("\"webhook_id\"", "\"of_a_later_version\"", 1);
    for broken in [cut, fewer, newer, unknown, text.replacen("{\"format\"", "{\"f\"", 1)] {
        let refused = import(&fixture, broken.as_bytes(), true).await.unwrap_err();
        assert!(matches!(refused, TransferError::Malformed { .. }), "{refused:?}");
        assert_eq!(fixture.dump_objects().await, before, "{refused}");
    }
    fixture.store.record_delivery(&event("wh_later", "y"), 1).await.unwrap();
    import(&fixture, &export, true).await.unwrap();
    assert_eq!(fixture.dump_objects().await, before);
    assert_eq!(exported(&fixture).await, export, "other rows are deleted");
}

pub(crate) async fn the_key_of_sessions_is_random_and_stays_in_its_database(fixture: Fixture) {
    let secret = fixture.store.session_secret().await.unwrap().unwrap();
    let target = Fixture::on_sqlite().await;
    let others = target.store.session_secret().await.unwrap();
    assert!(secret.len() == 32 && Some(&secret) != others.as_ref());
    let export = exported(&fixture).await;
    assert!(!String::from_utf8_lossy(&export).contains("console_keys"));
    import(&target, &export, true).await.unwrap();
    assert_eq!(target.store.session_secret().await.unwrap(), others, "an import does not replace it");
}

pub(crate) async fn an_export_has_every_column_of_every_table(fixture: Fixture) {
    let export = exported(&fixture).await;
    let mut tables = Vec::new();
    for line in export.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{\"table\"")) {
        let heading: Value = serde_json::from_slice(line).unwrap();
        let table = heading["table"].as_str().unwrap().to_owned();
        let columns =
            heading["columns"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
        let mut columns: Vec<String> = columns.collect();
        columns.sort();
        assert_eq!(columns, fixture.columns(&table).await, "{table}");
        tables.push(table);
    }
    let mut known: Vec<&str> = crate::fixture::OBJECT_TABLES.to_vec();
    known.extend([
        "events",
        "event_attempts",
        "notifications",
        "notification_attempts",
        "notification_targets",
        "api_tokens",
    ]);
    known.sort_unstable();
    tables.sort();
    assert_eq!(tables, known);
}
