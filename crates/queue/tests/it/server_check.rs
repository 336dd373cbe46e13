//! The check of a real server, and commands that it does not permit.

use queue::{QueueAdmin, QueueConfig, ServerFinding, ServerReport};
use test_support::redis::RedisServer;

fn admin(url: &str) -> QueueAdmin {
    QueueAdmin::new(&QueueConfig { url: url.into(), key_prefix: "landfall".to_owned() }).unwrap()
}

async fn report(arguments: &[&str]) -> ServerReport {
    let server = RedisServer::start_with(arguments);
    admin(&server.url()).check_server().await.unwrap()
}

#[tokio::test]
async fn a_server_as_we_ask_for_has_no_findings() {
    let report = report(&["--appendonly", "yes", "--appendfsync", "always", "--maxmemory", "100mb"]).await;
    assert_eq!(report.findings, []);
    assert!(report.name.starts_with("Redis ") || report.name.starts_with("Valkey "), "{}", report.name);
    assert!(report.clock_ahead_ms.is_some_and(|ms| ms.abs() < 1000), "{report:?}");
}

#[tokio::test]
async fn a_server_with_default_settings_has_findings() {
    let report = report(&[]).await;
    assert_eq!(report.findings, [ServerFinding::Volatile, ServerFinding::NoMemoryLimit]);
}

#[tokio::test]
async fn a_cache_is_reported_to_evict_events() {
    let report = report(&[
        "--appendonly",
        "yes",
        "--appendfsync",
        "everysec",
        "--maxmemory",
        "100mb",
        "--maxmemory-policy",
        "allkeys-lru",
    ])
    .await;
    let policy = "allkeys-lru".to_owned();
    assert_eq!(report.findings, [ServerFinding::FsyncEverySecond, ServerFinding::EvictsEvents { policy }]);
}

/// Runs one command, its words separated by blanks.
async fn command(server: &RedisServer, words: &str) {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut command = redis::Cmd::new();
    for word in words.split(' ') {
        command.arg(word);
    }
    command.query_async::<()>(&mut connection).await.unwrap();
}

#[tokio::test]
async fn what_a_managed_service_refuses_is_not_an_error() {
    let server = RedisServer::start_with(&["--appendonly", "yes", "--maxmemory", "100mb"]);
    for (refused, finding) in [("config", ServerFinding::ConfigRefused), ("info", ServerFinding::InfoRefused)]
    {
        command(&server, &format!("ACL SETUSER default -{refused}")).await;
        let report = admin(&server.url()).check_server().await.unwrap();
        assert_eq!(report.findings, [finding]);
    }
}

#[tokio::test]
async fn a_replica_is_recognized() {
    let primary = RedisServer::start();
    let server = RedisServer::start();
    command(&server, &format!("REPLICAOF 127.0.0.1 {}", primary.port())).await;
    let report = admin(&server.url()).check_server().await.unwrap();
    assert!(report.findings.contains(&ServerFinding::Replica), "{report:?}");
}
