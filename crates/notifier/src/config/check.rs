//! Validates one target's table and fills in the defaults of its kind. Errors name the target, the key, and the fix.

use std::ops::Range;
use std::time::Duration;

use globset::GlobMatcher;
use toml::Spanned;
use webhook::NotificationType;

use super::filter::{self, Filter};
use super::problem::{At, Problem};
use super::read_secret::ReadSecret;
use super::table::{KindName, PayloadName, StringOrList, TargetTable};
use super::targets::{Destination, HttpDestination, Payload, Target};
use crate::endpoint;

const NAME_CHARS_MAX: usize = 64;
const TIMEOUT_SECS_DEFAULT: f64 = 15.0;
/// The lease of a notification must outlast the request.
const TIMEOUT_SECS_MAX: f64 = 120.0;
/// A caller rarely waits longer.
const CALL_TTL_SECS_DEFAULT: f64 = 10.0;
const CALL_TTL_SECS_MAX: f64 = 3600.0;
const RATE_PER_SEC_MAX: f64 = 1000.0;
const STREAM_MAX_LEN_DEFAULT: u64 = 100_000;

/// A target's table during validation; errors name the target.
pub(super) struct Check<'a> {
    pub(super) name: String,
    pub(super) table: Range<usize>,
    pub(super) read_secret: ReadSecret<'a>,
}

pub(super) fn check(
    table: TargetTable,
    span: Range<usize>,
    read_secret: ReadSecret<'_>,
) -> Result<Target, At> {
    let name = table.name.get_ref().clone();
    let usable = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(usable) {
        let text = "must be 1 to 64 characters of a-z, 0-9, - and _, such as my-app".to_owned();
        return Err((table.name.span(), "targets.name".to_owned(), Problem::Value(text)));
    }
    let check = Check { name, table: span, read_secret };
    let filter = check.filter(&table)?;
    let payload = check.payload(&table)?;
    let rate_per_sec = check.number("rate_per_sec", table.rate_per_sec.as_ref(), RATE_PER_SEC_MAX)?;
    let call_ttl = check.number("call_ttl_secs", table.call_ttl_secs.as_ref(), CALL_TTL_SECS_MAX)?;
    let call_ttl = Duration::from_secs_f64(call_ttl.unwrap_or(CALL_TTL_SECS_DEFAULT));
    let destination = check.destination(&table)?;
    let rate_per_sec = rate_per_sec.unwrap_or(match destination {
        Destination::Webhook(_) => 50.0,
        // Slack accepts one message per second for each webhook, Discord 30 per minute for each channel.
        Destination::Slack(_) => 1.0,
        Destination::Discord(_) => 0.5,
        Destination::RedisStream { .. } => RATE_PER_SEC_MAX,
    });
    Ok(Target { name: check.name, destination, filter, payload, rate_per_sec, call_ttl })
}

