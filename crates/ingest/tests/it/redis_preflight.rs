//! A Redis that would lose events is refused at startup or when it becomes reachable; a nearly full one gets no events.

use std::io::{Read as _, Write as _};

use ingest::{Limits, RunError};
use test_support::programs::Program;
use test_support::redis::RedisServer;
use test_support::signed_webhook::{SECRET, SignedWebhook};
use test_support::wait;

use crate::harness::{RECEIVED, TestIngest};

const NEVER_LOSES: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

fn start(redis: &RedisServer, more: &[(&str, &str)]) -> Program {
    let url = redis.url();
    let mut environment = vec![
        ("INGEST_ADDR", "127.0.0.1:0"),
        ("ADMIN_ADDR", "127.0.0.1:0"),
        ("REDIS_URL", url.as_str()),
        ("OPENAI_WEBHOOK_SECRET", SECRET),
    ];
    environment.extend(more);
    Program::start("ingest", &environment)
}

/// Asserts that ingest refuses to start with these words in its error.
fn refused(redis: &RedisServer, more: &[(&str, &str)], words: &[&str]) {
    let mut program = start(redis, more);
    assert_eq!(program.wait().code(), Some(2));
    let said = wait::until_blocking("the error", || {
        let said = program.log().join("\n");
        said.contains("REDIS_URL").then_some(said)
    });
    for word in words {
        assert!(said.contains(word), "{word}: {said}");
    }
}

