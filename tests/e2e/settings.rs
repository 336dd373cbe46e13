//! Invalid settings are refused at start, with their name, and without printing a secret.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::Value;
use test_support::programs::{self, Program};
use test_support::redis::RedisServer;
use test_support::signed_webhook::SECRET;

use crate::harness::{API_KEY, Landfall};

fn refusal(program: &str, environment: &[(&str, &str)]) -> String {
    let mut program = Program::start(program, environment);
    assert_eq!(program.wait().code(), Some(2));
    test_support::wait::until_blocking("the refusal", || {
        let printed = program.log().join("\n");
        (!printed.is_empty()).then_some(printed)
    })
}

#[test]
fn ingest_refuses_a_missing_an_empty_and_a_malformed_secret() {
    let missing = refusal("ingest", &[]);
    assert!(missing.contains("OPENAI_WEBHOOK_SECRET"), "{missing}");
    for secret in ["", "   ", "whsec_c2hvcnQ=", "sk-not-a-webhook-secret", "whsec_%%%%"] {
        let printed = refusal("ingest", &[("OPENAI_WEBHOOK_SECRET", secret)]);
        assert!(printed.contains("OPENAI_WEBHOOK_SECRET"), "{printed}");
        assert!(secret.trim().len() < 8 || !printed.contains(secret.trim()), "{printed}");
    }
}

#[test]
fn the_worker_refuses_to_start_without_an_api_key_unless_fetching_is_off() {
    let printed = refusal("worker", &[]);
    assert!(printed.contains("OPENAI_API_KEY") && printed.contains("FETCH=off"), "{printed}");
}

#[test]
fn invalid_values_are_refused_with_the_setting_and_a_hint() {
    let redis = RedisServer::start();
    let secret = ("OPENAI_WEBHOOK_SECRET", test_support::signed_webhook::SECRET);
    let url = redis.url();
    let cases = [
        ("ingest", "MAX_BODY_BYTES", "lots"),
        ("ingest", "INGEST_ADDR", "everywhere"),
        ("ingest", "REDIS_URL", "localhost"),
        ("worker", "WORKER_FAMILIES", "batch,respones"),
        ("worker", "WORKER_CONCURRENCY", "batch=none"),
        ("worker", "LEASE_SECS", "-1"),
        ("worker", "DATABASE_URL", "mysql://x"),
        ("worker", "FETCH", "perhaps"),
    ];
    for (program, name, value) in cases {
        let mut environment = vec![("REDIS_URL", url.as_str()), ("OPENAI_API_KEY", "sk-x"), secret];
        environment.retain(|(known, _)| *known != name);
        environment.push((name, value));
        let printed = refusal(program, &environment);
        assert!(printed.contains(name), "{name}: {printed}");
    }
}

