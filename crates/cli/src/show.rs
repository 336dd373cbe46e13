//! `landfall show`: all that is stored under one id, for people, as JSON, or as the bytes that OpenAI sent.

mod batch;
mod eval_run;
mod event;
mod file;
mod fine_tuning;
mod layout;
mod response;

use std::io::Write;

use chrono::Utc;
use futures_util::StreamExt as _;
use service::settings::StoreSettings;
use store::{FileRecord, Found, Store};

pub(crate) use batch::result_table;

use crate::exit::{Answer, Failure};
use crate::{json, printable, screen, stored};
use layout::Layout;

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

/// Prints what is known about the id.
pub(crate) async fn run(args: &Show, out: &mut dyn Write) -> Result<Answer, Failure> {
    let store = stored::open(&args.store).await?;
    let found = store.find(&args.id).await?;
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
            let mut pieces = store.files().open(&file.location).await?;
            while let Some(piece) = pieces.next().await {
                out.write_all(&piece?)?;
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
        | Found::EvalRun(_) => store.find(&format!("{id}.json")).await?,
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
