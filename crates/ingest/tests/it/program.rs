//! The program as a process: exit codes, log, signals.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use serde_json::Value;
use test_support::programs::{self, Program};
use test_support::redis::RedisServer;
use test_support::signed_webhook::{SECRET, SignedWebhook, now_secs};

use crate::harness::{Connection, RECEIVED, request};

/// Runs ingest to completion with these variables; returns the exit code and the output.
fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = Command::new(programs::path("ingest"))
        .args(arguments)
        .env_clear()
        .envs([("INGEST_ADDR", "127.0.0.1:0"), ("LOG_FORMAT", "pretty")])
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

fn start(redis: &RedisServer) -> Program {
    let url = redis.url();
    let environment = [
        ("INGEST_ADDR", "127.0.0.1:0"),
        ("ADMIN_ADDR", "127.0.0.1:0"),
        ("REDIS_URL", url.as_str()),
        ("OPENAI_WEBHOOK_SECRET", SECRET),
    ];
    Program::start("ingest", &environment)
}

/// Waits for the log line that contains `text`, and parses it.
fn logged(program: &mut Program, text: &str) -> Value {
    serde_json::from_str(&program.wait_for_log(text)).unwrap()
}

fn address(program: &mut Program, field: &str) -> SocketAddr {
    logged(program, &format!("\"{field}\":"))[field].as_str().unwrap().parse().unwrap()
}

#[test]
fn ingest_does_not_start_without_a_valid_secret() {
    for secret in ["", " ", "sk-proj-hunter2", "whsec_", "whsec_aHVudGVyMg==", "whsec_hunter2!"] {
        let (code, said) = run(&[], &[("OPENAI_WEBHOOK_SECRET", secret)]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("error: OPENAI_WEBHOOK_SECRET"), "{secret:?}: {said}");
        assert!(secret.len() < 8 || !said.contains(secret), "{said}");
    }
    let (code, said) = run(&[], &[]);
    assert!(code == Some(2) && said.contains("OPENAI_WEBHOOK_SECRET is not set"), "{said}");
    let good_and_bad = format!("{SECRET} nonsense");
    assert_eq!(run(&[], &[("OPENAI_WEBHOOK_SECRET", &good_and_bad)]).0, Some(2));
}

#[test]
fn a_secret_file_must_exist_and_excludes_the_variable() {
    let missing = run(&[], &[("OPENAI_WEBHOOK_SECRET_FILE", "/nowhere/secret")]);
    assert!(
        missing.0 == Some(2) && missing.1.contains("OPENAI_WEBHOOK_SECRET_FILE: cannot read /nowhere/secret"),
        "{missing:?}"
    );
    let both =
        run(&[], &[("OPENAI_WEBHOOK_SECRET_FILE", "/nowhere/secret"), ("OPENAI_WEBHOOK_SECRET", SECRET)]);
    assert!(both.0 == Some(2) && both.1.contains("both OPENAI_WEBHOOK_SECRET and"), "{both:?}");
}

#[test]
fn an_invalid_value_is_refused_with_the_name_of_the_setting() {
    for (name, value) in [
        ("INGEST_ADDR", "everywhere"),
        ("WEBHOOK_PATH", "openai"),
        ("MAX_BODY_BYTES", "1 GiB"),
        ("MAX_CONNECTIONS", "0"),
        ("MAX_STREAM_LENGTH", "-1"),
        ("DEDUPE_WINDOW_SECS", "1"),
        ("ADMIN_ADDR", "9100"),
        ("REDIS_URL", "http://127.0.0.1"),
        ("LOG_FORMAT", "xml"),
    ] {
        let (code, said) = run(&[], &[("OPENAI_WEBHOOK_SECRET", SECRET), (name, value)]);
        assert_eq!(code, Some(2), "{name}: {said}");
        assert!(said.contains(name), "{name}: {said}");
    }
}

