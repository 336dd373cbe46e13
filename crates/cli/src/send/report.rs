//! What `send` says: a line for each delivery when they are few, a progress bar and a summary when they are many.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use indicatif::ProgressBar;
use serde::Serialize;

use super::post::Answered;
use super::sample::SampleEvent;
use crate::exit::Answer;
use crate::{json, printable, progress, screen};

/// Up to so many deliveries each get a line; of more, only the unexpected answers do.
const LINES_MAX: u64 = 100;
/// The widest a `webhook-id` of ours is.
const WEBHOOK_ID_CHARS: usize = 27;

/// What a delivery is expected to be answered with.
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

    fn words(self) -> &'static str {
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

/// Collects the answers and prints as they come.
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

    /// The widest event type that will come, so that columns stand below each other.
    pub(super) fn with_type_chars(mut self, type_chars: usize) -> Self {
        self.type_chars = type_chars;
        self
    }

    pub(super) fn answered(&mut self, event: &SampleEvent, answer: &Answered) -> io::Result<()> {
        let expected = self.expected.is(answer.status);
        self.unexpected += u64::from(!expected);
        *self.statuses.entry(answer.status).or_default() += 1;
        self.took.push(answer.took);
        self.bar.inc(1);
        let ms = answer.took.as_secs_f64() * 1000.0;
        if self.json {
            let line = Line {
                r#type: &event.event_type,
                webhook_id: &event.webhook_id,
                status: answer.status,
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
                answer.status,
                width = self.type_chars,
            );
            let out = &mut *self.out;
            return self.bar.suspend(|| writeln!(out, "{line}"));
        }
        Ok(())
    }

    /// The summary, and whether all were answered as expected. Advice goes to stderr.
    pub(super) fn finish(mut self) -> io::Result<Answer> {
        self.bar.finish_and_clear();
        if !self.json && self.total > 1 {
            let summary = self.summary();
            writeln!(self.out, "{summary}")?;
        }
        self.out.flush()?;
        if self.unexpected == 0 {
            return Ok(Answer::Yes);
        }
        eprintln!(
            "landfall: {} of {} deliveries were not answered with {}",
            screen::count(self.unexpected),
            screen::count(self.took.len() as u64),
            self.expected.words()
        );
        for advice in self.statuses.keys().filter_map(|status| self.advice(*status)) {
            eprintln!("  {advice}");
        }
        Ok(Answer::No)
    }

    /// The deliveries that were answered, when one could not be made.
    pub(super) fn interrupted(&self) -> String {
        self.bar.finish_and_clear();
        let answered = self.took.len() as u64;
        format!("{} of {} deliveries were answered", screen::count(answered), screen::count(self.total))
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
            .map(|(status, count)| format!("{} × {status}", screen::count(*count)))
            .collect();
        format!(
            "{} deliveries: {}; half answered within {:.1} ms, 99% within {:.1} ms",
            screen::count(self.took.len() as u64),
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
            200..300 => Some("2xx: it should have been refused; is this Landfall's ingest?"),
            300..400 => Some("3xx: OpenAI follows no redirect; write the final address in --url"),
            400 => Some("400: ingest holds another secret, or this clock and ingest's differ by over 300 s"),
            404 | 405 => Some("404, 405: --url must name ingest's WEBHOOK_PATH, usually /openai/webhook"),
            413 => Some("413: the body is larger than ingest's MAX_BODY_BYTES"),
            503 => Some("503: ingest cannot reach its Redis, or Redis refuses writes; see ingest's log"),
            _ => None,
        }
    }
}
