//! Notifications about stored results: signed, and one per event and target, whatever faults occur.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tempfile::TempDir;
use test_support::receiver::{Received, Receiver, Reply};
use test_support::redis::free_port;
use test_support::signed_webhook::{SECRET, SignedWebhook, now_secs};
use test_support::wait;

use crate::console_client::Console;
use crate::harness::{Database, Landfall};
use crate::raw_redis::redis;

const OTHER_SECRET: &str = "whsec_b3RoZXI6IDI0IGJ5dGVzIG9mIGtleSEhISE=";

/// A `landfall.toml` that allows targets on this machine.
pub(crate) fn targets_file(tables: &[String]) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("landfall.toml");
    let text = format!("[notifications]\nallow = [\"127.0.0.1/32\"]\n{}", tables.concat());
    std::fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

pub(crate) fn target(name: &str, server: &Receiver, more: &str) -> String {
    format!(
        "[[targets]]\nname = \"{name}\"\nurl = \"{}\"\nsecret_env = [\"NEW\", \"OLD\"]\n{more}\n",
        server.url()
    )
}

pub(crate) async fn start(database: Database, workers: usize, path: &str, more: &[(&str, &str)]) -> Landfall {
    let mut settings = vec![
        ("LANDFALL_CONFIG", path),
        ("NEW", SECRET),
        ("OLD", OTHER_SECRET),
        ("NOTIFICATION_SCHEDULE", "0.05,0.1,0.2,0.5,1,1,1,1,1"),
    ];
    settings.extend(more);
    Landfall::start_on_with(database, workers, &settings).await
}

/// The notifications by id. Checks that each is signed with both secrets, and that repeated ids have identical bytes.
pub(crate) fn notifications(received: &[Received]) -> BTreeMap<String, Value> {
    let mut notified: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for request in received {
        for secret in [SECRET, OTHER_SECRET] {
            let verifier = webhook::Verifier::from_setting(secret).unwrap();
            let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"];
            let headers = headers.map(|name| (name, request.header(name).unwrap().as_bytes()));
            verifier.verify(headers, &request.body, now_secs()).unwrap();
        }
        let before = notified.insert(request.id().to_owned(), request.body.clone());
        assert!(before.is_none_or(|before| before == request.body));
    }
    notified.into_iter().map(|(id, body)| (id, serde_json::from_slice(&body).unwrap())).collect()
}

fn types(notified: &BTreeMap<String, Value>) -> Vec<&str> {
    let mut types: Vec<&str> = notified.values().map(|body| body["type"].as_str().unwrap()).collect();
    types.sort_unstable();
    types
}

async fn every_family_is_told_once_to_every_target_that_wants_it(database: Database) {
    let (all, full) = (Receiver::start(|_| Reply::ok()).await, Receiver::start(|_| Reply::ok()).await);
    let (_folder, path) = targets_file(&[
        target("all", &all, ""),
        target(
            "full",
            &full,
            "payload = \"full\"\nevents = [\"response.stored\", \"batch.*\", \"event.received\"]",
        ),
    ]);
    let landfall = start(database, 2, &path, &[]).await;
    let response = SignedWebhook::new("response.completed", "resp_demo_research");
    landfall.post(&response).await;
    landfall.send("batch.completed", "batch_demo_completed").await;
    landfall.send("fine_tuning.job.succeeded", "ftjob_demo_succeeded").await;
    landfall.send("eval.run.succeeded", "evalrun_demo_succeeded").await;
    landfall.send("response.reticulated", "resp_demo_research").await;
    all.wait_for(5).await;
    full.wait_for(3).await;
    // The same event from another webhook endpoint, and a replay of it.
    let again = SignedWebhook::with_body("wh_another_endpoint", response.body.clone());
    landfall.post(&again).await;
    let replay = landfall.landfall(&["replay", &response.webhook_id, "--yes"]);
    assert!(replay.status.success(), "{}", String::from_utf8_lossy(&replay.stderr));
    landfall.settled().await;

    let notified_all = notifications(&all.received());
    let expected = ["batch.stored", "eval.stored", "event.received", "fine_tuning.stored", "response.stored"];
    assert_eq!(types(&notified_all), expected);
    assert_eq!(all.received().len(), 5, "a notification was sent twice");
    assert!(notified_all.values().all(|body| body["data"]["result"].is_null()));
    let notified_full = notifications(&full.received());
    assert_eq!(types(&notified_full), ["batch.stored", "event.received", "response.stored"]);
    for body in notified_full.values() {
        let data = &body["data"];
        let result = &data["result"];
        match body["type"].as_str().unwrap() {
            "response.stored" => {
                assert_eq!(data["object"]["id"], "resp_demo_research");
                let shown = landfall.show("resp_demo_research");
                for field in ["response_id", "output_text", "citations", "usage", "metadata", "completed_at"]
                {
                    assert_eq!(result[field], shown[field], "{field}");
                }
            }
            "batch.stored" => {
                assert_eq!(data["object"]["requests_total"], result["results"].as_array().unwrap().len());
            }
            _ => assert_eq!(result["type"], "response.reticulated"),
        }
    }
}

