//! `landfall wait` ends when the object is stored or lost, whatever happens to workers and Redis meanwhile.

use std::process::{Child, Stdio};

use fake_openai::{Fault, FaultKind};
use serde_json::Value;
use test_support::redis::free_port;
use test_support::wait;
use webhook::{EventState, Family};

use crate::harness::{Database, Landfall};

const RESPONSE: &str = "resp_demo_research";
const BATCH: &str = "batch_demo_completed";

/// A running `landfall wait`.
struct Waiting(Child);

impl Waiting {
    fn start(landfall: &Landfall, settings: &[(&str, &str)], ids: &[&str]) -> Self {
        let mut command = landfall.command(settings, &[&["wait", "--timeout", "10m"], ids].concat());
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Starts it, and waits until it follows the changes.
    async fn following(landfall: &Landfall, ids: &[&str]) -> Self {
        let waiting = Self::start(landfall, &[], ids);
        waiting.follows(landfall).await;
        waiting
    }

    /// Workers read with another command.
    async fn follows(&self, landfall: &Landfall) {
        let client = redis::Client::open(landfall.redis.url()).unwrap();
        let connection = client.get_multiplexed_async_connection().await.unwrap();
        let is_blocked = async || {
            let mut connection = connection.clone();
            let clients: String =
                redis::cmd("CLIENT").arg("LIST").query_async(&mut connection).await.unwrap();
            let mut reads = clients.lines().filter(|line| line.contains(" cmd=xread "));
            reads.any(|line| line.contains(" flags=b ")).then_some(())
        };
        wait::until("a reader of the changes", is_blocked).await;
    }

    fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Its exit code and its lines.
    fn ended(mut self) -> (i32, Vec<String>) {
        let status = wait::until_blocking("the end of `landfall wait`", || self.0.try_wait().unwrap());
        let mut text = String::new();
        std::io::Read::read_to_string(&mut self.0.stdout.take().unwrap(), &mut text).unwrap();
        (status.code().unwrap(), text.lines().map(str::to_owned).collect())
    }

    fn ends_with(self, code: i32, mut expected: Vec<String>) {
        let (found, mut lines) = self.ended();
        lines.sort();
        expected.sort();
        assert_eq!((found, lines), (code, expected));
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn stored(id: &str) -> String {
    format!("stored     {id}")
}

async fn a_wait_that_began_before_the_webhook_ends_when_the_objects_are_stored(database: Database) {
    let landfall = Landfall::start_on(database).await;
    let mut waiting = Waiting::following(&landfall, &[RESPONSE, BATCH, "asess_demo"]).await;
    landfall.send("response.completed", RESPONSE).await;
    landfall.send("batch.completed", BATCH).await;
    // The session has no turn yet.
    landfall.send("agent.session.created", "asess_demo").await;
    landfall.settled().await;
    assert!(waiting.is_running());
    landfall.send("agent.session.idle", "asess_demo").await;
    waiting.ends_with(0, [RESPONSE, BATCH, "asess_demo"].map(stored).to_vec());
    assert_eq!(landfall.show(BATCH)["results_state"], "complete");
}

async fn a_wait_for_a_batch_ends_with_its_last_line(database: Database) {
    const LINES: usize = 6000;
    let landfall = Landfall::start_on(database).await;
    landfall.fake.add_generated_batch("batch_long", LINES);
    landfall.fake.inject(Fault::always(FaultKind::StallInBody, "/content"));
    let mut waiting = Waiting::following(&landfall, &["batch_long"]).await;
    landfall.send("batch.completed", "batch_long").await;
    let store = landfall.store().await;
    let half = async || {
        let progress = store.fetch_progress("default", Family::Batch, "batch_long").await.unwrap()?;
        (progress.rows?.0 > 1000).then_some(())
    };
    wait::until("rows", half).await;
    assert!(waiting.is_running());
    landfall.fake.clear_faults();
    waiting.ends_with(0, vec![stored("batch_long")]);
    assert_eq!(landfall.rows("batch_long").await.len(), LINES);
}

async fn a_wait_for_an_event_that_is_given_up_ends_with_the_reason(database: Database) {
    let landfall = Landfall::start_on(database).await;
    landfall.fake.inject(Fault::always(FaultKind::Status(400), RESPONSE));
    let waiting = Waiting::following(&landfall, &[RESPONSE, "resp_unknown"]).await;
    landfall.send("response.completed", RESPONSE).await;
    landfall.send("response.completed", "resp_unknown").await;
    let (code, mut lines) = waiting.ended();
    lines.sort();
    assert_eq!((code, lines.len()), (1, 2), "{lines:?}");
    assert!(lines[0].starts_with(&format!("dead       {RESPONSE}  rejected: ")), "{lines:?}");
    assert_eq!(lines[1], "not_found  resp_unknown");

    // The dead letter is redriven; the other one is not.
    landfall.fake.clear_faults();
    assert!(landfall.landfall(&["dead", "redrive", "--all"]).status.success());
    Waiting::start(&landfall, &[], &[RESPONSE]).ends_with(0, vec![stored(RESPONSE)]);
    let output = landfall.landfall(&["wait", "--json", "resp_unknown"]);
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), &line["state"], &line["reason"]),
        (Some(1), &"not_found".into(), &"not_found".into())
    );
}

