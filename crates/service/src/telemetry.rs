//! Logging: lines on stderr, as JSON or readable text. The names of fields are an interface (`webhook.id`,
//! `event.type`, `outcome`, …) and belong to the code that logs; this module only formats lines.

use std::io::IsTerminal as _;

use tracing::Subscriber;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::log_output;
pub use crate::log_output::LogGuard;
use crate::settings::{LogFormat, LogSettings};

/// Libraries that log events we cannot fix: actix logs every malformed request of every scanner as an error. A
/// `RUST_LOG` that names one of them takes precedence.
const QUIET: [(&str, &str); 3] = [
    ("actix_http", "off"),
    ("actix_server", "warn"),
    // Logs the values of unknown parameters in DATABASE_URL, such as `?passwd=`.
    ("sqlx_postgres::options", "off"),
];

/// Initializes logging, including panics. Must be called once, right after the settings are parsed. Hold the returned
/// guard until the end of `main`.
///
/// # Panics
/// When called twice.
pub fn init(settings: &LogSettings) -> LogGuard {
    let (lines, guard) = log_output::start();
    let terminal = std::io::stderr().is_terminal();
    let json = match settings.log_format {
        LogFormat::Json => true,
        LogFormat::Pretty => false,
        LogFormat::Auto => !terminal,
    };
    let filter = filter(&settings.rust_log);
    if json {
        json_lines(filter, lines).init();
    } else {
        readable_lines(filter, lines, terminal).init();
    }
    std::panic::set_hook(Box::new(log_panic));
    guard
}

fn filter(rust_log: &str) -> Targets {
    let mut text = rust_log.to_owned();
    for (library, level) in QUIET {
        if !rust_log.contains(library) {
            text.push_str(&format!(",{library}={level}"));
        }
    }
    text.parse().expect("the filter was validated with the settings")
}

/// One flat JSON object per line, with the time in UTC.
fn json_lines<W>(filter: Targets, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
    let lines = lines.with_writer(writer);
    tracing_subscriber::registry().with(filter).with(lines)
}

fn readable_lines<W>(filter: Targets, writer: W, colours: bool) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::registry().with(filter).with(fmt::layer().with_ansi(colours).with_writer(writer))
}

/// Logs a panic as one line, so that readers of JSON lines never get plain text.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string);
    let backtrace = std::backtrace::Backtrace::capture();
    tracing::error!(
        panic.message = panic.payload_as_str().unwrap_or("(not a string)"),
        panic.location = location,
        panic.backtrace = %backtrace,
        "panicked: this is a bug"
    );
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn log_one_event() {
        tracing::info!(webhook.id = "wh_1", duration_ms = 7, "webhook accepted");
        tracing::debug!("not at this level");
    }

    #[test]
    fn a_json_line_is_flat_and_keeps_its_field_names() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = json_lines(filter("info"), move || writer.clone());
        tracing::subscriber::with_default(subscriber, log_one_event);
        let text = lines.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(r#""webhook.id":"wh_1","duration_ms":7"#), "{text}");
        assert!(text.contains(r#""message":"webhook accepted""#), "{text}");
        let time = text.split_once(r#""timestamp":""#).unwrap().1.split_once('"').unwrap().0;
        assert!(time.ends_with('Z'), "{time} is not UTC");
    }

    #[test]
    fn libraries_are_quiet_unless_named() {
        let quiet = filter("debug").to_string();
        assert!(quiet.contains("actix_http=off") && quiet.contains("debug"), "{quiet}");
        let named = filter("info,actix_http=trace").to_string();
        assert!(named.contains("actix_http=trace") && !named.contains("actix_http=off"), "{named}");
    }

    #[test]
    fn a_readable_line_is_one_line() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = readable_lines(filter("info"), move || writer.clone(), false);
        tracing::subscriber::with_default(subscriber, log_one_event);
        let text = lines.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("webhook accepted") && text.contains("wh_1"), "{text}");
    }
}
