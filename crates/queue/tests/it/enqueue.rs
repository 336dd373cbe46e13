//! Enqueueing: each event is accepted once, or refused with a reason.

use std::collections::HashSet;

use futures_util::future::join_all;
use queue::{DEDUPE_WINDOW, EnqueueError, Enqueued, Producer, QueueConfig};
use test_support::network::Network;
use test_support::redis::RedisServer;
use webhook::Family;

use crate::harness::{FAMILY, LONG, TestQueue, entry, network_url, one};

/// In rounds over open connections: a single burst could pass because of the order in which sockets open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_concurrent_duplicates_are_enqueued_once() {
    let queue = TestQueue::start();
    for round in 0..10 {
        let event = entry(&format!("wh_same_{round}"));
        let answers = join_all((0..1000).map(|_| queue.producer.enqueue(FAMILY, &event))).await;
        let added = answers.into_iter().filter(|answer| matches!(answer, Ok(Enqueued::Added { .. }))).count();
        assert_eq!((added, queue.command::<u64>("XLEN events").await), (1, round + 1));
    }
}

#[tokio::test]
async fn families_have_streams_of_their_own() {
    let queue = TestQueue::start();
    queue.producer.create_groups().await.unwrap();
    queue.producer.create_groups().await.unwrap();
    queue.producer.enqueue(Family::Eval, &entry("wh_1")).await.unwrap();
    let stats = queue.admin.stats().await.unwrap();
    let backlogs: HashSet<_> = stats.iter().map(|s| (s.family, s.backlog())).collect();
    let expected = Family::ALL.iter().map(|&family| (family, u64::from(family == Family::Eval)));
    assert_eq!(backlogs, expected.collect());
    for family in Family::ALL {
        let groups: u64 = queue.command(&format!("EXISTS {}", queue.keys.events(*family))).await;
        assert_eq!(groups, 1, "{family}");
    }
}

#[tokio::test]
async fn events_enqueued_together_get_each_into_its_own_stream_and_its_own_answer() {
    let queue = TestQueue::start();
    queue.add("wh_4").await;
    let families = [FAMILY, FAMILY, Family::Eval, FAMILY, FAMILY, Family::Eval, Family::Response, FAMILY];
    let events: Vec<_> = (0..families.len()).map(|n| entry(&format!("wh_{n}"))).collect();
    let enqueued = families.iter().zip(&events).map(|(&family, event)| queue.producer.enqueue(family, event));
    let answers = join_all(enqueued).await;
    for (n, (family, answer)) in families.into_iter().zip(answers).enumerate() {
        let Enqueued::Added { entry_id } = answer.unwrap() else {
            assert_eq!(n, 4, "only one was there before");
            continue;
        };
        assert_ne!(n, 4, "it was there before");
        let range = format!("XRANGE {} {entry_id} {entry_id}", queue.keys.events(family));
        let entries: Vec<(String, Vec<String>)> = queue.command(&range).await;
        assert_eq!(entries[0].1[..4], ["v", "1", "id", &format!("wh_{n}")]);
    }
}

#[tokio::test]
async fn a_full_stream_refuses_new_events_but_knows_the_old_ones() {
    let queue = TestQueue::start();
    let producer = Producer::new(&queue.config, 2, DEDUPE_WINDOW).unwrap();
    producer.enqueue(FAMILY, &entry("wh_1")).await.unwrap();
    producer.enqueue(FAMILY, &entry("wh_2")).await.unwrap();
    let refused = producer.enqueue(FAMILY, &entry("wh_3")).await;
    assert!(matches!(refused, Err(EnqueueError::Full)), "{refused:?}");
    assert_eq!(producer.enqueue(FAMILY, &entry("wh_2")).await.unwrap(), Enqueued::Duplicate);

    let mut consumer = queue.consumer("a", LONG).await;
    one(&mut consumer).await.ack().await.unwrap();
    let retried = producer.enqueue(FAMILY, &entry("wh_3")).await;
    assert!(matches!(retried, Ok(Enqueued::Added { .. })), "what was refused left no mark: {retried:?}");
}

