//! Clients that wait get their results although the console and Redis end meanwhile.

use std::fs;

use reqwest::StatusCode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use test_support::redis::free_port;
use test_support::signed_webhook::SignedWebhook;
use test_support::wait;

use crate::console_client::Console;
use crate::harness::Landfall;

const CLIENTS: usize = 1000;
const RESPONSE: &str = "resp_demo_research";
const BATCH: &str = "batch_demo_completed";

/// The loop that docs/console.md shows: it asks again after a 202, and after any failure.
async fn result(http: reqwest::Client, url: String) -> Value {
    wait::until("a result", async || {
        let answer = http.get(&url).send().await.ok().filter(|answer| answer.status() == StatusCode::OK)?;
        answer.json().await.ok()
    })
    .await
}

/// Waits until all clients are connected.
async fn all_wait(console: &Console) {
    let descriptors = format!("/proc/{}/fd", console.program.pid());
    let connected = async || (fs::read_dir(&descriptors).unwrap().count() > CLIENTS).then_some(());
    wait::until("a connection of each client", connected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_clients_get_their_results_although_console_and_redis_end() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let mut landfall = Landfall::start().await;
    let address = format!("127.0.0.1:{}", free_port());
    let settings = [("CONSOLE_ADDR", address.as_str())];
    let mut console = Console::start(&landfall, &settings).await;
    let client = |number: usize| {
        let id = if number.is_multiple_of(2) { RESPONSE } else { BATCH };
        tokio::spawn(result(console.http.clone(), format!("{}/objects/{id}?wait=60", console.url)))
    };
    let clients: Vec<_> = (0..CLIENTS).map(client).collect();
    all_wait(&console).await;

    // One result is stored while the console is down, the other after Redis was.
    console.program.kill();
    landfall.send("response.completed", RESPONSE).await;
    landfall.settled().await;
    let console = Console::start(&landfall, &settings).await;
    wait::until("the answers about the response", async || {
        let answered = clients.iter().filter(|client| client.is_finished()).count();
        (answered == CLIENTS / 2).then_some(())
    })
    .await;
    landfall.redis.kill();
    landfall.redis.resume();
    // ingest may still be connecting.
    wait::until("an accepted webhook", async || {
        (landfall.post(&SignedWebhook::new("batch.completed", BATCH)).await.0 == 200).then_some(())
    })
    .await;
    for (number, client) in clients.into_iter().enumerate() {
        let answer = tokio::time::timeout(wait::DEADLINE, client).await.expect("an answer").unwrap();
        let id = if number.is_multiple_of(2) { RESPONSE } else { BATCH };
        assert_eq!((&answer["id"], &answer["state"]), (&id.into(), &"stored".into()));
    }
    drop(console);
}
