//! `landfall show`: everything stored under an id, as text, as JSON, or as the bytes that OpenAI sent.

mod agent;
mod batch;
mod eval_run;
mod event;
mod file;
mod fine_tuning;
mod layout;
mod response;
mod safety_alert;

use std::io::Write;

use chrono::Utc;
use futures_util::StreamExt as _;
use service::settings::StoreSettings;
use store::{FileRecord, Found, Store};

pub(crate) use batch::result_table;

use crate::exit::{CliError, ExitStatus};
use crate::{json, output, printable, store_client};
use layout::Layout;

const EXAMPLES: &str = "\
Examples:
  landfall show resp_685bd1                        a response: text and sources
  landfall show batch_685bd1                       a batch, its first results
  landfall show wh_685bd1                          the event of one webhook
  landfall show resp_685bd1 --json | jq -r .output_text
  landfall show batch_685bd1 --raw                 as the API sent it

The ID may be that of a webhook, an event, a response, a batch, a fine-tuning
job, a model, an eval run, a safety alert, an agent session or turn, or a file.
If several records match, all are shown; with --json each is one line whose
field `kind` gives the type.

Exit codes: 0 found, 1 not found, 3 the database could not be reached.";

/// Show everything stored under an ID
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Show {
    /// wh_…, evt_…, resp_…, batch_…, ftjob-…, ft:…, evalrun_… or file-…
    id: String,
    /// Print one JSON object per record
    #[arg(long, conflicts_with = "raw")]
    json: bool,
    /// Print only the bytes that OpenAI sent: the object, or the webhook's body
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    store: StoreSettings,
}

/// Prints the records with the id.
pub(crate) async fn run(args: &Show, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let store = store_client::open(&args.store).await?;
    let found = store.find(&args.id).await?;
    if found.is_empty() {
        eprintln!(
            "landfall: nothing found with ID {}; an event that no worker has received yet is still in the queue, \
             see `landfall status`",
            printable::one_line(&args.id)
        );
        return Ok(ExitStatus::Negative);
    }
    if args.raw {
        return write_raw(&store, &found, &args.id, out).await;
    }
    let layout = Layout { width: output::width(), now: Utc::now() };
    for (index, found) in found.iter().enumerate() {
        if args.json {
            json::write_line(out, &operations::record(&store, found).await?)?;
            continue;
        }
        if index > 0 {
            writeln!(out)?;
        }
        write!(out, "{}", text(&store, found, layout).await?)?;
    }
    Ok(ExitStatus::Success)
}

async fn text(store: &Store, found: &Found, layout: Layout) -> Result<String, CliError> {
    Ok(match found {
        Found::Event(event) => event::text(store, event, layout).await?,
        Found::Response(response) => response::text(store, response, layout).await?,
        Found::Batch(batch) => batch::text(store, batch, layout).await?,
        Found::FineTuningJob(job) => fine_tuning::job_text(store, job, layout).await?,
        Found::Model(model) => fine_tuning::model_text(model, layout),
        Found::EvalRun(run) => eval_run::text(run, layout),
        Found::SafetyAlert(alert) => safety_alert::text(alert, layout),
        Found::AgentSession(session) => agent::session_text(store, session, layout).await?,
        Found::AgentTurn(turn) => agent::turn_text(turn, layout),
        Found::File(file) => file::text(file, layout),
    })
}

async fn write_raw(
    store: &Store,
    found: &[Found],
    id: &str,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
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
        eprintln!("landfall: {id} was not fetched, so it has no raw object");
        return Ok(ExitStatus::Negative);
    }
    Ok(ExitStatus::Success)
}

/// The file that is the record, or that contains a large object.
async fn whole(store: &Store, found: &Found, id: &str) -> Result<Option<FileRecord>, CliError> {
    let kept = match found {
        Found::File(file) => return Ok(Some(file.clone())),
        Found::Event(_) => return Ok(None),
        Found::Response(_)
        | Found::Batch(_)
        | Found::FineTuningJob(_)
        | Found::Model(_)
        | Found::EvalRun(_)
        | Found::SafetyAlert(_)
        | Found::AgentSession(_)
        | Found::AgentTurn(_) => store.find(&format!("{id}.json")).await?,
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
        Found::SafetyAlert(alert) => alert.raw.as_deref(),
        Found::AgentSession(session) => session.raw.as_deref(),
        Found::AgentTurn(turn) => turn.raw.as_deref(),
        // Its content is not in the database.
        Found::File(_) => None,
    }
}
