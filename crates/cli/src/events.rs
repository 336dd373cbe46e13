//! `landfall events`: what came in, newest first, and what became of it.

use std::io::Write;

use chrono::{DateTime, Utc};
use serde::Serialize;
use service::settings::StoreSettings;
use store::{EventFilter, EventRecord};
use webhook::{EventState, Family, MaybeKnown, Reason};

use crate::exit::{Answer, Failure};
use crate::screen::{self, Text};
use crate::{json, moment, printable, stored};

const EXAMPLES: &str = "\
Examples:
  landfall events                             the 50 newest
  landfall events --family batch --since 1h
  landfall events --state dead                given up, with the reason
  landfall events --since 2026-11-01 --limit 100000 --json | jq -r .webhook_id

An event is here from the moment a worker first sees it; what waits for its
first worker is counted by `landfall status`. `landfall show ID` shows one event
whole, or the object that it is about.

Exit code: 0 done (also when there are none), 3 the database was not reached.";

/// The events that came in, newest first, and what became of them
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Events {
    /// Only of this family: response, batch, fine_tuning, eval, realtime, agent, safety, other
    #[arg(long)]
    family: Option<Family>,
    /// Only in this state: received, stored, retrying, dead
    #[arg(long)]
    state: Option<EventState>,
    /// Only received since then: an age (90s, 30m, 1h, 7d), a day (2026-11-01) or a time in UTC
    #[arg(long, value_name = "WHEN", value_parser = moment::since)]
    since: Option<DateTime<Utc>>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// One JSON object an event
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

/// Prints the events asked for.
pub(crate) async fn run(args: &Events, out: &mut dyn Write) -> Result<Answer, Failure> {
    let store = stored::open(&args.store).await?;
    let filter = EventFilter {
        project: None,
        family: args.family,
        state: args.state,
        since: args.since,
        limit: args.limit,
    };
    let events = store.list_events(&filter).await?;
    if args.json {
        json::write_lines(out, events.iter().map(Line::of))?;
    } else if events.is_empty() {
        eprintln!("landfall: there are no such events");
    } else {
        write!(out, "{}", table(&events, Utc::now(), screen::width()))?;
    }
    if events.len() == args.limit as usize {
        eprintln!("landfall: there may be more; see --limit");
    }
    Ok(Answer::Yes)
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

/// Type and id side by side where they fit, else below each other: an id that is cut cannot be copied.
fn table(events: &[EventRecord], now: DateTime<Utc>, width: u16) -> String {
    /// Age, state and attempts, each with the blanks behind it.
    const OTHERS_CHARS: usize = 6 + 10 + 9;
    let longest = |text: &dyn Fn(&EventRecord) -> usize| events.iter().map(text).max().unwrap_or(0);
    let type_chars = longest(&|event| event.event_type.chars().count());
    let id_chars = longest(&|event| id(event).chars().count());
    let width_chars = usize::from(width);
    let side_by_side = OTHERS_CHARS + type_chars + 2 + id_chars <= width_chars;
    // What is left for the last column.
    let last_chars = width_chars - OTHERS_CHARS - if side_by_side { type_chars + 2 } else { 0 };
    let heads = if side_by_side {
        "AGE> | STATE | ATTEMPT> | TYPE | OBJECT OR WEBHOOK"
    } else {
        "AGE> | STATE | ATTEMPT> | TYPE, OBJECT OR WEBHOOK"
    };
    let row = |event: &EventRecord| {
        let mut row = vec![
            Text::from(moment::age(event.received_at, now)),
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
        // Why it is not simply stored.
        last.extend(event.reason.as_ref().map(|reason| {
            let why = why(reason, event.last_error.as_deref());
            Text::sentence(&screen::shortened(&why, last_chars))
        }));
        row.push(Text::lines(last));
        row
    };
    screen::table(heads, events.iter().map(row), width)
}

/// Why an event is not simply stored, on one line.
pub(crate) fn why(reason: &MaybeKnown<Reason>, last_error: Option<&str>) -> String {
    match last_error {
        Some(error) => format!("{reason}: {}", printable::sentence(error)),
        None => reason.to_string(),
    }
}

/// What `landfall show` finds most with: the object, or else the webhook.
pub(crate) fn id(event: &EventRecord) -> &str {
    event.object_id.as_deref().unwrap_or(&event.webhook_id)
}
