//! Tests of PostgreSQL only: server restarts, events that commit out of order, and error messages.

use secrecy::ExposeSecret as _;
use sqlx::{Connection as _, Executor as _, PgConnection};
use store::{EventFilter, EventSeq, FileRecord, ResultFilter, Store, StoreConfig, StoreError};
use test_support::postgres::PostgresServer;

use crate::fixture::{self, Fixture};
use crate::samples::{batch, chunk, completion, event, file, result};
use crate::upgrade;

fn config(database_url: String) -> StoreConfig {
    StoreConfig {
        database_url: database_url.into(),
        files_url: "unused".to_owned(),
        s3: store::S3Config::default(),
    }
}

/// Follows events like `landfall tail`: from watermark to watermark, never back.
async fn follow_until(store: &Store, wanted: usize) -> Vec<String> {
    let mut after = EventSeq::default();
    let mut seen = Vec::new();
    let all = EventFilter { limit: 10_000, ..EventFilter::default() };
    while seen.len() < wanted {
        let newest = store.event_watermark().await.unwrap();
        let page = store.events_between(&all, after, newest).await.unwrap();
        seen.extend(page.into_iter().map(|(_, event)| event.webhook_id));
        after = newest;
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_does_not_miss_events_that_commit_late() {
    let fixture = Fixture::on_postgres().await;
    let url = fixture.config.database_url.expose_secret();
    let mut slow = PgConnection::connect(url).await.unwrap();
    let mut late = slow.begin().await.unwrap();
    let insert = "INSERT INTO events (project, webhook_id, type, family, received_at, attempts, state) \
                  VALUES ('default', 'late', 't', 'other', now(), 1, 'received')";
    late.execute(insert).await.unwrap();
    // Its number is higher, and it commits first.
    fixture.store.record_delivery(&event("early", "x"), 1).await.unwrap();
    let store = fixture.store.clone();
    let follower = tokio::spawn(async move { follow_until(&store, 2).await });
    // The follower has noticed the open transaction, and polls.
    let asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND query LIKE '%pg_locks%' AND pid <> pg_backend_pid()";
    test_support::wait::until("the follower's poll", async || {
        (fixture.select(asked).await[0][0].as_deref() != Some("0")).then_some(())
    })
    .await;
    assert!(!follower.is_finished());
    late.commit().await.unwrap();
    let seen = tokio::time::timeout(test_support::wait::DEADLINE, follower).await.unwrap().unwrap();
    assert_eq!(seen, ["late", "early"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_at_once_hide_no_event_from_a_follower() {
    const WRITERS: usize = 8;
    const EVENTS_EACH: usize = 50;
    let fixture = Fixture::on_postgres().await;
    let store = fixture.store.clone();
    let follower = tokio::spawn(async move { follow_until(&store, WRITERS * EVENTS_EACH).await });
    let writers = (0..WRITERS).map(|writer| {
        let store = fixture.store.clone();
        tokio::spawn(async move {
            for number in 0..EVENTS_EACH {
                store.record_delivery(&event(&format!("wh_{writer}_{number}"), "x"), 1).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let mut seen = tokio::time::timeout(test_support::wait::DEADLINE, follower).await.unwrap().unwrap();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), WRITERS * EVENTS_EACH);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_restart_is_a_retryable_outage() {
    let mut server = PostgresServer::start();
    let url = server.database();
    let store = Store::open(&config(url.clone())).await.unwrap();
    store.begin_batch(&batch()).await.unwrap();
    let append = async |line: i64| {
        store.append_batch_results(&chunk(store::ResultSource::Output, line, vec![result(line)])).await
    };
    append(1).await.unwrap();
    for round in 2..4 {
        if round == 2 {
            server.kill()
        } else {
            server.stop()
        }
        let unreachable = Store::open(&config(url.clone())).await.unwrap_err();
        assert!(matches!(unreachable, StoreError::Connect { .. }), "{unreachable:?}");
        assert!(unreachable.is_retryable() && unreachable.is_unreachable());
        assert!(store.ping().await.is_err());
        // Either the call waits for the server, or its connection was just lost: then the same call succeeds later.
        let write = append(round);
        let restart = tokio::task::spawn_blocking(move || {
            server.resume();
            server
        });
        let (written, restarted) = tokio::join!(write, restart);
        server = restarted.unwrap();
        if let Err(error) = written {
            assert!(error.is_retryable(), "{error:?}");
            append(round).await.unwrap();
        }
    }
    store.finish_batch("batch_1", store::BatchEnd::Complete, &completion("wh_1")).await.unwrap();
    let found = store.batch_results(&ResultFilter::of("default", "batch_1", 10)).await.unwrap();
    assert!(found.iter().map(|row| row.line).eq(1..=3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_value_is_permanent_and_a_deadlock_is_retryable() {
    let fixture = Fixture::on_postgres().await;
    let too_large = fixture.store.save_file(&FileRecord { bytes: u64::MAX, ..file() }).await.unwrap_err();
    assert!(!too_large.is_retryable());
    fixture
        .execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             RAISE EXCEPTION 'refused' USING ERRCODE = TG_ARGV[0]; END $$",
        )
        .await;
    for (code, is_retryable) in [
        ("40P01", true),
        ("40001", true),
        ("57P01", true),
        ("53300", true),
        ("22003", false),
        ("23514", false),
    ] {
        fixture
            .execute(&format!(
                "DROP TRIGGER IF EXISTS refuse ON files; CREATE TRIGGER refuse BEFORE INSERT ON files FOR EACH ROW EXECUTE FUNCTION refuse('{code}')"
            ))
            .await;
        let refused = fixture.store.save_file(&file()).await.unwrap_err();
        assert_eq!(refused.is_retryable(), is_retryable, "{code}: {refused:?}");
    }
    fixture.execute("DROP TABLE files").await;
    assert!(fixture.store.save_file(&file()).await.unwrap_err().is_retryable(), "as with SQLite");
}

#[tokio::test(flavor = "multi_thread")]
async fn open_existing_creates_nothing() {
    let server = PostgresServer::shared();
    let url = server.database();
    let empty = Store::open_existing(&config(url.clone())).await.unwrap_err();
    assert!(matches!(empty, StoreError::NoTables(_)) && empty.to_string().contains("worker"), "{empty}");
    assert!(!empty.is_retryable());

    let missing = Store::open_existing(&config(server.url("nowhere"))).await.unwrap_err();
    assert!(matches!(missing, StoreError::Connect { .. }) && !missing.is_unreachable(), "{missing:?}");
    assert!(missing.to_string().contains("nowhere"));

    server.sql("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    let latin = Store::open(&config(server.url("latin"))).await.unwrap_err();
    assert!(matches!(latin, StoreError::Setting { .. }) && latin.to_string().contains("UTF8"), "{latin}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_create_tables_can_use_existing_ones() {
    let fixture = Fixture::on_postgres().await;
    fixture
        .execute(
            "CREATE ROLE modest LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO modest",
        )
        .await;
    let url = fixture.config.database_url.expose_secret().replace("postgres@", "modest@");
    let store = Store::open(&config(url)).await.unwrap();
    store.record_delivery(&event("wh_1", "x"), 1).await.unwrap();
    assert!(store.event_watermark().await.unwrap() > EventSeq::default());
    assert!(store.server().await.unwrap().unwrap().writable);
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_are_synchronous_whatever_the_servers_default() {
    let fixture = Fixture::on_postgres().await;
    fixture.execute("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$").await;
    let store = fixture.another_handle().await;
    store.record_delivery(&event("wh_1", "x"), 1).await.unwrap();
    fixture
        .execute(
            "CREATE TABLE seen (setting text); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$; \
             CREATE TRIGGER note BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION note()",
        )
        .await;
    store.record_delivery(&event("wh_2", "x"), 1).await.unwrap();
    assert_eq!(fixture.select("SELECT setting FROM seen").await, [[Some("on".to_owned())]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_certificate_is_checked_as_the_url_asks() {
    let server = PostgresServer::start_with_tls();
    let (url, certificate) = server.tls_url("postgres");
    let certificate = certificate.display();
    let open = async |query: &str| Store::open(&config(format!("{url}?{query}"))).await;

    let verified = open(&format!("sslmode=verify-full&sslrootcert={certificate}")).await.unwrap();
    assert!(verified.server().await.unwrap().unwrap().encrypted);
    let unverified = open("sslmode=disable").await.unwrap();
    assert!(!unverified.server().await.unwrap().unwrap().encrypted);
    let unknown = open("sslmode=verify-full").await.unwrap_err();
    assert!(matches!(unknown, StoreError::Connect { .. }), "{unknown:?}");
    assert!(!unknown.is_unreachable(), "waiting does not help: {unknown:?}");
    // From the same authority, but for another name.
    let elsewhere = url.replace("localhost", "127.0.0.1");
    let query = format!("sslmode=verify-full&sslrootcert={certificate}");
    assert!(Store::open(&config(format!("{elsewhere}?{query}"))).await.is_err());
    Store::open(&config(format!("{elsewhere}?{}", query.replace("full", "ca")))).await.unwrap();
}

/// A database of an old version, with rows.
async fn old_database() -> String {
    let url = PostgresServer::shared().database();
    upgrade::start_old_worker(&url).await.unwrap();
    let rows = "INSERT INTO batch_results (project, batch_id, source, line, custom_id) \
                SELECT 'default', 'batch_1', 'output', n, 'request-' || n FROM generate_series(1, 1000) AS n";
    fixture::execute(&url, rows).await;
    url
}

async fn indexes(url: &str, wanted: &str) -> Vec<(String, bool)> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let select = "SELECT relname::text, indisvalid FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid \
                  WHERE relname LIKE $1 ORDER BY 1";
    sqlx::query_as(select).bind(wanted).fetch_all(&mut connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_index_build_is_restarted() {
    let url = old_database().await;
    fixture::execute(
        &url,
        "CREATE INDEX batch_results_by_custom_id_hash ON batch_results USING hash (custom_id); \
         UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = 'batch_results_by_custom_id_hash'::regclass",
    )
    .await;
    Store::open(&config(url.clone())).await.unwrap();
    let found = indexes(&url, "batch_results_by_custom_id%").await;
    assert_eq!(found, [("batch_results_by_custom_id_hash".to_owned(), true)]);
    assert!(indexes(&url, "%").await.iter().all(|(_, is_valid)| *is_valid));
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_write_while_indexes_are_built() {
    let url = old_database().await;
    let write = "INSERT INTO batch_results (project, batch_id, source, line, custom_id) VALUES \
                 ('default', 'batch_2', 'output', LINE, 'x')";
    let mut slow = PgConnection::connect(&url).await.unwrap();
    let mut open = slow.begin().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(write.replace("LINE", "1"))).execute(&mut *open).await.unwrap();
    let opened = url.clone();
    let upgrade = tokio::spawn(async move { Store::open(&config(opened)).await });
    // The build waits for the transaction that was open before it.
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND query LIKE 'CREATE INDEX CONCURRENTLY%batch_results%' AND wait_event_type = 'Lock'";
    let count = async |select: &'static str| {
        let mut looking = PgConnection::connect(&url).await.unwrap();
        sqlx::query_scalar::<_, i64>(select).fetch_one(&mut looking).await.unwrap()
    };
    test_support::wait::until("the build's wait", async || (count(waits).await > 0).then_some(())).await;
    fixture::execute(&url, &write.replace("LINE", "2")).await;
    assert!(!upgrade.is_finished());
    open.commit().await.unwrap();
    upgrade.await.unwrap().unwrap();
    assert_eq!(count("SELECT count(*) FROM batch_results").await, 1002);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_id_is_looked_up_by_its_index() {
    let fixture = Fixture::on_postgres().await;
    let explain = "SET enable_seqscan = off; EXPLAIN SELECT * FROM batch_results WHERE custom_id = 'x'";
    let plan = fixture.select_text(explain).await;
    assert!(
        plan.iter().flatten().flatten().any(|line| line.contains("batch_results_by_custom_id_hash")),
        "{plan:?}"
    );
}
