//! `landfall send`: posts signed test events to a running ingest, as OpenAI does. Tests the address, the secret and the
//! queue without an OpenAI account.

mod post;
mod report;
mod sample;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::Utc;
use futures_util::{StreamExt as _, stream};
use secrecy::ExposeSecret as _;
use serde_json::value::RawValue;
use service::settings::{SettingError, WebhookSecretSettings};
use webhook::{Event, EventKind, SigningSecret, TOLERANCE_SECS, Verifier};

use crate::exit::{CliError, ExitStatus};
use crate::input;
use post::WebhookSender;
use report::{Expected, Report};
use sample::SampleEvent;

const EXAMPLES: &str = "\
Examples:
  landfall send response.completed             with a sample ID: a first test
  landfall send batch.completed=batch_685bd1   about one of your objects
  landfall send --every-type                   one event of each known type
  landfall send --repeat 2 response.completed  same webhook-id twice: one entry
  landfall send --forge response.completed     signed with another key: rejected
  landfall send --count 10000 --concurrency 64 response.completed
  landfall send --url https://landfall.example.com/openai/webhook video.failed

Exit codes: 0 all responses as expected (2xx; 400 with --forge or a timestamp
more than 300 s off), 1 unexpected responses, 2 usage error, 3 the URL could not
be reached.";

/// Post signed test events to ingest
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Send {
    /// Event types, optionally with the object's ID; sent in this order
    #[arg(value_name = "TYPE[=OBJECT_ID]", required_unless_present_any = ["every_type", "body_file"])]
    events: Vec<String>,
    /// Send each known event type once
    #[arg(long, conflicts_with_all = ["events", "body_file"])]
    every_type: bool,
    /// URL of ingest
    #[arg(long, default_value = "http://127.0.0.1:8080/openai/webhook", value_parser = parse_url)]
    url: reqwest::Url,
    /// Send N new events of each type
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Deliver each event K times with the same webhook-id, as OpenAI does when it gets no 2xx
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Number of concurrent deliveries
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,
    /// webhook-id of all deliveries; default: a new one per event
    #[arg(long, value_name = "ID")]
    webhook_id: Option<String>,
    /// The event's `data` as JSON; default: a sample with an ID
    #[arg(long, value_name = "JSON", conflicts_with = "body_file")]
    data: Option<String>,
    /// File with the event's `data`
    #[arg(long, value_name = "PATH", conflicts_with_all = ["data", "body_file"])]
    data_file: Option<PathBuf>,
    /// File to send unchanged as the body; need not be valid JSON
    #[arg(long, value_name = "PATH", conflicts_with = "events")]
    body_file: Option<PathBuf>,
    /// Sign with a random key; the expected response is 400
    #[arg(long)]
    forge: bool,
    /// Offset of the timestamp, may be negative; beyond 300 s the expected response is 400
    #[arg(long, value_name = "SECS", default_value_t = 0, allow_negative_numbers = true)]
    timestamp_offset_secs: i64,
    /// Print one JSON object per delivery: type, webhook_id, status, ms, expected
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    secret: WebhookSecretSettings,
}

/// An event type to send and its content.
struct Plan {
    event_type: String,
    content: Content,
}

enum Content {
    Data(Box<RawValue>),
    Body(Vec<u8>),
}

/// Posts the events and prints the responses.
pub(crate) async fn run(args: Send, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let plans = plans(&args)?;
    let sender = WebhookSender::new(&args.url, signing_secret(&args)?, args.timestamp_offset_secs)?;
    let stale = args.timestamp_offset_secs.unsigned_abs() > TOLERANCE_SECS.unsigned_abs();
    let expected = if args.forge || stale { Expected::Refused } else { Expected::Accepted };
    let total = plans.len() as u64 * u64::from(args.count) * u64::from(args.repeat);
    let type_chars = plans.iter().map(|plan| plan.event_type.chars().count()).max().unwrap_or(0);
    let mut report = Report::new(out, args.json, expected, total).with_type_chars(type_chars);

    let (sender, repeat) = (&sender, args.repeat as usize);
    let events = (0..args.count).flat_map(|_| plans.iter()).flat_map(|plan| {
        let event = Arc::new(plan.event(args.webhook_id.as_deref()));
        std::iter::repeat_n(event, repeat)
    });
    let mut responses = stream::iter(events)
        .map(|event| async move {
            let response = sender.deliver(&event).await;
            (event, response)
        })
        .buffer_unordered(usize::from(args.concurrency));
    while let Some((event, response)) = responses.next().await {
        match response {
            Ok(response) => report.record(&event, &response)?,
            Err(error) => {
                let what = format!("cannot reach {}; {}", args.url, report.interrupted());
                return Err(CliError::unreachable(what, error.without_url()));
            }
        }
    }
    Ok(report.finish()?)
}

