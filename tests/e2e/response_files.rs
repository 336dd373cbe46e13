//! Files that a response's code interpreter made: what can be had is stored, the rest has a state, and neither costs the
//! response or its event anything.

use std::time::Duration;

use fake_openai::{Fault, FaultKind};
use serde_json::{Value, json};
use store::ResponseFileState;
use test_support::receiver::{Receiver, Reply};
use test_support::signed_webhook::SECRET;
use test_support::wait;
use webhook::{EventState, Reason};

use crate::harness::{Database, Landfall};
use crate::raw_redis::redis;

const CONTAINER: &str = "cntr_test";

/// Settings of workers with one target, which counts notifications.
struct Target {
    receiver: Receiver,
    _folder: tempfile::TempDir,
    config: String,
}

impl Target {
    async fn start() -> Self {
        let receiver = Receiver::start(|_| Reply::ok()).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("landfall.toml");
        let text = format!(
            "[notifications]\nallow = [\"127.0.0.1/32\"]\n[[targets]]\nname = \"app\"\nurl = \"{}\"\n\
             secret_env = \"APP_SECRET\"\n",
            receiver.url()
        );
        std::fs::write(&path, text).unwrap();
        Self { receiver, config: path.display().to_string(), _folder: folder }
    }

    fn settings(&self) -> [(&str, &str); 2] {
        [("LANDFALL_CONFIG", &self.config), ("APP_SECRET", SECRET)]
    }

    /// The only notification.
    async fn notification(&self) -> Value {
        self.receiver.wait_for(1).await;
        let received = self.receiver.received();
        assert_eq!(received.len(), 1, "a notification is sent once");
        serde_json::from_slice(&received[0].body).unwrap()
    }
}

/// Adds a response that cites these files, and the files to their container.
fn add_response(landfall: &Landfall, id: &str, files: &[&str]) {
    let citation = |file: &&str| {
        json!({"type": "container_file_citation", "container_id": CONTAINER, "file_id": file,
               "filename": format!("{file}.csv"), "start_index": 0, "end_index": 1})
    };
    let annotations: Vec<Value> = files.iter().map(citation).collect();
    let text = json!({"type": "output_text", "text": "See the files.", "annotations": annotations});
    landfall.fake.add_response(json!({
        "id": id, "status": "completed", "created_at": 1_795_305_600,
        "output": [{"id": "msg_1", "type": "message", "role": "assistant", "content": [text]}],
    }));
    for file in files {
        landfall.fake.add_container_file(CONTAINER, file, &format!("{file}.csv"), content(file));
    }
}

fn content(file: &str) -> String {
    format!("id,value\n{file},1\n")
}

fn path_of(file: &str) -> String {
    format!("/containers/{CONTAINER}/files/{file}/content")
}

/// How often a file was requested.
fn requests(landfall: &Landfall, file: &str) -> usize {
    landfall.fake.requests().iter().filter(|request| request.path.contains(&path_of(file))).count()
}

async fn states(landfall: &Landfall, response_id: &str) -> Vec<String> {
    let files = landfall.store().await.response_files("default", response_id).await.unwrap();
    files.iter().map(|file| format!("{} {}", file.file_id, file.state)).collect()
}

async fn wait_for_states(landfall: &Landfall, response_id: &str, expected: &[&str]) {
    let reached = async || (states(landfall, response_id).await == expected).then_some(());
    wait::until(&format!("files {expected:?}"), reached).await;
}

