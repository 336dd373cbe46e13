//! `landfall targets test`: sends one notification of type `landfall.test` from this process.

use std::io::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::Utc;
use error_text::chain;
use notifier::{Config, Destination, Notification, SendError, Target, system_resolver};
use queue::{NotificationStream, StreamedNotification};
use serde::Serialize;
use service::settings::{ConfigFileSettings, RedisSettings};
use webhook::NotificationType;

use super::names;
use crate::exit::{CliError, ExitStatus};
use crate::{config, json, output, printable, queue_client};

/// Send one signed test notification (type landfall.test) directly to a target
#[derive(Debug, clap::Args)]
pub(crate) struct Test {
    /// Name of the target in landfall.toml
    name: String,
    /// Print one JSON object: target, id, ok, status, ms, answer, error
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFileSettings,
    #[command(flatten)]
    redis: RedisSettings,
}

/// The result of the test.
#[derive(Debug, Default, Serialize)]
struct Report {
    target: String,
    id: String,
    ok: bool,
    status: Option<u16>,
    ms: u128,
    answer: Option<String>,
    error: Option<String>,
}

pub(super) async fn run(args: &Test, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let config = config::of(&args.config)?;
    let Some(target) = config.targets.iter().find(|target| target.name == args.name) else {
        return Ok(names::no_such_target(&args.name));
    };
    let notification = notification();
    let mut report =
        Report { target: target.name.clone(), id: notification.id(&target.name), ..Report::default() };
    let body = notification.body(target, config.full_max_bytes);
    let sent = send(args, &config, target, (&report.id, body)).await?;
    report.ms = sent.took.as_millis();
    let is_reached = match sent.end {
        Ok(response) => {
            report.ok = true;
            fill(&mut report, response.as_ref());
            true
        }
        Err(error) => {
            fill(&mut report, error.response());
            report.error = Some(chain(&error));
            !matches!(error, SendError::Unreachable(_) | SendError::TimedOut(_))
        }
    };
    if args.json {
        json::write_line(out, &report)?;
    } else if is_reached {
        write!(out, "{}", text(&report))?;
    }
    if is_reached {
        return Ok(if report.ok { ExitStatus::Success } else { ExitStatus::Negative });
    }
    Err(CliError::unreachable(
        format!("target {} could not be reached", report.target),
        report.error.unwrap_or_default(),
    ))
}

/// A notification without an event. Its event id is random, so that receivers do not treat it as a duplicate.
fn notification() -> Notification {
    Notification {
        kind: NotificationType::Test,
        project: "default".to_owned(),
        at: Utc::now(),
        webhook_id: None,
        event_id: Some(operations::requeue::random_id()),
        event_type: NotificationType::Test.as_str().to_owned(),
        event_age_secs: None,
        event_created_at: None,
        object_id: None,
        result: None,
        result_is_whole: true,
        reason: None,
        error: None,
        link: None,
    }
}

struct Sent {
    end: Result<Option<notifier::TargetResponse>, SendError>,
    took: Duration,
}

async fn send(
    args: &Test,
    config: &Config,
    target: &Target,
    (id, body): (&str, Vec<u8>),
) -> Result<Sent, CliError> {
    let started = Instant::now();
    let end = match &target.destination {
        Destination::Webhook(http) | Destination::Slack(http) | Destination::Discord(http) => {
            let endpoint = http.endpoint(&config.allow, system_resolver());
            let endpoint = endpoint.map_err(|error| CliError::Usage(chain(&error)))?;
            endpoint.send(id, Bytes::from(body), Utc::now()).await.map(Some)
        }
        Destination::RedisStream { max_len } => {
            let stream = NotificationStream::new(&queue_client::config(&args.redis))?;
            let kind = NotificationType::Test.as_str();
            let added = StreamedNotification { target: &target.name, id, kind, body: &body };
            let added = stream.add(added, *max_len).await;
            added.map_err(|error| CliError::unreachable("cannot write to the stream at REDIS_URL", error))?;
            Ok(None)
        }
    };
    Ok(Sent { end, took: started.elapsed() })
}

fn fill(report: &mut Report, response: Option<&notifier::TargetResponse>) {
    report.status = response.map(|response| response.status);
    report.answer = response.map(|response| response.head.clone()).filter(|head| !head.is_empty());
}

fn text(report: &Report) -> String {
    let sentence = |text: &Option<String>| printable::sentence(text.as_deref().unwrap_or_default());
    let outcome = if report.ok { "accepted" } else { "rejected" };
    let fields = [
        ("id", report.id.clone()),
        ("status", report.status.map(|status| status.to_string()).unwrap_or_default()),
        ("time", format!("{} ms", report.ms)),
        ("response", sentence(&report.answer)),
        ("error", sentence(&report.error)),
    ];
    format!("{}: {outcome}\n{}", report.target, output::fields(&fields, output::width()))
}
