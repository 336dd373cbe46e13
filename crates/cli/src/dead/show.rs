//! `landfall dead show`.

use std::io::Write;

use chrono::Utc;
use operations::dead_letters::{self, DeadLetterFilter, Letter};
use service::settings::RedisSettings;
use webhook::Family;

use crate::exit::{CliError, ExitStatus};
use crate::{json, output, printable, queue_client, time_format};

/// Show one dead letter
#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// ID of the dead letter, of its entry, or of its webhook (wh_…)
    #[arg(value_name = "ID")]
    id: String,
    /// Only this family: response, batch, fine_tuning, eval, realtime, agent, safety, other
    #[arg(long)]
    family: Option<Family>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    redis: RedisSettings,
}

pub(super) async fn run(args: &Show, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let reader = queue_client::reader(&args.redis)?;
    let filter = DeadLetterFilter { family: args.family, reason: None };
    let found = dead_letters::find(&reader, filter, &args.id).await?;
    if found.is_empty() {
        eprintln!("landfall: no dead letter has the id {}", printable::one_line(&args.id));
        return Ok(ExitStatus::Negative);
    }
    for letter in &found {
        if args.json {
            json::write_line(out, &letter.line())?;
        } else {
            write!(out, "{}", text(letter, output::width()))?;
        }
    }
    Ok(ExitStatus::Success)
}

fn text(letter: &Letter, width: u16) -> String {
    let now = Utc::now();
    let time = |time: Option<chrono::DateTime<Utc>>| {
        time.map(|time| time_format::utc_and_age(time, now)).unwrap_or_default()
    };
    let dead = &letter.letter;
    let unreadable = dead.content.as_ref().err().map(ToString::to_string).unwrap_or_default();
    let expires = letter.file_expires_at().map(|at| match at > now {
        true => format!("{} UTC (in {})", time_format::utc(at), time_format::age(now, at)),
        false => format!("{} UTC (expired: a redrive cannot fetch it)", time_format::utc(at)),
    });
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let sentence = |text: Option<&str>| printable::sentence(text.unwrap_or_default());
    let fields = [
        ("family", letter.family.to_string()),
        ("type", text(letter.event_type())),
        ("webhook id", text(letter.webhook_id())),
        ("object", letter.object_id().unwrap_or_default()),
        ("entry", dead.entry_id.clone()),
        ("unreadable", unreadable),
        ("received", time(letter.received_at())),
        ("dead since", time(letter.died_at())),
        ("reason", dead.reason.map(|reason| reason.to_string()).unwrap_or_default()),
        ("cause", dead.class().map(|class| class.to_string()).unwrap_or_default()),
        ("attempts", dead.attempts.to_string()),
        ("crashes", dead.crashes.to_string()),
        ("first error", sentence(dead.first_error.as_deref())),
        ("last error", sentence(dead.last_error.as_deref())),
        ("OpenAI's file", expires.unwrap_or_default()),
    ];
    format!("dead letter {}\n{}", printable::one_line(&dead.id), output::fields(&fields, width))
}
