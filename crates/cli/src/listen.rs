//! `landfall listen`: for development. Follows the database and forwards results to a local program as signed
//! notifications, as a worker does.

use std::io::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use error_text::chain;
use notifier::{
    AllowList, Credentials, Endpoint, EndpointConfig, Notification, Payload, SendError, Signer,
    system_resolver,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use service::settings::StoreSettings;
use store::{EventRecord, ResultPayload, Store};
use webhook::{EventState, Family, MaybeKnown, NotificationType, Reason};

use crate::exit::{CliError, ExitStatus};
use crate::follow::{Follower, POLL_INTERVAL};
use crate::{json, output, secret, store_client};

/// The default of targets.
const FULL_BYTES_MAX: u64 = 256 << 10;
/// Long enough to pause in a debugger.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Target name from which notification ids are derived.
const TARGET: &str = "listen";

const EXAMPLES: &str = "\
Examples:
  landfall listen --forward http://localhost:3000/hooks/landfall
  landfall listen --forward http://localhost:3000 --payload full --family batch
  landfall listen --forward http://localhost:3000 --secret whsec_... --json

For development; no target in landfall.toml is needed. Each result that is
stored from now on, and each event that becomes a dead letter, is posted to the
URL and printed with the response. Notifications are signed with the secret that
is printed at the start. Each is sent once, without retries. Workers keep
notifying the targets of landfall.toml; this command changes nothing in the
database. Stop it with Ctrl-C.

Exit codes: 0 stopped by Ctrl-C or a closed pipe, 2 usage error, 3 the database
could not be reached.";

/// Forward results to a local program as signed notifications, for development
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Listen {
    /// URL to post to; may be a local address
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    forward: reqwest::Url,
    /// Signing secret, whsec_... or whsk_...; by default a new one is generated and printed
    #[arg(long, env = "LISTEN_SECRET", hide_env_values = true, value_name = "SECRET")]
    secret: Option<SecretString>,
    /// IDs and states (thin), or the results too (full)
    #[arg(long, default_value = "thin", value_parser = parse_payload)]
    payload: Payload,
    /// Only this family: response, batch, fine_tuning, eval, realtime, agent, safety, other
    #[arg(long)]
    family: Option<Family>,
    /// Print one JSON object per notification: id, type, event_id, object_id, status, ms, error
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreSettings,
}

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    r#type: NotificationType,
    event_id: Option<&'a str>,
    object_id: Option<&'a str>,
    status: Option<u16>,
    ms: u128,
    error: Option<String>,
}

/// Forwards until Ctrl-C.
pub(crate) async fn run(args: &Listen, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let signing = match &args.secret {
        Some(secret) => secret.clone(),
        None => secret::new()?,
    };
    let signer = Signer::new([signing.expose_secret()])
        .map_err(|error| CliError::Usage(format!("--secret {}", chain(&error))))?;
    let endpoint = Endpoint::new(EndpointConfig {
        url: args.forward.clone(),
        url_is_secret: false,
        credentials: Credentials::Signature(signer),
        headers: Vec::new(),
        timeout: TIMEOUT,
        // The operator chose this address explicitly.
        allow: AllowList::default().with_url(&args.forward),
        resolver: system_resolver(),
    });
    let endpoint = endpoint.map_err(|error| CliError::Usage(chain(&error)))?;
    let store = store_client::open(&args.store).await?;
    let mut follower = Follower::start(store.clone(), args.family).await?;
    if args.secret.is_none() {
        eprintln!("landfall: signing secret for this run: {}", signing.expose_secret());
    }
    eprintln!("landfall: forwarding new results to {}; stop with Ctrl-C", args.forward);
    let forwarding = Forwarding { args, store, endpoint };
    let mut stop = std::pin::pin!(tokio::signal::ctrl_c());
    let mut wait = Duration::ZERO;
    loop {
        let step = async {
            tokio::time::sleep(wait).await;
            forwarding.step(&mut follower, out).await
        };
        tokio::select! {
            stopped = &mut stop => {
                stopped?;
                return Ok(ExitStatus::Success);
            }
            has_more = step => wait = if has_more? { Duration::ZERO } else { POLL_INTERVAL },
        }
    }
}

struct Forwarding<'a> {
    args: &'a Listen,
    store: Store,
    endpoint: Endpoint,
}

impl Forwarding<'_> {
    /// Forwards finished events. Returns whether there are more.
    async fn step(&self, follower: &mut Follower, out: &mut dyn Write) -> Result<bool, CliError> {
        let changes = follower.poll().await?;
        for event in &changes.events {
            if event.state == EventState::Stored || event.state == EventState::Dead {
                self.forward(event, out).await?;
            }
        }
        Ok(changes.has_more)
    }

    async fn forward(&self, event: &EventRecord, out: &mut dyn Write) -> Result<(), CliError> {
        let (kind, result) = ResultPayload::of_event(&self.store, event, FULL_BYTES_MAX).await?;
        let notification = notification(event, kind, result);
        let (id, body) = (notification.id(TARGET), notification.json_body(self.args.payload, FULL_BYTES_MAX));
        let started = Instant::now();
        let sent = self.endpoint.send(&id, Bytes::from(body), Utc::now()).await;
        let response = match &sent {
            Ok(response) => Some(response),
            Err(error) => error.response(),
        };
        let line = Line {
            id: &id,
            r#type: kind,
            event_id: event.event_id.as_deref(),
            object_id: event.object_id.as_deref(),
            status: response.map(|response| response.status),
            ms: started.elapsed().as_millis(),
            error: sent.as_ref().err().map(|error: &SendError| chain(error)),
        };
        if self.args.json {
            json::write_line(out, &line)?;
        } else {
            writeln!(out, "{}", text(&line, Utc::now(), output::width()))?;
        }
        out.flush()?;
        Ok(())
    }
}

fn notification(event: &EventRecord, kind: NotificationType, result: ResultPayload) -> Notification {
    Notification {
        kind,
        project: event.project.clone(),
        at: event.processed_at.unwrap_or(event.received_at),
        webhook_id: Some(event.webhook_id.clone()),
        event_id: event.event_id.clone(),
        event_type: event.event_type.clone(),
        event_created_at: event.created_at,
        event_age_secs: None,
        object_id: event.object_id.clone(),
        result: result.value,
        result_is_whole: result.is_whole,
        reason: event.reason.as_ref().and_then(MaybeKnown::known).map(Reason::as_str),
        error: event.last_error.clone().filter(|_| kind == NotificationType::EventDead),
        link: None,
    }
}

fn text(line: &Line<'_>, now: DateTime<Utc>, width: u16) -> String {
    let status = line.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
    let head = format!("{}  {status:>3}  {:>6} ms  {:<18}", now.format("%H:%M:%S"), line.ms, line.r#type);
    let about = line.object_id.or(line.event_id).unwrap_or(line.id);
    let mut text = output::line_with_id(&head, about, width);
    if let Some(error) = &line.error {
        text.push('\n');
        text.push_str(&output::indented_sentence(error, width));
    }
    text
}

fn parse_url(text: &str) -> Result<reqwest::Url, String> {
    let url = text.parse::<reqwest::Url>().ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| "write a URL such as http://localhost:3000".to_owned())
}

fn parse_payload(text: &str) -> Result<Payload, String> {
    match text {
        "thin" => Ok(Payload::Thin),
        "full" => Ok(Payload::Full),
        _ => Err("write thin or full".to_owned()),
    }
}