impl Check<'_> {
    pub(super) fn problem(&self, span: Range<usize>, key: &str, problem: Problem) -> At {
        (span, format!("target {}: {key}", self.name), problem)
    }

    pub(super) fn wrong(&self, span: Range<usize>, key: &str, fix: impl Into<String>) -> At {
        self.problem(span, key, Problem::Value(fix.into()))
    }

    fn filter(&self, table: &TargetTable) -> Result<Filter, At> {
        let kinds = match &table.events {
            None => NotificationType::ALL.to_vec(),
            Some(events) => {
                let mut kinds = vec![NotificationType::Test];
                for text in &events.get_ref().0 {
                    let glob = self.glob("events", events.span(), text)?;
                    let before = kinds.len();
                    kinds.extend(NotificationType::ALL.iter().filter(|kind| glob.is_match(kind.as_str())));
                    if kinds.len() == before {
                        let all: Vec<&str> = NotificationType::ALL.iter().map(|kind| kind.as_str()).collect();
                        let text = format!(
                            "{text:?} matches no notification type: use one of {}, or * as a wildcard",
                            all.join(", ")
                        );
                        return Err(self.wrong(events.span(), "events", text));
                    }
                }
                kinds
            }
        };
        let metadata = table
            .metadata
            .iter()
            .map(|(key, globs)| Ok((key.clone(), self.globs(&format!("metadata.{key}"), Some(globs))?)));
        Ok(Filter {
            kinds,
            projects: self.globs("projects", table.projects.as_ref())?,
            models: self.globs("model", table.model.as_ref())?,
            metadata: metadata.collect::<Result<_, At>>()?,
        })
    }

    fn globs(&self, key: &str, texts: Option<&Spanned<StringOrList>>) -> Result<Vec<GlobMatcher>, At> {
        let Some(texts) = texts else { return Ok(Vec::new()) };
        if texts.get_ref().0.is_empty() {
            return Err(self.wrong(
                texts.span(),
                key,
                "the list is empty: remove the key to match everything",
            ));
        }
        texts.get_ref().0.iter().map(|text| self.glob(key, texts.span(), text)).collect()
    }

    fn glob(&self, key: &str, span: Range<usize>, text: &str) -> Result<GlobMatcher, At> {
        filter::glob(text).map_err(|error| self.wrong(span, key, error.to_string()))
    }

    fn payload(&self, table: &TargetTable) -> Result<Payload, At> {
        let Some(payload) = &table.payload else { return Ok(Payload::Thin) };
        match (payload.get_ref(), table.kind) {
            (PayloadName::Full, KindName::Slack | KindName::Discord) => {
                let text = "full is not supported for chat messages: remove the key";
                Err(self.wrong(payload.span(), "payload", text))
            }
            (PayloadName::Full, KindName::Webhook | KindName::RedisStream) => Ok(Payload::Full),
            (PayloadName::Thin, _) => Ok(Payload::Thin),
        }
    }

    fn number(&self, key: &str, number: Option<&Spanned<f64>>, max: f64) -> Result<Option<f64>, At> {
        match number {
            Some(number) if *number.get_ref() > 0.0 && *number.get_ref() <= max => {
                Ok(Some(*number.get_ref()))
            }
            Some(number) => {
                Err(self.wrong(number.span(), key, format!("must be more than 0 and at most {max}")))
            }
            None => Ok(None),
        }
    }

    fn destination(&self, table: &TargetTable) -> Result<Destination, At> {
        if table.kind == KindName::RedisStream {
            let max_len = match &table.stream_max_len {
                Some(len) if *len.get_ref() == 0 => {
                    return Err(self.wrong(len.span(), "stream_max_len", "must be at least 1"));
                }
                Some(len) => *len.get_ref(),
                None => STREAM_MAX_LEN_DEFAULT,
            };
            self.no_http_keys(table)?;
            return Ok(Destination::RedisStream { max_len });
        }
        if let Some(len) = &table.stream_max_len {
            return Err(self.wrong(
                len.span(),
                "stream_max_len",
                "is only valid for kind redis-stream: remove it",
            ));
        }
        let timeout = self.number("timeout_secs", table.timeout_secs.as_ref(), TIMEOUT_SECS_MAX)?;
        let http = HttpDestination {
            url: self.url(table)?,
            url_is_secret: table.url.is_none(),
            credentials: self.credentials(table)?,
            headers: table
                .headers
                .iter()
                .map(|(key, value)| (key.clone(), value.get_ref().clone()))
                .collect(),
            timeout: Duration::from_secs_f64(timeout.unwrap_or(TIMEOUT_SECS_DEFAULT)),
        };
        self.headers(table, &http)?;
        Ok(match table.kind {
            KindName::Slack => Destination::Slack(http),
            KindName::Discord => Destination::Discord(http),
            KindName::Webhook | KindName::RedisStream => Destination::Webhook(http),
        })
    }

    /// A Redis stream has no URL: HTTP keys would have no effect.
    fn no_http_keys(&self, table: &TargetTable) -> Result<(), At> {
        let http = [
            ("url", table.url.as_ref().map(Spanned::span)),
            ("url_env", table.url_env.as_ref().map(Spanned::span)),
            ("url_file", table.url_file.as_ref().map(Spanned::span)),
            ("secret_env", table.secret_env.as_ref().map(Spanned::span)),
            ("secret_file", table.secret_file.as_ref().map(Spanned::span)),
            ("token_header", table.token_header.as_ref().map(Spanned::span)),
            ("token_env", table.token_env.as_ref().map(Spanned::span)),
            ("token_file", table.token_file.as_ref().map(Spanned::span)),
            ("timeout_secs", table.timeout_secs.as_ref().map(Spanned::span)),
            ("headers", table.headers.values().next().map(Spanned::span)),
        ];
        match http.into_iter().find_map(|(key, span)| Some((key, span?))) {
            Some((key, span)) => Err(self.wrong(span, key, "is not valid for kind redis-stream: remove it")),
            None => Ok(()),
        }
    }

    fn headers(&self, table: &TargetTable, http: &HttpDestination) -> Result<(), At> {
        endpoint::check_headers(&http.headers, &http.credentials).map(drop).map_err(|error| {
            let span = table.headers.values().next().map_or(self.table.clone(), Spanned::span);
            self.problem(span, "headers", Problem::Header(error))
        })
    }
}
