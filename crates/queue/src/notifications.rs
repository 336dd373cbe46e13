//! Notifications as a Redis stream, for consumers in any language: one capped stream a target.

use redis::streams::{StreamAddOptions, StreamTrimStrategy};

use crate::config::QueueConfig;
use crate::connection::{self, SharedConnection};
use crate::error::QueueError;
use crate::keys::Keys;

/// Writes notifications. Cheap to clone; connects when it is first used.
#[derive(Clone)]
pub struct NotificationStream {
    connection: SharedConnection,
    keys: Keys,
}

/// A notification on its way into a stream.
#[derive(Debug, Clone, Copy)]
pub struct StreamedNotification<'a> {
    /// Whose stream.
    pub target: &'a str,
    /// By it consumers know a repetition.
    pub id: &'a str,
    pub kind: &'a str,
    pub body: &'a [u8],
}

impl NotificationStream {
    pub fn new(config: &QueueConfig) -> Result<Self, QueueError> {
        let connection = SharedConnection::new(connection::client(config)?);
        Ok(Self { connection, keys: Keys::new(&config.key_prefix) })
    }

    /// Adds one to the stream of its target, which keeps about the newest `max_len`. Returns the entry's id.
    ///
    /// # Errors
    /// When Redis did not take it, or did not say so in time.
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
