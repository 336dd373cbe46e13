//! Checks whether a Redis is safe for acknowledged events, from its own `INFO` and `CONFIG`. The findings are a closed
//! set; each has a severity and a hint.

use std::collections::HashMap;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use redis::{Cmd, FromRedisValue, RedisError};

use crate::admin::{QueueAdmin, unix_ms};
use crate::cause::Cause;
use crate::error::QueueError;

/// The oldest versions that support the script and stream features we use.
const REDIS_MAJOR_MIN: u32 = 7;
const VALKEY_MAJOR_MIN: u32 = 8;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It works, but less efficiently or safely than it could.
    Warning,
    /// Events are or will be lost or refused.
    Wrong,
}

/// The server's version, and its problems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerReport {
    /// `Redis 7.0.15` or `Valkey 8.1.0`; `Redis` when the version is unknown.
    pub name: String,
    /// How far its clock is ahead of this machine's; `None` when unknown.
    pub clock_ahead_ms: Option<i64>,
    pub findings: Vec<ServerFinding>,
}

/// One problem of the server. `Display` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerFinding {
    TooOld {
        name: String,
    },
    /// A read-only replica.
    Replica,
    /// A Sentinel, which only knows the primary's address.
    Sentinel,
    /// A node of a Redis Cluster.
    Cluster,
    Loading,
    /// No append-only file: a restart loses events.
    Volatile,
    /// It cannot write its append-only file.
    AppendFails,
    FsyncEverySecond,
    FsyncNever,
    NoMemoryLimit,
    /// Events are evicted when memory is full.
    EvictsEvents {
        policy: String,
    },
    /// Only keys with a TTL (dedupe records) are evicted.
    EvictsDedupeKeys {
        policy: String,
    },
    /// Managed services often refuse `CONFIG`; the fsync policy is then unknown.
    ConfigRefused,
    InfoRefused,
}

impl ServerFinding {
    /// All values of [`ServerFinding::label`].
    pub const LABELS: [&'static str; 14] = [
        "too_old",
        "replica",
        "sentinel",
        "cluster",
        "loading",
        "volatile",
        "append_fails",
        "fsync_everysec",
        "fsync_never",
        "no_memory_limit",
        "evicts_events",
        "evicts_marks",
        "config_refused",
        "info_refused",
    ];

    /// The finding's label in metrics and logs.
    pub fn label(&self) -> &'static str {
        self.facts().0
    }

    /// `allow_volatile` is the setting `ALLOW_VOLATILE_REDIS`: the operator accepts that a restart may lose events.
    pub fn severity(&self, allow_volatile: bool) -> Severity {
        match self {
            Self::Volatile if allow_volatile => Severity::Warning,
            _ => self.facts().1,
        }
    }

    /// How to fix it.
    pub fn hint(&self) -> &'static str {
        self.facts().2
    }

    /// Label, severity and hint.
    fn facts(&self) -> (&'static str, Severity, &'static str) {
        use Severity::{Warning, Wrong};
        match self {
            Self::TooOld { .. } => ("too_old", Wrong, "run Redis 7.0 or newer, or Valkey 8.0 or newer"),
            Self::Replica => ("replica", Wrong, Cause::Replica.hint()),
            Self::Sentinel => ("sentinel", Wrong, Cause::Sentinel.hint()),
            // It works until a slot moves or the node is replaced.
            Self::Cluster => ("cluster", Warning, Cause::Cluster.hint()),
            Self::Loading => ("loading", Wrong, Cause::Loading.hint()),
            Self::Volatile => (
                "volatile",
                Wrong,
                "set appendonly yes in redis.conf and with CONFIG SET, or accept the loss with ALLOW_VOLATILE_REDIS=true",
            ),
            Self::AppendFails => {
                ("append_fails", Wrong, "free space on the disk of Redis, and check its log")
            }
            Self::FsyncEverySecond => ("fsync_everysec", Warning, "set appendfsync always"),
            Self::FsyncNever => ("fsync_never", Warning, "set appendfsync always"),
            Self::NoMemoryLimit => (
                "no_memory_limit",
                Warning,
                "set maxmemory to three quarters of the machine's memory, so that ingest answers 503 in time",
            ),
            Self::EvictsEvents { .. } => ("evicts_events", Wrong, "set maxmemory-policy noeviction"),
            Self::EvictsDedupeKeys { .. } => ("evicts_marks", Warning, "set maxmemory-policy noeviction"),
            Self::ConfigRefused => (
                "config_refused",
                Warning,
                "check that the service is configured with appendonly yes and appendfsync always",
            ),
            Self::InfoRefused => (
                "info_refused",
                Warning,
                "grant INFO to the user in REDIS_URL (ACL SETUSER ... +info), then check again",
            ),
        }
    }
}

