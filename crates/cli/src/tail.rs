//! `landfall tail`: follows events and their changes of state.

use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

use chrono::{DateTime, Utc};
use service::settings::StoreSettings;
use store::{EventFilter, EventRecord, Store};
use webhook::{EventState, Family};

use crate::exit::{CliError, ExitStatus};
use crate::follow::{Follower, Name, POLL_INTERVAL, Seen};
use crate::{events, follow, json, output, store_client};

const EXAMPLES: &str = "\
Examples:
  landfall tail
  landfall tail --family batch -n 0
  landfall tail --json | jq -r 'select(.state == \"dead\") | .webhook_id'

Prints one line when a worker first receives an event, and one per change of
state: received, retrying (with the reason), stored, dead. Times are UTC. The
database is polled every half second; changes between two polls are one line.
Stop it with Ctrl-C.

Exit codes: 0 stopped by Ctrl-C or a closed pipe, 3 the database could not be
reached.";

/// Follow events and their changes of state
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Tail {
    /// Only this family: response, batch, fine_tuning, eval, realtime, agent, safety, other
    #[arg(long)]
    family: Option<Family>,
    /// Number of existing events to print first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: u32,
    /// Print one JSON object per line, as `landfall events` does
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreSettings,
}

/// Prints events until Ctrl-C.
pub(crate) async fn run(args: &Tail, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let store = store_client::open(&args.store).await?;
    let mut follower = Follower::start(store.clone(), args.family).await?;
    // Events that arrive between the two queries are not printed twice.
    let shown = begin(args, &store, out).await?;
    out.flush()?;
    let mut stop = std::pin::pin!(tokio::signal::ctrl_c());
    let mut wait = POLL_INTERVAL;
    loop {
        tokio::select! {
            stopped = &mut stop => {
                stopped?;
                return Ok(ExitStatus::Success);
            }
            () = tokio::time::sleep(wait) => {}
        }
        let changes = follower.poll().await?;
        for event in changes.events {
            if shown.get(&follow::name(&event)) != Some(&follow::seen_of(&event)) {
                show(args, &event, event.processed_at.unwrap_or_else(Utc::now), out)?;
            }
        }
        out.flush()?;
        wait = if changes.has_more { Duration::ZERO } else { POLL_INTERVAL };
    }
}

/// Prints the newest events.
async fn begin(args: &Tail, store: &Store, out: &mut dyn Write) -> Result<HashMap<Name, Seen>, CliError> {
    let mut shown = HashMap::new();
    if args.lines == 0 {
        return Ok(shown);
    }
    let newest = EventFilter { family: args.family, limit: args.lines, ..EventFilter::default() };
    let newest = store.list_events(&newest).await?;
    for event in newest.iter().rev() {
        show(args, event, event.processed_at.unwrap_or(event.received_at), out)?;
        shown.insert(follow::name(event), follow::seen_of(event));
    }
    Ok(shown)
}

fn show(args: &Tail, event: &EventRecord, at: DateTime<Utc>, out: &mut dyn Write) -> Result<(), CliError> {
    if args.json {
        json::write_line(out, &events::Line::of(event))?;
    } else {
        writeln!(out, "{}", text(event, at, Utc::now(), output::width()))?;
    }
    Ok(())
}

/// One line, another for an id that does not fit, and another for the reason, if any.
fn text(event: &EventRecord, at: DateTime<Utc>, now: DateTime<Utc>, width: u16) -> String {
    let at = if at.date_naive() == now.date_naive() {
        at.format("%H:%M:%S").to_string()
    } else {
        at.format("%b %e").to_string()
    };
    // Most types fit, so that ids are aligned.
    let head = format!("{at:<8}  {:<8}  {:<25}", event.state, event.event_type);
    let mut text = output::line_with_id(&head, events::id(event), width);
    if let Some(reason) = &event.reason {
        let mut why = events::why(reason, event.last_error.as_deref());
        if event.state == EventState::Retrying {
            why = format!("attempt {}: {why}", event.attempts);
        }
        text.push('\n');
        text.push_str(&output::indented_sentence(&why, width));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use webhook::Reason;

    fn event(id: &str, state: EventState, reason: Option<Reason>) -> EventRecord {
        let at = "2026-11-23T20:31:07Z".parse().unwrap();
        EventRecord {
            project: "default".to_owned(),
            webhook_id: "wh_1".to_owned(),
            event_id: None,
            event_type: "response.completed".to_owned(),
            family: Family::Response.into(),
            object_id: Some(id.to_owned()),
            created_at: None,
            received_at: at,
            processed_at: None,
            attempts: 3,
            state: state.into(),
            reason: reason.map(Into::into),
            last_error: reason.map(|_| "could not\nread \u{1b}[31mit ".repeat(20)),
            body: Vec::new(),
        }
    }

    #[test]
    fn a_line_keeps_its_width_and_never_truncates_an_id() {
        let at = "2026-11-23T20:31:07Z".parse().unwrap();
        let stored = event("resp_1", EventState::Stored, None);
        assert_eq!(text(&stored, at, at, 80), "20:31:07  stored    response.completed         resp_1");
        let later = "2026-12-01T00:00:00Z".parse().unwrap();
        assert_eq!(text(&stored, at, later, 80), "Nov 23    stored    response.completed         resp_1");

        let id = format!("resp_{}", "0".repeat(50));
        let retrying = text(&event(&id, EventState::Retrying, Some(Reason::NotFound)), at, at, 80);
        let lines: Vec<&str> = retrying.lines().collect();
        assert_eq!(lines[..2], ["20:31:07  retrying  response.completed", &format!("          {id}")]);
        assert!(lines[2].starts_with("          attempt 3: not_found: could not read"), "{retrying}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80) && !retrying.contains('\u{1b}'));
    }
}
