//! `landfall notifications retry`.

use std::collections::HashSet;
use std::io::Write;

use chrono::{DateTime, Utc};
use service::settings::StoreSettings;
use store::{NotificationFilter, NotificationRecord, Store};
use webhook::{NotificationState, NotificationType, Reason};

use super::list::Line;
use crate::exit::{CliError, ExitStatus};
use crate::{json, printable, store_client, time_format};

/// Notifications read at a time, with their bodies.
const PAGE: u32 = 100;

/// Send notifications again, with a new retry schedule
#[derive(Debug, clap::Args)]
pub(crate) struct Retry {
    /// Notification IDs (ntf_…), in any state
    #[arg(value_name = "ID", required_unless_present_any = ["target", "kind", "since", "all"])]
    ids: Vec<String>,
    /// All notifications to this target in state given_up
    #[arg(long, value_name = "NAME", conflicts_with = "ids")]
    target: Option<String>,
    /// All notifications of this type in state given_up
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "ids")]
    kind: Option<NotificationType>,
    /// All created since in state given_up: an age (90s, 30m, 1h, 7d), a date or a UTC time
    #[arg(long, value_name = "WHEN", value_parser = time_format::since, conflicts_with = "ids")]
    since: Option<DateTime<Utc>>,
    /// All notifications in state given_up
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// Print one JSON object per notification, as `landfall notifications list` does
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreSettings,
}

pub(super) async fn run(args: &Retry, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let store = store_client::open(&args.store).await?;
    let mut retrying = Retrying { args, store, count: 0 };
    let is_known = if args.ids.is_empty() {
        retrying.filtered(out).await?;
        true
    } else {
        retrying.named(out).await?
    };
    if !args.json {
        let count = retrying.count;
        writeln!(
            out,
            "{count} {} queued to be sent again",
            if count == 1 { "notification" } else { "notifications" }
        )?;
    }
    Ok(if is_known { ExitStatus::Success } else { ExitStatus::Negative })
}

struct Retrying<'a> {
    args: &'a Retry,
    store: Store,
    count: u64,
}

impl Retrying<'_> {
    /// Retries by id. False when one of them is unknown.
    async fn named(&mut self, out: &mut dyn Write) -> Result<bool, CliError> {
        let mut all_known = true;
        for id in &self.args.ids {
            if !self.retry(id, out).await? {
                eprintln!("landfall: no notification has the id {}", printable::one_line(id));
                all_known = false;
            }
        }
        Ok(all_known)
    }

    /// Retries by filter. A retried notification leaves the filter; one that fails again in the meantime is not retried
    /// twice.
    async fn filtered(&mut self, out: &mut dyn Write) -> Result<(), CliError> {
        let filter = NotificationFilter {
            target: self.args.target.clone(),
            state: Some(NotificationState::GivenUp),
            kind: self.args.kind,
            // These callers have hung up. By id, their calls are sent.
            except: Some(Reason::TooLate),
            since: self.args.since,
            after: None,
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

    async fn retry(&mut self, id: &str, out: &mut dyn Write) -> Result<bool, CliError> {
        let retried = self.store.retry_notification(id, Utc::now()).await?;
        let Some(record) = retried else { return Ok(false) };
        self.count += 1;
        if self.args.json {
            json::write_line(out, &Line::of(&record))?;
        }
        Ok(true)
    }
}
