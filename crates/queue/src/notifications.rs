//! Notifications as Redis streams, for consumers in any language: one capped stream per target.

use redis::streams::{StreamAddOptions, StreamTrimStrategy};

use crate::config::QueueConfig;
use crate::connection::{self, SharedConnection};
use crate::error::QueueError;
use crate::keys::Keys;

/// Writes notifications. Cheap to clone; connects on first use.
#[derive(Clone)]
pub struct NotificationStream {
    connection: SharedConnection,
    keys: Keys,
}

/// A notification to add to a stream.
#[derive(Debug, Clone, Copy)]
pub struct StreamedNotification<'a> {
    /// The target whose stream it is added to.
    pub target: &'a str,
    /// Consumers use it to recognize duplicates.
    pub id: &'a str,
    pub kind: &'a str,
    pub body: &'a [u8],
}

impl NotificationStream {
    pub fn new(config: &QueueConfig) -> Result<Self, QueueError> {
        let connection = SharedConnection::new(connection::client(config)?);
        Ok(Self { connection, keys: Keys::new(&config.key_prefix) })
    }

    /// Adds a notification to its target's stream, which keeps approximately the newest `max_len`. Returns the entry's
    /// id.
    ///
    /// When Redis did not accept it, or did not confirm in time.
    pub async fn add(
        &self,
        notification: StreamedNotification<'_>,
        max_len: u64,
    ) -> Result<String, QueueError> {
        let StreamedNotification { target, id, kind, body } = notification;
        let max_len = usize::try_from(max_len).unwrap_or(usize::MAX);
        let options = StreamAddOptions::default()
            .trim(StreamTrimStrategy::maxlen(redis::streams::StreamTrimmingMode::Approx, max_len));
        let mut command = redis::cmd("XADD");
        command.arg(self.keys.notifications(target)).arg(&options).arg("*");
        command.arg("id").arg(id).arg("type").arg(kind).arg("body").arg(body);
        let added = self.connection.query(&command).await;
        added.map_err(QueueError::while_doing("add a notification"))
    }
}
