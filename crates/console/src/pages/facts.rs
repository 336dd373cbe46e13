//! Facts about an object: names and values, and how errors, tokens, metadata and JSON read.

use chrono::{DateTime, Utc};
use serde_json::Value;
use webhook::{FetchState, MaybeKnown};

use super::body_text;
use super::quantity;

/// Longer JSON is not shown within a page, only linked.
const JSON_BYTES_MAX: usize = 256 * 1024;
/// Of a text within a line.
const LINE_CHARS_MAX: usize = 400;

/// A name and a value.
pub(super) struct Fact {
    pub(super) name: String,
    pub(super) text: String,
    /// Beside the value, less visible.
    pub(super) note: String,
    pub(super) is_code: bool,
    pub(super) href: Option<String>,
    /// Whether the link leaves the console.
    pub(super) is_external: bool,
}

/// Facts in their order. Values that are not known are left out.
pub(super) struct Facts {
    facts: Vec<Fact>,
    now: DateTime<Utc>,
}

impl Facts {
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Self { facts: Vec::new(), now }
    }

    fn push(&mut self, name: &str, text: String, is_code: bool) -> &mut Fact {
        let name = name.to_owned();
        self.facts.push(Fact { name, text, note: String::new(), is_code, href: None, is_external: false });
        let last = self.facts.len() - 1;
        &mut self.facts[last]
    }

    pub(super) fn text(mut self, name: &str, text: Option<impl Into<String>>) -> Self {
        if let Some(text) = text.map(Into::into).filter(|text| !text.is_empty()) {
            self.push(name, text, false);
        }
        self
    }

    /// An id, a name of a file, or the like.
    pub(super) fn code(mut self, name: &str, text: Option<impl Into<String>>) -> Self {
        if let Some(text) = text.map(Into::into).filter(|text| !text.is_empty()) {
            self.push(name, text, true);
        }
        self
    }

    /// An id that has a page.
    pub(super) fn id(mut self, name: &str, id: Option<&str>, note: &str) -> Self {
        if let Some(id) = id.filter(|id| !id.is_empty()) {
            let href = find_href(id);
            let fact = self.push(name, id.to_owned(), true);
            (fact.href, fact.note) = (Some(href), note.to_owned());
        }
        self
    }

    /// A link to a page elsewhere, if the address is one of the web.
    pub(super) fn external(mut self, name: &str, address: Option<&str>) -> Self {
        if let Some(address) = address {
            let href = web_address(address);
            let fact = self.push(name, address.to_owned(), false);
            (fact.is_external, fact.href) = (href.is_some(), href);
        }
        self
    }

    /// The exact time, and how long ago.
    pub(super) fn time(mut self, name: &str, at: Option<DateTime<Utc>>) -> Self {
        if let Some(at) = at {
            let ago = if at > self.now {
                format!("in {}", quantity::span(at - self.now))
            } else {
                format!("{} ago", quantity::span(self.now - at))
            };
            self.push(name, exact(at), false).note = ago;
        }
        self
    }

    /// When it was fetched, or why it was not; and how long after OpenAI's clock.
    pub(super) fn stored(
        mut self,
        fetch_state: &MaybeKnown<FetchState>,
        fetched_at: Option<DateTime<Utc>>,
        ended_at: Option<DateTime<Utc>>,
    ) -> Self {
        let origin = match fetch_state {
            MaybeKnown::Known(FetchState::Fetched) => "",
            MaybeKnown::Known(FetchState::Off) => "not fetched (FETCH=off): only what the event has",
            MaybeKnown::Known(FetchState::NotFound) => "OpenAI does not have it: only what the event has",
            MaybeKnown::Known(FetchState::Expired) => "its content has expired at OpenAI",
            MaybeKnown::Known(FetchState::Forbidden) => "OpenAI denied access: only what the event has",
            MaybeKnown::Unknown(name) => name,
        };
        let Some(fetched_at) = fetched_at else { return self.text("Stored", Some(origin)) };
        let late = ended_at.filter(|ended_at| *ended_at <= fetched_at).map(|ended_at| {
            let late = fetched_at - ended_at;
            let ms = late.num_milliseconds();
            let late = if ms < 10_000 { quantity::millis(ms as f64) } else { quantity::span(late) };
            format!("{late} after OpenAI’s clock")
        });
        let note = [late.as_deref().unwrap_or_default(), origin].into_iter().filter(|note| !note.is_empty());
        let note = note.collect::<Vec<_>>().join("; ");
        self.push("Stored", exact(fetched_at), false).note = note;
        self
    }

    pub(super) fn done(self) -> Vec<Fact> {
        self.facts
    }
}

