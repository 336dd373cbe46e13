//! The entry format: the only contract between the two programs. Version 1 stays readable forever (`tests/golden`).
//! Unknown fields are ignored; newer versions are left to newer workers.

use std::fmt;

/// The version this program writes, and the newest it reads.
pub const ENTRY_VERSION: u32 = 1;

/// An event in the queue, between `ingest` and `worker`.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// OpenAI's id of the webhook: the dedupe key.
    pub webhook_id: String,
    pub project: String,
    /// The type as it was sent, such as `batch.completed`.
    pub event_type: String,
    /// The timestamp header, in unix seconds.
    pub timestamp_secs: i64,
    /// When it was received, in unix milliseconds of this machine's clock.
    pub received_ms: i64,
    /// The raw, signed bytes.
    pub body: Vec<u8>,
    /// W3C trace context of the request.
    pub traceparent: Option<String>,
    /// The `webhook-id` of the stored event that an operator enqueued again.
    pub replay_of: Option<String>,
}

/// An event to enqueue: an [`Entry`] with borrowed parts.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    pub webhook_id: &'a str,
    pub project: &'a str,
    pub event_type: &'a str,
    pub timestamp_secs: i64,
    pub received_ms: i64,
    pub body: &'a [u8],
    pub traceparent: Option<&'a str>,
    pub replay_of: Option<&'a str>,
}

impl<'a> From<&'a Entry> for EntryRef<'a> {
    fn from(entry: &'a Entry) -> Self {
        Self {
            webhook_id: &entry.webhook_id,
            project: &entry.project,
            event_type: &entry.event_type,
            timestamp_secs: entry.timestamp_secs,
            received_ms: entry.received_ms,
            body: &entry.body,
            traceparent: entry.traceparent.as_deref(),
            replay_of: entry.replay_of.as_deref(),
        }
    }
}

impl EntryRef<'_> {
    /// The fields of the stream entry in version 1: name, value, name, value.
    pub(crate) fn fields(&self) -> Vec<Vec<u8>> {
        let (version, timestamp) = (ENTRY_VERSION.to_string(), self.timestamp_secs.to_string());
        let received_ms = self.received_ms.to_string();
        let required: [(&str, &[u8]); 7] = [
            ("v", version.as_bytes()),
            ("id", self.webhook_id.as_bytes()),
            ("project", self.project.as_bytes()),
            ("type", self.event_type.as_bytes()),
            ("timestamp", timestamp.as_bytes()),
            ("received_ms", received_ms.as_bytes()),
            ("body", self.body),
        ];
        let optional = [("traceparent", self.traceparent), ("replay_of", self.replay_of)];
        let optional = optional.into_iter().filter_map(|(name, value)| Some((name, value?.as_bytes())));
        let all = required.into_iter().chain(optional);
        all.flat_map(|(name, value)| [name.as_bytes().to_vec(), value.to_vec()]).collect()
    }
}

/// Why an entry cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    #[error("the entry has version {version}; this program supports versions up to {ENTRY_VERSION}")]
    NewerVersion { version: u32 },
    #[error("the entry has no field {0}")]
    MissingField(&'static str),
    #[error("the entry's field {field} is not {expected}")]
    Malformed { field: &'static str, expected: &'static str },
}

impl Entry {
    /// Decodes an entry from the flat list that Redis returns: name, value, name, value.
    ///
    /// When the entry has a newer version, or is not valid in version 1.
    pub fn decode(flat: &[Vec<u8>]) -> Result<Self, EntryError> {
        let fields = Fields(flat);
        let version: u32 = fields.number("v")?;
        if version > ENTRY_VERSION {
            return Err(EntryError::NewerVersion { version });
        }
        if version == 0 {
            return Err(EntryError::Malformed { field: "v", expected: "a version number" });
        }
        Ok(Self {
            webhook_id: fields.text("id")?,
            project: fields.text("project")?,
            event_type: fields.text("type")?,
            timestamp_secs: fields.number("timestamp")?,
            received_ms: fields.number("received_ms")?,
            body: fields.bytes("body")?.to_vec(),
            traceparent: fields.optional_text("traceparent")?,
            replay_of: fields.optional_text("replay_of")?,
        })
    }
}