impl Plan {
    fn event(&self, webhook_id: Option<&str>) -> SampleEvent {
        let body = match &self.content {
            Content::Data(data) => sample::body(&self.event_type, data, Utc::now().timestamp()),
            Content::Body(body) => body.clone(),
        };
        SampleEvent {
            event_type: self.event_type.clone(),
            webhook_id: webhook_id.map_or_else(sample::webhook_id, str::to_owned),
            body,
        }
    }
}

fn plans(args: &Send) -> Result<Vec<Plan>, CliError> {
    if let Some(path) = &args.body_file {
        let body = input::read(path)?;
        let event_type = Event::parse(&body).map_or_else(|_| "-".to_owned(), |event| event.kind.to_string());
        return Ok(vec![Plan { event_type, content: Content::Body(body) }]);
    }
    let data = given_data(args)?;
    let pairs: Vec<&str> = if args.every_type {
        EventKind::KNOWN.to_vec()
    } else {
        args.events.iter().map(String::as_str).collect()
    };
    pairs.into_iter().map(|pair| plan(pair, data.as_deref())).collect()
}

fn plan(pair: &str, data: Option<&RawValue>) -> Result<Plan, CliError> {
    let (event_type, object_id) = match pair.split_once('=') {
        Some((event_type, object_id)) => (event_type, Some(object_id)),
        None => (pair, None),
    };
    if event_type.is_empty() || object_id == Some("") {
        let message =
            format!("invalid event {pair:?}: write TYPE or TYPE=OBJECT_ID, such as response.completed");
        return Err(CliError::Usage(message));
    }
    let data = match (data, object_id) {
        (Some(_), Some(_)) => {
            let message =
                format!("{pair:?}: OBJECT_ID and --data cannot be combined; put the ID into --data");
            return Err(CliError::Usage(message));
        }
        (Some(data), None) => data.to_owned(),
        (None, object_id) => {
            let data = sample::data(&EventKind::from_name(event_type), object_id);
            serde_json::value::to_raw_value(&data).expect("a JSON value is JSON")
        }
    };
    Ok(Plan { event_type: event_type.to_owned(), content: Content::Data(data) })
}

fn given_data(args: &Send) -> Result<Option<Box<RawValue>>, CliError> {
    let (name, text) = match (&args.data, &args.data_file) {
        (Some(text), _) => ("--data", text.clone().into_bytes()),
        (None, Some(path)) => ("--data-file", input::read(path)?),
        (None, None) => return Ok(None),
    };
    let not_json = |error| CliError::Usage(format!("{name} is not JSON: {error}"));
    serde_json::from_slice(&text).map(Some).map_err(not_json)
}

/// The secret to sign with: the first one of the setting, or with `--forge` a random one.
fn signing_secret(args: &Send) -> Result<SigningSecret, CliError> {
    if args.forge {
        let key: [u8; 32] = std::array::from_fn(|_| fastrand::u8(..));
        return Ok(SigningSecret::from_key(&key).expect("32 bytes are enough"));
    }
    let text = args.secret.secret()?;
    let verifier = Verifier::from_setting(text.expose_secret())
        .map_err(|error| SettingError::wrong(WebhookSecretSettings::NAME, error))?;
    Ok(verifier.signing_secret().clone())
}

fn parse_url(text: &str) -> Result<reqwest::Url, String> {
    let wrong = || "write a URL such as http://127.0.0.1:8080/openai/webhook".to_owned();
    let url: reqwest::Url = text.parse().map_err(|_| wrong())?;
    let usable = matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
    usable.then_some(url).ok_or_else(wrong)
}
