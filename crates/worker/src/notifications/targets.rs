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
use crate::notifications::early::EarlySender;
use crate::notifications::schedule::Timing;

/// Sends to every target in the file.
pub(crate) struct Targets {
    pub(crate) config: watch::Receiver<Arc<Config>>,
    pub(crate) written: watch::Receiver<()>,
    pub(crate) early: Arc<EarlySender>,
    pub(crate) store: Store,
    pub(crate) stream: NotificationStream,
    pub(crate) timing: Timing,
    pub(crate) metrics: Metrics,
    /// This worker's name.
    pub(crate) worker: String,
    pub(crate) reachable: Vec<(Arc<Target>, Sender)>,
}

impl Targets {
    /// Prepares how to send to the current targets, also early. Takes a moment for each.
    pub(crate) fn prepare(&mut self) {
        let config = Arc::clone(&self.config.borrow_and_update());
        let targets = config.targets.iter();
        let reachable =
            targets.filter_map(|target| Some((Arc::clone(target), self.sender(&config, target)?)));
        self.reachable = reachable.collect();
        let early = self.reachable.iter();
        let early = early.map(|(target, sender)| (target.name.clone(), sender.clone(), target.rate_per_sec));
        self.early.replace(early);
    }

    /// Runs until `shutdown`, with the targets that are prepared. Dispatchers of a previous file finish their attempts;
    /// leases separate them from the new ones.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut dispatchers = JoinSet::new();
        loop {
            let until_change = shutdown.child_token();
            for (target, sender) in &self.reachable {
                self.start(target, sender, &mut dispatchers, &until_change);
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
            self.prepare();
        }
        while dispatchers.join_next().await.is_some() {}
    }

    /// How to send to a target; `None`, and a log line, if it cannot be used.
    fn sender(&self, config: &Config, target: &Target) -> Option<Sender> {
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
                        return None;
                    }
                }
            }
            Destination::RedisStream { max_len } => {
                Transport::Stream { stream: self.stream.clone(), max_len: *max_len }
            }
        };
        Some(Sender {
            store: self.store.clone(),
            transport,
            timing: self.timing.clone(),
            metrics: self.metrics.clone(),
        })
    }

    /// Starts the dispatchers of a target.
    fn start(
        &self,
        target: &Arc<Target>,
        sender: &Sender,
        dispatchers: &mut JoinSet<()>,
        until: &CancellationToken,
    ) {
        for urgent in [true, false] {
            let (sender, target) = (sender.clone(), Arc::clone(target));
            let owner = format!("{}:{:016x}", self.worker, fastrand::u64(..));
            let dispatcher = Dispatcher { sender, target, urgent, owner };
            dispatchers.spawn(dispatcher.run(self.written.clone(), until.clone()));
        }
    }
}