impl fmt::Display for ServerFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooOld { name } => write!(f, "{name} is too old"),
            Self::Replica => f.write_str("it is a read-only replica"),
            Self::Sentinel => f.write_str("it is a Sentinel, which holds no data"),
            Self::Cluster => f.write_str(
                "it is a node of a Redis Cluster: events are refused once another node owns the keys",
            ),
            Self::Loading => f.write_str("it is still loading its data"),
            Self::Volatile => f.write_str("it has no append-only file: a restart loses acknowledged events"),
            Self::AppendFails => f.write_str("it cannot write its append-only file"),
            Self::FsyncEverySecond => {
                f.write_str("appendfsync is everysec: a power failure loses up to one second of events")
            }
            Self::FsyncNever => f.write_str(
                "appendfsync is no: a power failure loses events that the kernel has not flushed yet",
            ),
            Self::NoMemoryLimit => f.write_str("maxmemory is not set: it grows until the kernel kills it"),
            Self::EvictsEvents { policy } => {
                write!(f, "maxmemory-policy is {policy}: it evicts events when memory is full")
            }
            Self::EvictsDedupeKeys { policy } => {
                write!(f, "maxmemory-policy is {policy}: duplicates are enqueued when memory is full")
            }
            Self::ConfigRefused => f.write_str("CONFIG is refused: the fsync policy is unknown"),
            Self::InfoRefused => f.write_str("INFO is refused: its configuration is unknown"),
        }
    }
}

impl QueueAdmin {
    /// Reads the server's state and configuration. Changes nothing.
    ///
    /// When Redis cannot be reached; [`QueueAdmin::diagnose`] finds the cause.
    pub async fn check_server(&self) -> Result<ServerReport, QueueError> {
        // First, because a Sentinel supports this command and few others.
        let info: Option<String> = self.query_if_allowed(&redis::cmd("INFO")).await?;
        let info = info.unwrap_or_default();
        let info = Info::parse(&info);
        if info.is("redis_mode", "sentinel") {
            let findings = vec![ServerFinding::Sentinel];
            return Ok(ServerReport { name: info.name(), clock_ahead_ms: None, findings });
        }
        let asked_ms = now_ms();
        let time: Option<(i64, i64)> = self.query_if_allowed(&redis::cmd("TIME")).await?;
        let here_ms = i64::midpoint(asked_ms, now_ms());
        let clock_ahead_ms = time.map(|time| unix_ms(time) - here_ms);
        if info.is_empty() {
            let findings = vec![ServerFinding::InfoRefused];
            return Ok(ServerReport { name: "Redis".to_owned(), clock_ahead_ms, findings });
        }
        let config = redis::cmd("CONFIG").arg("GET").arg("appendfsync").to_owned();
        let config: Option<HashMap<String, String>> = self.query_if_allowed(&config).await?;
        let fsync = config.as_ref().and_then(|config| config.get("appendfsync")).map(String::as_str);
        Ok(ServerReport { name: info.name(), clock_ahead_ms, findings: evaluate(&info, fsync) })
    }

