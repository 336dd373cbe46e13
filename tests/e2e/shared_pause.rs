//! One 429 pauses a family for all workers until OpenAI accepts requests again.

use std::time::Duration;

use fake_openai::{Fault, FaultKind};
use test_support::wait;
use webhook::{EventState, Reason};

use crate::harness::Landfall;
use crate::raw_redis::redis;

#[tokio::test(flavor = "multi_thread")]
async fn after_a_429_every_worker_waits_and_only_the_one_that_asked_has_an_attempt_more() {
    let landfall = Landfall::start_with(2, &[("RETRY_MAX_SECS", "60")]).await;
    let limited = FaultKind::RateLimited { retry_after_secs: Some(3) };
    landfall.fake.inject(Fault::times(limited, "/responses/", 1));
    let first = landfall.send("response.completed", "resp_demo_research").await;
    let waiting = landfall.event_when(&first, |event| event.state == EventState::Retrying).await;
    assert_eq!(waiting.reason, Some(Reason::RateLimited));
    // The row is written before the pause.
    let paused = async || redis::<Option<String>>(&landfall, "GET {landfall}:pause:default:response").await;
    assert_eq!(wait::until("the pause", paused).await, "rate_limited");
    let mut others = Vec::new();
    for _ in 0..8 {
        others.push(landfall.send("response.completed", "resp_demo_research").await);
    }
    // Another family is not paused.
    let batch = landfall.send("batch.completed", "batch_demo_completed").await;
    landfall.event_when(&batch, |event| event.state == EventState::Stored).await;

    landfall.settled().await;
    let requests = landfall.fake.requests();
    let mut requested: Vec<_> = requests.iter().filter(|r| r.path.contains("/responses/")).collect();
    requested.sort_by_key(|request| request.received_at);
    assert_eq!(requested.len(), 10);
    let quiet = requested[1].received_at.duration_since(requested[0].received_at).unwrap();
    assert!(quiet >= Duration::from_secs(3), "a request was sent after {quiet:?}");
    assert_eq!(landfall.event(&first).await.unwrap().attempts, 2);
    for id in &others {
        let event = landfall.event(id).await.unwrap();
        assert_eq!((event.state, event.attempts), (EventState::Stored, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_quota_pauses_for_the_time_of_a_retry() {
    let landfall = Landfall::start_with(1, &[("RETRY_MAX_SECS", "60")]).await;
    landfall.fake.inject(Fault::always(FaultKind::InsufficientQuota, "/responses/"));
    let id = landfall.send("response.completed", "resp_demo_research").await;
    let waiting = landfall.event_when(&id, |event| event.state == EventState::Retrying).await;
    assert_eq!(waiting.reason, Some(Reason::RateLimited));
    let left_ms = async || {
        let left: i64 = redis(&landfall, "PTTL {landfall}:pause:default:response").await;
        (left > 0).then_some(left)
    };
    let left_ms = wait::until("the pause", left_ms).await;
    assert!((50_000..=60_000).contains(&left_ms), "{left_ms} ms");
    landfall.send("response.completed", "resp_demo_research").await;
    let shown = "landfall_pause_seconds{family=\"batch\"} 0.0";
    landfall.metric(shown).await;
    assert_eq!(landfall.fake.requests().len(), 1, "more than one request was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_during_a_pause_is_snoozed_until_its_end() {
    let landfall = Landfall::start().await;
    redis::<()>(&landfall, "ZADD {landfall}:pauses 1 default:response").await;
    // A worker that blocks on the empty stream checked for a pause before; its next delivery must still respect this one.
    let blocked = async || {
        let clients: String = redis(&landfall, "CLIENT LIST").await;
        (clients.matches("cmd=xreadgroup").count() >= webhook::Family::ALL.len()).then_some(())
    };
    wait::until("the worker to block on all streams", blocked).await;
    redis::<()>(&landfall, "SET {landfall}:pause:default:response rate_limited PX 600000").await;
    let id = landfall.send("response.completed", "resp_demo_research").await;
    let status = landfall.status();
    assert_eq!(status["pauses"][0]["family"], "response");
    assert_eq!(status["pauses"][0]["reason"], "rate_limited");
    landfall.metric("landfall_queue_backlog{family=\"response\",state=\"pending\"} 0.0").await;
    assert!(landfall.fake.requests().is_empty(), "a request was sent during the pause");
    if let Some(waiting) = landfall.event(&id).await {
        let seen = (waiting.state, waiting.reason, waiting.attempts);
        assert_eq!(seen, (EventState::Retrying, Some(Reason::RateLimited), 0));
    }
    redis::<()>(&landfall, "DEL {landfall}:pause:default:response").await;
    // The snoozed entry is due at the end of the original pause.
    let delayed: Vec<String> = redis(&landfall, "ZRANGE {landfall}:delayed:response 0 -1").await;
    for entry_id in delayed {
        redis::<()>(&landfall, &format!("ZADD {{landfall}}:delayed:response XX 1 {entry_id}")).await;
    }
    let event = landfall.event_when(&id, |event| event.state == EventState::Stored).await;
    assert_eq!(event.attempts, 1);
}
