//! `landfall events`: lists events and their states, newest first.

use std::io::Write;

use chrono::{DateTime, Utc};
use serde::Serialize;
use service::settings::StoreSettings;
use store::{EventFilter, EventRecord};
use webhook::{EventState, Family, MaybeKnown, Reason};

use crate::exit::{CliError, ExitStatus};
use crate::output::{self, Text};
use crate::{json, printable, store_client, time_format};

const EXAMPLES: &str = "\
Examples:
  landfall events                             the 50 newest
  landfall events --family batch --since 1h
  landfall events --state dead                dead letters, with the reason
  landfall events --since 2026-11-01 --limit 100000 --json | jq -r .webhook_id

An event is listed once a worker has first received it; `landfall status`
counts those still in the queue. `landfall show ID` shows one event in full, or
its object.

Exit codes: 0 success (also when none are found), 3 the database could not be
reached.";

/// List events and their states, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Events {
    /// Only this family: response, batch, fine_tuning, eval, realtime, agent, safety, other
    #[arg(long)]
    family: Option<Family>,
    /// Only this state: received, stored, retrying, dead
    #[arg(long)]
    state: Option<EventState>,
    /// Only events received since: an age (90s, 30m, 1h, 7d), a date (2026-11-01) or a UTC time
    #[arg(long, value_name = "WHEN", value_parser = time_format::since)]
    since: Option<DateTime<Utc>>,
    /// Maximum number of events
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print one JSON object per event
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreSettings,
}

/// One line of `--json`: the row without its body.
#[derive(Serialize)]
pub(crate) struct Line<'a> {
    project: &'a str,
    webhook_id: &'a str,
    event_id: Option<&'a str>,
    r#type: &'a str,
    family: &'a MaybeKnown<Family>,
    object_id: Option<&'a str>,
    created_at: Option<DateTime<Utc>>,
    received_at: DateTime<Utc>,
    processed_at: Option<DateTime<Utc>>,
    attempts: u32,
    state: &'a MaybeKnown<EventState>,
    reason: Option<&'a MaybeKnown<Reason>>,
    last_error: Option<&'a str>,
}

/// Prints the selected events.
pub(crate) async fn run(args: &Events, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let store = store_client::open(&args.store).await?;
    let filter = EventFilter {
        project: None,
        family: args.family,
        state: args.state,
        since: args.since,
        after: None,
        limit: args.limit,
    };
    let events = store.list_events(&filter).await?;
    if args.json {
        json::write_lines(out, events.iter().map(Line::of))?;
    } else if events.is_empty() {
        eprintln!("landfall: no events found");
    } else {
        write!(out, "{}", table(&events, Utc::now(), output::width()))?;
    }
    if events.len() == args.limit as usize {
        eprintln!("landfall: there may be more events; raise --limit to see them");
    }
    Ok(ExitStatus::Success)
}

impl<'a> Line<'a> {
    pub(crate) fn of(event: &'a EventRecord) -> Self {
        Self {
            project: &event.project,
            webhook_id: &event.webhook_id,
            event_id: event.event_id.as_deref(),
            r#type: &event.event_type,
            family: &event.family,
            object_id: event.object_id.as_deref(),
            created_at: event.created_at,
            received_at: event.received_at,
            processed_at: event.processed_at,
            attempts: event.attempts,
            state: &event.state,
            reason: event.reason.as_ref(),
            last_error: event.last_error.as_deref(),
        }
    }
}

/// Type and id side by side if they fit, else on two lines: a truncated id could not be copied.
fn table(events: &[EventRecord], now: DateTime<Utc>, width: u16) -> String {
    /// Age, state and attempts, with the gaps after them.
    const OTHERS_CHARS: usize = 6 + 10 + 9;
    let longest = |text: &dyn Fn(&EventRecord) -> usize| events.iter().map(text).max().unwrap_or(0);
    let type_chars = longest(&|event| event.event_type.chars().count());
    let id_chars = longest(&|event| id(event).chars().count());
    let width_chars = usize::from(width);
    let side_by_side = OTHERS_CHARS + type_chars + 2 + id_chars <= width_chars;
    // The width left for the last column.
    let last_chars = width_chars - OTHERS_CHARS - if side_by_side { type_chars + 2 } else { 0 };
    let heads = if side_by_side {
        "AGE> | STATE | ATTEMPT> | TYPE | OBJECT OR WEBHOOK"
    } else {
        "AGE> | STATE | ATTEMPT> | TYPE, OBJECT OR WEBHOOK"
    };
    let row = |event: &EventRecord| {
        let mut row = vec![
            Text::from(time_format::age(event.received_at, now)),
            event.state.to_string().into(),
            event.attempts.to_string().into(),
        ];
        let mut last = Vec::new();
        if side_by_side {
            row.push(event.event_type.as_str().into());
        } else {
            last.push(Text::from(event.event_type.as_str()));
        }
        last.push(id(event).into());
        // Why the event is not stored, or not completely.
        last.extend(event.reason.as_ref().map(|reason| {
            let why = why(reason, event.last_error.as_deref());
            Text::sentence(&output::shortened(&why, last_chars))
        }));
        row.push(Text::lines(last));
        row
    };
    output::table(heads, events.iter().map(row), width)
}

/// The reason and the last error, on one line.
pub(crate) fn why(reason: &MaybeKnown<Reason>, last_error: Option<&str>) -> String {
    match last_error {
        Some(error) => format!("{reason}: {}", printable::sentence(error)),
        None => reason.to_string(),
    }
}

/// The id for which `landfall show` finds most: the object's, or else the webhook's.
pub(crate) fn id(event: &EventRecord) -> &str {
    event.object_id.as_deref().unwrap_or(&event.webhook_id)
}
