//! `landfall notifications list`.

use std::io::Write;

use chrono::{DateTime, Utc};
use serde::Serialize;
use service::settings::StoreSettings;
use store::{NotificationFilter, NotificationRecord};
use webhook::{MaybeKnown, NotificationState, NotificationType, Reason};

use crate::exit::{CliError, ExitStatus};
use crate::output::{self, Text};
use crate::{json, printable, store_client, time_format};

/// List the newest notifications and their states
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only this target
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Only this state: pending, delivered, given_up
    #[arg(long)]
    state: Option<NotificationState>,
    /// Only this type, such as response.stored, event.received or event.dead
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<NotificationType>,
    /// Only notifications created since: an age (90s, 30m, 1h, 7d), a date (2026-11-01) or a UTC time
    #[arg(long, value_name = "WHEN", value_parser = time_format::since)]
    since: Option<DateTime<Utc>>,
    /// Maximum number of notifications
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print one JSON object per notification, without the body
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreSettings,
}

/// One line of `--json`: the row without its body.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    project: &'a str,
    id: &'a str,
    target: &'a str,
    r#type: &'a MaybeKnown<NotificationType>,
    state: &'a MaybeKnown<NotificationState>,
    reason: Option<&'a MaybeKnown<Reason>>,
    event_id: Option<&'a str>,
    webhook_id: Option<&'a str>,
    object_id: Option<&'a str>,
    created_at: DateTime<Utc>,
    attempts: u32,
    next_attempt_at: Option<DateTime<Utc>>,
    delivered_at: Option<DateTime<Utc>>,
    last_status: Option<i64>,
    last_error: Option<&'a str>,
}

impl<'a> Line<'a> {
    pub(super) fn of(record: &'a NotificationRecord) -> Self {
        let notification = &record.notification;
        Self {
            project: &notification.project,
            id: &notification.id,
            target: &notification.target,
            r#type: &notification.kind,
            state: &record.state,
            reason: record.reason.as_ref(),
            event_id: notification.event_id.as_deref(),
            webhook_id: notification.webhook_id.as_deref(),
            object_id: notification.object_id.as_deref(),
            created_at: notification.created_at,
            attempts: record.attempts,
            next_attempt_at: record.next_attempt_at,
            delivered_at: record.delivered_at,
            last_status: record.last_status,
            last_error: record.last_error.as_deref(),
        }
    }
}

pub(super) async fn run(args: &List, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let store = store_client::open(&args.store).await?;
    let filter = NotificationFilter {
        target: args.target.clone(),
        state: args.state,
        kind: args.kind,
        except: None,
        since: args.since,
        after: None,
        limit: args.limit,
    };
    let records = store.list_notifications(&filter).await?;
    if args.json {
        json::write_lines(out, records.iter().map(Line::of))?;
    } else if records.is_empty() {
        eprintln!("landfall: no notifications found");
    } else {
        write!(out, "{}", table(&records, Utc::now(), output::width()))?;
    }
    if records.len() == args.limit as usize {
        eprintln!("landfall: there may be more notifications; raise --limit to see them");
    }
    Ok(ExitStatus::Success)
}

/// Long values share the last column, one per line, so that ids are never truncated.
fn table(records: &[NotificationRecord], now: DateTime<Utc>, width: u16) -> String {
    /// Age, state and attempts, with the gaps after them.
    const OTHERS_CHARS: usize = 6 + 11 + 5;
    let row = |record: &NotificationRecord| {
        let notification = &record.notification;
        let mut last = vec![
            Text::from(format!("{}  {}", notification.target, notification.kind)),
            notification.id.as_str().into(),
        ];
        let about = [&notification.object_id, &notification.event_id, &notification.webhook_id];
        last.extend(about.into_iter().flatten().next().map(|about| about.as_str().into()));
        let error = record.last_error.as_ref().filter(|_| record.state != NotificationState::Delivered);
        last.extend(error.map(|error| {
            let error = printable::sentence(error);
            Text::sentence(&output::shortened(&error, usize::from(width) - OTHERS_CHARS))
        }));
        vec![
            Text::from(time_format::age(notification.created_at, now)),
            record.state.to_string().into(),
            record.attempts.to_string().into(),
            Text::lines(last),
        ]
    };
    output::table(
        "AGE> | STATE | TRY> | TARGET, TYPE; ID; OBJECT OR EVENT; ERROR",
        records.iter().map(row),
        width,
    )
}
