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
use crate::exit::{Answer, Failure};
use crate::screen;
use crate::{config, json, moment, stored};

/// Every target, how it is, and what waits for it
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// One JSON object a target
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFileSettings,
    #[command(flatten)]
    store: StoreSettings,
}

/// All that is known of one target.
#[derive(Serialize)]
struct Line {
    target: String,
    /// `None`: it is not in the file.
    kind: Option<&'static str>,
    #[serde(rename = "where")]
    place: Option<String>,
    state: MaybeKnown<TargetState>,
    failures_in_row: u32,
    waits_until: Option<DateTime<Utc>>,
    pending: u64,
    delivered: u64,
    given_up: u64,
}

pub(super) async fn run(args: &List, out: &mut dyn Write) -> Result<Answer, Failure> {
    let config = match &args.config.landfall_config {
        Some(_) => config::of(&args.config)?,
        None => Config::default(),
    };
    let store = stored::open(&args.store).await?;
    let lines = lines(&config, &store).await?;
    if args.json {
        json::write_lines(out, &lines)?;
    } else if lines.is_empty() {
        eprintln!("landfall: there are no targets; they are named in the file of LANDFALL_CONFIG");
    } else {
        write!(out, "{}", table(&lines, Utc::now(), screen::width()))?;
    }
    Ok(Answer::Yes)
}

async fn lines(config: &Config, store: &Store) -> Result<Vec<Line>, Failure> {
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    for name in names::known(store).await? {
        lines.insert(name.clone(), Line::new(name));
    }
    for target in &config.targets {
        let line = lines.entry(target.name.clone()).or_insert_with(|| Line::new(target.name.clone()));
        line.kind = Some(target.destination.kind());
        line.place = Some(config::place(target));
    }
    for health in store.target_health().await? {
        if let Some(line) = lines.get_mut(&health.target) {
            let TargetHealth { state, failures_in_row, open_until, .. } = health;
            (line.state, line.failures_in_row, line.waits_until) = (state, failures_in_row, open_until);
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
            place: None,
            state: TargetState::Active.into(),
            failures_in_row: 0,
            waits_until: None,
            pending: 0,
            delivered: 0,
            given_up: 0,
        }
    }

    /// One that fails is said to, although its state is `active`.
    fn state(&self, now: DateTime<Utc>) -> String {
        if self.state != TargetState::Active {
            return self.state.to_string();
        }
        match (self.failures_in_row, self.waits_until.filter(|until| *until > now)) {
            (0, None) => self.state.to_string(),
            (_, Some(until)) => format!("waits {}", moment::age(now, until)),
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
            screen::count(line.pending),
            screen::count(line.delivered),
            screen::count(line.given_up),
            line.place.clone().unwrap_or_else(|| "not in landfall.toml".to_owned()),
        ]
    };
    screen::table(
        "TARGET | KIND | STATE | PENDING> | DELIVERED> | GIVEN UP> | WHERE",
        lines.iter().map(row),
        width,
    )
}
