//! A bounded log of the most recent requests, for tests and for `GET /_control/requests`.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::HttpRequest;
use serde::{Serialize, Serializer};

/// Beyond this the oldest requests are dropped.
const REQUESTS_MAX: usize = 100_000;

/// One request to the API (not to the control API).
#[derive(Debug, Clone, Serialize)]
pub struct RecordedRequest {
    pub method: String,
    /// As sent, such as `/v1/models/ft:gpt-6-luna`.
    pub path: String,
    pub query: String,
    /// Names are in lower case. `authorization` is reduced to its scheme.
    pub headers: Vec<(String, String)>,
    #[serde(rename = "received_ms", serialize_with = "unix_ms")]
    pub received_at: SystemTime,
    /// Status of the response; `None` until it is sent, or if the client disconnected before.
    pub status: Option<u16>,
    /// The fault that applied to the request, if any.
    pub fault: Option<&'static str>,
}

impl RecordedRequest {
    /// The first header of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

fn unix_ms<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    serializer.serialize_u64(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[derive(Debug, Default)]
pub(crate) struct RequestLog {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    requests: VecDeque<RecordedRequest>,
    /// How many requests were dropped before the first entry.
    dropped: usize,
}

/// Identifies the log entry of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryNumber(usize);

impl RequestLog {
    /// Records a request on arrival, so that tests can wait for it without waiting for its response.
    pub(crate) fn record(&self, request: &HttpRequest) -> EntryNumber {
        let headers = request.headers().iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            let shown = match name.as_str() {
                "authorization" => value.split(' ').next().unwrap_or_default(),
                _ => &value,
            };
            (name.as_str().to_owned(), shown.to_owned())
        });
        let recorded = RecordedRequest {
            method: request.method().to_string(),
            path: request.path().to_owned(),
            query: request.query_string().to_owned(),
            headers: headers.collect(),
            received_at: SystemTime::now(),
            status: None,
            fault: None,
        };
        let mut entries = self.lock();
        entries.requests.push_back(recorded);
        if entries.requests.len() > REQUESTS_MAX {
            entries.requests.pop_front();
            entries.dropped += 1;
        }
        EntryNumber(entries.dropped + entries.requests.len() - 1)
    }

    pub(crate) fn set_status(&self, entry: EntryNumber, status: u16) {
        self.change(entry, |request| request.status = Some(status));
    }

    pub(crate) fn set_fault(&self, entry: EntryNumber, fault: &'static str) {
        self.change(entry, |request| request.fault = Some(fault));
    }

    pub(crate) fn all(&self) -> Vec<RecordedRequest> {
        self.lock().requests.iter().cloned().collect()
    }

    pub(crate) fn clear(&self) {
        let mut entries = self.lock();
        entries.dropped += entries.requests.len();
        entries.requests.clear();
    }

    fn change(&self, entry: EntryNumber, change: impl FnOnce(&mut RecordedRequest)) {
        let mut entries = self.lock();
        let index = entry.0.checked_sub(entries.dropped);
        if let Some(request) = index.and_then(|index| entries.requests.get_mut(index)) {
            change(request);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