#[tokio::test]
async fn a_stream_that_fills_up_within_a_batch_refuses_the_rest_of_it() {
    let queue = TestQueue::start();
    let producer = Producer::new(&queue.config, 3, DEDUPE_WINDOW).unwrap();
    producer.enqueue(FAMILY, &entry("wh_0")).await.unwrap();
    let events = ["wh_1", "wh_0", "wh_2", "wh_3", "wh_0"].map(entry);
    let answers = join_all(events.iter().map(|event| producer.enqueue(FAMILY, event))).await;
    assert!(
        matches!(
            &answers[..],
            [
                Ok(Enqueued::Added { .. }),
                Ok(Enqueued::Duplicate),
                Ok(Enqueued::Added { .. }),
                Err(EnqueueError::Full),
                Ok(Enqueued::Duplicate)
            ]
        ),
        "{answers:?}"
    );
    assert_eq!(queue.command::<u64>("XLEN events").await, 3);
}

#[tokio::test]
async fn a_redis_out_of_memory_refuses_events_while_workers_drain_it() {
    let queue = TestQueue::start();
    for id in ["wh_1", "wh_2", "wh_3", "wh_4"] {
        queue.add(id).await;
    }
    let mut consumer = queue.consumer("a", LONG).await;
    queue.command::<()>("CONFIG SET maxmemory 1").await;

    let refused = queue.producer.enqueue(FAMILY, &entry("wh_5")).await;
    assert!(matches!(refused, Err(EnqueueError::OutOfMemory(_))), "{refused:?}");
    let mut deliveries = consumer.receive(4).await.unwrap();
    assert_eq!(deliveries.len(), 4);
    deliveries.pop().unwrap().ack().await.unwrap();
    deliveries.pop().unwrap().retry_after(LONG, webhook::Reason::RateLimited, "429").await.unwrap();
    deliveries.pop().unwrap().dead_letter(webhook::Reason::Rejected, "400", None).await.unwrap();
    deliveries.pop().unwrap().release().await.unwrap();
    let stats = queue.stats().await;
    assert_eq!((stats.undelivered, stats.pending, stats.delayed, stats.dead), (0, 0, 2, 1));

    queue.command::<()>("CONFIG SET maxmemory 0").await;
    queue.add("wh_5").await;
}

#[tokio::test]
async fn a_read_only_redis_is_recognized_and_a_new_primary_is_used_at_once() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    queue.command::<()>("REPLICAOF 127.0.0.1 1").await;
    let refused = queue.producer.enqueue(FAMILY, &entry("wh_2")).await;
    assert!(matches!(refused, Err(EnqueueError::ReadOnly(_))), "{refused:?}");
    queue.command::<()>("REPLICAOF NO ONE").await;
    queue.add("wh_2").await;
}

#[tokio::test]
async fn a_check_runs_the_real_script_and_leaves_nothing_but_a_record_for_seconds() {
    let queue = TestQueue::start();
    queue.producer.check().await.unwrap();
    queue.producer.check().await.unwrap();
    let mut keys: Vec<String> = queue.command("KEYS *").await;
    keys.retain(|key| !key.starts_with("{landfall}:check:seen"));
    assert_eq!(keys, [""; 0]);
    let gone = async || queue.command::<Vec<String>>("KEYS *").await.is_empty().then_some(());
    test_support::wait::until("the check's records to expire", gone).await;
}

#[tokio::test]
async fn a_check_meets_what_an_event_would_meet() {
    let queue = TestQueue::start();
    for (user, label) in [("+@all -xadd", "refused"), ("+@all -evalsha", "refused"), ("+@all", "")] {
        queue.command::<()>(&format!("ACL SETUSER default resetkeys ~* reset on nopass ~* {user}")).await;
        let checked = queue.producer.check().await;
        let enqueued = queue.producer.enqueue(FAMILY, &entry("wh_1")).await.map(drop);
        assert_eq!(checked.as_ref().map_or_else(EnqueueError::label, |()| ""), label, "{user}: {checked:?}");
        assert_eq!(
            enqueued.as_ref().map_or_else(EnqueueError::label, |()| ""),
            label,
            "{user}: {enqueued:?}"
        );
    }
    queue.command::<()>("REPLICAOF 127.0.0.1 1").await;
    assert_eq!(queue.producer.check().await.unwrap_err().label(), "read_only");
}

