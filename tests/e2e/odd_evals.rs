//! Eval runs that cannot be found: the webhook does not name the eval, and OpenAI shuts the product down on 2026-11-30.

use fake_openai::{Fault, FaultKind};
use webhook::{EventState, Reason};

use crate::harness::{API_KEY, Landfall};

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
