//! Damage by manual commands or dead workers is detected, repaired and counted.

use std::time::Duration;

use queue::{Consumer, Repair, RepairKind};
use test_support::wait;
use tokio::sync::Mutex;
use webhook::Reason;

use crate::harness::{LONG, TestQueue, nothing, one, webhook_id};

fn repair(kind: RepairKind, count: u64) -> Repair {
    Repair { kind, count }
}

async fn audited(consumer: &mut Consumer) -> Vec<Repair> {
    consumer.audit_now().await.unwrap();
    consumer.take_repairs()
}

#[tokio::test]
async fn entries_acked_by_hand_or_dropped_with_their_consumer_come_back() {
    let queue = TestQueue::start();
    let acked = queue.add("wh_acked").await;
    queue.add("wh_dropped").await;
    queue.add("wh_delayed").await;
    queue.add("wh_new").await;
    let (mut a, mut b) = (queue.consumer("a", LONG).await, queue.consumer("b", LONG).await);
    let (first, second) = (one(&mut a).await, one(&mut b).await);
    one(&mut a).await.retry_after(LONG, Reason::NotFound, "404").await.unwrap();
    assert_eq!(audited(&mut a).await, [], "nothing is damaged yet");
    queue.command::<()>(&format!("XACK events workers {acked}")).await;
    queue.command::<()>("XGROUP DELCONSUMER events workers b").await;
    let stats = queue.stats().await;
    assert_eq!((stats.backlog(), queue.command::<u64>("XLEN events").await), (2, 4), "two are stranded");

    assert_eq!(audited(&mut a).await, [repair(RepairKind::StrandedEntry, 2)]);
    assert_eq!(audited(&mut a).await, [], "once");
    assert_eq!(queue.stats().await.backlog(), 4);
    let mut seen = Vec::new();
    for delivery in a.receive_now(10).await.unwrap() {
        assert_eq!((delivery.attempt, delivery.crashes), (1, 0));
        seen.push(webhook_id(&delivery).to_owned());
        delivery.ack().await.unwrap();
    }
    assert_eq!(seen, ["wh_acked", "wh_dropped", "wh_new"]);
    assert_eq!(second.retry_after(LONG, Reason::TimedOut, "slow").await.unwrap(), queue::Settled::LeaseLost);
    drop(first);
}

#[tokio::test]
async fn an_audit_reads_page_after_page() {
    let queue = TestQueue::start();
    for number in 0..250 {
        queue.add(&format!("wh_{number}")).await;
    }
    let mut a = queue.consumer("a", LONG).await;
    let held = a.receive_now(1000).await.unwrap();
    assert_eq!(held.len(), 250);
    for index in [0, 99, 100, 249] {
        queue.command::<()>(&format!("XACK events workers {}", held[index].entry_id)).await;
    }
    assert_eq!(audited(&mut a).await, [repair(RepairKind::StrandedEntry, 4)]);
}

#[tokio::test]
async fn consumers_of_dead_workers_are_removed_and_live_ones_stay() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let mut busy = queue.consumer("busy", Duration::from_secs(2)).await;
    let held = one(&mut busy).await;
    // Alive without deliveries: only its heartbeat shows it.
    let mut idle = queue.consumer("idle", Duration::from_secs(2)).await;
    nothing(&mut idle).await;
    queue.command::<()>("XGROUP CREATECONSUMER events workers dead-without").await;
    let auditor = Mutex::new(queue.consumer("auditor", Duration::from_secs(2)).await);
    let gone = async || {
        let repairs = audited(&mut *auditor.lock().await).await;
        (!repairs.is_empty()).then_some(repairs)
    };
    let repairs = wait::until("the dead worker's name to go", gone).await;
    assert_eq!(repairs, [repair(RepairKind::DeadConsumer, 1)]);
    let names = consumers(&queue).await;
    assert!(names.contains("busy") && names.contains("idle") && !names.contains("dead-"), "{names}");
    held.ack().await.unwrap();
}

async fn consumers(queue: &TestQueue) -> String {
    let names: redis::Value = queue.command("XINFO CONSUMERS events workers").await;
    format!("{names:?}")
}

#[tokio::test]
async fn a_lost_group_and_a_lost_stream_are_distinguished() {
    let queue = TestQueue::start();
    let mut consumer = queue.consumer("a", LONG).await;
    assert_eq!(consumer.take_repairs(), [], "the first creation is no repair");
    queue.add("wh_1").await;
    queue.command::<()>("XGROUP DESTROY events workers").await;
    let delivery = one(&mut consumer).await;
    assert_eq!(consumer.take_repairs(), [repair(RepairKind::Group, 1)]);
    delivery.ack().await.unwrap();
    queue.command::<()>("DEL events").await;
    nothing(&mut consumer).await;
    assert_eq!(consumer.take_repairs(), [repair(RepairKind::Stream, 1)]);
}

#[tokio::test]
async fn the_queue_generation_changes_only_when_all_state_is_gone() {
    let mut queue = TestQueue::start();
    let generation = queue.admin.queue_generation().await.unwrap();
    assert_eq!(queue.admin.queue_generation().await.unwrap(), generation);
    queue.server.kill();
    queue.server.resume();
    let again = async || queue.admin.queue_generation().await.ok();
    assert_eq!(wait::until("Redis to be back", again).await, generation);
    queue.command::<()>("FLUSHALL").await;
    assert_ne!(queue.admin.queue_generation().await.unwrap(), generation);
}
