//! No failure reveals the API key or the webhook secret anywhere, or a body in a log.

use std::fs;
use std::path::Path;

use fake_openai::{Fault, FaultKind};
use serde_json::json;
use test_support::programs::Program;
use test_support::signed_webhook::{SECRET, SignedWebhook};
use webhook::{EventState, Reason};

use crate::harness::{API_KEY, Landfall};

/// Markers in OpenAI's responses and in its events.
const OF_THE_API: &str = "Zebra-of-the-API";
const OF_AN_EVENT: &str = "Okapi-of-an-event";

fn assert_without(what: &str, bytes: &[u8], secrets: &[&str]) {
    for secret in secrets {
        let found = bytes.windows(secret.len()).position(|window| window == secret.as_bytes());
        if let Some(at) = found {
            let context = &bytes[at.saturating_sub(300)..bytes.len().min(at + 100)];
            panic!("{what} shows {secret}: {}", String::from_utf8_lossy(context));
        }
    }
}

/// Adds objects with recognisable text, and provokes every kind of failure.
async fn provoke(landfall: &Landfall) {
    let fake = &landfall.fake;
    let output = json!([{"type": "message", "content": [{"type": "output_text", "text": OF_THE_API}]}]);
    for id in ["resp_secret", "resp_cut", "resp_dead", "resp_late"] {
        fake.add_response(
            json!({"id": id, "status": "completed", "output": output, "metadata": {"m": OF_THE_API}}),
        );
    }
    let lines = format!("{OF_THE_API}\n\"{OF_THE_API}\"\n{{\"custom_id\":\"{OF_THE_API}\",\n{{}}\n");
    fake.add_file("file-secret", &json!({"filename": "f"}), lines.clone());
    fake.add_batch(json!({"id": "batch_secret", "status": "completed", "output_file_id": "file-secret",
        "request_counts": {"total": 9}}));
    let job = json!({"id": "ftjob-secret", "object": "fine_tuning.job", "status": "failed", "result_files": ["file-secret"]});
    fake.add_object(&job).unwrap();
    for (kind, path) in [
        (FaultKind::InvalidJson, "/resp_secret"),
        (FaultKind::Status(502), "/resp_secret"),
        (FaultKind::CutBody, "/resp_cut"),
        (FaultKind::CutBody, "/file-secret/content"),
        (FaultKind::InsufficientQuota, "/resp_cut"),
        // Once more without the newer parts of the response.
        (FaultKind::Status(400), "/resp_dead"),
        (FaultKind::Status(400), "/resp_dead"),
        (FaultKind::InvalidJson, "/batch_secret"),
    ] {
        fake.inject(Fault::times(kind, path, 1));
    }
    for (event_type, object_id) in [
        ("response.completed", "resp_secret"),
        ("response.completed", "resp_cut"),
        ("response.completed", "resp_dead"),
        ("batch.completed", "batch_secret"),
        ("fine_tuning.job.failed", "ftjob-secret"),
        ("eval.run.failed", "evalrun_unknown"),
    ] {
        landfall.send(event_type, object_id).await;
    }
    let embedded = format!(
        r#"{{"type":"response.completed","data":{{"id":"resp_gone","status":"completed","output_text":"{OF_AN_EVENT}"}}}}"#
    );
    let bodies = [embedded, OF_AN_EVENT.to_owned(), format!(r#"{{"type":"x.y","data":"{OF_AN_EVENT}"}}"#)];
    for (number, body) in bodies.into_iter().enumerate() {
        let webhook = SignedWebhook::with_body(&format!("wh_body_{number}"), body.into_bytes());
        assert_eq!(landfall.post(&webhook).await.0, 200);
    }
    let mut forged = SignedWebhook::with_body("wh_forged", OF_AN_EVENT.into());
    forged.body.push(b'!');
    assert_eq!(landfall.post(&forged).await.0, 400);
    landfall.settled().await;
    fake.set_api_key(Some("sk-the-next-key"));
    let late = landfall.send("response.completed", "resp_late").await;
    let waiting = landfall.event_when(&late, |event| event.state == EventState::Retrying).await;
    assert_eq!(waiting.reason, Some(Reason::Unauthorized));
}

/// All errors in Redis, and everything else in it.
fn redis_texts(url: &str) -> (Vec<u8>, Vec<u8>) {
    let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
    let (mut errors, mut everything) = (Vec::new(), Vec::new());
    for key in keys {
        let kind: String = redis::cmd("TYPE").arg(&key).query(&mut connection).unwrap();
        let mut command = redis::cmd(match kind.as_str() {
            "stream" => "XRANGE",
            "hash" => "HGETALL",
            "zset" => "ZRANGE",
            "set" => "SMEMBERS",
            _ => "GET",
        });
        command.arg(&key);
        if kind == "stream" {
            command.arg("-").arg("+");
        } else if kind == "zset" {
            command.arg(0).arg(-1);
        }
        let value: redis::Value = command.query(&mut connection).unwrap();
        let mut strings = Vec::new();
        collect_strings(&value, &mut strings);
        everything.extend(strings.concat());
        // The fields of an entry alternate between name and value; in the hash of attempts, errors are part of the values.
        let of_dead_letters = strings.windows(2).filter(|pair| pair[0].ends_with(b"error"));
        errors.extend(of_dead_letters.flat_map(|pair| pair[1].clone()));
        if kind == "hash" {
            errors.extend(strings.concat());
        }
    }
    (errors, everything)
}

fn collect_strings(value: &redis::Value, strings: &mut Vec<Vec<u8>>) {
    match value {
        redis::Value::BulkString(bytes) => strings.push(bytes.clone()),
        redis::Value::Array(values) => values.iter().for_each(|value| collect_strings(value, strings)),
        _ => {}
    }
}

fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_failure_shows_the_key_anywhere_or_a_body_in_a_log() {
    let mut landfall = Landfall::start_with(1, &[("RUST_LOG", "trace")]).await;
    provoke(&landfall).await;

    for reason in ["bad_answer", "not_found", "unauthorized", "rejected", "rate_limited", "quarantined"] {
        landfall.workers[0].wait_for_log(reason);
    }
    // The worker's libraries log at this level; those of ingest do not.
    landfall.workers[0].wait_for_log("\"level\":\"TRACE\"");
    for program in [&landfall.ingest, &landfall.workers[0]] {
        let log = program.log();
        let metrics = landfall.metrics(program).await;
        for (what, text) in [("a log", log.join("\n")), ("the metrics", metrics)] {
            assert_without(what, text.as_bytes(), &[API_KEY, SECRET, OF_THE_API, OF_AN_EVENT]);
        }
    }
    let (errors, everything) = redis_texts(&landfall.redis.url());
    assert!(String::from_utf8_lossy(&errors).contains("400"), "the dead letter has no reason");
    assert_without("an error in Redis", &errors, &[OF_THE_API, OF_AN_EVENT]);
    assert_without("Redis", &everything, &[API_KEY, SECRET]);
    for file in files_below(landfall.folder()) {
        assert_without(&file.display().to_string(), &fs::read(&file).unwrap(), &[API_KEY, SECRET]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_shows_the_key_or_the_secret() {
    let landfall = Landfall::start().await;
    provoke(&landfall).await;
    let base_url = landfall.fake.base_url();
    let mut shown = Vec::new();
    // The API key is accepted, refused, or the API is unreachable.
    for (key_accepted, base_url) in
        [(true, base_url.as_str()), (false, &base_url), (false, "http://127.0.0.1:9/v1")]
    {
        landfall.fake.set_api_key(Some(if key_accepted { API_KEY } else { "sk-the-next-key" }));
        for command in [
            &["status"][..],
            &["events"],
            &["show", "resp_dead"],
            &["show", "batch_secret"],
            &["results", "batch_secret"],
            &["fetch", "resp_gone", "--no-wait"],
            &["fetch", "--missing", "--no-wait"],
            &["replay", "wh_body_0"],
            &["doctor"],
            &["secret", "check"],
        ] {
            for json in [false, true] {
                let mut arguments = command.to_vec();
                arguments.extend(json.then_some("--json"));
                let settings =
                    [("OPENAI_API_KEY", API_KEY), ("OPENAI_BASE_URL", base_url), ("RUST_LOG", "trace")];
                let output = landfall.landfall_with(&settings, &arguments);
                assert_without(&arguments.join(" "), &output.stdout, &[API_KEY, SECRET]);
                assert_without(&arguments.join(" "), &output.stderr, &[API_KEY, SECRET]);
                shown.extend(output.stdout);
            }
        }
    }
    let shown = String::from_utf8_lossy(&shown);
    assert!(shown.contains("unauthorized") && shown.contains("rejected"), "{shown}");
}

#[test]
fn a_setting_that_is_refused_is_not_repeated_when_it_holds_a_secret() {
    let key = "sk-recognisable-key";
    let with_newline = format!("{key}\nx");
    let (in_url, in_redis) = (format!("https://{key}@api.example/v1"), format!("redis://:{key}@nowhere:x"));
    for (name, value) in [
        ("OPENAI_API_KEY", with_newline.as_str()),
        ("OPENAI_BASE_URL", &in_url),
        ("REDIS_URL", &in_redis),
        ("DATABASE_URL", &format!("mysql://user:{key}@host/db")),
    ] {
        let mut settings = vec![("OPENAI_API_KEY", "sk-x")];
        settings.retain(|(known, _)| *known != name);
        settings.push((name, value));
        let mut worker = Program::start("worker", &settings);
        assert!(!worker.wait().success(), "{name}");
        let printed = test_support::wait::until_blocking("the refusal", || {
            let printed = worker.log().join("\n");
            (!printed.is_empty()).then_some(printed)
        });
        assert_without(name, printed.as_bytes(), &[key]);
    }
}
