//! A deploy counts neither as an attempt nor as a crash, however often it interrupts a long batch.

use fake_openai::{Fault, FaultKind};
use test_support::wait;
use webhook::EventState;

use crate::harness::Landfall;
use crate::raw_redis::redis;

const RESTARTS: usize = 10;
const LINES: usize = 5000;

#[tokio::test(flavor = "multi_thread")]
async fn ten_rolling_restarts_under_a_long_batch_cost_no_attempt_and_no_crash() {
    let mut landfall = Landfall::start_with(2, &[]).await;
    landfall.fake.add_generated_batch("batch_long", LINES);
    landfall.fake.inject(Fault::always(FaultKind::StallInBody, "/content"));
    let id = landfall.send("batch.completed", "batch_long").await;
    let downloads = |landfall: &Landfall| {
        landfall.fake.requests().iter().filter(|request| request.path.ends_with("/content")).count()
    };
    for restart in 1..=RESTARTS {
        let requested = async || (downloads(&landfall) >= restart).then_some(());
        wait::until("a worker to download the file", requested).await;
        // The worker that holds it releases it; both workers are replaced in turn.
        let mut workers = std::mem::take(&mut landfall.workers);
        landfall.add_worker();
        landfall.add_worker();
        for worker in &workers {
            worker.signal("TERM");
        }
        for worker in &mut workers {
            assert!(worker.wait().success());
        }
    }
    let crashes: Vec<String> = redis(&landfall, "HKEYS {landfall}:attempts:batch").await;
    assert!(crashes.is_empty(), "{crashes:?}");
    landfall.fake.clear_faults();
    landfall.settled().await;
    let event = landfall.event(&id).await.unwrap();
    assert_eq!((event.state, event.attempts), (EventState::Stored, 1));
    assert_eq!(landfall.status()["total"]["dead"], 0);
    let batch = landfall.show("batch_long");
    assert_eq!((&batch["rows_stored"], &batch["results_complete"]), (&LINES.into(), &true.into()));
}