async fn what_an_agent_waits_for_is_told_with_its_details(database: Database) {
    let server = Receiver::start(|_| Reply::ok()).await;
    let (_folder, path) = targets_file(&[target(
        "app",
        &server,
        "payload = \"full\"\nevents = [\"agent.stored\", \"safety.stored\"]",
    )]);
    let landfall = start(database, 1, &path, &[]).await;
    landfall.send("agent.session.action_required", "asess_demo_waiting").await;
    landfall.send("agent.session.idle", "asess_demo").await;
    landfall.send("safety.alert.created", "alert_demo").await;
    let notified = notifications(&server.wait_for(3).await);
    assert_eq!(types(&notified), ["agent.stored", "agent.stored", "safety.stored"]);
    let about = |id: &str| {
        let data = notified.values().map(|body| &body["data"]);
        data.into_iter().find(|data| data["object"]["id"] == id).unwrap()
    };
    let action = &about("asess_demo_waiting")["object"]["required_actions"][0];
    assert_eq!(
        (&action["call_id"], &action["arguments"]["ticket"]),
        (&"call_demo".into(), &"ticket-0007".into())
    );
    let idle = about("asess_demo");
    assert_eq!(idle["object"]["last_turn_status"], "completed");
    let message = idle["result"]["turns"][0]["output_text"].as_str().unwrap();
    assert!(message.starts_with("All twelve"), "{message}");
    assert_eq!(about("alert_demo")["object"]["response_id"], "resp_demo_failed");
}

async fn a_target_that_fails_is_tried_again_with_the_same_id_and_bytes(database: Database) {
    let failures = Arc::new(AtomicUsize::new(3));
    let left = Arc::clone(&failures);
    let server = Receiver::start(move |_| {
        let take = |left: usize| left.checked_sub(1);
        match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take) {
            Ok(3) => Reply::HangUp,
            Ok(_) => Reply::status("500 Internal Server Error"),
            Err(_) => Reply::ok(),
        }
    })
    .await;
    let (_folder, path) = targets_file(&[target("app", &server, "")]);
    let landfall = start(database, 1, &path, &[]).await;
    landfall.send("response.completed", "resp_demo_research").await;
    let received = server.wait_for(4).await;
    assert_eq!(notifications(&received).len(), 1);
    landfall.metric("landfall_notifications_total{target=\"app\",outcome=\"delivered\"} 1").await;
    landfall.metric("landfall_event_lag_seconds_count{stage=\"notified\"} 1").await;
    landfall.metric("landfall_notifications_pending{target=\"app\"} 0.0").await;
}

async fn a_worker_that_is_killed_while_it_tells_is_replaced(database: Database) {
    let server = Receiver::start(|_| Reply::Stall).await;
    let (_folder, path) = targets_file(&[target("app", &server, "timeout_secs = 2")]);
    let mut landfall = start(database, 1, &path, &[]).await;
    landfall.send("response.completed", "resp_demo_research").await;
    server.wait_for(1).await;
    landfall.workers[0].kill();
    landfall.add_worker();
    let received = server.wait_for(2).await;
    assert_eq!(notifications(&received).len(), 1, "there is more than one notification");
}

