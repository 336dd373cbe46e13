//! Files that are read at run time: an invalid file of targets stops nothing, and a read that hangs does not prevent a
//! program from stopping.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Command;

use test_support::programs::Program;
use test_support::receiver::{Receiver, Reply};
use test_support::signed_webhook::SECRET;
use test_support::wait;

use crate::harness::{Landfall, log_field};

const BROKEN: &str = "[[targets]]\nname = 5\n";
const O_NONBLOCK: i32 = 0o4000;

fn target(server: &Receiver) -> String {
    format!(
        "[notifications]\nallow = [\"127.0.0.1\"]\n[[targets]]\nname = \"app\"\nurl = \"{}\"\nsecret_env = \"APP\"\n",
        server.url()
    )
}

/// Waits until `/readyz` has this status and reason. A worker that has just started may still wait for its first read of
/// the queue.
async fn readiness_is(program: &mut Program, status: u16, reason: &str) {
    let addr = log_field(&program.wait_for_log("admin.addr"), "admin.addr");
    let answers = async || {
        let answer = reqwest::get(format!("http://{addr}/readyz")).await.unwrap();
        let matches = answer.status() == status && answer.text().await.unwrap().contains(reason);
        matches.then_some(())
    };
    wait::until(&format!("readiness to be {status} {reason}"), answers).await;
}

/// Creates a FIFO.
fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Waits until a process reads a FIFO. Its read blocks as long as the result lives.
fn being_read(path: &Path) -> File {
    let open = || File::options().write(true).custom_flags(O_NONBLOCK).open(path).ok();
    wait::until_blocking("the file to be read", open)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_of_targets_at_the_start_stops_nothing_and_is_said_everywhere() {
    let server = Receiver::start(|_| Reply::ok()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("landfall.toml");
    std::fs::write(&path, BROKEN).unwrap();
    let settings = [("LANDFALL_CONFIG", path.to_str().unwrap()), ("APP", SECRET)];
    let mut landfall = Landfall::start_with(1, &settings).await;
    landfall.send("response.completed", "resp_demo_research").await;
    landfall.settled().await;
    assert_eq!(landfall.show("resp_demo_research")["status"], "completed");
    let line = landfall.workers[0].wait_for_log("no target is notified");
    assert!(line.contains("ERROR") && line.contains("line 2: name"), "{line}");
    readiness_is(&mut landfall.workers[0], 503, "line 2: name").await;
    let doctor = landfall.landfall_with(&settings, &["doctor", "--json"]);
    let findings = String::from_utf8(doctor.stdout).unwrap();
    let about_targets = |line: &&str| line.contains("\"targets\"") && line.contains("\"wrong\"");
    assert!(findings.lines().any(|line| about_targets(&line) && line.contains("line 2: name")), "{findings}");

    std::fs::write(&path, target(&server)).unwrap();
    landfall.workers[0].wait_for_log("the targets file was reloaded");
    readiness_is(&mut landfall.workers[0], 200, "").await;
    landfall.send("batch.completed", "batch_demo_completed").await;
    server.wait_for(1).await;

    std::fs::write(&path, "").unwrap();
    let line = landfall.workers[0].wait_for_log("targets were removed from the file");
    assert!(line.contains("WARN") && log_field(&line, "targets") == "app", "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_targets_that_hangs_keeps_no_worker_from_working_and_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("landfall.toml");
    make_fifo(&path);
    let settings = [("LANDFALL_CONFIG", path.to_str().unwrap()), ("APP", SECRET)];
    let mut landfall = Landfall::start_with(1, &settings).await;
    landfall.workers[0].wait_for_log("takes longer than 5 s");
    landfall.send("response.completed", "resp_demo_research").await;
    landfall.settled().await;
    assert!(landfall.workers[0].stop().success());

    // A file that hangs later, like one on an unreachable network file system.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "").unwrap();
    landfall.add_worker();
    std::fs::remove_file(&path).unwrap();
    make_fifo(&path);
    let _silent = being_read(&path);
    assert!(landfall.workers[1].stop().success());
}

#[test]
fn a_secret_that_hangs_keeps_no_program_from_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    make_fifo(&path);
    let file = path.to_str().unwrap();
    for (program, name) in [
        ("worker", "OPENAI_API_KEY_FILE"),
        ("worker", "RESULTS_SECRET_FILE"),
        ("console", "RESULTS_SECRET_FILE"),
        ("worker", "DATABASE_PASSWORD_FILE"),
        ("ingest", "OPENAI_WEBHOOK_SECRET_FILE"),
        ("ingest", "REDIS_PASSWORD_FILE"),
    ] {
        let mut settings = vec![
            ("OPENAI_API_KEY", "sk-x"),
            ("OPENAI_WEBHOOK_SECRET", SECRET),
            ("RESULTS_BASE_URL", "http://localhost"),
            ("RESULTS_SECRET", SECRET),
            ("DATABASE_URL", "postgres://user@127.0.0.1:9/none"),
        ];
        settings.retain(|(known, _)| *known != name.trim_end_matches("_FILE"));
        settings.push((name, file));
        let mut program = Program::start(program, &settings);
        let _silent = being_read(&path);
        assert_eq!(program.stop().code(), Some(0), "{name}");
    }
}

#[test]
fn a_certificate_that_hangs_does_not_keep_ingest_from_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let redis = test_support::redis::RedisServer::start();
    let url = redis.url();
    let settings = [
        ("OPENAI_WEBHOOK_SECRET", SECRET),
        ("REDIS_URL", url.as_str()),
        ("INGEST_ADDR", "127.0.0.1:0"),
        ("ADMIN_ADDR", "127.0.0.1:0"),
        ("INGEST_TLS_CERT", certificate.to_str().unwrap()),
        ("INGEST_TLS_KEY", key.to_str().unwrap()),
    ];
    let mut ingest = Program::start("ingest", &settings);
    ingest.wait_for_log("receiving webhooks");
    std::fs::remove_file(&certificate).unwrap();
    make_fifo(&certificate);
    let silent = being_read(&certificate);
    assert_eq!(ingest.stop().code(), Some(0));

    drop(silent);
    let mut ingest = Program::start("ingest", &settings);
    let _silent = being_read(&certificate);
    assert_eq!(ingest.stop().code(), Some(0), "ingest hangs at startup");
}