/// Three files under rate limits; the container expires before the third one can be had.
async fn files_under_rate_limits_are_fetched_until_their_container_expires(database: Database) {
    let target = Target::start().await;
    let landfall = Landfall::start_on_with(database, 1, &target.settings()).await;
    add_response(&landfall, "resp_files", &["cfile_1", "cfile_2", "cfile_3"]);
    let limited = |retry_after_ms| FaultKind::RateLimitedMs { retry_after_ms };
    landfall.fake.inject(Fault::times(limited(20), &path_of("cfile_2"), 2));
    landfall.fake.inject(Fault::always(limited(50), &path_of("cfile_3")));
    let id = landfall.send("response.completed", "resp_files").await;
    let waiting = ["cfile_1 fetched", "cfile_2 fetched", "cfile_3 pending"];
    wait_for_states(&landfall, "resp_files", &waiting).await;
    let event = landfall.event_when(&id, |event| event.reason == Some(Reason::RateLimited)).await;
    assert_eq!(event.state, EventState::Retrying, "the event waits for its files");
    assert!(target.receiver.received().is_empty());
    assert_eq!(landfall.show("resp_files")["output_text"], "See the files.", "the response does not wait");

    landfall.fake.expire_container(CONTAINER, Duration::ZERO);
    landfall.fake.clear_faults();
    landfall.settled().await;
    let ended = ["cfile_1 fetched", "cfile_2 fetched", "cfile_3 expired"];
    assert_eq!(states(&landfall, "resp_files").await, ended);
    let event = landfall.event(&id).await.unwrap();
    assert_eq!((event.state, event.reason), (EventState::Stored, None));
    let notification = target.notification().await;
    assert_eq!(notification["type"], "response.stored");
    let listed = notification["data"]["object"]["files"].as_array().unwrap();
    let listed: Vec<String> = listed
        .iter()
        .map(|file| format!("{} {}", file["file_id"].as_str().unwrap(), file["state"].as_str().unwrap()))
        .collect();
    assert_eq!(listed, ended);
    for file in ["cfile_1", "cfile_2"] {
        assert_eq!(landfall.stored_file("resp_files", file), content(file).into_bytes());
        let shown = landfall.show(&format!("resp_files/{file}"));
        assert_eq!(
            (&shown["purpose"], &shown["filename"]),
            (&json!("container_file"), &json!(format!("{file}.csv")))
        );
    }
    // What is there is not fetched again, and the response neither.
    assert_eq!(requests(&landfall, "cfile_1"), 1);
    let of_response = landfall.fake.requests();
    let of_response = of_response.iter().filter(|request| request.path.contains("/responses/")).count();
    assert_eq!(of_response, 1);
    assert_eq!(landfall.show("resp_files")["files"].as_array().unwrap().len(), 3);
    let text = landfall.landfall(&["show", "resp_files"]).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("files (3)") && text.contains("resp_files/cfile_1"), "{text}");
    assert_eq!(landfall.status()["total"]["dead"], 0);
}

/// A killed worker may leave the response without any file, or with some.
async fn a_worker_killed_between_a_response_and_its_files_fetches_the_rest(database: Database) {
    let target = Target::start().await;
    let mut settings = vec![("LEASE_SECS", "1")];
    settings.extend(target.settings());
    let mut landfall = Landfall::start_on_with(database, 1, &settings).await;
    add_response(&landfall, "resp_files", &["cfile_1", "cfile_2"]);
    landfall.fake.inject(Fault::always(FaultKind::StallBeforeBody, &path_of("cfile_1")));
    let id = landfall.send("response.completed", "resp_files").await;
    wait_for_states(&landfall, "resp_files", &["cfile_1 pending", "cfile_2 pending"]).await;
    landfall.workers.pop().unwrap().kill();
    landfall.fake.clear_faults();
    landfall.fake.inject(Fault::always(FaultKind::StallBeforeBody, &path_of("cfile_2")));
    landfall.add_worker();
    wait_for_states(&landfall, "resp_files", &["cfile_1 fetched", "cfile_2 pending"]).await;
    landfall.workers.pop().unwrap().kill();
    landfall.fake.clear_faults();
    let before = requests(&landfall, "cfile_1");
    landfall.add_worker();
    landfall.settled().await;
    assert_eq!(states(&landfall, "resp_files").await, ["cfile_1 fetched", "cfile_2 fetched"]);
    assert_eq!(requests(&landfall, "cfile_1"), before, "a stored file is not fetched again");
    assert_eq!(landfall.event(&id).await.unwrap().state, EventState::Stored);
    for file in ["cfile_1", "cfile_2"] {
        assert_eq!(landfall.stored_file("resp_files", file), content(file).into_bytes());
    }
    assert_eq!(target.notification().await["data"]["object"]["files"].as_array().unwrap().len(), 2);
}

async fn a_missing_right_costs_only_the_files(database: Database) {
    let landfall = Landfall::start_on(database).await;
    landfall.fake.inject(Fault::always(FaultKind::Status(403), &path_of("cfile_1")));
    landfall.fake.inject(Fault::always(FaultKind::Status(401), &path_of("cfile_2")));
    let mut sent = Vec::new();
    // More than make the key suspect.
    for number in 0..6 {
        let response_id = format!("resp_{number}");
        add_response(&landfall, &response_id, &["cfile_1", "cfile_2", "cfile_3"]);
        sent.push((landfall.send("response.completed", &response_id).await, response_id));
    }
    landfall.settled().await;
    for (id, response_id) in &sent {
        let event = landfall.event(id).await.unwrap();
        assert_eq!((event.state, event.attempts, event.reason), (EventState::Stored, 1, None));
        let expected = ["cfile_1 forbidden", "cfile_2 forbidden", "cfile_3 fetched"];
        assert_eq!(states(&landfall, response_id).await, expected);
    }
    landfall.metric("landfall_openai_key_suspect{} 0.0").await;
    assert_eq!(landfall.status()["total"]["dead"], 0);
    let findings = String::from_utf8(landfall.landfall(&["doctor"]).stdout).unwrap();
    let findings = findings.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(findings.contains("read containers") && findings.contains("landfall fetch resp_"), "{findings}");

    // The right is granted.
    landfall.fake.clear_faults();
    let output = landfall.landfall(&["fetch", "resp_0"]);
    assert!(output.status.success(), "{output:?}");
    let expected = ["cfile_1 fetched", "cfile_2 fetched", "cfile_3 fetched"];
    assert_eq!(states(&landfall, "resp_0").await, expected);
    assert_eq!(requests(&landfall, "cfile_3"), sent.len(), "a stored file is not fetched again");
}

