//! Addresses of pages: every filter is part of the address, so a page can be shared and the back button restores it.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// An address with a query.
#[derive(Debug, Clone)]
pub(super) struct Address {
    path: Cow<'static, str>,
    parameters: Vec<(&'static str, String)>,
}

impl Address {
    pub(super) fn new(path: impl Into<Cow<'static, str>>) -> Self {
        Self { path: path.into(), parameters: Vec::new() }
    }

    /// With this parameter instead of the one that has the same name; without it for an empty value.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.parameters.retain(|(other, _)| *other != name);
        if !value.is_empty() {
            self.parameters.push((name, value.to_owned()));
        }
        self
    }

    pub(super) fn with_option(self, name: &'static str, value: Option<&str>) -> Self {
        self.with(name, value.unwrap_or_default())
    }

    /// The same query below another path.
    pub(super) fn below(&self, path: impl Into<Cow<'static, str>>) -> Self {
        Self { path: path.into(), parameters: self.parameters.clone() }
    }

    pub(super) fn is_filtered(&self) -> bool {
        !self.parameters.is_empty()
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path)?;
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.parameters);
        match query.finish() {
            query if query.is_empty() => Ok(()),
            query => write!(f, "?{query}"),
        }
    }
}

/// What would end a path segment or begin a query; everything but letters, digits and `-_.~`.
const NOT_IN_A_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The address of one thing: `/events/wh_1`. The id may contain anything.
pub(super) fn of(path: &str, id: &str) -> String {
    format!("{path}/{}", utf8_percent_encode(id, NOT_IN_A_SEGMENT))
}

/// The API call that answers with an object.
pub(super) fn object_json(id: &str) -> String {
    of("/api/v1/objects", id)
}

/// An address of this console that a form sent, to lead back there. Anything that a browser could take for the address of
/// another site is `None`.
pub(super) fn local(address: &str) -> Option<&str> {
    let rest = address.strip_prefix('/')?;
    // Browsers drop tabs and line breaks, and read `\` as `/`.
    let is_local = !rest.starts_with(['/', '\\']) && rest.bytes().all(|byte| byte.is_ascii_graphic());
    is_local.then_some(address)
}

/// A link that narrows a list.
pub(super) struct Chip {
    pub(super) href: String,
    pub(super) text: String,
    pub(super) is_current: bool,
}

/// One link for each value, after one for all of them.
pub(super) fn chips(
    address: &Address,
    name: &'static str,
    current: Option<&str>,
    values: impl IntoIterator<Item = &'static str>,
) -> Vec<Chip> {
    let all = Chip {
        href: address.clone().with(name, "").to_string(),
        text: "All".to_owned(),
        is_current: current.is_none(),
    };
    let one = |value: &'static str| Chip {
        href: address.clone().with(name, value).to_string(),
        text: value.replace('_', " "),
        is_current: current == Some(value),
    };
    std::iter::once(all).chain(values.into_iter().map(one)).collect()
}

/// Links to other pages of a list.
pub(super) struct Pages {
    pub(super) first: Option<String>,
    pub(super) older: Option<String>,
}

impl Pages {
    /// `after`: the position of this page. `next`: that of the next one.
    pub(super) fn new(address: &Address, after: Option<&str>, next: Option<&str>) -> Self {
        Self {
            first: after.map(|_| address.to_string()),
            older: next.map(|next| address.clone().with("after", next).to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_filters() {
        let address = Address::new("/events").with("state", "dead").with("family", "a&b");
        assert_eq!(address.to_string(), "/events?state=dead&family=a%26b");
        assert_eq!(address.clone().with("state", "").to_string(), "/events?family=a%26b");
        let chips = chips(&address, "state", Some("dead"), ["stored", "dead"]);
        let texts: Vec<(&str, bool)> = chips.iter().map(|chip| (&*chip.text, chip.is_current)).collect();
        assert_eq!(texts, [("All", false), ("stored", false), ("dead", true)]);
        assert_eq!(chips[1].href, "/events?family=a%26b&state=stored");
    }

    #[test]
    fn no_id_leaves_its_path_segment() {
        assert_eq!(of("/events", "wh_1-2"), "/events/wh_1-2");
        assert_eq!(of("/events", "../a?b#c\"<ä"), "/events/..%2Fa%3Fb%23c%22%3C%C3%A4");
    }
    #[test]
    fn only_addresses_of_the_console_lead_back() {
        for ours in ["/", "/events?state=dead", "/find?q=%2F%2Fx"] {
            assert_eq!(local(ours), Some(ours));
        }
        for other in [
            "",
            "events",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "https://evil.example",
            "/a b",
        ] {
            assert_eq!(local(other), None, "{other:?}");
        }
    }
}
