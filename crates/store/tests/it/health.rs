//! Health checks of the database, by real writes.

use secrecy::ExposeSecret as _;
use store::{Failure, Store, WriteFault};
use test_support::postgres::PostgresServer;
use webhook::{EventState, Reason};

use crate::fixture::Fixture;
use crate::samples::{completion, event};

const BODY_BYTES: usize = 64 << 10;

pub(crate) async fn the_write_check_leaves_no_rows(fixture: Fixture) {
    fixture.store.check_write(BODY_BYTES).await.unwrap();
    assert_eq!(fixture.select("SELECT count(*) FROM events").await[0][0].as_deref(), Some("0"));
    fixture.store.record_delivery(&event("wh_1", "resp_1"), 1).await.unwrap();
}

pub(crate) async fn the_newest_objects_are_listed_with_the_reason_they_are_incomplete(fixture: Fixture) {
    let store = &fixture.store;
    // Only the newest event of an object counts; events without an object, or not processed yet, are ignored.
    let add = async |webhook_id: &str, object_id: Option<&str>, secs: i64, reason: Option<Reason>| {
        let mut event = event(webhook_id, object_id.unwrap_or_default());
        event.object_id = object_id.map(str::to_owned);
        event.received_at = crate::samples::at(secs);
        store.record_delivery(&event, 1).await.unwrap();
        let mut done = completion(webhook_id);
        done.reason = reason;
        store.complete_event(&done).await.unwrap();
    };
    add("wh_1", Some("resp_old"), 1, None).await;
    add("wh_2", Some("resp_new"), 2, None).await;
    add("wh_3", Some("resp_new"), 3, Some(Reason::NotFound)).await;
    add("wh_4", None, 4, None).await;
    store.record_delivery(&event("wh_5", "resp_under_way"), 1).await.unwrap();
    let objects = store.recent_objects(5).await.unwrap();
    let named = |id: &str, reason: Option<&str>| (id.to_owned(), reason.map(str::to_owned));
    assert_eq!(objects, [named("resp_new", Some("not_found")), named("resp_old", None)]);
    assert_eq!(store.recent_objects(1).await.unwrap().len(), 1);

    assert_eq!(store.count_refused_events().await.unwrap(), 0);
    let failure = |webhook_id: &str, reason: Reason| Failure {
        project: "default".to_owned(),
        webhook_id: webhook_id.to_owned(),
        attempts: 1,
        state: EventState::Retrying,
        reason,
        error: "401".to_owned(),
        notifications: Vec::new(),
        attempt: None,
    };
    store.record_delivery(&event("wh_6", "resp_6"), 1).await.unwrap();
    store.fail_event(&failure("wh_5", Reason::Unauthorized)).await.unwrap();
    store.fail_event(&failure("wh_6", Reason::OpenaiUnavailable)).await.unwrap();
    assert_eq!(store.count_refused_events().await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_forbidden_and_unreachable_databases_are_distinguished() {
    let mut server = PostgresServer::start();
    let mut config = Fixture::on_sqlite().await.config;
    config.database_url = server.database().into();
    Store::open(&config).await.unwrap().check_write(BODY_BYTES).await.unwrap();
    let name = config.database_url.expose_secret().split(['/', '?']).nth(3).unwrap().to_owned();
    let fault = async |config: &store::StoreConfig| {
        let store = Store::open_existing(config).await.unwrap();
        store.check_write(BODY_BYTES).await.unwrap_err().write_fault()
    };

    server.sql(&name, &format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
    assert_eq!(fault(&config).await, WriteFault::ReadOnly);
    server.sql("postgres", &format!("ALTER DATABASE {name} RESET ALL"));

    server.sql(&name, "CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader");
    let mut reader = config.clone();
    reader.database_url = config.database_url.expose_secret().replace("postgres@", "reader@").into();
    assert_eq!(fault(&reader).await, WriteFault::NotPermitted);

    let store = Store::open_existing(&config).await.unwrap();
    server.kill();
    let error = tokio::time::timeout(test_support::wait::DEADLINE, store.check_write(1)).await.unwrap();
    assert_eq!(error.unwrap_err().write_fault(), WriteFault::Unreachable);
}

#[tokio::test(flavor = "multi_thread")]
async fn obstacles_are_reported_before_any_table_is_created() {
    let server = PostgresServer::shared();
    let url = server.database();
    let name = url.split(['/', '?']).nth(3).unwrap().to_owned();
    let mut config = Fixture::on_sqlite().await.config;
    let refused = async |config: &store::StoreConfig| {
        let looking = Store::open_existing(config).await.unwrap_err();
        let making = Store::open(config).await.unwrap_err();
        assert_eq!(looking.to_string(), making.to_string());
        assert!(!making.is_retryable());
        let store::StoreError::Obstructed { obstacle, .. } = making else { panic!("{making:?}") };
        obstacle
    };

    server.sql(&name, "REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE ROLE guest LOGIN");
    config.database_url = url.replace("postgres@", "guest@").into();
    let obstacle = refused(&config).await;
    assert_eq!(obstacle.to_string(), "the role guest may not create tables in the schema public");
    assert_eq!(obstacle.hint(), "run as the schema's owner: GRANT CREATE ON SCHEMA public TO guest");
    server.sql(&name, "GRANT CREATE ON SCHEMA public TO guest");
    let schema = Store::open(&config).await.unwrap().schema_version().await.unwrap();
    assert!(schema > 0);

    let url = server.database();
    let name = url.split(['/', '?']).nth(3).unwrap().to_owned();
    server.sql(&name, "CREATE TABLE events (mine int); CREATE TABLE files (mine int)");
    config.database_url = url.into();
    let obstacle = refused(&config).await;
    assert!(obstacle.to_string().ends_with("not Landfall's: events, files"), "{obstacle}");
    assert!(obstacle.hint().contains("a separate database"), "{}", obstacle.hint());
    assert_eq!(server.sql(&name, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "2");
}
