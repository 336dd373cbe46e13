//! `landfall send`: posts signed test events, as OpenAI would, to a running ingest. Shows at once whether address,
//! secret and queue are right, without an OpenAI account.

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

use crate::exit::{Answer, Failure};
use crate::input;
use post::Courier;
use report::{Expected, Report};
use sample::SampleEvent;

const EXAMPLES: &str = "\
Examples:
  landfall send response.completed             about a sample id: a first test
  landfall send batch.completed=batch_685bd1   about an object of yours
  landfall send --every-type                   one of each type OpenAI knows
  landfall send --repeat 2 response.completed  one webhook-id twice: queued once
  landfall send --forge response.completed     signed with another key: refused
  landfall send --count 10000 --concurrency 64 response.completed
  landfall send --url https://landfall.example.com/openai/webhook video.failed

Exit code: 0 all answered as expected (2xx; 400 for a forgery or a timestamp
more than 300 s off), 1 not all, 2 wrong use, 3 the address was not reached.";

/// Sign and post one or many test events to ingest
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Send {
    /// What happened, and to which object: a type, or TYPE=OBJECT_ID; several are sent in this order
    #[arg(value_name = "TYPE[=OBJECT_ID]", required_unless_present_any = ["every_type", "body_file"])]
    events: Vec<String>,
    /// Send every type that OpenAI is known to have, once
    #[arg(long, conflicts_with_all = ["events", "body_file"])]
    every_type: bool,
    /// Where to post
    #[arg(long, default_value = "http://127.0.0.1:8080/openai/webhook", value_parser = parse_url)]
    url: reqwest::Url,
    /// Send each event N times, every time as a new event
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Deliver each event K times under the same webhook-id, as OpenAI does when it hears no 2xx
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Deliveries at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,
    /// The webhook-id of every delivery, instead of a new one for each event
    #[arg(long, value_name = "ID")]
    webhook_id: Option<String>,
    /// The event's `data`, a JSON text, instead of only an id
    #[arg(long, value_name = "JSON", conflicts_with = "body_file")]
    data: Option<String>,
    /// A file that holds the event's `data`
    #[arg(long, value_name = "PATH", conflicts_with_all = ["data", "body_file"])]
    data_file: Option<PathBuf>,
    /// A file that is sent as the body, byte for byte, whatever it holds
    #[arg(long, value_name = "PATH", conflicts_with = "events")]
    body_file: Option<PathBuf>,
    /// Sign with a key that ingest does not have; the answer must be 400
    #[arg(long)]
    forge: bool,
    /// Sign as if it were so many seconds later, or earlier when negative; beyond 300 the answer must be 400
    #[arg(long, value_name = "SECS", default_value_t = 0, allow_negative_numbers = true)]
    timestamp_offset_secs: i64,
    /// One JSON object a delivery: type, webhook_id, status, ms, expected
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    secret: WebhookSecretSettings,
}

/// What will be sent: for each of the kinds, `count` new events.
struct Plan {
    event_type: String,
    content: Content,
}

enum Content {
    Data(Box<RawValue>),
    Body(Vec<u8>),
}

/// Posts the events and prints the answers.
pub(crate) async fn run(args: Send, out: &mut dyn Write) -> Result<Answer, Failure> {
    let plans = plans(&args)?;
    let courier = Courier::new(&args.url, signing_secret(&args)?, args.timestamp_offset_secs)?;
    let stale = args.timestamp_offset_secs.unsigned_abs() > TOLERANCE_SECS.unsigned_abs();
    let expected = if args.forge || stale { Expected::Refused } else { Expected::Accepted };
    let total = plans.len() as u64 * u64::from(args.count) * u64::from(args.repeat);
    let type_chars = plans.iter().map(|plan| plan.event_type.chars().count()).max().unwrap_or(0);
    let mut report = Report::new(out, args.json, expected, total).with_type_chars(type_chars);

    let (courier, repeat) = (&courier, args.repeat as usize);
    let events = (0..args.count).flat_map(|_| plans.iter()).flat_map(|plan| {
        let event = Arc::new(plan.event(args.webhook_id.as_deref()));
        std::iter::repeat_n(event, repeat)
    });
    let mut answers = stream::iter(events)
        .map(|event| async move {
            let answer = courier.deliver(&event).await;
            (event, answer)
        })
        .buffer_unordered(usize::from(args.concurrency));
    while let Some((event, answer)) = answers.next().await {
        match answer {
            Ok(answer) => report.answered(&event, &answer)?,
            Err(error) => {
                let what = format!("cannot reach {}; {}", args.url, report.interrupted());
                return Err(Failure::unreachable(what, error.without_url()));
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

fn plans(args: &Send) -> Result<Vec<Plan>, Failure> {
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

fn plan(pair: &str, data: Option<&RawValue>) -> Result<Plan, Failure> {
    let (event_type, object_id) = match pair.split_once('=') {
        Some((event_type, object_id)) => (event_type, Some(object_id)),
        None => (pair, None),
    };
    if event_type.is_empty() || object_id == Some("") {
        let words = format!("{pair:?} is no event: write TYPE or TYPE=OBJECT_ID, such as response.completed");
        return Err(Failure::WrongUse(words));
    }
    let data = match (data, object_id) {
        (Some(_), Some(_)) => {
            let words = format!("{pair:?}: an OBJECT_ID has no place when --data says what the event holds");
            return Err(Failure::WrongUse(words));
        }
        (Some(data), None) => data.to_owned(),
        (None, object_id) => {
            let data = sample::data(&EventKind::from_name(event_type), object_id);
            serde_json::value::to_raw_value(&data).expect("a JSON value is JSON")
        }
    };
    Ok(Plan { event_type: event_type.to_owned(), content: Content::Data(data) })
}

fn given_data(args: &Send) -> Result<Option<Box<RawValue>>, Failure> {
    let (name, text) = match (&args.data, &args.data_file) {
        (Some(text), _) => ("--data", text.clone().into_bytes()),
        (None, Some(path)) => ("--data-file", input::read(path)?),
        (None, None) => return Ok(None),
    };
    let not_json = |error| Failure::WrongUse(format!("{name} is not JSON: {error}"));
    serde_json::from_slice(&text).map(Some).map_err(not_json)
}

/// The secret to sign with: the first of the setting, or for a forgery a random one.
fn signing_secret(args: &Send) -> Result<SigningSecret, Failure> {
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
    let wrong = || "write an address such as http://127.0.0.1:8080/openai/webhook".to_owned();
    let url: reqwest::Url = text.parse().map_err(|_| wrong())?;
    let usable = matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
    usable.then_some(url).ok_or_else(wrong)
}