#[test]
fn what_is_no_api_key_is_refused_by_name_and_not_repeated() {
    for key in [
        "\"sk-hunter2\"",
        "Bearer sk-hunter2",
        "sk-hunter2 sk-hunter2",
        "whsec_hunter2",
        "\u{201c}sk-hunter2\u{201d}",
    ] {
        let printed = refusal("worker", &[("OPENAI_API_KEY", key)]);
        assert!(printed.contains("OPENAI_API_KEY: it ") && !printed.contains("hunter2"), "{printed}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, key).unwrap();
        let printed = refusal("worker", &[("OPENAI_API_KEY_FILE", file.to_str().unwrap())]);
        assert!(printed.contains("OPENAI_API_KEY_FILE: it ") && !printed.contains("hunter2"), "{printed}");
    }
    for (name, value) in [("OPENAI_ORG_ID", "\"org-1\""), ("OPENAI_PROJECT_ID", "proj 1")] {
        let printed = refusal("worker", &[("OPENAI_API_KEY", "sk-x"), (name, value)]);
        assert!(printed.contains(name) && printed.contains("without quotes and spaces"), "{printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blanks_newlines_and_byte_order_marks_around_settings_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, format!("\u{feff}{API_KEY}\r\n")).unwrap();
    let file = format!(" {}\n", file.display());
    // An empty value counts as not set: the key is in the file.
    let settings = [
        ("OPENAI_API_KEY", "\n"),
        ("OPENAI_API_KEY_FILE", file.as_str()),
        ("OPENAI_ORG_ID", " org-1\n"),
        ("OPENAI_PROJECT_ID", "proj_1\n"),
        ("WORKER_FAMILIES", "response\n"),
        ("LEASE_SECS", " 2\n"),
    ];
    let landfall = Landfall::start_with(1, &settings).await;
    landfall.send("response.completed", "resp_demo_research").await;
    landfall.settled().await;
    assert_eq!(landfall.show("resp_demo_research")["status"], "completed");
    let padded = format!("\n {API_KEY}\t\n");
    let answer = landfall.landfall_with(
        &[("OPENAI_API_KEY", &padded), ("OPENAI_BASE_URL", &format!("{}\n", landfall.fake.base_url()))],
        &["doctor", "--json"],
    );
    let findings = String::from_utf8(answer.stdout).unwrap();
    assert!(findings.contains("the OpenAI API accepts OPENAI_API_KEY"), "{findings}");
}

/// The output, the exit code and the log lines of a program that fails to start.
fn start_error(
    program: &str,
    log_format: &str,
    settings: &[(&str, &str)],
    arguments: &[&str],
) -> (i32, Vec<String>) {
    let output = Command::new(programs::path(program))
        .args(arguments)
        .env_clear()
        .envs([("LOG_FORMAT", log_format), ("RUST_BACKTRACE", "1"), ("RUST_LOG", "off")])
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    assert!(output.stdout.is_empty());
    let printed = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), printed.lines().map(str::to_owned).collect())
}

#[test]
fn a_startup_error_is_one_line_and_json_if_the_log_is_json() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}/landfall.db", folder.path().display());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let redis = RedisServer::start();
    let url = redis.url();
    let right = [
        ("OPENAI_WEBHOOK_SECRET", SECRET),
        ("OPENAI_API_KEY", "sk-x"),
        ("REDIS_URL", url.as_str()),
        ("DATABASE_URL", database.as_str()),
        ("FILES_URL", folder.path().to_str().unwrap()),
        ("INGEST_ADDR", "127.0.0.1:0"),
        ("ADMIN_ADDR", "127.0.0.1:0"),
    ];
    let cases: [(&str, &str, &str, i32, &[&str]); 12] = [
        (
            "worker",
            "ADMIN_ADDR",
            &taken,
            1,
            &["ADMIN_ADDR: cannot listen on", "perhaps another worker", "port 0"],
        ),
        ("worker", "FILES_URL", "/proc/nowhere", 1, &["FILES_URL"]),
        ("worker", "DATABASE_URL", "sqlite:///proc/nowhere/x.db", 1, &["DATABASE_URL"]),
        ("worker", "OPENAI_API_KEY", "", 2, &["OPENAI_API_KEY is not set", "FETCH=off"]),
        ("worker", "RETRY_MIN_SECS", "999999", 2, &["RETRY_MIN_SECS"]),
        (
            "worker",
            "LEASE_SECS",
            "soon",
            2,
            &["LEASE_SECS (--lease-secs) cannot be \"soon\"", "write a number of seconds"],
        ),
        ("worker", "NOTIFICATION_SCHEDULE", "5;300", 2, &["NOTIFICATION_SCHEDULE", "separated by commas"]),
        ("worker", "REDIS_URL", "redis://:hunter2#x@redis", 2, &["REDIS_URL", "%23"]),
        ("ingest", "ADMIN_ADDR", &taken, 1, &["ADMIN_ADDR: cannot listen on", "port 0"]),
        ("ingest", "INGEST_ADDR", &taken, 1, &["INGEST_ADDR: cannot listen on"]),
        ("ingest", "INGEST_TLS_CERT", "/nowhere", 2, &["INGEST_TLS_CERT"]),
        ("ingest", "OPENAI_WEBHOOK_SECRET", "whsec_x", 2, &["OPENAI_WEBHOOK_SECRET"]),
    ];
    let check = |program: &str, settings: &[(&str, &str)], arguments: &[&str], code: i32, parts: &[&str]| {
        let (exit_code, printed) = start_error(program, "pretty", settings, arguments);
        assert_eq!((exit_code, printed.len()), (code, 1), "{parts:?}: {printed:#?}");
        let text = printed[0].strip_prefix("error: ").unwrap_or_else(|| panic!("{printed:?}"));
        let (exit_code, printed) = start_error(program, "json", settings, arguments);
        assert_eq!((exit_code, printed.len()), (code, 1), "{parts:?}: {printed:#?}");
        let line: Value = serde_json::from_str(&printed[0]).unwrap();
        assert_eq!((&line["level"], &line["error"]), (&"ERROR".into(), &text.into()));
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z') && line["message"].is_string(), "{line}");
        assert!(
            parts.iter().all(|part| text.contains(part)) && !text.contains("hunter2"),
            "{parts:?}: {text}"
        );
    };
    for (program, name, value, code, parts) in cases {
        let mut settings = right.to_vec();
        settings.retain(|(known, _)| *known != name);
        settings.push((name, value));
        check(program, &settings, &[], code, parts);
    }
    for program in ["worker", "ingest"] {
        check(program, &right, &["--lease-sec=5", "--nonsense"], 2, &["unexpected argument"]);
        check(program, &[("ADMIN_ADDR", "127.0.0.1:9")], &["--healthcheck"], 1, &["does not respond"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_stores_is_readable_by_its_user_alone() {
    let landfall = Landfall::start().await;
    landfall.send("batch.completed", "batch_demo_completed").await;
    landfall.settled().await;
    let (mut files, mut folders) = (Vec::new(), vec![landfall.folder().join("files")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
        files.push(folder);
    }
    assert!(files.iter().filter(|path| path.is_file()).count() >= 1, "{files:?}");
    files.extend(["landfall.db", "landfall.db-wal"].map(|name| landfall.folder().join(name)));
    for path in files {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    }
}
