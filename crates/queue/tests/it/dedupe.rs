//! Dedupe records: each event is accepted once within the window, and a new event is never taken for a duplicate.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use queue::{DEDUPE_WINDOW, EnqueueError, Enqueued, Entry, Producer};

use crate::harness::{FAMILY, TestQueue, entry};

fn is_added(answer: &Result<Enqueued, EnqueueError>) -> bool {
    matches!(answer, Ok(Enqueued::Added { .. }))
}

/// The only set of dedupe records.
async fn record_set(queue: &TestQueue) -> String {
    let sets: Vec<String> = queue.command("KEYS {landfall}:seen:*").await;
    assert_eq!(sets.len(), 1, "{sets:?}");
    sets[0].clone()
}

/// Ages a set of records by this many generations.
async fn age(queue: &TestQueue, set: &str, generations: u64) -> String {
    let [shard, generation, prefix] = set.rsplitn(3, ':').collect::<Vec<_>>()[..] else {
        panic!("{set} is no record set");
    };
    let older = format!("{prefix}:{}:{shard}", generation.parse::<u64>().unwrap() - generations);
    queue.command::<()>(&format!("RENAME {set} {older}")).await;
    older
}

#[tokio::test]
async fn every_record_set_expires_after_the_window_and_before_half_as_much_again() {
    let queue = TestQueue::start();
    let events: Vec<_> = (0..300).map(|n| entry(&format!("wh_{n}"))).collect();
    join_all(events.iter().map(|event| queue.producer.enqueue(FAMILY, event))).await;
    let mut keys: Vec<String> = queue.command("KEYS {landfall}:seen*").await;
    assert!(keys.len() > 200, "{}", keys.len());
    keys.sort();
    assert_eq!(keys[0], "{landfall}:seen");
    for key in keys {
        let ttl: u64 = queue.command(&format!("TTL {key}")).await;
        assert!((287_990..=432_000).contains(&ttl), "{key}: {ttl}");
    }
}

#[tokio::test]
async fn a_record_is_per_project() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let other = Entry { project: "second".to_owned(), ..entry("wh_1") };
    assert!(is_added(&queue.producer.enqueue(FAMILY, &other).await));
    assert_eq!(queue.producer.enqueue(FAMILY, &other).await.unwrap(), Enqueued::Duplicate);
}

#[tokio::test]
async fn a_duplicate_is_found_across_the_borders_of_generations() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let mut set = record_set(&queue).await;
    for _ in 0..2 {
        set = age(&queue, &set, 1).await;
        assert_eq!(
            queue.producer.enqueue(FAMILY, &entry("wh_1")).await.unwrap(),
            Enqueued::Duplicate,
            "{set}"
        );
    }
    age(&queue, &set, 1).await;
    assert!(is_added(&queue.producer.enqueue(FAMILY, &entry("wh_1")).await), "the window is over");
}

#[tokio::test]
async fn the_window_is_a_setting() {
    let queue = TestQueue::start();
    let producer = Producer::new(&queue.config, 1000, Duration::from_secs(80)).unwrap();
    producer.enqueue(FAMILY, &entry("wh_1")).await.unwrap();
    assert_eq!(producer.enqueue(FAMILY, &entry("wh_1")).await.unwrap(), Enqueued::Duplicate);
    let ttl: u64 = queue.command(&format!("TTL {}", record_set(&queue).await)).await;
    assert!((79..=120).contains(&ttl), "{ttl}");
}

#[tokio::test]
async fn a_refused_entry_leaves_no_record() {
    let queue = TestQueue::start();
    // A stream whose ids are exhausted.
    queue.command::<String>("XADD events 18446744073709551615-18446744073709551615 v 1").await;
    let refused = queue.producer.enqueue(FAMILY, &entry("wh_1")).await;
    assert!(matches!(refused, Err(EnqueueError::Refused(_))), "{refused:?}");
    assert_eq!(queue.command::<Vec<String>>("KEYS {landfall}:seen*").await, [""; 0]);
    queue.command::<()>("DEL events").await;
    queue.add("wh_1").await;
}

#[tokio::test]
async fn a_record_set_that_is_none_refuses_its_event_and_no_other() {
    let queue = TestQueue::start();
    queue.add("wh_2").await;
    let set = record_set(&queue).await;
    queue.command::<()>("FLUSHALL").await;
    queue.command::<()>(&format!("LPUSH {set} 1")).await;
    let events = ["wh_1", "wh_2", "wh_3"].map(entry);
    let answers = join_all(events.iter().map(|event| queue.producer.enqueue(FAMILY, event))).await;
    assert!(matches!(answers[1], Err(EnqueueError::Refused(_))), "{answers:?}");
    let added = answers.iter().filter(|answer| is_added(answer)).count();
    assert_eq!((added, queue.command::<u64>("XLEN events").await), (2, 2));
}

