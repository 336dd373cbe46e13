//! Eval runs that cannot be found: the webhook does not name the eval, and OpenAI ended evals on 2026-11-30.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fake_openai::{Fault, FaultKind};
use serde_json::json;
use test_support::signed_webhook::SignedWebhook;
use webhook::{EventState, Reason};

use crate::harness::{API_KEY, Landfall};

/// 2026-12-01T00:00Z.
const ENDED_AT_SECS: i64 = 1_796_083_200;

async fn send_created_at(landfall: &Landfall, created_at_secs: i64) -> String {
    let body = json!({
        "id": format!("evt_{created_at_secs}"), "object": "event", "created_at": created_at_secs,
        "type": "eval.run.succeeded", "data": {"id": "evalrun_demo_succeeded"},
    });
    let webhook = SignedWebhook::with_body(&format!("wh_{created_at_secs}"), body.to_string().into_bytes());
    assert_eq!(landfall.post(&webhook).await, (200, json!({"received": true})));
    webhook.webhook_id
}

/// A proxy that closes every connection: the only way to OpenAI's own host. Returns its URL and its count of connections.
fn closed_proxy() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    std::thread::spawn(move || {
        for _ in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (url, connections)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_eval_event_from_december_on_is_stored_without_asking_openai() {
    let (proxy, connections) = closed_proxy();
    let settings = [("OPENAI_BASE_URL", "https://api.openai.com/v1"), ("HTTPS_PROXY", proxy.as_str())];
    let landfall = Landfall::start_with(1, &settings).await;
    let id = send_created_at(&landfall, ENDED_AT_SECS).await;
    landfall.settled().await;
    let event = landfall.event(&id).await.unwrap();
    assert_eq!((event.state, event.reason, event.attempts), (EventState::Stored, None, 1));
    assert_eq!(connections.load(Ordering::SeqCst), 0);

    let id = send_created_at(&landfall, ENDED_AT_SECS - 1).await;
    let event = landfall.event_when(&id, |event| event.attempts >= 1 && event.reason.is_some()).await;
    assert_eq!(event.reason, Some(Reason::OpenaiUnavailable));
    assert!(connections.load(Ordering::SeqCst) > 0, "an event from November is fetched");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_is_asked_for_eval_runs_after_openai_ended_them() {
    let landfall = Landfall::start().await;
    send_created_at(&landfall, ENDED_AT_SECS).await;
    landfall.settled().await;
    assert_eq!(landfall.show("evalrun_demo_succeeded")["fetch_state"], "fetched");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evals_api_that_is_gone_or_broken_is_not_asked_for_days() {
    for (status, reason) in [(404, Reason::NotFound), (500, Reason::OpenaiUnavailable)] {
        let landfall = Landfall::start().await;
        landfall.fake.inject(Fault::always(FaultKind::Status(status), "/evals"));
        let id = landfall.send("eval.run.succeeded", "evalrun_demo_succeeded").await;
        landfall.settled().await;
        let event = landfall.event(&id).await.unwrap();
        assert_eq!((event.state, event.reason, event.attempts), (EventState::Stored, Some(reason), 5));
        assert_eq!(landfall.show("evalrun_demo_succeeded")["fetch_state"], "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_no_reason_to_give_an_eval_run_up() {
    let landfall = Landfall::start_with(1, &[("RETRY_MAX_SECS", "0.05")]).await;
    landfall.fake.set_api_key(Some("sk-another"));
    let id = landfall.send("eval.run.succeeded", "evalrun_demo_succeeded").await;
    let waiting = landfall.event_when(&id, |event| event.attempts > 6).await;
    assert_eq!((waiting.state, waiting.reason), (EventState::Retrying, Some(Reason::Unauthorized)));
    landfall.fake.set_api_key(Some(API_KEY));
    landfall.settled().await;
    assert_eq!(landfall.show("evalrun_demo_succeeded")["fetch_state"], "fetched");
}
