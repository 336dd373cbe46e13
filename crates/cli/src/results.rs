//! `landfall results`: the results of one batch, line by line.

use std::io::Write;

use service::settings::StoreSettings;
use store::{Found, ResultFilter, ResultRow, Store};

use crate::exit::{Answer, Failure};
use crate::show::result_table;
use crate::{json, screen, stored};

/// Rows read at a time.
const PAGE_ROWS: u32 = 500;

const EXAMPLES: &str = "\
Examples:
  landfall results batch_685bd1                     the first 50 lines
  landfall results batch_685bd1 --errors            only what failed
  landfall results batch_685bd1 --custom-id item-7 --json | jq .body
  landfall results batch_685bd1 --json > all.jsonl

Exit code: 0 done, 1 no such batch or no such line, 3 the database was not
reached.";

/// The results of a batch, line by line
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Results {
    /// batch_…
    batch_id: String,
    /// Only the lines of this custom_id
    #[arg(long, value_name = "ID")]
    custom_id: Option<String>,
    /// Only lines with an error, a status of 400 or more, or kept as bytes
    #[arg(long)]
    errors: bool,
    /// At most so many; without it 50, and all with --json
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreSettings,
}

/// Prints the batch's results.
pub(crate) async fn run(args: &Results, out: &mut dyn Write) -> Result<Answer, Failure> {
    let store = stored::open(&args.store).await?;
    let Some(project) = project_of(&store, &args.batch_id).await? else {
        eprintln!("landfall: no batch is stored under {}", screen::printable(&args.batch_id));
        return Ok(Answer::No);
    };
    let mut filter = ResultFilter::of(&project, &args.batch_id, PAGE_ROWS);
    filter.custom_id.clone_from(&args.custom_id);
    filter.errors_only = args.errors;
    let mut rows_left = match (args.limit, args.json) {
        (Some(limit), _) => limit,
        (None, true) => u32::MAX,
        (None, false) => 50,
    };
    let (mut shown, mut table) = (0_u64, Vec::new());
    while rows_left > 0 {
        filter.limit = rows_left.min(PAGE_ROWS);
        let page = store.batch_results(&filter).await.map_err(stored::failure)?;
        let Some(last) = page.last() else {
            break;
        };
        filter.after = Some((last.source, last.line));
        rows_left = rows_left.saturating_sub(page.len() as u32);
        shown += page.len() as u64;
        if args.json {
            write_json(out, &page)?;
        } else {
            table.extend(page);
        }
    }
    if shown == 0 {
        eprintln!("landfall: the batch has no such results");
        return Ok(Answer::No);
    }
    if !args.json {
        write!(out, "{}", result_table(&table, screen::width()))?;
    }
    if rows_left == 0 {
        eprintln!("landfall: there may be more; see --limit");
    }
    Ok(Answer::Yes)
}

fn write_json(out: &mut dyn Write, rows: &[ResultRow]) -> Result<(), Failure> {
    for row in rows {
        json::write_line(out, row)?;
    }
    Ok(())
}

async fn project_of(store: &Store, batch_id: &str) -> Result<Option<String>, Failure> {
    let found = store.find(batch_id).await.map_err(stored::failure)?;
    Ok(found.into_iter().find_map(|found| {
        let Found::Batch(batch) = found else {
            return None;
        };
        Some(batch.batch.project)
    }))
}
