//! An event that crashes every worker that runs it becomes a dead letter; the events next to it are stored.

use test_support::wait;
use webhook::{EventState, Reason};

use crate::harness::Landfall;
use crate::raw_redis::redis;

const POISON: &str = "resp_demo_failed";

/// Waits until a worker runs the poison event for the `times`th time, then kills that worker and starts another one.
async fn killed_by_it(landfall: &mut Landfall, times: usize) {
    let running = async || {
        let requests = landfall.fake.requests();
        (requests.iter().filter(|request| request.path.contains(POISON)).count() >= times).then_some(())
    };
    wait::until("the poison event to run", running).await;
    landfall.workers[0].kill();
    landfall.workers.clear();
    landfall.add_worker();
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_given_up_after_it_crashed_alone_and_its_neighbours_are_stored() {
    let mut landfall = Landfall::start_with(0, &[("LEASE_SECS", "1")]).await;
    landfall.fake.delay_ms("/responses/", 600_000);
    let poison = landfall.send("response.failed", POISON).await;
    let mut neighbours = Vec::new();
    for _ in 0..4 {
        neighbours.push(landfall.send("response.completed", "resp_demo_research").await);
    }
    landfall.add_worker();
    // Twice with other events in the same worker: it is unknown which one crashes it.
    for times in 1..=2 {
        let all = async || (landfall.fake.requests().len() >= 5 * times).then_some(());
        wait::until("all events to run", all).await;
        killed_by_it(&mut landfall, times).await;
    }
    landfall.fake.clear_faults();
    landfall.fake.delay_ms(POISON, 600_000);
    for times in 3..=5 {
        killed_by_it(&mut landfall, times).await;
    }
    landfall.settled().await;
    let dead = landfall.event(&poison).await.unwrap();
    assert_eq!((dead.state, dead.reason, dead.attempts), (EventState::Dead, Some(Reason::Crashed), 1));
    assert!(dead.last_error.unwrap().contains("while it ran alone"));
    for neighbour in &neighbours {
        let event = landfall.event(neighbour).await.unwrap();
        assert_eq!((event.state, event.attempts), (EventState::Stored, 1));
    }
    assert_eq!(landfall.status()["total"]["dead"], 1);
    let runs = landfall.fake.requests().iter().filter(|request| request.path.contains(POISON)).count();
    assert_eq!(runs, 5, "the poison event ran again");
    let left: bool = redis(&landfall, "EXISTS {landfall}:attempts:response").await;
    assert!(!left, "the crash counters remain");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_runs_a_suspected_event_exclusively() {
    let mut landfall = Landfall::start_with(0, &[("LEASE_SECS", "1")]).await;
    landfall.fake.delay_ms(POISON, 600_000);
    landfall.send("response.failed", POISON).await;
    landfall.add_worker();
    killed_by_it(&mut landfall, 1).await;
    killed_by_it(&mut landfall, 2).await;
    let alone = async || (landfall.fake.requests().len() >= 3).then_some(());
    wait::until("the suspect to run alone", alone).await;
    let batch = landfall.send("batch.completed", "batch_demo_completed").await;
    let response = landfall.send("response.completed", "resp_demo_research").await;
    // Another worker processes them at once.
    landfall.add_worker();
    for id in [&batch, &response] {
        landfall.event_when(id, |event| event.state == EventState::Stored).await;
    }
    let outcomes = landfall.workers[0].log();
    assert!(!outcomes.iter().any(|line| line.contains("\"outcome\"")), "{outcomes:#?}");
    landfall.fake.clear_faults();
    landfall.settled().await;
}