/// Very similar ids, and pairs that are equal when concatenated.
#[tokio::test]
async fn no_new_event_is_taken_for_a_duplicate() {
    let queue = TestQueue::start_without_disk();
    let mut rng = fastrand::Rng::with_seed(19);
    let mut known = HashSet::new();
    for _ in 0..20 {
        let events: Vec<Entry> = (0..1000)
            .map(|_| {
                let word = |rng: &mut fastrand::Rng| -> String {
                    let length = rng.usize(1..7);
                    std::iter::repeat_with(|| rng.choice(['a', 'b', ':', '0', 'ä']).unwrap())
                        .take(length)
                        .collect()
                };
                Entry { project: word(&mut rng), ..entry(&word(&mut rng)) }
            })
            .collect();
        let answers = join_all(events.iter().map(|event| queue.producer.enqueue(FAMILY, event))).await;
        for (event, answer) in events.iter().zip(answers) {
            let is_new = known.insert((event.project.clone(), event.webhook_id.clone()));
            assert_eq!(is_added(&answer), is_new, "{event:?}: {answer:?}");
        }
    }
    assert!((10_000..19_000).contains(&known.len()), "{}", known.len());
}

#[tokio::test]
async fn under_pressure_the_oldest_generation_is_dropped_and_the_newest_last() {
    let queue = TestQueue::start();
    let enqueued = async |id: &str| queue.producer.enqueue(FAMILY, &entry(id)).await.unwrap();
    let mut sets = Vec::new();
    for (id, generations) in [("wh_oldest", 2), ("wh_older", 1)] {
        queue.add(id).await;
        let set = record_set_besides(&queue, &sets).await;
        sets.push(age(&queue, &set, generations).await);
        let generation: u64 = sets.last().unwrap().split(':').nth(2).unwrap().parse().unwrap();
        let expires_at = (generation + 3) * 144_000;
        queue.command::<()>(&format!("ZADD {{landfall}}:seen {expires_at} {generation}")).await;
    }
    queue.add("wh_new").await;
    assert!(queue.admin.drop_oldest_dedupe_records(false).await.unwrap());
    assert_eq!(queue.command::<u64>(&format!("EXISTS {}", sets[0])).await, 0);
    assert_eq!(enqueued("wh_older").await, Enqueued::Duplicate);
    assert!(queue.admin.drop_oldest_dedupe_records(false).await.unwrap());
    assert!(!queue.admin.drop_oldest_dedupe_records(false).await.unwrap(), "only the newest is left");
    assert_eq!(enqueued("wh_new").await, Enqueued::Duplicate);
    assert!(queue.admin.drop_oldest_dedupe_records(true).await.unwrap());
    assert!(!queue.admin.drop_oldest_dedupe_records(true).await.unwrap());
    assert_eq!(queue.command::<Vec<String>>("KEYS {landfall}:seen*").await, [""; 0]);
    assert!(matches!(enqueued("wh_new").await, Enqueued::Added { .. }));
    assert!(queue.admin.drop_oldest_dedupe_records(true).await.unwrap(), "it is listed again");
}

async fn record_set_besides(queue: &TestQueue, others: &[String]) -> String {
    let sets: Vec<String> = queue.command("KEYS {landfall}:seen:*").await;
    sets.into_iter().find(|set| !others.contains(set)).unwrap()
}

#[tokio::test]
async fn keys_of_earlier_versions_are_dropped_and_nothing_else() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let set = record_set(&queue).await;
    for n in 0..2500 {
        queue.command::<()>(&format!("SET {{landfall}}:seen:default:wh_{n} 1 EX 600")).await;
    }
    for foreign in ["{landfall2}:seen:default:wh_1", "{landfall}:born", "seen"] {
        queue.command::<()>(&format!("SET {foreign} 1")).await;
    }
    assert_eq!(queue.admin.drop_legacy_dedupe_keys().await.unwrap(), 2500);
    assert_eq!(queue.admin.drop_legacy_dedupe_keys().await.unwrap(), 0);
    let mut keys: Vec<String> = queue.command("KEYS *").await;
    keys.sort();
    let mut expected = [
        "seen",
        "{landfall2}:seen:default:wh_1",
        "{landfall}:born",
        "{landfall}:events:batch",
        "{landfall}:seen",
        set.as_str(),
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
}

#[tokio::test]
async fn two_producers_with_different_windows_know_their_own_records() {
    let queue = TestQueue::start();
    let other = Producer::new(&queue.config, 1000, DEDUPE_WINDOW / 2).unwrap();
    queue.add("wh_1").await;
    assert!(
        is_added(&other.enqueue(FAMILY, &entry("wh_1")).await),
        "the docs say that all ingests need the same window"
    );
    assert_eq!(other.enqueue(FAMILY, &entry("wh_1")).await.unwrap(), Enqueued::Duplicate);
    assert_eq!(queue.producer.enqueue(FAMILY, &entry("wh_1")).await.unwrap(), Enqueued::Duplicate);
}
