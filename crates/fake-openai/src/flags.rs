//! The command-line flags of the program `fake-openai`, and their parsers.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use service::settings::LogSettings;
use webhook::SigningSecret;

use crate::{Fault, FaultKind, LINE_BYTES_DEFAULT, Pattern, Payload};

/// Fake of the OpenAI API that Landfall reads, with fault injection, and a sender of signed webhooks.
/// Background responses and batches can be created; they end, and their webhook is sent to --send-to.
/// For development and demos only.
#[derive(clap::Parser)]
#[command(name = "fake-openai", version)]
pub(crate) struct Flags {
    /// Address to listen on; port 0 picks a free port, which is logged as openai.addr
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8081")]
    pub(crate) addr: SocketAddr,
    /// Check the health of the fake-openai that runs at --addr, and exit with 0 or 1
    #[arg(long)]
    pub(crate) healthcheck: bool,
    /// API key that requests must carry; without it any request is accepted
    #[arg(long, value_name = "KEY")]
    pub(crate) api_key: Option<String>,
    /// API key of another project: accepted, but it sees no objects
    #[arg(long, value_name = "KEY")]
    pub(crate) foreign_api_key: Option<String>,
    /// Serve file content without Range, ETag and Accept-Ranges
    #[arg(long)]
    pub(crate) no_ranges: bool,
    /// Serve file content with weak ETags, which do not permit range requests
    #[arg(long)]
    pub(crate) weak_etags: bool,
    /// Fault to inject, as JSON; repeatable: '{"kind":{"status":500},"path_contains":"/batches/","times":2}',
    /// '{"kind":"cut_body","rate":0.1}', '{"kind":{"rate_limited":{"retry_after_secs":1}}}'
    #[arg(long, value_name = "JSON", value_parser = fault)]
    pub(crate) fault: Vec<Fault>,
    /// Delay every response by this many milliseconds
    #[arg(long, value_name = "MS")]
    pub(crate) delay_ms: Option<u64>,
    /// Add a batch with generated output; repeatable: id=batch_big,lines=50000 or with line_bytes=4096
    #[arg(long, value_name = "id=ID,lines=N", value_parser = batch)]
    pub(crate) batch: Vec<Batch>,
    /// Time that created responses and batches take to end, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    pub(crate) end_after_ms: u64,
    #[command(flatten)]
    pub(crate) sending: Sending,
    #[command(flatten)]
    pub(crate) log: LogSettings,
}

/// The webhooks to send once the server listens.
#[derive(clap::Args)]
#[command(next_help_heading = "Sending webhooks")]
pub(crate) struct Sending {
    /// Send webhooks to this receiver: the events below, and one when a created response or batch ends
    #[arg(long, value_name = "URL")]
    pub(crate) send_to: Option<String>,
    /// Signing secret: whsec_…
    #[arg(long, value_name = "SECRET", conflicts_with = "secret_file")]
    secret: Option<String>,
    /// File that contains the signing secret
    #[arg(long, value_name = "PATH")]
    secret_file: Option<PathBuf>,
    /// Send one event of every known type, about the demo objects
    #[arg(long)]
    every_type_once: bool,
    /// Send one event; repeatable: batch.completed=batch_demo_completed, or only the type
    #[arg(long, value_name = "TYPE=ID")]
    event: Vec<String>,
    /// First attempts per second
    #[arg(long, value_name = "PER_SEC", value_parser = rate)]
    rate: Option<f64>,
    /// Number of additional deliveries of each webhook, with the same webhook-id
    #[arg(long, value_name = "N", default_value_t = 0)]
    duplicates: u32,
    /// Send in random order
    #[arg(long)]
    shuffle: bool,
    /// Embed the whole object in data, if it exists, not only its id
    #[arg(long)]
    embed: bool,
    /// Maximum attempts per delivery, including the first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) attempts_max: Option<u32>,
}

/// A batch to generate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) id: String,
    pub(crate) lines: u64,
    pub(crate) line_bytes: usize,
}

impl Flags {
    /// All faults, including that of `--delay-ms`.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let delay = self.delay_ms.map(|ms| Fault::always(FaultKind::Delay { ms }, ""));
        self.fault.iter().cloned().chain(delay).collect()
    }
}

