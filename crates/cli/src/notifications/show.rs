//! `landfall notifications show`.

use std::io::Write;

use chrono::{DateTime, Utc};
use serde::Serialize;
use service::settings::StoreSettings;
use store::{NotificationAttempt, NotificationRecord};

use crate::exit::{CliError, ExitStatus};
use crate::output::{self, Text};
use crate::{json, printable, store_client, time_format};

/// Show one notification with its attempts
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// Notification ID (ntf_…)
    id: String,
    /// Print one JSON object, with body and attempts
    #[arg(long, conflicts_with = "raw")]
    json: bool,
    /// Print only the body, exactly as it is sent
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    store: StoreSettings,
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    record: &'a NotificationRecord,
    attempt_log: &'a [NotificationAttempt],
}

pub(super) async fn run(args: &Show, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let store = store_client::open(&args.store).await?;
    let records = store.notifications_named(&args.id).await?;
    if records.is_empty() {
        eprintln!("landfall: no notification has the id {}", printable::one_line(&args.id));
        return Ok(ExitStatus::Negative);
    }
    for record in &records {
        if args.raw {
            out.write_all(&record.notification.body)?;
            continue;
        }
        let attempts = store.notification_attempts(&record.notification.project, &args.id).await?;
        if args.json {
            json::write_line(out, &Whole { record, attempt_log: &attempts })?;
        } else {
            write!(out, "{}", text(record, &attempts, output::width()))?;
        }
    }
    out.flush()?;
    Ok(ExitStatus::Success)
}

fn text(record: &NotificationRecord, attempts: &[NotificationAttempt], width: u16) -> String {
    let (notification, now) = (&record.notification, Utc::now());
    let time =
        |time: Option<DateTime<Utc>>| time.map(|at| time_format::utc_and_age(at, now)).unwrap_or_default();
    let next = record.next_attempt_at.map(|at| match at > now {
        true => format!("{} UTC (in {})", time_format::utc(at), time_format::age(now, at)),
        false => "now".to_owned(),
    });
    let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
    let fields = [
        ("target", notification.target.clone()),
        ("type", notification.kind.to_string()),
        ("state", state(record)),
        ("object", or_empty(&notification.object_id)),
        ("event", or_empty(&notification.event_id)),
        ("webhook", or_empty(&notification.webhook_id)),
        ("created", time(Some(notification.created_at))),
        ("delivered", time(record.delivered_at)),
        ("next try", next.unwrap_or_default()),
        ("size", format!("{} bytes; --raw prints them", output::count(notification.body.len() as u64))),
    ];
    let id = printable::one_line(&notification.id);
    let mut text = format!("notification {id}\n{}", output::fields(&fields, width));
    if !attempts.is_empty() {
        text.push('\n');
        text.push_str(&log(attempts, width));
    }
    text
}

/// The state, and why the notification was given up.
fn state(record: &NotificationRecord) -> String {
    match &record.reason {
        Some(reason) => format!("{}: {reason}", record.state),
        None => record.state.to_string(),
    }
}

fn log(attempts: &[NotificationAttempt], width: u16) -> String {
    let row = |attempt: &NotificationAttempt| {
        let texts = [attempt.error.as_deref(), attempt.answer.as_deref()];
        vec![
            Text::from(attempt.attempt.to_string()),
            time_format::utc(attempt.started_at).into(),
            output::count(attempt.latency_ms).into(),
            attempt.status.map_or_else(|| "-".to_owned(), |status| status.to_string()).into(),
            Text::lines(texts.into_iter().flatten().map(Text::sentence)),
        ]
    };
    output::table("TRY> | STARTED (UTC) | MS> | STATUS> | RESPONSE OR ERROR", attempts.iter().map(row), width)
}