async fn a_worker_killed_between_commit_and_ack_still_ends_a_wait(database: Database) {
    let mut landfall = Landfall::start_on(database).await;
    landfall.fake.inject(Fault::always(FaultKind::StallBeforeBody, RESPONSE));
    let mut waiting = Waiting::following(&landfall, &[RESPONSE]).await;
    let webhook_id = landfall.send("response.completed", RESPONSE).await;
    let requested =
        async || landfall.fake.requests().iter().any(|one| one.path.contains(RESPONSE)).then_some(());
    wait::until("the request for the response", requested).await;
    // From now on nothing can be acknowledged; reading goes on.
    landfall.redis_command("CLIENT PAUSE 600000 WRITE").await;
    landfall.fake.clear_faults();
    landfall.event_when(&webhook_id, |event| event.state == EventState::Stored).await;
    landfall.workers.pop().unwrap().kill();
    landfall.redis_command("CLIENT UNPAUSE").await;
    assert_eq!(landfall.backlog(), 1, "it was acknowledged");
    assert!(waiting.is_running());
    landfall.add_worker();
    waiting.ends_with(0, vec![stored(RESPONSE)]);
    landfall.settled().await;
}

async fn a_restart_of_redis_does_not_end_or_hang_a_wait(database: Database) {
    let mut landfall = Landfall::start_on(database).await;
    let mut waiting = Waiting::following(&landfall, &[RESPONSE]).await;
    landfall.redis.kill();
    landfall.redis.resume();
    waiting.follows(&landfall).await;
    assert!(waiting.is_running());
    // ingest may still be connecting.
    wait::until("an accepted webhook", async || {
        let webhook = test_support::signed_webhook::SignedWebhook::new("response.completed", RESPONSE);
        (landfall.post(&webhook).await.0 == 200).then_some(())
    })
    .await;
    waiting.ends_with(0, vec![stored(RESPONSE)]);
}

async fn a_wait_without_redis_polls_the_database(database: Database) {
    let landfall = Landfall::start_on(database).await;
    let redis = format!("redis://127.0.0.1:{}", free_port());
    landfall.send("batch.completed", BATCH).await;
    let waiting = Waiting::start(&landfall, &[("REDIS_URL", &redis)], &[RESPONSE, BATCH]);
    landfall.settled().await;
    landfall.send("response.completed", RESPONSE).await;
    waiting.ends_with(0, [RESPONSE, BATCH].map(stored).to_vec());
}

on_both_databases!(
    a_wait_that_began_before_the_webhook_ends_when_the_objects_are_stored,
    a_wait_for_a_batch_ends_with_its_last_line,
    a_wait_for_an_event_that_is_given_up_ends_with_the_reason,
    a_worker_killed_between_commit_and_ack_still_ends_a_wait,
    a_restart_of_redis_does_not_end_or_hang_a_wait,
    a_wait_without_redis_polls_the_database,
);
