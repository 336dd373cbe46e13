//! The worker's Prometheus metrics. Names and labels are an interface; label values come from closed sets.

use std::time::Duration;

use openai_client::Observed;
use queue::{Repair, RepairKind};
use service::metrics::{Counter, Counters, Gauge, Gauges, Histograms, LAG_SECONDS, RedisMetrics, Registry};
use store::{TargetCondition, TargetHealth};
use webhook::{Family, Reason};

use crate::outcome::{DeliveryOutcome, NotificationOutcome};
use crate::queue_metrics::QueueMetrics;

const SECONDS: &[f64] = &[0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 43_200.0];

/// All metrics. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Metrics {
    deliveries: Counters<3>,
    handle_seconds: Histograms<1>,
    event_lag_seconds: Histograms<1>,
    openai_requests: Counters<2>,
    openai_bytes: Counter,
    key_suspect: Gauges<0>,
    repairs: Counters<1>,
    files_free_bytes: Gauges<0>,
    notifications: Counters<2>,
    notifications_pending: Gauges<1>,
    database_up: Gauge,
    target_state: Gauges<2>,
    pub(crate) queue: QueueMetrics,
    pub(crate) redis: RedisMetrics,
}

impl Metrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self::registered(registry);
        // Metrics used in alerts exist from the start.
        metrics.key_suspect(false);
        metrics
    }

    fn registered(registry: &mut Registry) -> Self {
        Self {
            deliveries: registry.counters(
                "landfall_deliveries_total",
                "Deliveries by outcome",
                ["family", "outcome", "reason"],
            ),
            handle_seconds: registry.histograms(
                "landfall_handle_seconds",
                "Seconds from receiving a delivery to settling it",
                ["family"],
                SECONDS,
            ),
            event_lag_seconds: registry.histograms(
                "landfall_event_lag_seconds",
                "Time from created_at of the event to the stage",
                ["stage"],
                LAG_SECONDS,
            ),
            openai_requests: registry.counters(
                "landfall_openai_requests_total",
                "Requests to the OpenAI API; status is none when there was no response",
                ["endpoint", "status"],
            ),
            openai_bytes: registry.counter("landfall_openai_bytes_total", "Bytes read from the OpenAI API"),
            key_suspect: registry.gauges(
                "landfall_openai_key_suspect",
                "1 while every recent fetch was 401 or 404: the API key probably belongs to another project",
                [],
            ),
            repairs: repairs(registry),
            files_free_bytes: registry.gauges(
                "landfall_files_free_bytes",
                "Free bytes on the disk of FILES_URL",
                [],
            ),
            notifications: notifications(registry),
            notifications_pending: registry.gauges(
                "landfall_notifications_pending",
                "Notifications not delivered yet, by target",
                ["target"],
            ),
            database_up: registry
                .gauge("landfall_database_up", "1 while the database accepts writes, 0 otherwise"),
            target_state: registry.gauges(
                "landfall_target_state",
                "1 for the current state of a target: active, failing, paused, disabled",
                ["target", "state"],
            ),
            queue: QueueMetrics::new(registry),
            redis: RedisMetrics::new(registry),
        }
    }

    pub(crate) fn delivery(
        &self,
        family: Family,
        outcome: DeliveryOutcome,
        reason: Option<Reason>,
        took: Duration,
    ) {
        let reason = reason.map_or("none", Reason::as_str);
        self.deliveries.with([family.as_str(), outcome.as_str(), reason]).inc();
        self.handle_seconds.with([family.as_str()]).observe(took.as_secs_f64());
    }

    /// `lag_ms` is `None` when the event has no creation time.
    pub(crate) fn stored_lag(&self, lag_ms: Option<i64>) {
        if let Some(lag) = lag_ms.and_then(|ms| u64::try_from(ms).ok()) {
            self.event_lag_seconds.with(["stored"]).observe(Duration::from_millis(lag).as_secs_f64());
        }
    }

    /// The lag of a delivered notification.
    pub(crate) fn notified_lag(&self, lag_ms: Option<i64>) {
        if let Some(lag) = lag_ms.and_then(|ms| u64::try_from(ms).ok()) {
            self.event_lag_seconds.with(["notified"]).observe(Duration::from_millis(lag).as_secs_f64());
        }
    }

    /// `target` is a name chosen by the operator: a closed set, as small as the configuration file.
    pub(crate) fn notification(&self, target: &str, outcome: NotificationOutcome) {
        self.notifications.with([target, outcome.as_str()]).inc();
    }

    /// Includes targets that are no longer in the file, as long as they have pending notifications.
    pub(crate) fn notifications_pending<'t>(
        &self,
        targets: impl Iterator<Item = &'t str>,
        pending: &[(String, u64)],
    ) {
        self.notifications_pending.clear();
        for target in targets {
            self.notifications_pending.with([target]).set(0.0);
            for outcome in NotificationOutcome::ALL {
                self.notifications.with([target, outcome.as_str()]);
            }
        }
        for (target, count) in pending {
            self.notifications_pending.with([target]).set(*count as f64);
        }
    }

    pub(crate) fn openai_request(&self, observed: &Observed) {
        self.openai_requests.with([observed.endpoint.as_str(), status_label(observed.status)]).inc();
        self.openai_bytes.inc_by(observed.bytes);
    }

    pub(crate) fn key_suspect(&self, suspect: bool) {
        self.key_suspect.with([]).set(f64::from(u8::from(suspect)));
    }

    pub(crate) fn repaired(&self, repair: Repair) {
        self.repairs.with([repair.kind.as_str()]).inc_by(repair.count);
    }

    pub(crate) fn files_free(&self, bytes: u64) {
        self.files_free_bytes.with([]).set(bytes as f64);
    }

    pub(crate) fn database_up(&self, is_up: bool) {
        self.database_up.set(f64::from(u8::from(is_up)));
    }

    /// The database does not respond.
    pub(crate) fn outbox_lost(&self) {
        self.notifications_pending.clear();
        self.target_state.clear();
    }

    /// Includes targets in the file, and targets that only the database knows.
    pub(crate) fn target_states<'t>(&self, targets: impl Iterator<Item = &'t str>, health: &[TargetHealth]) {
        self.target_state.clear();
        let unknown: Vec<TargetHealth> = targets.map(TargetHealth::new).collect();
        for known in unknown.iter().chain(health) {
            let now = known.condition();
            for condition in TargetCondition::ALL {
                let is_now = f64::from(u8::from(*condition == now));
                self.target_state.with([&known.target, condition.as_str()]).set(is_now);
            }
        }
    }
}

fn repairs(registry: &mut Registry) -> Counters<1> {
    let repairs =
        registry.counters("landfall_queue_repairs_total", "Repairs of damage to the queue", ["kind"]);
    for kind in RepairKind::ALL {
        repairs.with([kind.as_str()]);
    }
    repairs
}

fn notifications(registry: &mut Registry) -> Counters<2> {
    registry.counters(
        "landfall_notifications_total",
        "Attempts to deliver notifications, by target (its name in landfall.toml) and outcome",
        ["target", "outcome"],
    )
}

/// A closed set of labels: statuses with a specific meaning, and classes for the rest.
fn status_label(status: Option<u16>) -> &'static str {
    match status {
        None => "none",
        Some(200) => "200",
        Some(206) => "206",
        Some(400) => "400",
        Some(401) => "401",
        Some(403) => "403",
        Some(404) => "404",
        Some(408) => "408",
        Some(409) => "409",
        Some(429) => "429",
        Some(500) => "500",
        Some(502) => "502",
        Some(503) => "503",
        Some(504) => "504",
        Some(200..=299) => "2xx",
        Some(300..=399) => "3xx",
        Some(400..=499) => "4xx",
        Some(_) => "5xx",
    }
}
