//! The list of notifications: which target was notified of which object.

use actix_web::{HttpResponse, get, web};
use askama::Template;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use store::{NotificationFilter, NotificationRecord, PagePosition};
use webhook::NotificationState;

use super::address::{self, Address, Chip, Pages, chips};
use super::frame::{Frame, Nav};
use super::moment::Moment;
use super::page;
use super::page_error::PageError;
use super::state_word::StateWord;
use super::targets::known_to_workers;
use crate::api::page as list;
use crate::api::parameters::named;
use crate::state::State;

/// Rows of a page.
const ROWS: u32 = 50;

/// The query of the list.
#[derive(Debug, Deserialize)]
pub(crate) struct NotificationsQuery {
    state: Option<String>,
    target: Option<String>,
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "notifications.html")]
struct NotificationsPage {
    frame: Frame,
    states: Vec<Chip>,
    targets: Vec<Chip>,
    rows: Vec<NotificationRow>,
    is_filtered: bool,
    pages: Pages,
}

struct NotificationRow {
    created: Moment,
    state: StateWord,
    target: String,
    kind: String,
    href: String,
    /// Of the object, or else of the event or the webhook.
    id: String,
    attempts: u32,
    answer: String,
    next: Option<Moment>,
}

/// Notifications, newest first.
#[get("/notifications")]
pub(crate) async fn notifications_page(
    state: web::Data<State>,
    query: web::Query<NotificationsQuery>,
) -> Result<HttpResponse, PageError> {
    let NotificationsQuery { state: sent, target, after } = query.into_inner();
    let filter = NotificationFilter {
        target: target.clone().filter(|target| !target.is_empty()),
        state: named::<NotificationState>("state", sent.as_deref())?,
        after: list::decode(after.as_deref())?,
        limit: ROWS + 1,
        ..NotificationFilter::default()
    };
    let store = state.database.reader().await?;
    let mut records = store.list_notifications(&filter).await?;
    let has_more = records.len() > ROWS as usize;
    records.truncate(ROWS as usize);
    let next = records.last().filter(|_| has_more).map(|last| {
        let NotificationRecord { notification, .. } = last;
        list::encode(&PagePosition { at: notification.created_at, id: notification.id.clone() })
    });
    let mut names = known_to_workers(&state).await;
    names.extend(store.target_health().await?.into_iter().map(|health| health.target));
    names.extend(target.clone());

    let address = Address::new("/notifications")
        .with_option("state", sent.as_deref())
        .with_option("target", target.as_deref());
    let now = Utc::now();
    page(&NotificationsPage {
        frame: Frame::new(
            state.head(),
            Nav::Targets,
            "Notifications",
            shell(sent.as_deref(), target.as_deref()),
        )
        .with_json(address.below("/api/v1/notifications").to_string()),
        states: chips(
            &address,
            "state",
            sent.as_deref(),
            NotificationState::ALL.iter().map(|it| it.as_str()),
        ),
        targets: target_chips(&address, target.as_deref(), names),
        rows: records.iter().map(|record| NotificationRow::of(record, now)).collect(),
        is_filtered: address.is_filtered(),
        pages: Pages::new(&address, after.as_deref(), next.as_deref()),
    })
}

/// One link for each target, as it is named, after one for all of them.
fn target_chips(
    address: &Address,
    current: Option<&str>,
    names: impl IntoIterator<Item = String>,
) -> Vec<Chip> {
    let all = chips(address, "target", current, []);
    let one = |name: String| Chip {
        href: address.clone().with("target", &name).to_string(),
        is_current: current == Some(name.as_str()),
        text: name,
    };
    all.into_iter().chain(names.into_iter().map(one)).collect()
}

impl NotificationRow {
    fn of(record: &NotificationRecord, now: DateTime<Utc>) -> Self {
        let notification = &record.notification;
        let about = [&notification.object_id, &notification.event_id, &notification.webhook_id];
        Self {
            created: Moment::ago(notification.created_at, now),
            state: StateWord::from(&record.state),
            target: notification.target.clone(),
            kind: notification.kind.to_string(),
            href: address::of("/notifications", &notification.id),
            id: about.into_iter().flatten().next().unwrap_or(&notification.id).clone(),
            attempts: record.attempts,
            answer: answer(record),
            next: record.next_attempt_at.map(|at| Moment::ago(at, now)),
        }
    }
}

/// The last status or error, and why the notification was given up.
fn answer(record: &NotificationRecord) -> String {
    let reason = record.reason.as_ref().map(|reason| reason.as_str().replace('_', " "));
    let is_delivered = record.state == NotificationState::Delivered;
    let status = record.last_status.map(|status| status.to_string());
    // A Redis stream answers without a status.
    let status = status.or_else(|| is_delivered.then(|| "accepted".to_owned()));
    let error = record.last_error.clone().filter(|_| !is_delivered);
    [reason, error.or(status)].into_iter().flatten().collect::<Vec<_>>().join(": ")
}

/// The command that lists the same.
fn shell(state: Option<&str>, target: Option<&str>) -> String {
    let option =
        |name, value: Option<&str>| value.map(|value| format!(" --{name} {value}")).unwrap_or_default();
    format!("landfall notifications list{}{}", option("state", state), option("target", target))
}