async fn given_up_events_are_notified_too(database: Database) {
    let server = Receiver::start(|_| Reply::ok()).await;
    let (_folder, path) =
        targets_file(&[target("app", &server, "events = \"event.dead\"\npayload = \"full\"")]);
    let unreachable = [("OPENAI_BASE_URL", "http://127.0.0.1:9/v1"), ("RETRY_FOR_SECS", "0.5")];
    let landfall = start(database, 1, &path, &unreachable).await;
    landfall.send("response.completed", "resp_demo_research").await;
    let _entry_id: String = redis(&landfall, "XADD {landfall}:events:response * v 1 nonsense x").await;
    let received = server.wait_for(2).await;
    let notified = notifications(&received);
    let mut reasons: Vec<&str> =
        notified.values().map(|body| body["data"]["reason"].as_str().unwrap()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["gave_up", "undecodable_entry"]);
    let lost = notified.values().find(|body| body["data"]["reason"] == "gave_up").unwrap();
    assert_eq!(lost["data"]["result"]["data"]["id"], "resp_demo_research");
    assert!(lost["data"]["error"].as_str().unwrap().contains("given up after"), "{lost}");
    wait::until("both dead letters", || async { (landfall.status()["total"]["dead"] == 2).then_some(()) })
        .await;
}

async fn what_is_too_large_is_fetched_by_a_signed_link(database: Database) {
    let failed_before = AtomicUsize::new(0);
    let server = Receiver::start(move |_| match failed_before.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::status("500 Internal Server Error"),
        _ => Reply::ok(),
    })
    .await;
    let (folder, path) = targets_file(&[target("app", &server, "payload = \"full\"")]);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("[notifications]", "[notifications]\nfull_max_bytes = 10")).unwrap();
    let port = free_port();
    let (addr, base_url) = (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}/"));
    let settings = [
        ("RESULTS_BASE_URL", base_url.as_str()),
        ("RESULTS_SECRET", OTHER_SECRET),
        ("RESULTS_ADDR", "0.0.0.0:8081"),
    ];
    let landfall = start(database, 1, &path, &settings).await;
    landfall.a_worker_logs("RESULTS_ADDR is ignored").await;
    let own = [("CONSOLE_ADDR", addr.as_str()), ("RESULTS_SECRET", OTHER_SECRET)];
    let _console = Console::start(&landfall, &own).await;
    landfall.send("response.completed", "resp_demo_research").await;
    landfall.send("batch.completed", "batch_demo_completed").await;
    let call = SignedWebhook::new("realtime.call.incoming", "rtc_1");
    landfall.post(&call).await;
    // Four requests for three notifications: the failed one was repeated with identical bytes, including its link.
    let notified = notifications(&server.wait_for(4).await);
    assert_eq!(types(&notified), ["batch.stored", "event.received", "response.stored"]);
    for body in notified.values() {
        let data = &body["data"];
        assert_eq!((&data["result"], &data["result_omitted"]), (&Value::Null, &true.into()));
        let link = data["result_url"].as_str().unwrap();
        let answer = reqwest::get(link).await.unwrap();
        assert_eq!(answer.status(), 200, "{link}");
        let result: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        match body["type"].as_str().unwrap() {
            "batch.stored" => {
                let rows = result["results"].as_array().unwrap();
                assert_eq!(data["object"]["requests_total"], rows.len());
                assert_eq!(result["batch_id"], "batch_demo_completed");
                assert!(rows.iter().all(|row| row["custom_id"].is_string()));
            }
            "response.stored" => {
                assert_eq!(result["output_text"], landfall.show("resp_demo_research")["output_text"]);
            }
            _ => assert_eq!(result, serde_json::from_slice::<Value>(&call.body).unwrap()),
        }
        let status = async |url: &str| reqwest::get(url).await.unwrap().status().as_u16();
        let (unsigned, _) = link.split_once('?').unwrap();
        assert_eq!(status(unsigned).await, 403);
        assert_eq!(status(&link.replace("expires=", "expires=1")).await, 403, "another expiry");
        assert_eq!(status(&link.replace("/default/", "/other/")).await, 403, "another project");
        assert_eq!(status(&format!("{base_url}elsewhere")).await, 404);
        let through_a_proxy =
            reqwest::Client::builder().build().unwrap().get(link).header("host", "results.example.com");
        assert_eq!(through_a_proxy.send().await.unwrap().status(), 200, "any host");
    }
    drop(folder);
}

on_both_databases!(
    every_family_is_told_once_to_every_target_that_wants_it,
    what_an_agent_waits_for_is_told_with_its_details,
    a_target_that_fails_is_tried_again_with_the_same_id_and_bytes,
    a_worker_that_is_killed_while_it_tells_is_replaced,
    given_up_events_are_notified_too,
    what_is_too_large_is_fetched_by_a_signed_link,
);
