//! What surrounds every page: its title, the links to the other pages, the worst finding, and the same in the shell.

use chrono::{DateTime, Utc};

use super::address::object_json;
use super::assets::{ASSETS, Assets};
use super::shell_word::shell_word;
use super::visit::{self, Visit};
use super::worst_finding::{WorstFinding, worst};
use crate::facts::Facts;
use crate::state::Head;

/// The pages that the header links to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nav {
    Overview,
    Events,
    Responses,
    Batches,
    /// Fine-tuning jobs and eval runs.
    Jobs,
    DeadLetters,
    Targets,
    Health,
    /// A page that the header does not name.
    Other,
}

const MENU: [(Nav, &str, &str); 8] = [
    (Nav::Overview, "/", "Overview"),
    (Nav::Events, "/events", "Events"),
    (Nav::Responses, "/responses", "Responses"),
    (Nav::Batches, "/batches", "Batches"),
    (Nav::Jobs, "/jobs", "Fine-tunes"),
    (Nav::DeadLetters, "/dead", "Dead letters"),
    (Nav::Targets, "/targets", "Targets"),
    (Nav::Health, "/health", "Health"),
];

/// An item of the menu.
pub(super) struct MenuItem {
    pub(super) href: &'static str,
    pub(super) text: &'static str,
    pub(super) is_current: bool,
}

/// What the layout needs.
pub(super) struct Frame {
    pub(super) title: String,
    nav: Nav,
    /// The setting `CONSOLE_NAME`.
    pub(super) name: Option<String>,
    /// The worst finding, if it is worth a line above this page.
    pub(super) finding: Option<WorstFinding>,
    /// The command that prints the same.
    pub(super) shell: String,
    /// The address of the same data for programs.
    pub(super) json: Option<String>,
    pub(super) assets: &'static Assets,
    pub(super) visit: Visit,
}

impl Frame {
    pub(super) fn new(head: Head, nav: Nav, title: impl Into<String>, shell: impl Into<String>) -> Self {
        let finding = head.facts.map(|facts| worst(Some(&facts), Utc::now()));
        Self {
            title: title.into(),
            nav,
            name: head.name,
            finding: finding.filter(|finding| !finding.is_ok()),
            shell: shell.into(),
            json: None,
            assets: &ASSETS,
            visit: visit::current(),
        }
    }

    /// For the page of an object: its id, what shows it in a shell, and its JSON.
    pub(super) fn of_object(head: Head, nav: Nav, id: &str) -> Self {
        Self::new(head, nav, id, format!("landfall show {}", shell_word(id))).with_json(object_json(id))
    }

    pub(super) fn with_json(self, address: impl Into<String>) -> Self {
        Self { json: Some(address.into()), ..self }
    }

    /// With the worst finding even if all is well, or if nothing is known yet.
    pub(super) fn with_finding(self, facts: Option<&Facts>, now: DateTime<Utc>) -> Self {
        Self { finding: Some(worst(facts, now)), ..self }
    }

    pub(super) fn menu(&self) -> impl Iterator<Item = MenuItem> + '_ {
        MENU.into_iter().map(|(nav, href, text)| MenuItem { href, text, is_current: nav == self.nav })
    }
}
