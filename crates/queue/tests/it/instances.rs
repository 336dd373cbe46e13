//! Heartbeats of programs: alive while they report, removed after a clean stop, and distinguished from killed ones.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use queue::{Instance, KnownTargets, Presence, ServerFinding};
use test_support::wait;
use tokio_util::sync::CancellationToken;

use crate::harness::TestQueue;

fn targets() -> Option<KnownTargets> {
    Some(KnownTargets { names: vec!["app".to_owned()], sha256: "ab".to_owned() })
}

async fn instances_when(queue: &TestQueue, wanted: usize) -> Vec<Instance> {
    let there = async || {
        let instances = queue.admin.instances().await.unwrap();
        (instances.len() == wanted).then_some(instances)
    };
    wait::until("the instances", there).await
}

#[tokio::test]
async fn a_program_is_listed_while_it_runs_and_not_after_a_clean_stop() {
    let queue = TestQueue::start();
    let stop = CancellationToken::new();
    let presence = Presence::new(queue.admin.clone(), "box-1-a".to_owned(), "worker", "0.1.0");
    let running = tokio::spawn(presence.run(stop.clone(), targets, |_| {}));
    let instances = instances_when(&queue, 1).await;
    let worker = &instances[0];
    assert!(worker.is_alive() && worker.id == "box-1-a", "{worker:?}");
    assert_eq!((worker.info.program.as_str(), worker.info.version.as_str()), ("worker", "0.1.0"));
    assert_eq!(worker.info.targets, targets());
    // Readable with redis-cli.
    let text = queue.command::<String>("HGET {landfall}:instances box-1-a").await;
    assert!(text.starts_with(r#"{"program":"worker","version":"0.1.0","host":"#), "{text}");
    stop.cancel();
    running.await.unwrap();
    instances_when(&queue, 0).await;
}

#[tokio::test]
async fn a_program_that_fell_silent_is_dead_after_half_a_minute_and_forgotten_after_a_day() {
    let queue = TestQueue::start();
    let (now, _) = queue.command::<(i64, i64)>("TIME").await;
    let add = async |id: &str, silent_secs: i64| {
        let at = (now - silent_secs) * 1000;
        let value =
            format!(r#"{{"program":"ingest","version":"0.1.0","host":"box","since":{at},"heartbeat":{at}}}"#);
        queue.command::<()>(&format!("HSET {{landfall}}:instances {id} {value}")).await;
    };
    add("alive", 20).await;
    add("killed", 60).await;
    add("forgotten", 90_000).await;
    queue.command::<()>("HSET {landfall}:instances newer {}").await;
    let instances = queue.admin.instances().await.unwrap();
    let shown: Vec<_> = instances.iter().map(|found| (found.id.as_str(), found.is_alive())).collect();
    assert_eq!(shown, [("alive", true), ("killed", false)]);
    assert!(instances[1].silent >= Duration::from_secs(60) && instances[1].up >= Duration::from_secs(60));

    let stop = CancellationToken::new();
    let presence = Presence::new(queue.admin.clone(), "box".to_owned(), "ingest", "0.1.0");
    let running = tokio::spawn(presence.run(stop.clone(), || None, |_| {}));
    let left = async || {
        let ids = queue.command::<Vec<String>>("HKEYS {landfall}:instances").await;
        (!ids.contains(&"forgotten".to_owned())).then_some(ids)
    };
    let ids = wait::until("the report of a day ago to go", left).await;
    assert!(ids.contains(&"killed".to_owned()) && ids.contains(&"newer".to_owned()), "{ids:?}");
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_full_redis_does_not_make_a_program_look_dead() {
    let queue = TestQueue::start();
    queue.command::<()>("CONFIG SET maxmemory 1").await;
    assert!(queue.try_command::<()>("SET x y").await.is_err(), "it is full");
    let presence = Presence::new(queue.admin.clone(), "box".to_owned(), "worker", "0.1.0");
    let running = tokio::spawn(presence.run(CancellationToken::new(), targets, |_| {}));
    assert!(instances_when(&queue, 1).await[0].is_alive());
    running.abort();
}

#[tokio::test]
async fn a_redis_that_changes_while_a_program_runs_is_seen() {
    let durable = ["--appendonly", "yes", "--appendfsync", "always", "--maxmemory", "100mb"];
    let queue = TestQueue::on(test_support::redis::RedisServer::start_with(&durable));
    let seen: Arc<Mutex<Option<Vec<ServerFinding>>>> = Arc::default();
    let (stop, publish) = (CancellationToken::new(), Arc::clone(&seen));
    let presence = Presence::new(queue.admin.clone(), "box".to_owned(), "ingest", "0.1.0");
    let running = tokio::spawn(presence.run(
        stop.clone(),
        || None,
        move |look| {
            *publish.lock().unwrap() = Some(look.unwrap().findings);
        },
    ));
    let until = async |wanted: &[ServerFinding]| {
        let found = async || (seen.lock().unwrap().as_deref() == Some(wanted)).then_some(());
        wait::until("the look at Redis", found).await;
    };
    until(&[]).await;
    queue.command::<()>("CONFIG SET appendonly no").await;
    until(&[ServerFinding::Volatile]).await;
    queue.command::<()>("CONFIG SET maxmemory-policy allkeys-lru").await;
    let policy = "allkeys-lru".to_owned();
    until(&[ServerFinding::Volatile, ServerFinding::EvictsEvents { policy }]).await;
    stop.cancel();
    running.await.unwrap();
}
