//! What surrounds every page: its title, the links to the other pages, and the same in the shell.

use super::assets::{ASSETS, Assets};

/// The pages that the header links to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nav {
    Events,
    Responses,
    Batches,
    /// Fine-tuning jobs and eval runs.
    Jobs,
    Targets,
    /// A page that the header does not name.
    Other,
}

const MENU: [(Nav, &str, &str); 5] = [
    (Nav::Events, "/events", "Events"),
    (Nav::Responses, "/responses", "Responses"),
    (Nav::Batches, "/batches", "Batches"),
    (Nav::Jobs, "/jobs", "Fine-tunes"),
    (Nav::Targets, "/targets", "Targets"),
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
    /// The command that prints the same.
    pub(super) shell: String,
    /// The address of the same data for programs.
    pub(super) json: Option<String>,
    pub(super) assets: &'static Assets,
}

impl Frame {
    pub(super) fn new(
        name: Option<&str>,
        nav: Nav,
        title: impl Into<String>,
        shell: impl Into<String>,
    ) -> Self {
        Self {
            title: title.into(),
            nav,
            name: name.map(str::to_owned),
            shell: shell.into(),
            json: None,
            assets: &ASSETS,
        }
    }

    pub(super) fn with_json(self, address: impl Into<String>) -> Self {
        Self { json: Some(address.into()), ..self }
    }

    pub(super) fn menu(&self) -> impl Iterator<Item = MenuItem> + '_ {
        MENU.into_iter().map(|(nav, href, text)| MenuItem { href, text, is_current: nav == self.nav })
    }
}
