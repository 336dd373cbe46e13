//! What a target is: where it is, what it wants to hear, how much of it.

use std::time::Duration;

use url::Url;

use super::filter::Filter;
use crate::allow_list::AllowList;
use crate::endpoint::{Endpoint, EndpointConfig, EndpointError, Proof};
use crate::guard::Lookup;

/// One of the user's own systems.
#[derive(Debug, Clone)]
pub struct Target {
    /// As users call it; also a metric's label.
    pub name: String,
    pub destination: Destination,
    pub filter: Filter,
    pub payload: Payload,
    /// Notifications a second, all workers together.
    pub rate_per_sec: f64,
}

/// Where a target's notifications go, and in which form.
#[derive(Debug, Clone)]
pub enum Destination {
    /// An HTTP endpoint of the user's.
    Webhook(HttpPlace),
    /// An incoming webhook of Slack's.
    Slack(HttpPlace),
    /// A webhook of Discord's.
    Discord(HttpPlace),
    /// A Redis stream, of about so many entries at most.
    RedisStream { max_len: u64 },
}

/// How an HTTP destination is reached.
#[derive(Clone)]
pub struct HttpPlace {
    pub url: Url,
    /// It is in a variable or a file of its own.
    pub url_is_secret: bool,
    pub proof: Proof,
    pub headers: Vec<(String, String)>,
    pub timeout: Duration,
}

/// How much a notification carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// Ids and states.
    Thin,
    /// The result too, up to a size.
    Full,
}

impl Destination {
    /// The kind, as the file names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Slack(_) => "slack",
            Self::Discord(_) => "discord",
            Self::RedisStream { .. } => "redis-stream",
        }
    }

    /// The HTTP endpoint; `None` for a stream.
    pub fn http(&self) -> Option<&HttpPlace> {
        match self {
            Self::Webhook(place) | Self::Slack(place) | Self::Discord(place) => Some(place),
            Self::RedisStream { .. } => None,
        }
    }
}

impl HttpPlace {
    /// # Errors
    /// As [`Endpoint::new`].
    pub fn endpoint(&self, allow: &AllowList, lookup: Lookup) -> Result<Endpoint, EndpointError> {
        Endpoint::new(EndpointConfig {
            url: self.url.clone(),
            url_is_secret: self.url_is_secret,
            proof: self.proof.clone(),
            headers: self.headers.clone(),
            timeout: self.timeout,
            allow: allow.clone(),
            lookup,
        })
    }

    /// Scheme, host and port: the rest may be a secret.
    pub fn shown(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

impl std::fmt::Debug for HttpPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpPlace").field("at", &self.shown()).finish_non_exhaustive()
    }
}
