//! SIGTERM: nothing is lost, nothing counts as an attempt or a crash, and both programs exit cleanly.

use std::process::Command;

use test_support::{programs, wait};

use crate::harness::{Landfall, log_field};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_stopped_hands_back_what_it_cannot_finish() {
    let mut landfall = Landfall::start().await;
    // Longer than a worker waits at shutdown.
    landfall.fake.delay_ms("/responses/resp_demo_research", 600_000);
    let id = landfall.send("response.completed", "resp_demo_research").await;
    let requested = async || (!landfall.fake.requests().is_empty()).then_some(());
    wait::until("the worker to send a request", requested).await;
    assert!(landfall.workers[0].stop().success());
    assert_eq!(landfall.status()["total"]["backlog"], 1);
    assert_eq!(landfall.status()["total"]["pending"], 0, "a lease is left behind");

    landfall.fake.clear_faults();
    landfall.add_worker();
    landfall.settled().await;
    let event = landfall.event(&id).await.unwrap();
    assert_eq!((event.state, event.attempts), (webhook::EventState::Stored, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_exits_cleanly_on_sigterm() {
    let mut landfall = Landfall::start_with(0, &[]).await;
    landfall.send("video.completed", "video_1").await;
    assert!(landfall.ingest.stop().success());
    assert_eq!(landfall.backlog(), 1);
}

/// The health check of a container.
#[tokio::test(flavor = "multi_thread")]
async fn a_workers_healthcheck_reports_whether_it_runs() {
    let mut landfall = Landfall::start().await;
    let addr = log_field(&landfall.workers[0].wait_for_log("admin.addr"), "admin.addr");
    let ask = || {
        let mut command = Command::new(programs::path("worker"));
        command.arg("--healthcheck").env("ADMIN_ADDR", &addr).output().unwrap().status.code()
    };
    assert_eq!(ask(), Some(0));
    assert!(landfall.workers[0].stop().success());
    assert_eq!(ask(), Some(1));
}
