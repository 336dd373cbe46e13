//! Large heads: complete ones are rejected, and incomplete ones cannot exhaust the memory.

use std::net::SocketAddr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use test_support::programs::Program;
use test_support::redis::RedisServer;
use test_support::signed_webhook::{SECRET, SignedWebhook};

use crate::harness::{Connection, PATH, RECEIVED, TestIngest, head, request};

const TOO_LARGE: &str = r#"{"error":"Request header fields too large"}"#;
const LARGE_HEAD_BYTES: usize = 110 * 1024;
const ATTACKERS: usize = 3600;
/// Well below `INGEST_MEM_LIMIT` of docker-compose.yml, 512 MiB; the measured peak is 290 MiB.
const MEMORY_MAX_KIB: usize = 400 * 1024;

/// The headers of the webhook, and padding of this many bytes.
fn padded(webhook: &SignedWebhook, bytes: usize) -> Vec<(&'static str, String)> {
    let mut headers = webhook.headers().to_vec();
    headers.push(("padding", "x".repeat(bytes)));
    headers
}

#[tokio::test]
async fn a_head_over_16_kib_is_431_and_the_connection_is_closed() {
    let ingest = TestIngest::start().await;
    let webhook = SignedWebhook::new("batch.completed", "batch_1");
    let length = format!("Content-Length: {}", webhook.body.len());
    for path in [PATH, "/elsewhere"] {
        for bytes in [17 * 1024, LARGE_HEAD_BYTES] {
            let mut connection = ingest.connect().await;
            connection.send(&head(path, &padded(&webhook, bytes), &length)).await;
            connection.send(&webhook.body[..10]).await;
            let response = connection.response().await;
            response.expect(431, TOO_LARGE);
            assert_eq!(response.header("connection"), Some("close"));
            connection.closed().await;
        }
    }
    let long_path = format!("/{}", "p".repeat(20_000));
    ingest.ask(&head(&long_path, &[], "Content-Length: 0")).await.expect(431, TOO_LARGE);
    let fits = [head(PATH, &padded(&webhook, 15 * 1024), &length), webhook.body.clone()].concat();
    ingest.ask(&fits).await.expect(200, RECEIVED);
}

/// Starts the program with its defaults and returns its address. Raises the limit of this process to one socket per
/// attacker.
fn start(redis: &RedisServer) -> (Program, SocketAddr) {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let url = redis.url();
    let environment = [
        ("INGEST_ADDR", "127.0.0.1:0"),
        ("ADMIN_ADDR", "127.0.0.1:0"),
        ("REDIS_URL", url.as_str()),
        ("OPENAI_WEBHOOK_SECRET", SECRET),
    ];
    let mut program = Program::start("ingest", &environment);
    let line: serde_json::Value = serde_json::from_str(&program.wait_for_log("ingest.addr")).unwrap();
    (program, line["ingest.addr"].as_str().unwrap().parse().unwrap())
}

/// The peak memory of the program.
fn peak_kib(program: &Program) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

async fn deliver(addr: SocketAddr, number: usize) {
    let mut connection = Connection::open(addr).await;
    connection.send(&request(&SignedWebhook::new("batch.completed", &format!("batch_{number}")))).await;
    connection.response().await.expect(200, RECEIVED);
}

#[tokio::test]
async fn thousands_of_incomplete_large_heads_fit_in_memory_and_deliveries_are_answered() {
    let redis = RedisServer::start();
    let (mut program, addr) = start(&redis);
    let whole = head(PATH, &[("padding", "x".repeat(LARGE_HEAD_BYTES))], "Content-Length: 100");
    // The last line of the head is missing.
    let incomplete = &whole[..whole.len() - 2];
    let mut attackers = Vec::new();
    for number in 0..ATTACKERS {
        let mut connection = Connection::open(addr).await;
        connection.try_send(incomplete).await;
        attackers.push(connection);
        if number % 300 == 0 {
            deliver(addr, number).await;
        }
    }
    deliver(addr, ATTACKERS).await;
    let peak_kib = peak_kib(&program);
    assert!(peak_kib < MEMORY_MAX_KIB, "{peak_kib} KiB");
    assert!(program.stop().success());
}

#[tokio::test]
async fn thousands_of_complete_large_heads_without_a_body_are_refused() {
    let redis = RedisServer::start();
    let (mut program, addr) = start(&redis);
    let mut whole = head(PATH, &[("padding", "x".repeat(LARGE_HEAD_BYTES))], "Content-Length: 100");
    whole.extend_from_slice(b"ten bytes.");
    let mut attackers = Vec::new();
    for number in 0..ATTACKERS {
        let mut connection = Connection::open(addr).await;
        connection.send(&whole).await;
        attackers.push(connection);
        if number % 300 == 0 {
            deliver(addr, number).await;
        }
    }
    let mut refused = 0;
    for mut connection in attackers {
        // An evicted connection may have been closed before its response could be read.
        refused +=
            usize::from(connection.try_response().await.is_some_and(|response| response.status == 431));
    }
    assert!(refused > ATTACKERS / 2, "{refused} were answered 431");
    let peak_kib = peak_kib(&program);
    assert!(peak_kib < MEMORY_MAX_KIB, "{peak_kib} KiB");
    assert!(program.stop().success());
}
