//! Selects the faults that apply to a request: by path, a number of times, at a rate, or always. `fault_injection.rs`
//! applies them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::watch;

/// A failure of OpenAI or of the network in front of it. In JSON: `"cut_body"`, `{"status":500}`,
/// `{"slow_drip":{"bytes":10,"every_ms":100}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// This status with OpenAI's error body; 502 is the HTML page of a proxy.
    Status(u16),
    /// 403 with code `misalignment_policy_violation`.
    PolicyViolation,
    /// 401 because the API key lacks these permissions.
    MissingScopes(String),
    /// 429, with or without `Retry-After` in seconds (any value).
    RateLimited { retry_after_secs: Option<u64> },
    /// 429 whose `Retry-After` is an HTTP date this many seconds from now.
    RateLimitedUntil { in_secs: u64 },
    /// 429 with `retry-after-ms`, a header that only OpenAI's clients use.
    RateLimitedMs { retry_after_ms: u64 },
    /// 429 with code `insufficient_quota` and no `Retry-After`: a retry does not help.
    InsufficientQuota,
    /// An error with the header `x-should-retry`, which overrides what its status suggests.
    ShouldRetry { status: u16, should_retry: bool },
    /// The correct response after a delay. Delays add up, and combine with one other fault.
    Delay { ms: u64 },
    /// Headers, then silence until the faults are cleared.
    StallBeforeBody,
    /// Half of the body, then silence until the faults are cleared.
    StallInBody,
    /// Half of the body, then the connection is closed.
    CutBody,
    /// About this many bytes of the body, then the connection is closed.
    CutBodyAfter { bytes: u64 },
    /// `Content-Length` is off by this much. Too long: the connection closes early. Too short: the rest of the body is
    /// missing, and only the object's size field reveals it.
    WrongContentLength { off_by: i64 },
    /// The body in chunks of `bytes`, one every `every_ms` milliseconds.
    SlowDrip { bytes: usize, every_ms: u64 },
    /// 200 with JSON that is truncated in the middle.
    InvalidJson,
    /// The correct JSON with an additional field of this size.
    HugeJson { bytes: u64 },
    /// The correct JSON with these fields replaced: an unknown status, a file id that is still null, the id of another
    /// object.
    Fields(Map<String, Value>),
    /// 200 with this body: a proxy's page, an error object, an incomplete file.
    Body(String),
    /// The correct body, compressed although the client requested `identity`.
    Encoded(ContentCoding),
    /// 307 to this URL.
    Redirect { to: String },
}

/// A `Content-Encoding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentCoding {
    Gzip,
    /// In the zlib format, as RFC 9110 defines it.
    Deflate,
    /// Without the zlib format, as some servers send it under the same name.
    RawDeflate,
    /// Only the header; the body is not compressed. Clients need not support it.
    Brotli,
}

impl FaultKind {
    /// The name in JSON and in the request log.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::PolicyViolation => "policy_violation",
            Self::MissingScopes(_) => "missing_scopes",
            Self::RateLimited { .. } => "rate_limited",
            Self::RateLimitedUntil { .. } => "rate_limited_until",
            Self::RateLimitedMs { .. } => "rate_limited_ms",
            Self::InsufficientQuota => "insufficient_quota",
            Self::ShouldRetry { .. } => "should_retry",
            Self::Delay { .. } => "delay",
            Self::StallBeforeBody => "stall_before_body",
            Self::StallInBody => "stall_in_body",
            Self::CutBody => "cut_body",
            Self::CutBodyAfter { .. } => "cut_body_after",
            Self::WrongContentLength { .. } => "wrong_content_length",
            Self::SlowDrip { .. } => "slow_drip",
            Self::InvalidJson => "invalid_json",
            Self::HugeJson { .. } => "huge_json",
            Self::Fields(_) => "fields",
            Self::Body(_) => "body",
            Self::Encoded(_) => "encoded",
            Self::Redirect { .. } => "redirect",
        }
    }
}

/// A fault and the requests it applies to. The first fault that matches a request applies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Only requests whose path and query contain this text; empty for all.
    #[serde(default)]
    pub path_contains: String,
    /// Only requests whose path, without the query, ends with this text: a file object, but not its content.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path_ends: String,
    pub kind: FaultKind,
    /// The number of requests it applies to; `None` for no limit. A 404 that resolves later is a status 404 with `times`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// The share of matching requests, 0 to 1; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
}

impl Fault {
    /// Applies to every request whose path contains the text.
    pub fn always(kind: FaultKind, path_contains: &str) -> Self {
        let path_ends = String::new();
        Self { path_contains: path_contains.to_owned(), path_ends, kind, times: None, rate: None }
    }

    /// Applies to every request whose path ends with the text.
    pub fn at_end(kind: FaultKind, path_ends: &str) -> Self {
        Self { path_ends: path_ends.to_owned(), ..Self::always(kind, "") }
    }

    /// Applies to the next `times` requests whose path contains the text.
    pub fn times(kind: FaultKind, path_contains: &str, times: u32) -> Self {
        Self { times: Some(times), ..Self::always(kind, path_contains) }
    }

    /// Applies to this share, 0 to 1, of the requests whose path contains the text.
    pub fn at_rate(kind: FaultKind, path_contains: &str, rate: f64) -> Self {
        Self { rate: Some(rate), ..Self::always(kind, path_contains) }
    }

    /// Whether the fault applies to this request; if so, it counts towards `times`.
    fn applies_to(&mut self, path_and_query: &str) -> bool {
        let path = path_and_query.split_once('?').map_or(path_and_query, |(path, _)| path);
        if !path_and_query.contains(&self.path_contains)
            || !path.ends_with(&self.path_ends)
            || self.times == Some(0)
            || self.rate.is_some_and(|rate| fastrand::f64() >= rate)
        {
            return false;
        }
        self.times = self.times.map(|times| times - 1);
        true
    }
}

