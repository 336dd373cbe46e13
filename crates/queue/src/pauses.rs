//! Pauses: after a 429, every worker stops taking that project's family until OpenAI accepts requests again.

use std::time::Duration;

use webhook::{Family, Reason};

use crate::admin::QueueAdmin;
use crate::delivery::Delivery;
use crate::error::QueueError;
use crate::scripts::{self, ConsumerSession, millis};

/// A pause in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    pub project: String,
    pub family: Family,
    pub left: Duration,
    /// The name of a [`Reason`], or the text an operator wrote.
    pub reason: String,
}

impl Delivery {
    /// The remaining pause of its project's family, if any: as of the last read, or begun by this consumer since.
    pub fn paused_for(&self) -> Option<Duration> {
        self.session.pauses.left(&self.content.as_ref().ok()?.project)
    }

    /// Pauses its project's family for every worker; never shortens a pause. Returns the remaining pause.
    pub async fn pause(&self, wanted: Duration, reason: Reason) -> Result<Duration, QueueError> {
        let Ok(entry) = &self.content else { return Ok(Duration::ZERO) };
        let (ConsumerSession { all_keys, family, pauses, .. }, project) = (&*self.session, &entry.project);
        let mut script = scripts::PAUSE.prepare_invoke();
        script.key(all_keys.pause(project, *family)).key(all_keys.pauses());
        script.arg(millis(wanted).max(1)).arg(reason.as_str()).arg(format!("{project}:{family}"));
        let left = self.session.invoke("pause a family", &script).await.map(Duration::from_millis)?;
        pauses.begin(project, left);
        Ok(left)
    }
}

impl QueueAdmin {
    /// The pauses in effect, in the order they end.
    pub async fn pauses(&self) -> Result<Vec<Pause>, QueueError> {
        let mut list = redis::cmd("ZRANGE");
        list.arg(self.keys.pauses()).arg(0).arg(-1);
        let mut pauses = Vec::new();
        for name in self.query::<Vec<String>>("read pauses", &list).await? {
            let Some((project, family)) = name.rsplit_once(':') else { continue };
            // Families of newer versions are skipped.
            let Ok(family) = family.parse() else { continue };
            let key = self.keys.pause(project, family);
            let mut ask = redis::pipe();
            ask.pttl(&key).get(&key);
            let (left_ms, reason): (i64, Option<String>) = self.query_all("read pauses", &ask).await?;
            if let (Ok(left_ms), Some(reason)) = (u64::try_from(left_ms), reason) {
                let left = Duration::from_millis(left_ms);
                pauses.push(Pause { project: project.to_owned(), family, left, reason });
            }
        }
        Ok(pauses)
    }
}
