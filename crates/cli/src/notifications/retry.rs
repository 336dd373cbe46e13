//! `landfall notifications retry`.

use std::collections::HashSet;
use std::io::Write;

use chrono::{DateTime, Utc};
use service::settings::StoreSettings;
use store::{NotificationFilter, NotificationRecord, Store};
use webhook::{NotificationState, NotificationType};

use super::list::Line;
use crate::exit::{Answer, Failure};
use crate::{json, moment, printable, stored};

/// Read at a time: bodies are part of it.
const PAGE: u32 = 100;

/// Send notifications again
#[derive(Debug, clap::Args)]
pub(crate) struct Retry {
    /// ntf_…: these, whatever their state
    #[arg(value_name = "ID", required_unless_present_any = ["target", "kind", "since", "all"])]
    ids: Vec<String>,
    /// All to this target that were given up
    #[arg(long, value_name = "NAME", conflicts_with = "ids")]
    target: Option<String>,
    /// All of this type that were given up
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "ids")]
    kind: Option<NotificationType>,
    /// All written since then that were given up: an age (90s, 30m, 1h, 7d), a day or a time in UTC
    #[arg(long, value_name = "WHEN", value_parser = moment::since, conflicts_with = "ids")]
    since: Option<DateTime<Utc>>,
    /// All that were given up
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// One JSON object a notification, as of `landfall notifications list`
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreSettings,
}

pub(super) async fn run(args: &Retry, out: &mut dyn Write) -> Result<Answer, Failure> {
    let store = stored::open(&args.store).await?;
    let mut retrying = Retrying { args, store, count: 0 };
    let is_known = if args.ids.is_empty() {
        retrying.chosen(out).await?;
        true
    } else {
        retrying.named(out).await?
    };
    if !args.json {
        let count = retrying.count;
        writeln!(
            out,
            "{count} {} sent again",
            if count == 1 { "notification is" } else { "notifications are" }
        )?;
    }
    Ok(if is_known { Answer::Yes } else { Answer::No })
}

struct Retrying<'a> {
    args: &'a Retry,
    store: Store,
    count: u64,
}

impl Retrying<'_> {
    /// False when one of them is not known.
    async fn named(&mut self, out: &mut dyn Write) -> Result<bool, Failure> {
        let mut all_known = true;
        for id in &self.args.ids {
            if !self.retry(id, out).await? {
                eprintln!("landfall: no notification has the id {}", printable::one_line(id));
                all_known = false;
            }
        }
        Ok(all_known)
    }

    /// What is retried is given up no longer, and leaves the next page. What a worker gave up again meanwhile ends it.
    async fn chosen(&mut self, out: &mut dyn Write) -> Result<(), Failure> {
        let filter = NotificationFilter {
            target: self.args.target.clone(),
            state: Some(NotificationState::GivenUp),
            kind: self.args.kind,
            since: self.args.since,
            limit: PAGE,
        };
        let mut seen = HashSet::new();
        loop {
            let page = self.store.list_notifications(&filter).await?;
            let ids: Vec<String> =
                page.into_iter().map(|record: NotificationRecord| record.notification.id).collect();
            let new: Vec<String> = ids.into_iter().filter(|id| seen.insert(id.clone())).collect();
            if new.is_empty() {
                return Ok(());
            }
            for id in &new {
                self.retry(id, out).await?;
            }
        }
    }

    async fn retry(&mut self, id: &str, out: &mut dyn Write) -> Result<bool, Failure> {
        let again = self.store.retry_notification(id, Utc::now()).await?;
        let Some(record) = again else { return Ok(false) };
        self.count += 1;
        if self.args.json {
            json::write_line(out, &Line::of(&record))?;
        }
        Ok(true)
    }
}