/// The faults that apply to one request.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) delay: Duration,
    pub(crate) fault: Option<FaultKind>,
}

impl Plan {
    /// The fault's name for the request log.
    pub(crate) fn name(&self) -> Option<&'static str> {
        let delay = (!self.delay.is_zero()).then_some("delay");
        self.fault.as_ref().map(FaultKind::name).or(delay)
    }
}

/// All active faults. Clearing them ends every stall and delay in progress.
#[derive(Debug)]
pub(crate) struct Faults {
    active: Mutex<Vec<Fault>>,
    cleared: watch::Sender<u64>,
}

impl Default for Faults {
    fn default() -> Self {
        Self { active: Mutex::default(), cleared: watch::Sender::new(0) }
    }
}

impl Faults {
    pub(crate) fn inject(&self, fault: Fault) {
        self.lock().push(fault);
    }

    /// The faults that can still apply to a request.
    pub(crate) fn all(&self) -> Vec<Fault> {
        self.lock().clone()
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
        self.cleared.send_modify(|times| *times += 1);
    }

    pub(crate) fn plan(&self, path_and_query: &str) -> Plan {
        let mut plan = Plan::default();
        let mut active = self.lock();
        for fault in active.iter_mut() {
            let delay = match fault.kind {
                FaultKind::Delay { ms } => Some(Duration::from_millis(ms)),
                _ => None,
            };
            let taken = delay.is_none() && plan.fault.is_some();
            if taken || !fault.applies_to(path_and_query) {
                continue;
            }
            match delay {
                Some(delay) => plan.delay += delay,
                None => plan.fault = Some(fault.kind.clone()),
            }
        }
        active.retain(|fault| fault.times != Some(0));
        plan
    }

    /// Resolves when the faults are cleared after this call.
    pub(crate) fn cleared(&self) -> impl Future<Output = ()> + use<> {
        let mut cleared = self.cleared.subscribe();
        async move {
            // An error means that the server has stopped, which also ends the wait.
            cleared.changed().await.ok();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_applies_to_its_number_of_requests_and_only_to_its_path() {
        let faults = Faults::default();
        faults.inject(Fault::times(FaultKind::Status(500), "/batches/", 2));
        assert!(faults.plan("/v1/responses/resp_1").fault.is_none());
        for _ in 0..2 {
            assert_eq!(faults.plan("/v1/batches/batch_1").fault, Some(FaultKind::Status(500)));
        }
        assert!(faults.plan("/v1/batches/batch_1").fault.is_none());
        assert!(faults.all().is_empty());
    }

    #[test]
    fn a_fault_at_the_end_of_a_path_does_not_apply_to_longer_paths() {
        let faults = Faults::default();
        faults.inject(Fault::at_end(FaultKind::Status(500), "/files/file-1"));
        assert!(faults.plan("/v1/files/file-1/content").fault.is_none());
        assert!(faults.plan("/v1/files/file-1?a=b").fault.is_some());
    }

    #[test]
    fn a_rate_is_a_share_of_the_requests() {
        let faults = Faults::default();
        faults.inject(Fault::at_rate(FaultKind::CutBody, "", 0.3));
        let met = (0..10_000).filter(|_| faults.plan("/v1/files").fault.is_some()).count();
        // Thirteen standard deviations: the test does not fail by chance.
        assert!((2400..3600).contains(&met), "{met}");
    }

    #[test]
    fn delays_add_up_and_combine_with_one_other_fault() {
        let faults = Faults::default();
        faults.inject(Fault::always(FaultKind::Delay { ms: 5 }, ""));
        faults.inject(Fault::times(FaultKind::CutBody, "/files", 1));
        faults.inject(Fault::times(FaultKind::InvalidJson, "/files", 1));
        faults.inject(Fault::always(FaultKind::Delay { ms: 7 }, "/files"));
        let plan = faults.plan("/v1/files");
        assert_eq!((plan.delay.as_millis(), plan.fault), (12, Some(FaultKind::CutBody)));
        let plan = faults.plan("/v1/files");
        assert_eq!(plan.fault, Some(FaultKind::InvalidJson));
        assert_eq!(faults.plan("/v1/models").name(), Some("delay"));
    }

    #[test]
    fn faults_parse_from_the_json_that_the_help_shows() {
        let text =
            r#"{"path_contains":"/responses/","kind":{"rate_limited":{"retry_after_secs":1}},"times":2}"#;
        let fault: Fault = serde_json::from_str(text).unwrap();
        let kind = FaultKind::RateLimited { retry_after_secs: Some(1) };
        assert_eq!(fault, Fault::times(kind, "/responses/", 2));
        assert_eq!(serde_json::to_string(&fault).unwrap(), text);
        for text in [
            r#"{"kind":"cut_body"}"#,
            r#"{"kind":{"status":500},"rate":0.1}"#,
            r#"{"kind":{"fields":{"output_file_id":null}},"path_ends":"/batch_1"}"#,
            r#"{"kind":{"encoded":"raw_deflate"}}"#,
        ] {
            serde_json::from_str::<Fault>(text).unwrap();
        }
        serde_json::from_str::<Fault>(r#"{"kind":"cut_body","tmies":1}"#).unwrap_err();
    }

    #[test]
    fn the_name_of_a_fault_is_its_name_in_json() {
        let kinds = [FaultKind::CutBody, FaultKind::PolicyViolation, FaultKind::Status(500)];
        for kind in kinds {
            let json = serde_json::to_value(&kind).unwrap();
            let name = json.as_str().or_else(|| json.as_object()?.keys().next().map(String::as_str));
            assert_eq!(name, Some(kind.name()));
        }
    }
}
