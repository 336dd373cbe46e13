//! Starts the dispatchers of all targets, and restarts them when the file changes.

use std::sync::Arc;

use error_text::chain;
use notifier::{Config, Destination, Target, system_resolver};
use queue::NotificationStream;
use store::Store;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::notifications::attempt::{Sender, Transport};
use crate::notifications::dispatcher::Dispatcher;
use crate::notifications::schedule::Timing;

/// Sends to every target in the file.
pub(crate) struct Targets {
    pub(crate) config: watch::Receiver<Arc<Config>>,
    pub(crate) written: watch::Receiver<()>,
    pub(crate) store: Store,
    pub(crate) stream: NotificationStream,
    pub(crate) timing: Timing,
    pub(crate) metrics: Metrics,
    /// This worker's name.
    pub(crate) worker: String,
}

impl Targets {
    /// Runs until `shutdown`. Dispatchers of a previous file finish their attempts; leases separate them from the new
    /// ones.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut dispatchers = JoinSet::new();
        loop {
            let config = Arc::clone(&self.config.borrow_and_update());
            let until_change = shutdown.child_token();
            for target in &config.targets {
                self.start(&config, target, &mut dispatchers, &until_change);
            }
            let changed = tokio::select! {
                () = shutdown.cancelled() => false,
                changed = self.config.changed() => changed.is_ok(),
            };
            if !changed {
                // The file watcher only ends when the worker stops.
                shutdown.cancelled().await;
                break;
            }
            until_change.cancel();
            while dispatchers.try_join_next().is_some() {}
        }
        while dispatchers.join_next().await.is_some() {}
    }

    fn start(
        &self,
        config: &Config,
        target: &Arc<Target>,
        dispatchers: &mut JoinSet<()>,
        until: &CancellationToken,
    ) {
        let transport = match &target.destination {
            Destination::Webhook(place) | Destination::Slack(place) | Destination::Discord(place) => {
                match place.endpoint(&config.allow, system_resolver()) {
                    Ok(endpoint) => Transport::Http(endpoint),
                    Err(error) => {
                        tracing::error!(
                            notification.target = target.name,
                            error = chain(&error),
                            "cannot send to the target"
                        );
                        return;
                    }
                }
            }
            Destination::RedisStream { max_len } => {
                Transport::Stream { stream: self.stream.clone(), max_len: *max_len }
            }
        };
        let sender = Sender {
            store: self.store.clone(),
            transport,
            timing: self.timing.clone(),
            metrics: self.metrics.clone(),
        };
        for urgent in [true, false] {
            let (sender, target) = (sender.clone(), Arc::clone(target));
            let owner = format!("{}:{:016x}", self.worker, fastrand::u64(..));
            let dispatcher = Dispatcher { sender, target, urgent, owner };
            dispatchers.spawn(dispatcher.run(self.written.clone(), until.clone()));
        }
    }
}
