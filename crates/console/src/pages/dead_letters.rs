//! The list of dead letters: how many there are of each reason, and the newest.

use actix_web::{HttpResponse, get, web};
use askama::Template;
use chrono::{DateTime, Utc};
use operations::dead_letter_groups::{Group, OverviewLimits, overview};
use operations::dead_letters::{DeadLetterFilter, Letter};
use serde::Deserialize;
use webhook::{Family, Reason};

use super::address::{self, Address, Chip, chips};
use super::frame::{Frame, Nav};
use super::moment::Moment;
use super::page_error::PageError;
use super::{page, quantity, reason_class};
use crate::api::parameters::named;
use crate::state::State;

pub(super) const PATH: &str = "/dead";
const LIMITS: OverviewLimits = OverviewLimits { counted: 2_500, newest: 50 };

/// The query of the list.
#[derive(Debug, Deserialize)]
pub(crate) struct LettersQuery {
    family: Option<String>,
    reason: Option<String>,
}

#[derive(Template)]
#[template(path = "dead_letters.html")]
struct LettersPage {
    frame: Frame,
    families: Vec<Chip>,
    groups: Vec<GroupRow>,
    rows: Vec<LetterRow>,
    /// The reason that the list is narrowed to, as a link to all.
    reason: Option<Chip>,
    is_filtered: bool,
    is_cut: bool,
    counted_max: String,
    redrive: String,
    discard: String,
}

struct GroupRow {
    cause: &'static str,
    reason: String,
    /// The list of these alone; `None` for a reason that this version does not know.
    href: Option<String>,
    count: String,
}

/// A dead letter in a list.
pub(super) struct LetterRow {
    pub(super) href: String,
    pub(super) died: Option<Moment>,
    pub(super) family: Family,
    pub(super) event_type: String,
    pub(super) object: String,
    pub(super) reason: String,
    pub(super) attempts: u32,
    pub(super) file_expires: Option<Moment>,
    pub(super) is_expired: bool,
    pub(super) error: String,
}

/// Dead letters, the newest first.
#[get("/dead")]
pub(crate) async fn dead_letters_page(
    state: web::Data<State>,
    query: web::Query<LettersQuery>,
) -> Result<HttpResponse, PageError> {
    let LettersQuery { family, reason } = query.into_inner();
    let filter = filter(family.as_deref(), reason.as_deref())?;
    let found = overview(&state.queue, filter, LIMITS).await?;
    let now = Utc::now();
    let address =
        Address::new(PATH).with_option("family", family.as_deref()).with_option("reason", reason.as_deref());
    let json = Address::new("/api/v1/dead-letters").with_option("family", family.as_deref());
    page(&LettersPage {
        frame: Frame::new(state.head(), Nav::DeadLetters, "Dead letters", shell("list", filter))
            .with_json(json.to_string()),
        families: chips(&address, "family", family.as_deref(), Family::ALL.iter().map(|it| it.as_str())),
        groups: found.groups.iter().map(|group| GroupRow::of(group, &address)).collect(),
        rows: found.newest.iter().map(|letter| LetterRow::of(letter, now)).collect(),
        reason: filter.reason.map(|reason| Chip {
            href: address.clone().with("reason", "").to_string(),
            text: reason.as_str().replace('_', " "),
            is_current: true,
        }),
        is_filtered: address.is_filtered(),
        is_cut: found.is_cut,
        counted_max: quantity::count(LIMITS.counted as i128),
        redrive: address.below("/dead/redrive").to_string(),
        discard: address.below("/dead/discard").to_string(),
    })
}

/// The filter that the names in an address describe.
pub(super) fn filter(family: Option<&str>, reason: Option<&str>) -> Result<DeadLetterFilter, PageError> {
    Ok(DeadLetterFilter {
        family: named::<Family>("family", family)?,
        reason: named::<Reason>("reason", reason)?,
    })
}

/// The command that does the same.
pub(super) fn shell(verb: &str, filter: DeadLetterFilter) -> String {
    let family = filter.family.map(|family| format!(" --family {family}")).unwrap_or_default();
    let reason = filter.reason.map(|reason| format!(" --reason {reason}")).unwrap_or_default();
    let is_all = family.is_empty() && reason.is_empty() && verb != "list";
    format!("landfall dead {verb}{family}{reason}{}", if is_all { " --all" } else { "" })
}

impl GroupRow {
    fn of(group: &Group, address: &Address) -> Self {
        Self {
            cause: reason_class::cause(group.class),
            reason: reason_text(group.reason),
            href: group.reason.map(|reason| address.clone().with("reason", reason.as_str()).to_string()),
            count: quantity::count(group.count),
        }
    }
}

impl LetterRow {
    pub(super) fn of(letter: &Letter, now: DateTime<Utc>) -> Self {
        let file_expires_at = letter.file_expires_at();
        Self {
            href: href(letter),
            died: letter.died_at().map(|at| Moment::ago(at, now)),
            family: letter.family,
            event_type: letter.event_type().unwrap_or("cannot be decoded").to_owned(),
            object: letter.object_id().or_else(|| letter.webhook_id().map(str::to_owned)).unwrap_or_default(),
            reason: reason_text(letter.letter.reason),
            attempts: letter.letter.attempts,
            file_expires: file_expires_at.map(|at| Moment::ago(at, now)),
            is_expired: file_expires_at.is_some_and(|at| at <= now),
            error: letter.letter.last_error.clone().unwrap_or_default(),
        }
    }
}

/// The page of one letter.
pub(super) fn href(letter: &Letter) -> String {
    address::of(&format!("{PATH}/{}", letter.family), &letter.letter.id)
}

pub(super) fn reason_text(reason: Option<Reason>) -> String {
    reason.map_or("of a newer version", Reason::as_str).replace('_', " ")
}