/// The page that leads to anything by its id.
pub(super) fn find_href(id: &str) -> String {
    let id: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
    format!("/find?q={id}")
}

/// The address if a browser may follow it: of http or https, and nothing that runs.
pub(super) fn web_address(address: &str) -> Option<String> {
    let parsed = url::Url::parse(address).ok()?;
    matches!(parsed.scheme(), "http" | "https").then(|| parsed.to_string())
}

fn exact(at: DateTime<Utc>) -> String {
    format!("{} UTC", at.format("%Y-%m-%d %H:%M:%S"))
}

/// `5,204,117 in, 1,411,020 out`.
pub(super) fn tokens(usage: Option<&str>) -> Option<String> {
    let usage: Value = serde_json::from_str(usage?).ok()?;
    let tokens = |name: &str| usage.get(name)?.as_i64().map(quantity::count);
    Some(format!("{} in, {} out", tokens("input_tokens")?, tokens("output_tokens")?))
}

/// `team=support, run=7`.
pub(super) fn metadata(json: Option<&str>) -> Option<String> {
    let fields = match serde_json::from_str(json?).ok()? {
        Value::Object(fields) => fields,
        Value::Null => return None,
        other => return Some(other.to_string()),
    };
    let field = |(name, value): (&String, &Value)| match value {
        Value::String(text) => format!("{name}={text}"),
        other => format!("{name}={other}"),
    };
    Some(fields.iter().map(field).collect::<Vec<_>>().join(", "))
}

/// An error object as a sentence; `None` for one that says nothing.
pub(super) fn error(json: Option<&str>) -> Option<String> {
    json.map(operations::error_message).filter(|text| !text.is_empty())
}

/// At most so many characters that a cell stays a line.
pub(super) fn line(text: &str) -> String {
    match text.char_indices().nth(LINE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Indented JSON; what is not JSON as it is. `None` if it is too long for a page.
pub(super) fn pretty(raw: &[u8]) -> Option<String> {
    (raw.len() <= JSON_BYTES_MAX).then(|| body_text::pretty(raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_from_outside_read_as_text() {
        assert_eq!(metadata(Some(r#"{"a":"<b>","n":7}"#)).as_deref(), Some("a=<b>, n=7"));
        assert_eq!((metadata(Some("null")), metadata(Some("x")), metadata(None)), (None, None, None));
        assert_eq!(
            tokens(Some(r#"{"input_tokens":1200,"output_tokens":3}"#)).as_deref(),
            Some("1,200 in, 3 out")
        );
        assert_eq!(tokens(Some("{}")), None);
        assert_eq!(line(&"ä".repeat(401)).chars().count(), 401);
        assert_eq!(pretty(b"{\"a\":1}").as_deref(), Some("{\n  \"a\": 1\n}"));
        assert_eq!(pretty(b"no JSON \xff").as_deref(), Some("no JSON \u{fffd}"));
    }

    #[test]
    fn only_addresses_of_the_web_are_links() {
        assert_eq!(web_address("https://a.example/x?y").as_deref(), Some("https://a.example/x?y"));
        for address in ["javascript:alert(1)", "data:text/html,x", "/x", "JaVaScRiPt:1", "file:///etc"] {
            assert_eq!(web_address(address), None, "{address}");
        }
    }

    #[test]
    fn what_is_not_known_is_no_fact() {
        let at: DateTime<Utc> = "2026-11-30T20:15:02Z".parse().unwrap();
        let ended_at = Some(at - chrono::TimeDelta::milliseconds(1_400));
        let facts = Facts::new(at)
            .text("Empty", Some(""))
            .code("None", None::<String>)
            .stored(&FetchState::Fetched.into(), Some(at), ended_at)
            .done();
        let texts: Vec<&str> = facts.iter().map(|fact| &*fact.note).collect();
        assert_eq!(texts, ["1.4 s after OpenAI’s clock"]);
    }
}