    /// `None` when the command is refused, by an ACL or because a managed service disables it.
    pub(crate) async fn query_if_allowed<T: FromRedisValue>(
        &self,
        command: &Cmd,
    ) -> Result<Option<T>, QueueError> {
        match self.query("read the configuration of Redis", command).await {
            Ok(answer) => Ok(Some(answer)),
            Err(QueueError::Redis { source, .. }) if is_refusal(&source) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn is_refusal(error: &RedisError) -> bool {
    let unknown = || error.detail().is_some_and(|text| text.contains("unknown"));
    match error.code() {
        Some("NOPERM") => true,
        Some("ERR") => unknown(),
        Some(_) | None => false,
    }
}

/// The lines `name:value` of `INFO`.
pub(crate) struct Info<'a>(HashMap<&'a str, &'a str>);

impl<'a> Info<'a> {
    pub(crate) fn parse(text: &'a str) -> Self {
        Self(text.lines().filter_map(|line| line.trim_end().split_once(':')).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).copied()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.get(name) == Some(value)
    }

    fn name(&self) -> String {
        // Valkey also says which Redis it is compatible with.
        match (self.get("valkey_version"), self.get("redis_version")) {
            (Some(version), _) => format!("Valkey {version}"),
            (None, Some(version)) => format!("Redis {version}"),
            (None, None) => "Redis".to_owned(),
        }
    }

    fn is_too_old(&self) -> bool {
        let major = |name| self.get(name)?.split('.').next()?.parse::<u32>().ok();
        match (major("valkey_version"), major("redis_version")) {
            (Some(major), _) => major < VALKEY_MAJOR_MIN,
            (None, Some(major)) => major < REDIS_MAJOR_MIN,
            (None, None) => false,
        }
    }
}

/// `fsync` is `None` when `CONFIG` is refused.
fn evaluate(info: &Info<'_>, fsync: Option<&str>) -> Vec<ServerFinding> {
    let mut findings = Vec::new();
    if info.is_too_old() {
        findings.push(ServerFinding::TooOld { name: info.name() });
    }
    if info.is("role", "slave") {
        findings.push(ServerFinding::Replica);
    }
    if info.is("redis_mode", "cluster") {
        findings.push(ServerFinding::Cluster);
    }
    if info.is("loading", "1") {
        findings.push(ServerFinding::Loading);
    }
    if info.is("aof_enabled", "1") {
        if info.is("aof_last_write_status", "err") {
            findings.push(ServerFinding::AppendFails);
        }
        match fsync {
            Some("everysec") => findings.push(ServerFinding::FsyncEverySecond),
            Some("no") => findings.push(ServerFinding::FsyncNever),
            Some(_) => {}
            None => findings.push(ServerFinding::ConfigRefused),
        }
    } else if info.is("aof_enabled", "0") {
        findings.push(ServerFinding::Volatile);
    }
    if info.is("maxmemory", "0") {
        findings.push(ServerFinding::NoMemoryLimit);
    }
    match info.get("maxmemory_policy") {
        // Only dedupe records have a TTL.
        Some(policy) if policy.starts_with("volatile-") => {
            findings.push(ServerFinding::EvictsDedupeKeys { policy: policy.to_owned() });
        }
        Some(policy) if policy != "noeviction" => {
            findings.push(ServerFinding::EvictsEvents { policy: policy.to_owned() });
        }
        Some(_) | None => {}
    }
    findings
}

fn now_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Server\r\nredis_version:7.2.4\r\nredis_mode:standalone\r\nrole:master\r\nloading:0\r\naof_enabled:1\r\n\
                        aof_last_write_status:ok\r\nmaxmemory:1073741824\r\nmaxmemory_policy:noeviction\r\n";

    fn with(name: &str, value: &str) -> Vec<ServerFinding> {
        let line = GOOD.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
        evaluate(&Info::parse(&GOOD.replace(line, &format!("{name}:{value}"))), Some("always"))
    }

    #[test]
    fn a_good_server_has_no_findings() {
        assert_eq!(evaluate(&Info::parse(GOOD), Some("always")), []);
    }

    #[test]
    fn each_fault_is_found() {
        let policy = |policy: &str| policy.to_owned();
        let cases = [
            ("redis_version", "6.2.14", ServerFinding::TooOld { name: "Redis 6.2.14".to_owned() }),
            ("role", "slave", ServerFinding::Replica),
            ("redis_mode", "cluster", ServerFinding::Cluster),
            ("loading", "1", ServerFinding::Loading),
            ("aof_enabled", "0", ServerFinding::Volatile),
            ("aof_last_write_status", "err", ServerFinding::AppendFails),
            ("maxmemory", "0", ServerFinding::NoMemoryLimit),
            (
                "maxmemory_policy",
                "allkeys-lru",
                ServerFinding::EvictsEvents { policy: policy("allkeys-lru") },
            ),
            (
                "maxmemory_policy",
                "volatile-ttl",
                ServerFinding::EvictsDedupeKeys { policy: policy("volatile-ttl") },
            ),
        ];
        for (name, value, finding) in cases {
            assert!(ServerFinding::LABELS.contains(&finding.label()));
            assert_eq!(with(name, value), [finding], "{name}:{value}");
        }
        let info = Info::parse(GOOD);
        assert_eq!(evaluate(&info, Some("everysec")), [ServerFinding::FsyncEverySecond]);
        assert_eq!(evaluate(&info, Some("no")), [ServerFinding::FsyncNever]);
        assert_eq!(evaluate(&info, None), [ServerFinding::ConfigRefused]);
    }

    #[test]
    fn valkey_is_known_by_its_own_version() {
        let valkey = |version: &str| format!("{GOOD}server_name:valkey\r\nvalkey_version:{version}\r\n");
        let (old, new) = (valkey("7.2.8"), valkey("8.0.1"));
        assert_eq!(evaluate(&Info::parse(&new), Some("always")), []);
        assert_eq!(Info::parse(&new).name(), "Valkey 8.0.1");
        let too_old = ServerFinding::TooOld { name: "Valkey 7.2.8".to_owned() };
        assert_eq!(evaluate(&Info::parse(&old), Some("always")), [too_old]);
    }

    #[test]
    fn a_missing_field_is_not_a_fault() {
        assert_eq!(evaluate(&Info::parse("# Server\r\n"), Some("always")), []);
    }

    #[test]
    fn an_accepted_loss_is_a_warning() {
        assert_eq!(ServerFinding::Volatile.severity(false), Severity::Wrong);
        assert_eq!(ServerFinding::Volatile.severity(true), Severity::Warning);
        let evicts = ServerFinding::EvictsEvents { policy: "allkeys-lru".to_owned() };
        assert_eq!(evicts.severity(true), Severity::Wrong);
    }
}
