//! What all handlers share.

use std::path::PathBuf;
use std::sync::Arc;

use actix_web::{HttpMessage as _, HttpRequest};
use notifier::LinkSecrets;
use queue::{QueueAdmin, QueueConfig};
use service::settings::ShownSetting;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::access::{Access, Caller};
use crate::bodies::{Bodies, BodyAccess};
use crate::changes::Changes;
use crate::database::Database;
use crate::day_reader::DayReader;
use crate::facts::{FactReader, Facts};
use crate::session::Sessions;
use crate::waiting::Waiting;

/// One for the whole process.
pub(crate) struct State {
    pub(crate) database: Database,
    pub(crate) queue: QueueAdmin,
    pub(crate) queue_config: QueueConfig,
    pub(crate) waiting: Waiting,
    pub(crate) changes: Changes,
    /// For clients of the event stream.
    pub(crate) stream_places: Arc<Semaphore>,
    pub(crate) access: Access,
    /// The worst finding of every page comes from them.
    pub(crate) facts: FactReader,
    pub(crate) day: DayReader,
    /// The settings of this console, without secrets.
    pub(crate) settings: Vec<ShownSetting>,
    /// The setting `ALLOW_VOLATILE_REDIS`.
    pub(crate) allows_volatile_redis: bool,
    pub(crate) sessions: Sessions,
    /// The setting `CONSOLE_NAME`.
    pub(crate) name: Option<String>,
    pub(crate) bodies: Bodies,
    /// Verify links to results; `None` when no results are served by links.
    pub(crate) link_secrets: Option<LinkSecrets>,
    /// For responses to requests with a link.
    pub(crate) link_permits: Arc<Semaphore>,
    /// The setting `LANDFALL_CONFIG`.
    pub(crate) landfall_config: Option<PathBuf>,
    /// Fires when the console stops.
    pub(crate) stopped: CancellationToken,
}

/// What the head of every page shows.
#[derive(Debug, Default)]
pub(crate) struct Head {
    pub(crate) name: Option<String>,
    /// `None` before they were read.
    pub(crate) facts: Option<Arc<Facts>>,
}

impl State {
    /// For the head of every page.
    pub(crate) fn head(&self) -> Head {
        Head { name: self.name.clone(), facts: self.facts.known() }
    }

    /// Whether the caller of this request may read bodies.
    pub(crate) fn bodies_for(&self, request: &HttpRequest) -> BodyAccess {
        let is_operator = request.extensions().get::<Caller>().is_some_and(Caller::is_operator);
        self.bodies.for_caller(is_operator)
    }
}
