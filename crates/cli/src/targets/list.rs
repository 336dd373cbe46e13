//! `landfall targets list`.

use std::collections::BTreeMap;
use std::io::Write;

use chrono::{DateTime, Utc};
use notifier::Config;
use serde::Serialize;
use service::settings::{ConfigFileSettings, StoreSettings};
use store::{Store, TargetHealth, TargetState};
use webhook::{MaybeKnown, NotificationState};

use super::names;
use crate::exit::{CliError, ExitStatus};
use crate::output;
use crate::{config, json, store_client, time_format};

/// List the targets with their states and counts of notifications
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Print one JSON object per target
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFileSettings,
    #[command(flatten)]
    store: StoreSettings,
}

/// One line of `--json`.
#[derive(Serialize)]
struct Line {
    target: String,
    /// `None` when the target is not in the file.
    kind: Option<&'static str>,
    #[serde(rename = "where")]
    location: Option<String>,
    state: MaybeKnown<TargetState>,
    failures_in_row: u32,
    #[serde(rename = "waits_until")]
    open_until: Option<DateTime<Utc>>,
    pending: u64,
    delivered: u64,
    given_up: u64,
}

pub(super) async fn run(args: &List, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let config = match &args.config.landfall_config {
        Some(_) => config::of(&args.config)?,
        None => Config::default(),
    };
    let store = store_client::open(&args.store).await?;
    let lines = lines(&config, &store).await?;
    if args.json {
        json::write_lines(out, &lines)?;
    } else if lines.is_empty() {
        eprintln!("landfall: there are no targets; define them in the file at LANDFALL_CONFIG");
    } else {
        write!(out, "{}", table(&lines, Utc::now(), output::width()))?;
    }
    Ok(ExitStatus::Success)
}

async fn lines(config: &Config, store: &Store) -> Result<Vec<Line>, CliError> {
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    for name in names::known(store).await? {
        lines.insert(name.clone(), Line::new(name));
    }
    for target in &config.targets {
        let line = lines.entry(target.name.clone()).or_insert_with(|| Line::new(target.name.clone()));
        line.kind = Some(target.destination.kind());
        line.location = Some(config::location(target));
    }
    for health in store.target_health().await? {
        if let Some(line) = lines.get_mut(&health.target) {
            let TargetHealth { state, failures_in_row, open_until, .. } = health;
            (line.state, line.failures_in_row, line.open_until) = (state, failures_in_row, open_until);
        }
    }
    for (target, state, count) in store.count_notifications().await? {
        if let Some(line) = lines.get_mut(&target) {
            match state.known() {
                Some(NotificationState::Pending) => line.pending = count,
                Some(NotificationState::Delivered) => line.delivered = count,
                Some(NotificationState::GivenUp) => line.given_up = count,
                None => {}
            }
        }
    }
    Ok(lines.into_values().collect())
}

impl Line {
    fn new(target: String) -> Self {
        Self {
            target,
            kind: None,
            location: None,
            state: TargetState::Active.into(),
            failures_in_row: 0,
            open_until: None,
            pending: 0,
            delivered: 0,
            given_up: 0,
        }
    }

    /// The state as text. An active target that fails is shown as failing.
    fn state(&self, now: DateTime<Utc>) -> String {
        if self.state != TargetState::Active {
            return self.state.to_string();
        }
        match (self.failures_in_row, self.open_until.filter(|until| *until > now)) {
            (0, None) => self.state.to_string(),
            (_, Some(until)) => format!("waits {}", time_format::age(now, until)),
            (failures, None) => format!("failed {failures}x"),
        }
    }
}

fn table(lines: &[Line], now: DateTime<Utc>, width: u16) -> String {
    let row = |line: &Line| {
        vec![
            line.target.clone(),
            line.kind.unwrap_or("-").to_owned(),
            line.state(now),
            output::count(line.pending),
            output::count(line.delivered),
            output::count(line.given_up),
            line.location.clone().unwrap_or_else(|| "not in landfall.toml".to_owned()),
        ]
    };
    output::table(
        "TARGET | KIND | STATE | PENDING> | DELIVERED> | GIVEN UP> | DESTINATION",
        lines.iter().map(row),
        width,
    )
}
