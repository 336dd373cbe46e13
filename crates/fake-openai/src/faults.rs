//! Which faults a request meets: by path, a number of times, at a rate, or always. How each looks on the wire is in
//! `fault_injection.rs`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::watch;

/// One way for OpenAI, or the network before it, to have a bad day. In JSON: `"cut_body"`, `{"status":500}`,
/// `{"slow_drip":{"bytes":10,"every_ms":100}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// An answer of this status with the body OpenAI gives it; 502 comes from the proxy, as HTML.
    Status(u16),
    /// 403 with code `misalignment_policy_violation`.
    PolicyViolation,
    /// 429, with or without `Retry-After` in seconds (however absurd).
    RateLimited { retry_after_secs: Option<u64> },
    /// 429 whose `Retry-After` is an HTTP date so many seconds from now.
    RateLimitedUntil { in_secs: u64 },
    /// 429 with `retry-after-ms`, which only OpenAI's own clients know.
    RateLimitedMs { retry_after_ms: u64 },
    /// 429 with code `insufficient_quota` and no `Retry-After`: waiting does not help.
    InsufficientQuota,
    /// An error that says in `x-should-retry` what the client is to do, whatever its status suggests.
    ShouldRetry { status: u16, should_retry: bool },
    /// The right answer, so many milliseconds late. Delays add up and go together with one other fault.
    Delay { ms: u64 },
    /// Headers, then silence until the faults are cleared.
    StallBeforeBody,
    /// Half of the body, then silence until the faults are cleared.
    StallInBody,
    /// Half of the body, then the connection is closed.
    CutBody,
    /// About so many bytes of the body, then the connection is closed.
    CutBodyAfter { bytes: u64 },
    /// `Content-Length` is off by so much. Too long: the connection closes before it is reached. Too short: the rest of
    /// the body is missing, and only the object's own size tells.
    WrongContentLength { off_by: i64 },
    /// The body in pieces of so many bytes, one every so many milliseconds.
    SlowDrip { bytes: usize, every_ms: u64 },
    /// 200, but the JSON breaks off in the middle.
    InvalidJson,
    /// The right JSON with one more field of so many bytes.
    HugeJson { bytes: u64 },
    /// The right JSON with these fields instead of its own: an unknown status, a file id that is not there yet
    /// (null), the id of another object.
    Fields(Map<String, Value>),
    /// 200 with this body: a proxy's page, an error object, a file that is not whole yet.
    Body(String),
    /// The right body, compressed although `identity` was asked for.
    Encoded(ContentCoding),
    /// 307 to this address.
    Redirect { to: String },
}

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentCoding {
    Gzip,
    /// As RFC 9110 has it, within zlib's frame.
    Deflate,
    /// As some servers understand the same name.
    RawDeflate,
    /// Named, but not done: clients need not know it.
    Brotli,
}

impl FaultKind {
    /// Its name in JSON and in the request log.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::PolicyViolation => "policy_violation",
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

/// A fault and the requests it meets. The first fault that fits a request is taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Only requests whose path and query contain this text; empty for all.
    #[serde(default)]
    pub path_contains: String,
    /// Only requests whose path, without the query, ends with this text: a file's object, but not its content.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path_ends: String,
    pub kind: FaultKind,
    /// So many requests, then no more; none for no end. `404 then found` is a status 404 with `times`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// This share of the requests, 0 to 1; none for every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
}

impl Fault {
    /// Every request whose path contains the text.
    pub fn always(kind: FaultKind, path_contains: &str) -> Self {
        let path_ends = String::new();
        Self { path_contains: path_contains.to_owned(), path_ends, kind, times: None, rate: None }
    }

    /// Every request whose path ends with the text.
    pub fn at_end(kind: FaultKind, path_ends: &str) -> Self {
        Self { path_ends: path_ends.to_owned(), ..Self::always(kind, "") }
    }

    /// The next so many of them.
    pub fn times(kind: FaultKind, path_contains: &str, times: u32) -> Self {
        Self { times: Some(times), ..Self::always(kind, path_contains) }
    }

    /// This share of them, 0 to 1.
    pub fn at_rate(kind: FaultKind, path_contains: &str, rate: f64) -> Self {
        Self { rate: Some(rate), ..Self::always(kind, path_contains) }
    }

    /// Whether the fault meets this request; uses up one of its times if so.
    fn meets(&mut self, path_and_query: &str) -> bool {
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

/// What one request is to meet.
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

/// All faults in force. Clearing them ends every stall and delay that is under way.
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

    /// Those that can still meet a request.
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
            if taken || !fault.meets(path_and_query) {
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

    /// Ends when the faults are cleared after this call.
    pub(crate) fn cleared(&self) -> impl Future<Output = ()> + use<> {
        let mut cleared = self.cleared.subscribe();
        async move {
            // An error says that the server is gone, which ends the wait as well.
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
    fn a_fault_meets_as_many_requests_as_it_says_and_only_on_its_path() {
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
    fn a_fault_at_the_end_of_a_path_leaves_what_is_below_it_alone() {
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
        // Thirteen standard deviations: chance does not fail this test.
        assert!((2400..3600).contains(&met), "{met}");
    }

    #[test]
    fn delays_add_up_and_go_with_one_other_fault() {
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
    fn faults_are_written_in_json_as_the_help_shows_them() {
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
    fn a_fault_of_every_kind_is_called_by_one_name() {
        let kinds = [FaultKind::CutBody, FaultKind::PolicyViolation, FaultKind::Status(500)];
        for kind in kinds {
            let json = serde_json::to_value(&kind).unwrap();
            let name = json.as_str().or_else(|| json.as_object()?.keys().next().map(String::as_str));
            assert_eq!(name, Some(kind.name()));
        }
    }
}
