//! One log line as one flat JSON object: tracing-subscriber's own, field for field, but written in one go. That one
//! checks and copies every piece of a line by itself, which is a twelfth of what a request costs (docs/benchmarks.md).

use std::fmt;

use serde::Serializer as _;
use serde::ser::SerializeMap as _;
use tracing::{Event, Subscriber};
use tracing_serde::{AsSerde as _, SerdeMapVisitor};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Most lines are shorter.
const LINE_BYTES: usize = 512;

pub(crate) struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut line = Vec::with_capacity(LINE_BYTES);
        write(&mut line, &time, event).map_err(|_| fmt::Error)?;
        line.push(b'\n');
        out.write_str(str::from_utf8(&line).map_err(|_| fmt::Error)?)
    }
}

fn write(line: &mut Vec<u8>, time: &str, event: &Event<'_>) -> Result<(), serde_json::Error> {
    let mut serializer = serde_json::Serializer::new(line);
    let mut object = serializer.serialize_map(None)?;
    object.serialize_entry("timestamp", time)?;
    object.serialize_entry("level", &event.metadata().level().as_serde())?;
    let mut fields = SerdeMapVisitor::new(object);
    event.record(&mut fields);
    let mut object = fields.take_serializer()?;
    object.serialize_entry("target", event.metadata().target())?;
    object.end()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Lines {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    impl Lines {
        /// Without their times.
        fn take(&self) -> Vec<String> {
            let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
            text.lines().map(|line| line.split_once(",\"level\"").unwrap().1.to_owned()).collect()
        }
    }

    #[test]
    fn a_line_is_what_tracing_subscriber_would_write() {
        let (ours, theirs) = (Lines::default(), Lines::default());
        let layers = tracing_subscriber::registry()
            .with(tracing_subscriber::fmt::layer().event_format(JsonLine).with_writer(ours.clone()))
            .with(
                tracing_subscriber::fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_current_span(false)
                    .with_span_list(false)
                    .with_writer(theirs.clone()),
            );
        tracing::subscriber::with_default(layers, || {
            tracing::info!(webhook.id = "wh_1", missing = None::<&str>, n = -7, half = 0.5, "accepted {}", 1);
            tracing::error!(error = ?std::io::Error::other("\"\n\u{7}ä"), yes = true, nan = f64::NAN);
            tracing::warn!(target: "elsewhere", list = ?[1, 2], text = %"\\");
        });
        let lines = ours.take();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines, theirs.take());
    }
}