impl Sending {
    /// The signing secret, if one is set.
    pub(crate) fn secret(&self) -> anyhow::Result<Option<SigningSecret>> {
        let (text, name) = match (&self.secret, &self.secret_file) {
            (Some(text), _) => (text.clone(), "--secret"),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path);
                let text = text.with_context(|| format!("cannot read --secret-file {}", path.display()))?;
                (text, "--secret-file")
            }
            (None, None) => return Ok(None),
        };
        let secret = SigningSecret::parse(text.trim())
            .with_context(|| format!("{name} is not a valid signing secret"))?;
        Ok(Some(secret))
    }

    /// Types and object ids of the events to send.
    pub(crate) fn events(&self) -> Vec<(&str, Option<&str>)> {
        let every: &[&str] = if self.every_type_once { webhook::EventKind::KNOWN } else { &[] };
        let every = every.iter().map(|event_type| (*event_type, None));
        let named = self.event.iter().map(|text| match text.split_once('=') {
            Some((event_type, id)) => (event_type, Some(id)),
            None => (text.as_str(), None),
        });
        every.chain(named).collect()
    }

    pub(crate) const fn payload(&self) -> Payload {
        if self.embed { Payload::Embedded } else { Payload::Thin }
    }

    pub(crate) const fn pattern(&self) -> Pattern {
        Pattern { rate_per_sec: self.rate, duplicates: self.duplicates, shuffle: self.shuffle }
    }
}

fn fault(text: &str) -> Result<Fault, serde_json::Error> {
    serde_json::from_str(text)
}

fn rate(text: &str) -> anyhow::Result<f64> {
    let rate: f64 = text.parse()?;
    if !(0.001..=100_000.0).contains(&rate) {
        bail!("must be a number between 0.001 and 100000");
    }
    Ok(rate)
}

fn batch(text: &str) -> anyhow::Result<Batch> {
    let mut batch = Batch { id: String::new(), lines: 0, line_bytes: LINE_BYTES_DEFAULT };
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("id", id)) => id.clone_into(&mut batch.id),
            Some(("lines", lines)) => batch.lines = lines.parse().context("lines")?,
            Some(("line_bytes", bytes)) => batch.line_bytes = bytes.parse().context("line_bytes")?,
            _ => bail!("unknown part {part:?}; use id=ID, lines=N and optionally line_bytes=N"),
        }
    }
    if batch.id.is_empty() || batch.lines == 0 {
        bail!("must have the form id=ID,lines=N");
    }
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn flags_define_faults_batches_and_events() {
        let arguments = [
            "fake-openai",
            "--fault",
            r#"{"kind":{"status":500},"times":2}"#,
            "--delay-ms",
            "5",
            "--batch",
            "id=batch_big,lines=50000,line_bytes=4096",
            "--every-type-once",
            "--event",
            "batch.failed=batch_1",
            "--rate",
            "10",
            "--duplicates",
            "2",
        ];
        let flags = Flags::try_parse_from(arguments).unwrap();
        let expected =
            [Fault::times(FaultKind::Status(500), "", 2), Fault::always(FaultKind::Delay { ms: 5 }, "")];
        assert_eq!(flags.faults(), expected);
        let batch = Batch { id: "batch_big".into(), lines: 50_000, line_bytes: 4096 };
        assert_eq!(flags.batch, [batch]);
        let events = flags.sending.events();
        assert_eq!(events.len(), webhook::EventKind::KNOWN.len() + 1);
        assert_eq!(events.last(), Some(&("batch.failed", Some("batch_1"))));
        assert_eq!(flags.sending.pattern().duplicates, 2);
    }

    #[test]
    fn invalid_values_are_refused() {
        for arguments in [
            ["--batch", "id=x"],
            ["--batch", "id=x,lines=many"],
            ["--batch", "id=x,lines=1,colour=red"],
            ["--fault", "{}"],
            ["--fault", r#"{"kind":"explode"}"#],
            ["--rate", "0"],
            ["--attempts-max", "0"],
        ] {
            let all = ["fake-openai"].into_iter().chain(arguments);
            assert!(Flags::try_parse_from(all).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn an_invalid_secret_is_reported_without_its_value() {
        let flags = Flags::try_parse_from(["fake-openai", "--secret", "whsec_nonsense!"]).unwrap();
        let error = format!("{:#}", flags.sending.secret().unwrap_err());
        assert!(error.contains("--secret") && !error.contains("nonsense"), "{error}");
    }
}
