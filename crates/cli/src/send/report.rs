//! Output of `send`: a line per delivery for few deliveries, a progress bar and a summary for many.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use indicatif::ProgressBar;
use serde::Serialize;

use super::post::Response;
use super::sample::SampleEvent;
use crate::exit::ExitStatus;
use crate::{json, output, printable, progress};

/// Up to this many deliveries are listed; beyond it, only unexpected responses.
const LINES_MAX: u64 = 100;
/// Maximum width of a generated `webhook-id`.
const WEBHOOK_ID_CHARS: usize = 27;

/// The expected response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Accepted,
    /// A forgery, or a timestamp out of tolerance.
    Refused,
}

impl Expected {
    fn is(self, status: u16) -> bool {
        match self {
            Self::Accepted => (200..300).contains(&status),
            Self::Refused => status == 400,
        }
    }

    fn status(self) -> &'static str {
        match self {
            Self::Accepted => "2xx",
            Self::Refused => "400",
        }
    }
}

/// One line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    r#type: &'a str,
    webhook_id: &'a str,
    status: u16,
    ms: f64,
    expected: bool,
}

/// Collects and prints the responses.
pub(super) struct Report<'w> {
    out: &'w mut dyn Write,
    json: bool,
    expected: Expected,
    total: u64,
    type_chars: usize,
    bar: ProgressBar,
    statuses: BTreeMap<u16, u64>,
    took: Vec<Duration>,
    unexpected: u64,
}

impl<'w> Report<'w> {
    pub(super) fn new(out: &'w mut dyn Write, json: bool, expected: Expected, total: u64) -> Self {
        Self {
            out,
            json,
            expected,
            total,
            type_chars: 0,
            bar: progress::bar(total, json || total <= LINES_MAX),
            statuses: BTreeMap::new(),
            took: Vec::new(),
            unexpected: 0,
        }
    }

    /// Width of the longest event type, for aligned columns.
    pub(super) fn with_type_chars(mut self, type_chars: usize) -> Self {
        self.type_chars = type_chars;
        self
    }

    pub(super) fn record(&mut self, event: &SampleEvent, response: &Response) -> io::Result<()> {
        let expected = self.expected.is(response.status);
        self.unexpected += u64::from(!expected);
        *self.statuses.entry(response.status).or_default() += 1;
        self.took.push(response.took);
        self.bar.inc(1);
        let ms = response.took.as_secs_f64() * 1000.0;
        if self.json {
            let line = Line {
                r#type: &event.event_type,
                webhook_id: &event.webhook_id,
                status: response.status,
                ms: (ms * 1000.0).round() / 1000.0,
                expected,
            };
            return json::write_line(self.out, &line);
        }
        if self.total <= LINES_MAX || (!expected && self.unexpected <= LINES_MAX) {
            let line = format!(
                "{:<width$}  {:<WEBHOOK_ID_CHARS$}  {:>3}  {ms:>7.1} ms",
                printable::one_line(&event.event_type),
                printable::one_line(&event.webhook_id),
                response.status,
                width = self.type_chars,
            );
            let out = &mut *self.out;
            return self.bar.suspend(|| writeln!(out, "{line}"));
        }
        Ok(())
    }

    /// Prints the summary, and advice on unexpected responses on stderr.
    pub(super) fn finish(mut self) -> io::Result<ExitStatus> {
        self.bar.finish_and_clear();
        if !self.json && self.total > 1 {
            let summary = self.summary();
            writeln!(self.out, "{summary}")?;
        }
        self.out.flush()?;
        if self.unexpected == 0 {
            return Ok(ExitStatus::Success);
        }
        eprintln!(
            "landfall: {} of {} deliveries did not get the expected response {}",
            output::count(self.unexpected),
            output::count(self.took.len() as u64),
            self.expected.status()
        );
        for advice in self.statuses.keys().filter_map(|status| self.advice(*status)) {
            eprintln!("  {advice}");
        }
        Ok(ExitStatus::Negative)
    }

    /// The number of deliveries that got a response before one failed.
    pub(super) fn interrupted(&self) -> String {
        self.bar.finish_and_clear();
        let answered = self.took.len() as u64;
        format!("{} of {} deliveries got a response", output::count(answered), output::count(self.total))
    }

    fn summary(&mut self) -> String {
        self.took.sort_unstable();
        let at = |share: f64| {
            let index = (self.took.len().saturating_sub(1)) as f64 * share;
            self.took.get(index.round() as usize).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
        };
        let statuses: Vec<String> = self
            .statuses
            .iter()
            .map(|(status, count)| format!("{} × {status}", output::count(*count)))
            .collect();
        format!(
            "{} deliveries: {}; latency p50 {:.1} ms, p99 {:.1} ms",
            output::count(self.took.len() as u64),
            statuses.join(", "),
            at(0.5),
            at(0.99)
        )
    }

    fn advice(&self, status: u16) -> Option<&'static str> {
        if self.expected.is(status) {
            return None;
        }
        match status {
            200..300 => Some("2xx: ingest would have rejected it; check that --url is Landfall's ingest"),
            300..400 => Some("3xx: OpenAI does not follow redirects; set --url to the final URL"),
            400 => Some("400: ingest has a different secret, or the clocks differ by more than 300 s"),
            404 | 405 => {
                Some("404, 405: the path of --url must be ingest's WEBHOOK_PATH, by default /openai/webhook")
            }
            413 => Some("413: the body exceeds ingest's MAX_BODY_BYTES"),
            503 => Some("503: ingest cannot reach Redis, or Redis rejects writes; see ingest's log"),
            _ => None,
        }
    }
}
