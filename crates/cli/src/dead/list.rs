//! `landfall dead list`.

use std::io::Write;

use chrono::Utc;
use operations::dead_letters::{DeadLetterSelection, Letter};
use service::settings::RedisSettings;

use super::filter::Filter;
use crate::exit::{CliError, ExitStatus};
use crate::output;
use crate::{json, queue_client, time_format};

/// List the newest dead letters and their reasons
#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    filter: Filter,
    /// Maximum number of dead letters
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print one JSON object per dead letter
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    redis: RedisSettings,
}

pub(super) async fn run(args: &List, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let reader = queue_client::reader(&args.redis)?;
    let limit = args.limit as usize;
    let mut letters: Vec<Letter> = Vec::new();
    let selection = DeadLetterSelection::now(&reader, args.filter.into()).await?;
    let mut pages = selection.pages(&reader);
    let mut left_out = false;
    while let Some(page) = pages.next().await? {
        letters.extend(page);
        // Only the newest are kept in memory.
        letters.sort_by_key(|letter| std::cmp::Reverse(letter.letter.died_ms));
        left_out |= letters.len() > limit;
        letters.truncate(limit);
    }
    if args.json {
        json::write_lines(out, letters.iter().map(Letter::line))?;
    } else if letters.is_empty() {
        eprintln!("landfall: no dead letters found");
    } else {
        write!(out, "{}", table(&letters, output::width()))?;
    }
    if left_out {
        eprintln!("landfall: there are more dead letters; raise --limit to see them");
    }
    Ok(ExitStatus::Success)
}

fn table(letters: &[Letter], width: u16) -> String {
    let now = Utc::now();
    let row = |letter: &Letter| {
        let age = letter.died_at().map(|at| time_format::age(at, now));
        let name = |name: Option<&'static str>| name.unwrap_or("-").to_owned();
        vec![
            letter.letter.id.clone(),
            age.unwrap_or_else(|| "-".to_owned()),
            letter.event_type().unwrap_or("-").to_owned(),
            name(letter.letter.reason.map(webhook::Reason::as_str)),
            name(letter.letter.class().map(webhook::ReasonClass::as_str)),
        ]
    };
    output::table("ID | AGE> | TYPE | REASON | CAUSE", letters.iter().map(row), width)
}