impl fmt::Debug for Entry {
    /// Omits the body: bodies are never logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("webhook_id", &self.webhook_id)
            .field("project", &self.project)
            .field("event_type", &self.event_type)
            .field("timestamp_secs", &self.timestamp_secs)
            .field("received_ms", &self.received_ms)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Entries read in one reply: with bodies of 1 MiB, this blocks Redis for some 10 ms.
pub(crate) const ENTRIES_PER_READ: usize = 32;

/// A stream entry as Redis returns it: its id, and its names and values in one flat list.
pub(crate) type RawEntry = (String, Vec<Vec<u8>>);

/// Access by name to the flat list of a stream entry.
pub(crate) struct Fields<'a>(pub(crate) &'a [Vec<u8>]);

impl<'a> Fields<'a> {
    fn find(&self, name: &str) -> Option<&'a [u8]> {
        let (pairs, _) = self.0.as_chunks::<2>();
        pairs.iter().find(|[field, _]| field == name.as_bytes()).map(|[_, value]| value.as_slice())
    }

    fn bytes(&self, name: &'static str) -> Result<&'a [u8], EntryError> {
        self.find(name).ok_or(EntryError::MissingField(name))
    }

    fn text(&self, name: &'static str) -> Result<String, EntryError> {
        self.optional_text(name)?.ok_or(EntryError::MissingField(name))
    }

    pub(crate) fn optional_text(&self, name: &'static str) -> Result<Option<String>, EntryError> {
        let malformed = EntryError::Malformed { field: name, expected: "UTF-8" };
        self.find(name).map(|value| String::from_utf8(value.to_vec()).map_err(|_| malformed)).transpose()
    }

    pub(crate) fn number<N: std::str::FromStr>(&self, name: &'static str) -> Result<N, EntryError> {
        let malformed = EntryError::Malformed { field: name, expected: "a whole number" };
        self.text(name)?.parse().map_err(|_| malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            webhook_id: "wh_1".to_owned(),
            project: "default".to_owned(),
            event_type: "batch.completed".to_owned(),
            timestamp_secs: 1_750_287_078,
            received_ms: 1_750_287_078_123,
            body: b"\xff\x00 not text".to_vec(),
            traceparent: None,
            replay_of: Some("wh_0".to_owned()),
        }
    }

    fn flat() -> Vec<Vec<u8>> {
        let fields: [(&str, &[u8]); 8] = [
            ("v", b"1"),
            ("id", b"wh_1"),
            ("project", b"default"),
            ("type", b"batch.completed"),
            ("timestamp", b"1750287078"),
            ("received_ms", b"1750287078123"),
            ("body", b"\xff\x00 not text"),
            ("replay_of", b"wh_0"),
        ];
        fields.iter().flat_map(|(name, value)| [name.as_bytes().to_vec(), value.to_vec()]).collect()
    }

    fn with(name: &str, value: &str) -> Vec<Vec<u8>> {
        let mut flat = flat();
        let at = flat.iter().position(|field| field == name.as_bytes()).unwrap();
        flat[at + 1] = value.as_bytes().to_vec();
        flat
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let mut flat = flat();
        flat.splice(0..0, [b"colour".to_vec(), b"blue".to_vec()]);
        assert_eq!(Entry::decode(&flat), Ok(entry()));
    }

    #[test]
    fn a_newer_version_is_recognized_whatever_its_other_fields() {
        let newer = [b"v".to_vec(), b"2".to_vec(), b"payload".to_vec(), b"?".to_vec()];
        assert_eq!(Entry::decode(&newer), Err(EntryError::NewerVersion { version: 2 }));
    }

    #[test]
    fn every_required_field_is_required() {
        for name in ["v", "id", "project", "type", "timestamp", "received_ms", "body"] {
            let mut flat = flat();
            let at = flat.iter().position(|field| field == name.as_bytes()).unwrap();
            flat.drain(at..at + 2);
            assert_eq!(Entry::decode(&flat), Err(EntryError::MissingField(name)));
        }
    }

    #[test]
    fn malformed_fields_are_named() {
        for (name, value) in [("v", "0"), ("v", "one"), ("timestamp", "1.5"), ("received_ms", "")] {
            let error = Entry::decode(&with(name, value)).unwrap_err();
            assert!(matches!(error, EntryError::Malformed { field, .. } if field == name), "{error}");
        }
    }

    #[test]
    fn the_body_is_not_in_the_debug_text() {
        let text = format!("{:?}", entry());
        assert!(text.contains("body_bytes: 11") && !text.contains("not text"), "{text}");
    }
}
