//! Programs that send heartbeats to Redis, with the product's code.

use notifier::Config;
use queue::{KnownTargets, Presence, QueueAdmin, QueueConfig};
use test_support::wait;
use tokio_util::sync::CancellationToken;

/// A live ingest and a live worker without targets.
pub(crate) struct Programs {
    reader: QueueAdmin,
}

impl Programs {
    pub(crate) async fn start(redis_url: &str) -> Self {
        let config = QueueConfig { url: redis_url.into(), key_prefix: "landfall".to_owned() };
        let programs = Self { reader: QueueAdmin::new(&config).unwrap() };
        programs.add("ingest", env!("CARGO_PKG_VERSION"), None).await;
        programs.add("worker", env!("CARGO_PKG_VERSION"), Some(&Config::default())).await;
        programs
    }

    /// Adds a program that sends heartbeats until the test ends.
    pub(crate) async fn add(&self, program: &'static str, version: &'static str, config: Option<&Config>) {
        let id = format!("box-{program}-{version}");
        let targets = config.map(|config| KnownTargets {
            names: config.targets.iter().map(|target| target.name.clone()).collect(),
            sha256: config.digest(),
        });
        let presence = Presence::new(self.reader.clone(), id.clone(), program, version);
        let known = targets.clone();
        tokio::spawn(presence.run(CancellationToken::new(), move || known.clone(), |_| {}));
        let reported = async || {
            let instances = self.reader.instances().await.unwrap();
            instances.iter().any(|found| found.id == id && found.info.targets == targets).then_some(())
        };
        wait::until("the program to report itself", reported).await;
    }

    /// Restarts the worker with another configuration.
    pub(crate) async fn worker_knows(&self, config: &Config) {
        self.add("worker", env!("CARGO_PKG_VERSION"), Some(config)).await;
    }
}
