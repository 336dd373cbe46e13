//! `landfall tail`: events and what becomes of them, as it happens.

use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::time::Duration;

use chrono::{DateTime, Utc};
use service::settings::StoreSettings;
use store::{EventFilter, EventPlace, EventRecord, Store};
use webhook::{EventState, Family, Reason};

use crate::exit::{Answer, Failure};
use crate::{events, json, screen, stored};

/// Two short queries by index, whatever the size of the database.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Events that are not stored are watched for their next state; of more, the oldest are no longer.
const WATCHED_MAX: usize = 2_000;
const WATCHED_FROM_START_PER_FAMILY: u32 = 200;
/// Events read at a time.
const PAGE: u32 = 500;

const EXAMPLES: &str = "\
Examples:
  landfall tail
  landfall tail --family batch -n 0
  landfall tail --json | jq -r 'select(.state == \"dead\") | .webhook_id'

One line for every event that a worker takes, and one for each state that it
comes to: received, retrying with the reason, stored, dead. Times are UTC. What
comes and goes between two looks, half a second apart, is one line. Ctrl-C ends
it.

Exit code: 0 ended by Ctrl-C or by its reader, 3 the database was not reached.";

/// Events and what becomes of them, as it happens
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Tail {
    /// Only of this family: response, batch, fine_tuning, eval, realtime, agent, safety, other
    #[arg(long)]
    family: Option<Family>,
    /// Begin with so many of the newest
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: u32,
    /// One JSON object a line, as of `landfall events`
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreSettings,
}

/// Project and webhook-id.
type Name = (String, String);

/// What was shown of an event, and would be shown again when it is another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    state: EventState,
    attempts: u32,
    reason: Option<Reason>,
}

/// Prints events until Ctrl-C.
pub(crate) async fn run(args: &Tail, out: &mut dyn Write) -> Result<Answer, Failure> {
    let store = stored::open(&args.store).await?;
    let mut follower = Follower {
        args,
        store,
        after: EventPlace::default(),
        shown_at_start: HashMap::new(),
        watched: VecDeque::new(),
    };
    follower.begin(out).await?;
    out.flush()?;
    let mut stop = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            stopped = &mut stop => {
                stopped?;
                return Ok(Answer::Yes);
            }
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        follower.look(out).await?;
        out.flush()?;
    }
}

struct Follower<'a> {
    args: &'a Tail,
    store: Store,
    /// Events up to here were seen when they were new.
    after: EventPlace,
    /// An event that came in during the first look is not shown twice.
    shown_at_start: HashMap<Name, Seen>,
    /// Events that can still change, the oldest first.
    watched: VecDeque<(Name, Seen)>,
}

