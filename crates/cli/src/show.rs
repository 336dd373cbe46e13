//! `landfall show`: all that is stored under one id, for people, as JSON, or as the bytes that OpenAI sent.

mod batch;
mod eval_run;
mod event;
mod file;
mod fine_tuning;
mod response;

use std::io::Write;

use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use serde_json::Value;
use service::settings::StoreSettings;
use store::{FileRecord, Found, Store};
use webhook::{FetchState, MaybeKnown};

pub(crate) use batch::result_table;

use crate::exit::{Answer, Failure};
use crate::{json, moment, printable, screen, stored};

const EXAMPLES: &str = "\
Examples:
  landfall show resp_685bd1                        a response: text and sources
  landfall show batch_685bd1                       a batch, its first results
  landfall show wh_685bd1                          the event of one webhook
  landfall show resp_685bd1 --json | jq -r .output_text
  landfall show batch_685bd1 --raw                 as the API sent it

An id is that of a webhook, an event, a response, a batch, a fine-tuning job, a
model, an eval run or a file. Several records are shown below each other; with
--json each is one line, its field `kind` says what it is.

Exit code: 0 found, 1 nothing known, 3 the database could not be reached.";

/// All that is stored under one id
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Show {
    /// wh_…, evt_…, resp_…, batch_…, ftjob-…, ft:…, evalrun_…, file-…
    id: String,
    /// One JSON object a record
    #[arg(long, conflicts_with = "raw")]
    json: bool,
    /// Only the bytes that OpenAI sent: the object, or the webhook's body
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    store: StoreSettings,
}

/// How records are laid out.
#[derive(Debug, Clone, Copy)]
struct Layout {
    width: u16,
    now: DateTime<Utc>,
}

/// Prints what is known about the id.
pub(crate) async fn run(args: &Show, out: &mut dyn Write) -> Result<Answer, Failure> {
    let store = stored::open(&args.store).await?;
    let found = store.find(&args.id).await.map_err(stored::failure)?;
    if found.is_empty() {
        eprintln!(
            "landfall: nothing is stored under {}; an event that no worker has seen yet is only in the queue, \
             see `landfall status`",
            printable::one_line(&args.id)
        );
        return Ok(Answer::No);
    }
    if args.raw {
        return write_raw(&store, &found, &args.id, out).await;
    }
    let layout = Layout { width: screen::width(), now: Utc::now() };
    for (index, found) in found.iter().enumerate() {
        if args.json {
            json::write_line(out, found)?;
            continue;
        }
        if index > 0 {
            writeln!(out)?;
        }
        write!(out, "{}", text(&store, found, layout).await?)?;
    }
    Ok(Answer::Yes)
}

async fn text(store: &Store, found: &Found, layout: Layout) -> Result<String, Failure> {
    Ok(match found {
        Found::Event(event) => event::text(store, event, layout).await?,
        Found::Response(response) => response::text(response, layout),
        Found::Batch(batch) => batch::text(store, batch, layout).await?,
        Found::FineTuningJob(job) => fine_tuning::job_text(store, job, layout).await?,
        Found::Model(model) => fine_tuning::model_text(model, layout),
        Found::EvalRun(run) => eval_run::text(run, layout),
        Found::File(file) => file::text(file, layout),
    })
}

async fn write_raw(store: &Store, found: &[Found], id: &str, out: &mut dyn Write) -> Result<Answer, Failure> {
    let mut written = 0;
    for one in found {
        if let Some(file) = whole(store, one, id).await? {
            let mut pieces = store.files().open(&file.location).await.map_err(stored::failure)?;
            while let Some(piece) = pieces.next().await {
                out.write_all(&piece.map_err(stored::failure)?)?;
            }
        } else if let Some(raw) = raw(one) {
            out.write_all(raw)?;
        } else {
            continue;
        }
        written += 1;
        if found.len() > 1 {
            out.write_all(b"\n")?;
        }
    }
    out.flush()?;
    if written == 0 {
        let id = printable::one_line(id);
        eprintln!("landfall: {id} was not fetched, so there is no raw object of it");
        return Ok(Answer::No);
    }
    Ok(Answer::Yes)
}

