//! A queue for one test, and direct access to its Redis.

use std::time::Duration;

use queue::{
    Consumer, ConsumerConfig, DEDUPE_WINDOW, Delivery, Enqueued, Entry, FamilyStats, Keys, Producer,
    QueueAdmin, QueueConfig,
};
use redis::FromRedisValue;
use redis::aio::MultiplexedConnection;
use test_support::network::Network;
use test_support::redis::RedisServer;
use test_support::wait;
use webhook::Family;

/// The family of tests that need a single one.
pub(crate) const FAMILY: Family = Family::Batch;
/// A lease no test waits for.
pub(crate) const LONG: Duration = Duration::from_secs(600);

pub(crate) struct TestQueue {
    pub(crate) server: RedisServer,
    pub(crate) config: QueueConfig,
    pub(crate) producer: Producer,
    pub(crate) admin: QueueAdmin,
    pub(crate) keys: Keys,
}

impl TestQueue {
    pub(crate) fn start() -> Self {
        Self::on(RedisServer::start())
    }

    /// Without persistence, for tests with many entries.
    pub(crate) fn start_without_disk() -> Self {
        Self::on(RedisServer::start_with(&[]))
    }

    pub(crate) fn on(server: RedisServer) -> Self {
        let url = server.url();
        Self::at(server, url)
    }

    /// The crate under test connects to `url`, everything else directly to the server.
    pub(crate) fn at(server: RedisServer, url: String) -> Self {
        let config = QueueConfig { url: url.into(), key_prefix: "landfall".to_owned() };
        Self {
            producer: Producer::new(&config, 1_000_000, DEDUPE_WINDOW).unwrap(),
            admin: QueueAdmin::new(&config).unwrap(),
            keys: Keys::new(&config.key_prefix),
            config,
            server,
        }
    }

    pub(crate) async fn consumer(&self, name: &str, lease: Duration) -> Consumer {
        Consumer::connect(self.consumer_config(name, lease)).await.unwrap()
    }

    pub(crate) fn consumer_config(&self, name: &str, lease: Duration) -> ConsumerConfig {
        ConsumerConfig { queue: self.config.clone(), family: FAMILY, name: name.to_owned(), lease }
    }

    /// Enqueues a new event. Returns its entry id.
    pub(crate) async fn add(&self, webhook_id: &str) -> String {
        match self.producer.enqueue(FAMILY, &entry(webhook_id)).await.unwrap() {
            Enqueued::Added { entry_id } => entry_id,
            Enqueued::Duplicate => panic!("{webhook_id} is a duplicate"),
        }
    }

    /// A connection that does not use the crate under test.
    pub(crate) async fn raw(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.server.url()).unwrap();
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(wait::DEADLINE));
        client.get_multiplexed_async_connection_with_config(&config).await.unwrap()
    }

    /// Runs one command, its words separated by blanks; `events`, `delayed`, `attempts` and `dead` stand for keys.
    pub(crate) async fn command<T: FromRedisValue>(&self, words: &str) -> T {
        self.try_command(words).await.unwrap()
    }

    /// The same for a command that may fail.
    pub(crate) async fn try_command<T: FromRedisValue>(&self, words: &str) -> redis::RedisResult<T> {
        let mut command = redis::Cmd::new();
        for word in words.split(' ') {
            command.arg(match word {
                "events" => self.keys.events(FAMILY),
                "delayed" => self.keys.delayed(FAMILY),
                "attempts" => self.keys.attempts(FAMILY),
                "dead" => self.keys.dead(FAMILY),
                word => word.to_owned(),
            });
        }
        command.query_async(&mut self.raw().await).await
    }

    pub(crate) async fn stats(&self) -> FamilyStats {
        let all = self.admin.stats().await.unwrap();
        all.into_iter().find(|stats| stats.family == FAMILY).unwrap()
    }
}

impl TestQueue {
    /// How often Redis ran a command, also inside of scripts.
    pub(crate) async fn calls_of(&self, command: &str) -> u64 {
        let stats: String = self.command("INFO commandstats").await;
        let name = format!("cmdstat_{command}:calls=");
        let calls = stats.lines().find_map(|line| line.strip_prefix(&name)?.split(',').next());
        calls.map_or(0, |calls| calls.parse().unwrap())
    }
}

pub(crate) fn entry(webhook_id: &str) -> Entry {
    Entry {
        webhook_id: webhook_id.to_owned(),
        project: "default".to_owned(),
        event_type: "batch.completed".to_owned(),
        timestamp_secs: 1_750_287_078,
        received_ms: 1_750_287_078_123,
        body: br#"{"type":"batch.completed","data":{"id":"batch_1"}}"#.to_vec(),
        traceparent: None,
        replay_of: None,
    }
}

/// Waits for the next delivery.
pub(crate) async fn one(consumer: &mut Consumer) -> Delivery {
    let deadline = tokio::time::Instant::now() + wait::DEADLINE;
    loop {
        if let Some(delivery) = consumer.receive(1).await.unwrap().pop() {
            return delivery;
        }
        assert!(tokio::time::Instant::now() < deadline, "no delivery came");
    }
}

/// Waits for the next delivery, and ignores errors.
pub(crate) async fn one_in_the_end(consumer: &mut Consumer) -> Delivery {
    let deadline = tokio::time::Instant::now() + wait::DEADLINE;
    loop {
        match consumer.receive(1).await {
            Ok(mut deliveries) => {
                if let Some(delivery) = deliveries.pop() {
                    return delivery;
                }
            }
            Err(error) => {
                assert!(error.is_retryable(), "{error:?}");
                tokio::task::yield_now().await;
            }
        }
        assert!(tokio::time::Instant::now() < deadline, "no delivery came");
    }
}

/// Waits until a consumer is blocked in `XREADGROUP`.
pub(crate) async fn blocked(queue: &TestQueue) {
    wait::until("a blocked reader", async || {
        let clients: String = queue.command("INFO clients").await;
        clients.contains("blocked_clients:1").then_some(())
    })
    .await;
}

/// Asserts that there is nothing to take.
pub(crate) async fn nothing(consumer: &mut Consumer) {
    let deliveries = consumer.receive_now(10).await.unwrap();
    assert!(deliveries.is_empty(), "{deliveries:?}");
}

pub(crate) fn webhook_id(delivery: &Delivery) -> &str {
    &delivery.content.as_ref().unwrap().webhook_id
}

/// The Redis URL through the network proxy.
pub(crate) fn network_url(network: &Network) -> String {
    format!("redis://127.0.0.1:{}", network.port())
}