async fn a_file_that_is_gone_costs_only_itself(database: Database) {
    let landfall = Landfall::start_on(database).await;
    add_response(&landfall, "resp_files", &["cfile_1", "cfile_2", "cfile_3"]);
    assert!(landfall.fake.remove("cfile_1"));
    landfall.fake.inject(Fault::always(FaultKind::Status(410), &path_of("cfile_2")));
    let id = landfall.send("response.completed", "resp_files").await;
    landfall.settled().await;
    let event = landfall.event(&id).await.unwrap();
    assert_eq!((event.state, event.attempts, event.reason), (EventState::Stored, 1, None));
    let expected = ["cfile_1 expired", "cfile_2 expired", "cfile_3 fetched"];
    assert_eq!(states(&landfall, "resp_files").await, expected);
}

/// `RETRY_FOR_SECS` is shorter than 25 minutes here.
async fn a_file_that_never_comes_is_given_up_and_its_response_is_stored(database: Database) {
    let landfall = Landfall::start_on_with(database, 1, &[("RETRY_FOR_SECS", "1")]).await;
    add_response(&landfall, "resp_files", &["cfile_1", "cfile_2"]);
    landfall.fake.inject(Fault::always(FaultKind::Status(500), &path_of("cfile_1")));
    let id = landfall.send("response.completed", "resp_files").await;
    landfall.settled().await;
    let event = landfall.event(&id).await.unwrap();
    assert_eq!((event.state, event.reason), (EventState::Stored, None));
    assert_eq!(states(&landfall, "resp_files").await, ["cfile_1 expired", "cfile_2 fetched"]);
    assert_eq!(landfall.status()["total"]["dead"], 0);
}

async fn a_file_that_does_not_fit_waits_for_room(database: Database) {
    let mut landfall = Landfall::start_on_with(database, 1, &[("MIN_FREE_BYTES", "1000000TiB")]).await;
    add_response(&landfall, "resp_files", &["cfile_1"]);
    let id = landfall.send("response.completed", "resp_files").await;
    let waiting = landfall.event_when(&id, |event| event.state == EventState::Retrying).await;
    assert_eq!(waiting.reason, Some(Reason::DiskLow));
    assert_eq!(landfall.show("resp_files")["output_text"], "See the files.");
    assert_eq!(requests(&landfall, "cfile_1"), 0);
    assert!(landfall.workers[0].stop().success());
    landfall.workers.clear();
    landfall.set("MIN_FREE_BYTES", "1KiB");
    landfall.add_worker();
    let delayed: Vec<String> = redis(&landfall, "ZRANGE {landfall}:delayed:response 0 -1").await;
    redis::<()>(&landfall, &format!("ZADD {{landfall}}:delayed:response XX 1 {}", delayed[0])).await;
    landfall.settled().await;
    let files = landfall.store().await.response_files("default", "resp_files").await.unwrap();
    assert_eq!(files[0].state, ResponseFileState::Fetched);
}

/// Ids that need escaping, a file of no bytes, and the same file in two responses.
async fn odd_files_are_stored_like_any_other(database: Database) {
    let landfall = Landfall::start_on(database).await;
    add_response(&landfall, "resp_1", &["cfile_a/../b?c", "cfile_empty"]);
    add_response(&landfall, "resp_2", &["cfile_empty"]);
    landfall.fake.add_container_file(CONTAINER, "cfile_empty", "empty", "");
    for response_id in ["resp_1", "resp_2"] {
        landfall.send("response.completed", response_id).await;
    }
    landfall.settled().await;
    assert_eq!(states(&landfall, "resp_2").await, ["cfile_empty fetched"]);
    let expected = ["cfile_a/../b?c expired", "cfile_empty fetched"];
    // A path with a dot segment is no file of the fake; it must not reach another endpoint either.
    assert_eq!(states(&landfall, "resp_1").await, expected);
    for response_id in ["resp_1", "resp_2"] {
        assert!(landfall.stored_file(response_id, "cfile_empty").is_empty());
    }
}

on_both_databases!(
    files_under_rate_limits_are_fetched_until_their_container_expires,
    a_worker_killed_between_a_response_and_its_files_fetches_the_rest,
    a_missing_right_costs_only_the_files,
    a_file_that_is_gone_costs_only_itself,
    a_file_that_never_comes_is_given_up_and_its_response_is_stored,
    a_file_that_does_not_fit_waits_for_room,
    odd_files_are_stored_like_any_other,
);
