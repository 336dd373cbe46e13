//! PostgreSQL behind PgBouncer in transaction mode, shared with another application.

use std::collections::BTreeSet;
use std::str::FromStr as _;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection, Row as _, raw_sql};
use store::{EventFilter, ResultSource, Store};
use test_support::pgbouncer::PgBouncer;
use test_support::postgres::PostgresServer;

use crate::fixture::{self, Fixture};
use crate::samples::{batch, chunk, event, result};

/// Server connections that all clients share.
const SHARED: u32 = 3;

/// What another application sees on a server connection: its process id and settings.
async fn settings(transaction: &mut PgConnection) -> (i32, [String; 4]) {
    let ask = "SELECT pg_backend_pid(), current_setting('synchronous_commit'), current_setting('lock_timeout'), \
               current_setting('idle_in_transaction_session_timeout'), \
               (SELECT coalesce(string_agg(name, ',' ORDER BY name), '') FROM pg_prepared_statements)";
    let row = raw_sql(ask).fetch_one(transaction).await.unwrap();
    (row.get(0), [1, 2, 3, 4].map(|index| row.get::<String, _>(index)))
}

/// Eight writers, each with twenty events.
async fn write_at_once(store: &Store) {
    let writers = (0..8).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0..20 {
                let webhook_id = format!("wh_{writer}_{number}");
                store.record_delivery(&event(&webhook_id, "x"), 1).await.unwrap();
                assert_eq!(store.find(&webhook_id).await.unwrap().len(), 1);
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_applications_behind_the_pooler_keep_their_settings_and_our_commits_are_synchronous() {
    let direct = PostgresServer::shared().database();
    let name = direct.split('?').next().unwrap().rsplit('/').next().unwrap();
    fixture::execute(
        &direct,
        &format!(
            "ALTER DATABASE {name} SET synchronous_commit = off; ALTER DATABASE {name} SET lock_timeout = '7s'; \
             ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '8s'"
        ),
    )
    .await;
    let pooler = PgBouncer::start(PostgresServer::shared(), SHARED);
    // Another sqlx application has given its statements the names that ours would have.
    let mut others = Vec::new();
    for _ in 0..SHARED {
        // The pooler rejects this parameter.
        let options = PgConnectOptions::from_str(&pooler.url(name)).unwrap().extra_float_digits(None);
        others.push(options.connect().await.unwrap());
    }
    let mut transactions = Vec::new();
    for other in &mut others {
        let mut transaction = other.begin().await.unwrap();
        transaction.execute("PREPARE sqlx_s_1 AS SELECT 1; PREPARE sqlx_s_2 AS SELECT 2").await.unwrap();
        transactions.push(transaction);
    }
    for transaction in transactions {
        transaction.commit().await.unwrap();
    }

    let mut config = Fixture::through_pgbouncer().await.another_database();
    config.database_url = pooler.url(name).into();
    let store = Store::open(&config).await.unwrap();
    fixture::execute(
        &direct,
        "CREATE TABLE seen (pid int, setting text); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO seen VALUES (pg_backend_pid(), current_setting('synchronous_commit')); RETURN NEW; END $$; \
         CREATE TRIGGER note BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION note()",
    )
    .await;
    write_at_once(&store).await;
    store.begin_batch(&batch()).await.unwrap();
    store.append_batch_results(&chunk(ResultSource::Output, 1, vec![result(1)])).await.unwrap();
    store.event_watermark().await.unwrap();
    assert_eq!(
        store.list_events(&EventFilter { limit: 500, ..EventFilter::default() }).await.unwrap().len(),
        160
    );

    let mut direct = PgConnection::connect(&direct).await.unwrap();
    let ours = sqlx::query_as::<_, (i32, String)>("SELECT DISTINCT pid, setting FROM seen");
    let ours = ours.fetch_all(&mut direct).await.unwrap();
    assert!(ours.iter().all(|(_, setting)| setting == "on"), "{ours:?}");
    let ours: BTreeSet<i32> = ours.into_iter().map(|(pid, _)| pid).collect();

    // Uses all server connections at once, so that ours are among them.
    let mut theirs = BTreeSet::new();
    let mut transactions = Vec::new();
    for other in &mut others {
        let mut transaction = other.begin().await.unwrap();
        let (pid, found) = settings(&mut transaction).await;
        assert_eq!(found, ["off", "7s", "8s", "sqlx_s_1,sqlx_s_2"]);
        theirs.insert(pid);
        transactions.push(transaction);
    }
    assert!(!ours.is_empty() && ours.is_subset(&theirs), "{ours:?} of {theirs:?}");
}