#[tokio::test]
async fn a_producer_starts_before_redis_and_uses_it_when_it_comes() {
    let mut server = RedisServer::start();
    server.kill();
    let mut queue = TestQueue::on(server);
    let refused = queue.producer.enqueue(FAMILY, &entry("wh_1")).await;
    assert!(matches!(refused, Err(EnqueueError::Unavailable(_))), "{refused:?}");
    assert!(queue.producer.ping().await.unwrap_err().is_retryable());
    queue.server.resume();
    queue.add("wh_1").await;
    queue.producer.ping().await.unwrap();
}

#[tokio::test]
async fn an_invalid_url_is_refused_without_showing_it() {
    let mut config = TestQueue::start().config;
    config.url = "http://user:secret@redis".to_owned().into();
    let error = Producer::new(&config, 1, DEDUPE_WINDOW).err().unwrap();
    assert!(!error.is_retryable() && !format!("{error:?}").contains("secret"), "{error:?}");
}

/// Over TCP and over a Unix socket.
#[tokio::test]
async fn the_user_and_the_database_of_the_url_are_used() {
    let server = RedisServer::start_with(&["--unixsocket", "redis.sock"]);
    let (port, socket) = (server.port(), server.folder().join("redis.sock"));
    let queue = TestQueue::at(server, format!("redis://landfall:s3cret@127.0.0.1:{port}/3"));
    assert!(queue.producer.enqueue(FAMILY, &entry("wh_1")).await.is_err(), "there is no such user");
    let _: String = queue.command("ACL SETUSER landfall on >s3cret ~* +@all").await;
    let url = format!("redis+unix://{}?db=3&user=landfall&pass=s3cret", socket.display());
    let config = QueueConfig { url: url.into(), ..queue.config.clone() };
    let by_socket = Producer::new(&config, 1000, DEDUPE_WINDOW).unwrap();
    queue.add("wh_1").await;
    for (producer, id) in [(&by_socket, "wh_2"), (&queue.producer, "wh_3")] {
        let _: String = queue.command("SCRIPT FLUSH").await;
        let added = producer.enqueue(FAMILY, &entry(id)).await.unwrap();
        assert!(matches!(added, Enqueued::Added { .. }));
        assert_eq!(producer.enqueue(FAMILY, &entry("wh_1")).await.unwrap(), Enqueued::Duplicate);
    }
    assert_eq!(queue.command::<u64>("XLEN events").await, 0);
    let _: String = queue.command("SWAPDB 0 3").await;
    assert_eq!(queue.command::<u64>("XLEN events").await, 3);
}

#[tokio::test]
async fn all_events_of_a_producer_share_one_connection() {
    let queue = TestQueue::start();
    let events: Vec<_> = (0..600).map(|n| entry(&format!("wh_{n}"))).collect();
    for answer in join_all(events.iter().map(|event| queue.producer.enqueue(FAMILY, event))).await {
        assert!(matches!(answer, Ok(Enqueued::Added { .. })), "{answer:?}");
    }
    let clients: String = queue.command("CLIENT LIST").await;
    let connections = clients.lines().filter(|client| client.contains("cmd=evalsha")).count();
    assert_eq!(connections, 1, "{clients}");
}

/// All callers wait for one connection attempt and share its result.
#[tokio::test]
async fn many_requests_without_redis_share_a_connection_attempt() {
    let mut server = RedisServer::start();
    let network = Network::start(server.port()).await;
    server.kill();
    let queue = TestQueue::at(server, network_url(&network));
    let events: Vec<_> = (0..1000).map(|n| entry(&format!("wh_{n}"))).collect();
    for answer in join_all(events.iter().map(|event| queue.producer.enqueue(FAMILY, event))).await {
        assert!(matches!(answer, Err(EnqueueError::Unavailable(_))), "{answer:?}");
    }
    let opened = network.opened();
    assert!((1..=20).contains(&opened), "{opened} connections for 8 batches, each of which tries twice");
}

#[tokio::test]
async fn a_redis_that_came_back_costs_no_event() {
    let mut queue = TestQueue::start();
    queue.add("wh_1").await;
    queue.server.kill();
    queue.server.resume();
    queue.add("wh_2").await;
    assert_eq!(queue.command::<u64>("XLEN events").await, 2);
}
