//! `landfall targets list`.

use std::collections::BTreeSet;
use std::io::Write;

use chrono::{DateTime, Utc};
use notifier::Config;
use operations::targets::{self, TargetStatus};
use service::settings::{ConfigFileSettings, StoreSettings};
use store::TargetState;

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

pub(super) async fn run(args: &List, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let config = match &args.config.landfall_config {
        Some(_) => config::of(&args.config)?,
        None => Config::default(),
    };
    let store = store_client::open(&args.store).await?;
    let counts = store.count_notifications().await?;
    let lines = targets::statuses(&config, &BTreeSet::new(), store.target_health().await?, counts);
    if args.json {
        json::write_lines(out, &lines)?;
    } else if lines.is_empty() {
        eprintln!("landfall: there are no targets; define them in the file at LANDFALL_CONFIG");
    } else {
        write!(out, "{}", table(&lines, Utc::now(), output::width()))?;
    }
    Ok(ExitStatus::Success)
}

/// The state as text. An active target that fails is shown as failing.
fn state(status: &TargetStatus, now: DateTime<Utc>) -> String {
    if status.state != TargetState::Active {
        return status.state.to_string();
    }
    match (status.failures_in_row, status.open_until(now)) {
        (0, None) => status.state.to_string(),
        (_, Some(until)) => format!("waits {}", time_format::age(now, until)),
        (failures, None) => format!("failed {failures}x"),
    }
}

fn table(lines: &[TargetStatus], now: DateTime<Utc>, width: u16) -> String {
    let row = |line: &TargetStatus| {
        vec![
            line.target.clone(),
            line.kind.unwrap_or("-").to_owned(),
            state(line, now),
            output::count(line.pending),
            output::count(line.delivered),
            output::count(line.given_up),
            line.destination.clone().unwrap_or_else(|| "not in landfall.toml".to_owned()),
        ]
    };
    output::table(
        "TARGET | KIND | STATE | PENDING> | DELIVERED> | GIVEN UP> | DESTINATION",
        lines.iter().map(row),
        width,
    )
}