impl Follower<'_> {
    /// Shows the newest events, and remembers those whose end is still to come.
    async fn begin(&mut self, out: &mut dyn Write) -> Result<(), Failure> {
        self.after = self.store.newest_event().await.map_err(stored::failure)?;
        let families = match &self.args.family {
            Some(family) => std::slice::from_ref(family),
            None => Family::ALL,
        };
        for family in families {
            let unsettled = self.store.unsettled_events(*family, WATCHED_FROM_START_PER_FAMILY).await;
            for event in unsettled.map_err(stored::failure)?.iter().rev() {
                self.watch(event);
            }
        }
        if self.args.lines == 0 {
            return Ok(());
        }
        let newest =
            EventFilter { family: self.args.family, limit: self.args.lines, ..EventFilter::default() };
        let newest = self.store.list_events(&newest).await.map_err(stored::failure)?;
        for event in newest.iter().rev() {
            self.show(event, event.processed_at.unwrap_or(event.received_at), out)?;
            self.shown_at_start.insert(name(event), seen_of(event));
        }
        Ok(())
    }

    /// Shows what is new, and what has changed.
    async fn look(&mut self, out: &mut dyn Write) -> Result<(), Failure> {
        self.look_at_watched(out).await?;
        let newest = self.store.newest_event().await.map_err(stored::failure)?;
        let filter = EventFilter { family: self.args.family, limit: PAGE, ..EventFilter::default() };
        while self.after < newest {
            let page = self.store.events_between(&filter, self.after, newest).await;
            let page = page.map_err(stored::failure)?;
            for (_, event) in &page {
                if self.shown_at_start.get(&name(event)) != Some(&seen_of(event)) {
                    self.show(event, event.processed_at.unwrap_or_else(Utc::now), out)?;
                }
                self.watch(event);
            }
            self.after = page.last().map_or(newest, |(place, _)| *place);
        }
        Ok(())
    }

    async fn look_at_watched(&mut self, out: &mut dyn Write) -> Result<(), Failure> {
        let names: Vec<Name> = self.watched.iter().map(|(name, _)| name.clone()).collect();
        let found = self.store.events_named(&names).await.map_err(stored::failure)?;
        let mut found: HashMap<Name, EventRecord> =
            found.into_iter().map(|event| (name(&event), event)).collect();
        let mut changed = Vec::new();
        for (name, seen) in &mut self.watched {
            if let Some(event) = found.remove(name)
                && seen_of(&event) != *seen
            {
                *seen = seen_of(&event);
                changed.push(event);
            }
        }
        self.watched.retain(|(_, seen)| seen.state != EventState::Stored);
        for event in &changed {
            self.show(event, event.processed_at.unwrap_or_else(Utc::now), out)?;
        }
        Ok(())
    }

    fn watch(&mut self, event: &EventRecord) {
        let name = name(event);
        if event.state == EventState::Stored || self.watched.iter().any(|(watched, _)| *watched == name) {
            return;
        }
        if self.watched.len() == WATCHED_MAX {
            self.watched.pop_front();
        }
        self.watched.push_back((name, seen_of(event)));
    }

    fn show(&self, event: &EventRecord, at: DateTime<Utc>, out: &mut dyn Write) -> Result<(), Failure> {
        if self.args.json {
            json::write_line(out, &events::Line::of(event))?;
        } else {
            writeln!(out, "{}", text(event, at, Utc::now(), screen::width()))?;
        }
        Ok(())
    }
}

fn name(event: &EventRecord) -> Name {
    (event.project.clone(), event.webhook_id.clone())
}

fn seen_of(event: &EventRecord) -> Seen {
    Seen { state: event.state, attempts: event.attempts, reason: event.reason }
}

/// One line, a second one for an id that does not fit, and one for the reason of what is not simply stored.
fn text(event: &EventRecord, at: DateTime<Utc>, now: DateTime<Utc>, width: u16) -> String {
    let at = if at.date_naive() == now.date_naive() {
        at.format("%H:%M:%S").to_string()
    } else {
        at.format("%b %e").to_string()
    };
    // Most types are no longer, so that ids stand below each other.
    let head = format!("{at:<8}  {:<8}  {:<25}", event.state, event.event_type);
    let mut text = screen::line_with_id(&head, events::id(event), width);
    if let Some(reason) = event.reason {
        let mut why = events::why(reason, event.last_error.as_deref());
        if event.state == EventState::Retrying {
            why = format!("attempt {}: {why}", event.attempts);
        }
        let why = screen::printable(&why.replace('\n', " "));
        let why = screen::shortened(&why, usize::from(width) - screen::INDENT);
        text.push('\n');
        text.push_str(&screen::indented(&why));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, state: EventState, reason: Option<Reason>) -> EventRecord {
        let at = "2026-11-23T20:31:07Z".parse().unwrap();
        EventRecord {
            project: "default".to_owned(),
            webhook_id: "wh_1".to_owned(),
            event_id: None,
            event_type: "response.completed".to_owned(),
            family: Family::Response,
            object_id: Some(id.to_owned()),
            created_at: None,
            received_at: at,
            processed_at: None,
            attempts: 3,
            state,
            reason,
            last_error: reason.map(|_| "could not\nread \u{1b}[31mit ".repeat(20)),
            body: Vec::new(),
        }
    }

    #[test]
    fn a_line_keeps_its_width_and_never_cuts_an_id() {
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
