//! Parses one line of the input file of a batch.

use serde_json::value::RawValue;

use crate::lenient::{fields, text};

/// A request of a batch.
#[derive(Debug, Clone)]
pub struct BatchInputLine<'a> {
    pub custom_id: Option<String>,
    pub method: Option<String>,
    pub url: Option<String>,
    /// The body of the request, byte for byte.
    pub body: Option<&'a RawValue>,
}

impl<'a> BatchInputLine<'a> {
    /// `None` if the line is not a JSON object, or has neither a `custom_id` nor a body.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        let json = std::str::from_utf8(line).ok()?;
        let [custom_id, method, url, body] = fields(json, ["custom_id", "method", "url", "body"]).ok()?;
        (custom_id.is_some() || body.is_some()).then(|| Self {
            custom_id: text(custom_id),
            method: text(method),
            url: text(url),
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_a_custom_id_or_a_body() {
        let line = r#"{"custom_id":"a","method":"POST","url":"/v1/responses","body":{"n" : 1e400000}}"#;
        let request = BatchInputLine::parse(line.as_bytes()).unwrap();
        assert_eq!((request.custom_id.as_deref(), request.method.as_deref()), (Some("a"), Some("POST")));
        assert_eq!(request.url.as_deref(), Some("/v1/responses"));
        assert_eq!(request.body.unwrap().get(), r#"{"n" : 1e400000}"#);
        let odd = BatchInputLine::parse(br#"{"custom_id":7,"url":[],"body":"x"}"#).unwrap();
        assert_eq!((odd.custom_id, odd.method, odd.url), (None, None, None));
    }

    #[test]
    fn a_line_that_is_no_request_is_none() {
        for line in
            [&b"garbage"[..], b"[1]", b"{}", b"{\"url\":\"/v1/responses\"}", b"{\"custom_id\":\"\xff\"}"]
        {
            assert!(BatchInputLine::parse(line).is_none(), "{line:?}");
        }
    }
}