/// The file that is the record, or that keeps a large object whole.
async fn whole(store: &Store, found: &Found, id: &str) -> Result<Option<FileRecord>, Failure> {
    let kept = match found {
        Found::File(file) => return Ok(Some(file.clone())),
        Found::Event(_) => return Ok(None),
        Found::Response(_)
        | Found::Batch(_)
        | Found::FineTuningJob(_)
        | Found::Model(_)
        | Found::EvalRun(_) => store.find(&format!("{id}.json")).await.map_err(stored::failure)?,
    };
    Ok(kept.into_iter().find_map(|found| match found {
        Found::File(file) => Some(file),
        _ => None,
    }))
}

fn raw(found: &Found) -> Option<&[u8]> {
    match found {
        Found::Event(event) => Some(&event.body),
        Found::Response(response) => response.raw.as_deref(),
        Found::Batch(batch) => batch.batch.raw.as_deref(),
        Found::FineTuningJob(job) => job.raw.as_deref(),
        Found::Model(model) => model.raw.as_deref(),
        Found::EvalRun(run) => run.raw.as_deref(),
        // Its bytes are not in the database.
        Found::File(_) => None,
    }
}

impl Layout {
    /// `2026-11-23 20:31:07 UTC (5h ago)`, or nothing.
    fn time(self, time: Option<DateTime<Utc>>) -> String {
        time.map(|time| moment::utc_and_age(time, self.now)).unwrap_or_default()
    }

    /// A heading and its fields.
    fn section(self, kind: &str, id: &str, fields: &[(&str, String)]) -> String {
        format!("{kind} {}\n{}", printable::one_line(id), screen::fields(fields, self.width))
    }

    /// Where the record comes from.
    fn origin(self, fetch_state: &MaybeKnown<FetchState>, fetched_at: Option<DateTime<Utc>>) -> String {
        let words = match fetch_state {
            MaybeKnown::Known(FetchState::Fetched) => "from the API",
            MaybeKnown::Known(FetchState::Off) => "not fetched (FETCH=off): what the event held",
            MaybeKnown::Known(FetchState::NotFound) => "not found by the API: what the event held",
            MaybeKnown::Known(FetchState::Expired) => "from the API, but its content has expired",
            MaybeKnown::Known(FetchState::Forbidden) => "refused by the API: what the event held",
            MaybeKnown::Unknown(name) => name,
        };
        match fetched_at {
            Some(_) => format!("{words}, {}", self.time(fetched_at)),
            None => words.to_owned(),
        }
    }
}

/// A text or nothing.
fn or_empty(text: Option<&str>) -> String {
    text.unwrap_or_default().to_owned()
}

/// An error object as `code: message`; anything else as it is; nothing when it says nothing, such as `{"code":null}`. On
/// one line.
fn error_text(json: Option<&str>) -> String {
    printable::sentence(&error_words(json.unwrap_or_default()))
}

fn error_words(json: &str) -> String {
    let Ok(value) = serde_json::from_str::<Value>(json) else {
        return json.to_owned();
    };
    let field = |name: &str| value.get(name).and_then(Value::as_str);
    match (field("code"), field("message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (None, Some(text)) | (Some(text), None) => text.to_owned(),
        (None, None) if says_nothing(&value) => String::new(),
        (None, None) => value.to_string(),
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(Value::is_null),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// `input 1,200, output 340 tokens`, as far as the usage object says.
fn usage_text(json: Option<&str>) -> String {
    let usage = json.and_then(|json| serde_json::from_str::<Value>(json).ok());
    let tokens = |name: &str| {
        let count = usage.as_ref()?.get(name)?.as_i64()?;
        Some(screen::count(count))
    };
    match (tokens("input_tokens"), tokens("output_tokens")) {
        (Some(input), Some(output)) => format!("{input} tokens in, {output} out"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_code_and_message() {
        let cases = [
            (None, ""),
            (Some(r#"{"code":"server_error","message":"Sorry."}"#), "server_error: Sorry."),
            (Some(r#"{"code":null,"message":null,"param":null}"#), ""),
            (Some(r#"{"message":"Sorry."}"#), "Sorry."),
            (Some("[1]"), "[1]"),
            (Some("not JSON"), "not JSON"),
        ];
        for (json, text) in cases {
            assert_eq!(error_text(json), text);
        }
    }

    #[test]
    fn usage_reads_as_tokens_in_and_out() {
        assert_eq!(usage_text(Some(r#"{"input_tokens":1200,"output_tokens":3}"#)), "1,200 tokens in, 3 out");
        assert_eq!(usage_text(Some(r#"{"total_tokens":3}"#)), "");
        assert_eq!(usage_text(None), "");
    }
}