/// The raw reply to one command.
fn redis_says(redis: &RedisServer, command: &str) -> String {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", redis.port())).unwrap();
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn a_volatile_redis_is_refused_with_a_remedy_unless_allowed() {
    let redis = RedisServer::start_with(&[]);
    refused(&redis, &[], &["appendonly yes", "ALLOW_VOLATILE_REDIS=true"]);
    let mut allowed = start(&redis, &[("ALLOW_VOLATILE_REDIS", "true")]);
    allowed.wait_for_log("ingest.addr");
    assert!(allowed.wait_for_log("no append-only file").contains("WARN"));
    assert!(allowed.stop().success());
}

#[test]
fn a_redis_that_evicts_or_is_a_replica_is_refused() {
    let arguments =
        [&NEVER_LOSES[..], &["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]].concat();
    refused(&RedisServer::start_with(&arguments), &[], &["allkeys-lru", "noeviction"]);
    let redis = RedisServer::start();
    assert!(redis_says(&redis, "REPLICAOF 127.0.0.1 1").starts_with("+OK"));
    refused(&redis, &[], &["replica", "primary"]);
}

#[test]
fn a_managed_redis_without_config_is_accepted_with_a_warning() {
    let redis = RedisServer::start();
    assert!(redis_says(&redis, "ACL SETUSER default -config").starts_with("+OK"));
    let mut program = start(&redis, &[]);
    program.wait_for_log("ingest.addr");
    assert!(program.wait_for_log("CONFIG is refused").contains("WARN"));
    assert!(program.stop().success());
}

#[tokio::test]
async fn a_redis_that_starts_later_is_checked_before_the_first_event() {
    let mut redis = RedisServer::start_with(&[]);
    redis.kill();
    let mut ingest = TestIngest::start_on(redis, &[], Limits::default()).await;
    let response = ingest.post(&SignedWebhook::new("batch.completed", "batch_1")).await;
    response.expect(503, r#"{"error":"Queue unavailable"}"#);
    let metrics = ingest.admin("/metrics").await.body;
    assert!(metrics.contains("landfall_ingest_refusals_total{reason=\"redis_unchecked\"} 1\n"), "{metrics}");
    ingest.redis.resume();
    let ended = ingest.ended().await;
    assert!(matches!(ended, Err(RunError::Redis(_))), "{ended:?}");
    assert!(redis_says(&ingest.redis, "EXISTS {landfall}:events:batch").starts_with(":0"));
}

/// Makes Redis use this share of its `maxmemory`; it would still accept writes.
fn fill(ingest: &TestIngest, percent: u64) {
    // Large enough that the buffers of connections do not matter.
    assert!(redis_says(&ingest.redis, "SETRANGE padding 50000000 x").starts_with(":"));
    let info = redis_says(&ingest.redis, "INFO memory");
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    let used: u64 = used.trim().parse().unwrap();
    let limit = used * 100 / percent;
    assert!(redis_says(&ingest.redis, &format!("CONFIG SET maxmemory {limit}")).starts_with("+OK"));
}

#[tokio::test]
async fn dedupe_records_are_dropped_before_a_webhook_is_refused() {
    let ingest = TestIngest::start().await;
    let webhook = SignedWebhook::new("batch.completed", "batch_1");
    ingest.post(&webhook).await.expect(200, RECEIVED);
    // An older generation than the one of this webhook.
    redis_says(&ingest.redis, "SADD {landfall}:seen:1:5 42");
    redis_says(&ingest.redis, "ZADD {landfall}:seen 1000 1");
    let entries = || redis_says(&ingest.redis, "XLEN {landfall}:events:batch");
    let old_records_gone =
        async || redis_says(&ingest.redis, "EXISTS {landfall}:seen:1:5").starts_with(":0").then_some(());

    fill(&ingest, 75);
    wait::until("the oldest records to be dropped", old_records_gone).await;
    ingest.post(&webhook).await.expect(200, RECEIVED);
    assert!(entries().starts_with(":1"), "the newest records are still there");
    let metrics = ingest.admin("/metrics").await.body;
    let other =
        metrics.lines().find_map(|line| line.strip_prefix("landfall_redis_memory_bytes{use=\"other\"} "));
    assert!(other.unwrap().parse::<f64>().unwrap() > 50e6, "{metrics}");
    for sample in ["landfall_redis_memory_bytes{use=\"dedupe\"} ", "landfall_dedupe_records"] {
        assert!(metrics.lines().any(|line| line.starts_with(sample)), "{sample}: {metrics}");
    }

    fill(&ingest, 82);
    let enqueued_again = async || {
        ingest.post(&webhook).await.expect(200, RECEIVED);
        entries().starts_with(":2").then_some(())
    };
    wait::until("a duplicate to be accepted rather than an event rejected", enqueued_again).await;
}

#[tokio::test]
async fn dedupe_keys_of_an_earlier_version_are_dropped_at_start() {
    let redis = RedisServer::start();
    redis_says(&redis, "SET {landfall}:seen:default:wh_1 1 EX 600000");
    let ingest = TestIngest::start_on(redis, &[], Limits::default()).await;
    let dropped = async || {
        redis_says(&ingest.redis, "EXISTS {landfall}:seen:default:wh_1").starts_with(":0").then_some(())
    };
    wait::until("the key to be dropped", dropped).await;
}

#[tokio::test]
async fn a_nearly_full_redis_gets_no_events_until_it_has_free_memory() {
    let ingest = TestIngest::start().await;
    ingest.post(&SignedWebhook::new("batch.completed", "batch_0")).await.expect(200, RECEIVED);
    fill(&ingest, 90);
    let webhook = SignedWebhook::new("batch.completed", "batch_1");
    let refused = async || {
        let response = ingest.post(&SignedWebhook::new("batch.completed", "batch_n")).await;
        (response.status == 503).then_some(response)
    };
    let response = wait::until("ingest to close the gate", refused).await;
    assert!(response.header("retry-after").is_some());
    let metrics = ingest.admin("/metrics").await.body;
    assert!(metrics.contains("{reason=\"redis_nearly_full\"}"), "{metrics}");
    assert!(redis_says(&ingest.redis, "CONFIG SET maxmemory 0").starts_with("+OK"));
    let taken = async || (ingest.post(&webhook).await.status == 200).then_some(());
    wait::until("ingest to accept events again", taken).await;
}