#[test]
fn an_invalid_redis_url_is_refused_and_not_repeated() {
    for url in ["http://:hunter2@redis", "redis://:hunter2@redis:port", "redis://:hunter2@redis:6379/db"] {
        let (code, said) = run(&[], &[("OPENAI_WEBHOOK_SECRET", SECRET), ("REDIS_URL", url)]);
        assert!(code == Some(2) && said.contains("error: REDIS_URL"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn an_address_in_use_is_named_and_the_exit_code_is_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let environment =
        [("OPENAI_WEBHOOK_SECRET", SECRET), ("INGEST_ADDR", &addr), ("ADMIN_ADDR", "127.0.0.1:0")];
    let (code, said) = run(&[], &environment);
    assert!(code == Some(1) && said.contains("INGEST_ADDR: cannot listen on"), "{said}");
}

#[test]
fn healthcheck_checks_the_running_ingest() {
    let redis = RedisServer::start();
    let mut ingest = start(&redis);
    let admin = address(&mut ingest, "admin.addr").to_string();
    let (code, said) = run(&["--healthcheck"], &[("ADMIN_ADDR", &admin)]);
    assert_eq!(code, Some(0), "{said}");
    assert!(ingest.stop().success());
    let (code, said) = run(&["--healthcheck"], &[("ADMIN_ADDR", &admin)]);
    assert_eq!(code, Some(1), "{said}");
}

#[test]
fn sigterm_ends_ingest_with_0() {
    let redis = RedisServer::start();
    let mut ingest = start(&redis);
    address(&mut ingest, "ingest.addr");
    assert_eq!(ingest.stop().code(), Some(0));
}

#[tokio::test]
async fn a_second_sigterm_ends_ingest_immediately() {
    let redis = RedisServer::start();
    let mut ingest = start(&redis);
    let addr = address(&mut ingest, "ingest.addr");
    let bytes = request(&SignedWebhook::new("batch.completed", "batch_1"));
    let mut under_way = Connection::open(addr).await;
    under_way.send(&bytes[..bytes.len() - 1]).await;
    // The response on another connection proves that this one was accepted before it.
    let mut other = Connection::open(addr).await;
    other.send(&request(&SignedWebhook::new("batch.completed", "batch_0"))).await;
    other.response().await.expect(200, RECEIVED);
    ingest.signal("TERM");
    ingest.wait_for_log("a second signal stops immediately");
    ingest.signal("TERM");
    assert_eq!(ingest.wait().code(), Some(128 + 15));
}

#[tokio::test]
async fn untrusted_text_is_truncated_in_the_log() {
    const WEBHOOK: [(&str, &str); 2] = [("webhook-signature", "v1,x"), ("webhook-timestamp", "1")];
    let redis = RedisServer::start();
    let mut ingest = start(&redis);
    let (addr, admin) = (address(&mut ingest, "ingest.addr"), address(&mut ingest, "admin.addr"));
    let ask = async |addr: SocketAddr, request: String| {
        let mut connection = Connection::open(addr).await;
        connection.send(request.as_bytes()).await;
        connection.response().await.status
    };
    let long = |word: &str| format!("{word}{}", "x".repeat(12_000));
    let stray = |method: &str, path: &str, id: &str| {
        let [signature, timestamp] = WEBHOOK.map(|(name, value)| format!("{name}: {value}\r\n"));
        let rest = format!("Host: x\r\n{signature}{timestamp}webhook-id: {id}\r\nContent-Length: 0\r\n\r\n");
        format!("{method} {path} HTTP/1.1\r\n{rest}")
    };
    assert_eq!(ask(addr, stray("POST", &long("/path"), "1")).await, 404);
    assert_eq!(ask(addr, stray("POST", &long("/longer").repeat(4), "1")).await, 431);
    assert_eq!(ask(addr, stray("PUT", "/openai/webhook", &long("put"))).await, 405);
    assert_eq!(ask(addr, stray("POST", "/openai/webhook", &long("post"))).await, 400);
    assert_eq!(ask(admin, stray("GET", &long("/admin"), "1")).await, 404);
    let body =
        format!(r#"{{"id":"{}","type":"{}","data":{{"id":"{}"}}}}"#, long("evt"), long("type"), long("obj"));
    let signed = SignedWebhook::with_body("wh_1", body.into_bytes());
    let mut connection = Connection::open(addr).await;
    connection.send(&request(&signed)).await;
    connection.response().await.expect(200, RECEIVED);

    assert!(logged(&mut ingest, "a path other than")["http.path"].as_str().unwrap().starts_with("/pathxxx"));
    logged(&mut ingest, "a head over 16 KiB");
    logged(&mut ingest, "a method other than");
    assert!(logged(&mut ingest, "malformed_id")["webhook.id"].as_str().unwrap().starts_with("postxxx"));
    assert!(logged(&mut ingest, "\"accepted\"")["event.type"].as_str().unwrap().starts_with("typexxx"));
    assert!(ingest.stop().success());
    let cut = "x".repeat(257);
    assert!(ingest.log().iter().all(|line| !line.contains(&cut)), "{:#?}", ingest.log());
}

#[tokio::test]
async fn each_webhook_writes_one_log_line_with_its_outcome() {
    let redis = RedisServer::start();
    let mut ingest = start(&redis);
    let addr = address(&mut ingest, "ingest.addr");
    let post = async |webhook: &SignedWebhook| {
        let mut connection = Connection::open(addr).await;
        connection.send(&request(webhook)).await;
        connection.response().await
    };

    let webhook = SignedWebhook::with_body(
        "wh_1",
        br#"{"id":"evt_1","type":"batch.completed","data":{"id":"batch_1"}}"#.to_vec(),
    );
    post(&webhook).await.expect(200, RECEIVED);
    let line = logged(&mut ingest, r#""outcome":"accepted""#);
    for (field, value) in [
        ("webhook.id", "wh_1"),
        ("event.id", "evt_1"),
        ("event.type", "batch.completed"),
        ("event.family", "batch"),
        ("object.id", "batch_1"),
        ("project", "default"),
        ("level", "INFO"),
    ] {
        assert_eq!(line[field], value, "{field} in {line}");
    }
    assert_eq!(line["http.status"], 200);
    assert!(line["duration_ms"].is_u64(), "{line}");

    post(&webhook).await.expect(200, RECEIVED);
    assert_eq!(logged(&mut ingest, r#""outcome":"duplicate""#)["webhook.id"], "wh_1");

    let stale = SignedWebhook::signed_at("wh_2", webhook.body.clone(), now_secs() - 4000);
    assert_eq!(post(&stale).await.status, 400);
    let line = logged(&mut ingest, "stale_timestamp_genuine");
    assert_eq!((&line["outcome"], &line["level"]), (&"rejected".into(), &"WARN".into()));
    assert!(line["error"].as_str().unwrap().contains("check the clock of this machine"), "{line}");
    assert_eq!((&line["http.status"], &line["webhook.id"]), (&400.into(), &"wh_2".into()));

    assert!(ingest.stop().success());
    let log = ingest.log();
    assert_eq!(log.iter().filter(|line| line.contains("\"outcome\":")).count(), 3, "{log:#?}");
    let everything = log.join("\n");
    assert!(!everything.contains(SECRET) && !everything.contains(&webhook.signature), "{everything}");
}
