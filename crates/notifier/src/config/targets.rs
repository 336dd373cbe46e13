//! A notification target: destination, filter and payload.

use std::time::Duration;

use url::Url;

use super::filter::Filter;
use crate::allow_list::AllowList;
use crate::endpoint::{Credentials, Endpoint, EndpointConfig, EndpointError};
use crate::guard::Resolver;

/// One destination for notifications, with its filter and limits.
#[derive(Debug, Clone)]
pub struct Target {
    /// The name from the configuration; also a metric label.
    pub name: String,
    pub destination: Destination,
    pub filter: Filter,
    pub payload: Payload,
    /// Notifications per second, summed over all workers.
    pub rate_per_sec: f64,
    /// How long after a call began its notification is worth sending.
    pub call_ttl: Duration,
}

/// The destination of a target's notifications, and their format.
#[derive(Debug, Clone)]
pub enum Destination {
    /// An HTTP endpoint operated by the user.
    Webhook(HttpDestination),
    /// A Slack incoming webhook.
    Slack(HttpDestination),
    /// A Discord webhook.
    Discord(HttpDestination),
    /// A Redis stream, trimmed to approximately `max_len` entries.
    RedisStream { max_len: u64 },
}

/// An HTTP destination with its credentials.
#[derive(Clone)]
pub struct HttpDestination {
    pub url: Url,
    /// The URL came from a variable or a secret file.
    pub url_is_secret: bool,
    pub credentials: Credentials,
    pub headers: Vec<(String, String)>,
    pub timeout: Duration,
}

/// The amount of data in a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// Ids and states.
    Thin,
    /// The result as well, up to a size limit.
    Full,
}

impl Destination {
    /// The kind, as written in the file.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Slack(_) => "slack",
            Self::Discord(_) => "discord",
            Self::RedisStream { .. } => "redis-stream",
        }
    }

    /// The HTTP endpoint; `None` for a stream.
    pub fn http(&self) -> Option<&HttpDestination> {
        match self {
            Self::Webhook(http) | Self::Slack(http) | Self::Discord(http) => Some(http),
            Self::RedisStream { .. } => None,
        }
    }
}

impl HttpDestination {
    /// # Errors
    /// See [`Endpoint::new`].
    pub fn endpoint(&self, allow: &AllowList, resolver: Resolver) -> Result<Endpoint, EndpointError> {
        Endpoint::new(EndpointConfig {
            url: self.url.clone(),
            url_is_secret: self.url_is_secret,
            credentials: self.credentials.clone(),
            headers: self.headers.clone(),
            timeout: self.timeout,
            allow: allow.clone(),
            resolver,
        })
    }

    /// Scheme, host and port; the rest may be a secret.
    pub fn shown(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

impl std::fmt::Debug for HttpDestination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpDestination").field("at", &self.shown()).finish_non_exhaustive()
    }
}
