//! Parses one line of the output or error file of a batch.

use serde_json::value::RawValue;

use crate::lenient::{fields, inner, integer, text};
use crate::tokens::Tokens;

/// The result of one request of a batch. The order of lines differs from that of the requests: `custom_id` identifies
/// them (`id` may repeat).
#[derive(Debug, Clone)]
pub struct BatchLine<'a> {
    pub custom_id: Option<String>,
    pub status_code: Option<i64>,
    pub request_id: Option<String>,
    /// The response body, byte for byte.
    pub body: Option<&'a RawValue>,
    /// The error of the line, or else, for a status of 400 or above, that of the response: OpenAI uses both forms.
    pub error: Option<&'a RawValue>,
    pub tokens: Tokens,
}

/// Why a line cannot be parsed.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    #[error("line is not valid UTF-8")]
    NotUtf8(#[source] std::str::Utf8Error),
    #[error("line is not a JSON object")]
    NotJson(#[source] serde_json::Error),
    /// For example an API or proxy error in place of the file.
    #[error("line has neither a custom_id nor a response")]
    NoResult,
}

impl<'a> BatchLine<'a> {
    /// # Errors
    /// [`LineError`] if the line is not a JSON object, or contains no result. Other missing fields are `None`.
    pub fn parse(line: &'a [u8]) -> Result<Self, LineError> {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        let json = std::str::from_utf8(line).map_err(LineError::NotUtf8)?;
        let [custom_id, response, error] =
            fields(json, ["custom_id", "response", "error"]).map_err(LineError::NotJson)?;
        if custom_id.is_none() && response.is_none() {
            return Err(LineError::NoResult);
        }
        let [status_code, request_id, body] = inner(response, ["status_code", "request_id", "body"]);
        let [response_error, usage] = inner(body, ["error", "usage"]);
        let status_code = integer(status_code);
        Ok(Self {
            custom_id: text(custom_id),
            status_code,
            request_id: text(request_id),
            body,
            error: error.or(response_error.filter(|_| status_code.is_some_and(|status| status >= 400))),
            tokens: Tokens::of(usage),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> BatchLine<'_> {
        BatchLine::parse(line.as_bytes()).unwrap()
    }

    fn tokens(usage: &str) -> (Option<i64>, Option<i64>) {
        let line = format!(r#"{{"response":{{"status_code":200,"body":{{"usage":{usage}}}}}}}"#);
        let line = parse(&line);
        (line.tokens.input, line.tokens.output)
    }

    #[test]
    fn a_response_body_is_unchanged() {
        let body = r#"{"id" : "resp_1",  "n":1e400000,"s":"\ud800\u0000", "usage":{"input_tokens":3,"output_tokens":4}}"#;
        let text = format!(
            r#"{{"id":"batch_req_1","custom_id":"request-1","response":{{"status_code":200,"request_id":"req_1","body":{body}}},"error":null}}"#
        );
        let line = parse(&text);
        assert_eq!(line.custom_id.as_deref(), Some("request-1"));
        assert_eq!((line.status_code, line.request_id.as_deref()), (Some(200), Some("req_1")));
        assert_eq!(line.body.unwrap().get(), body);
        assert!(line.error.is_none());
        assert_eq!((line.tokens.input, line.tokens.output), (Some(3), Some(4)));
    }

    #[test]
    fn both_forms_of_errors_are_parsed() {
        let expired = r#"{"id":"batch_req_1","custom_id":"a","response":null,"error":{"code":"batch_expired","message":"m"}}"#;
        let line = parse(expired);
        assert_eq!(line.error.unwrap().get(), r#"{"code":"batch_expired","message":"m"}"#);
        assert!(line.body.is_none() && line.status_code.is_none());
        let refused = r#"{"custom_id":"b","response":{"status_code":400,"request_id":"","body":{"error":{"message":"bad"}}},"error":null}"#;
        let line = parse(refused);
        assert_eq!(line.error.unwrap().get(), r#"{"message":"bad"}"#);
        assert_eq!((line.status_code, line.request_id.as_deref()), (Some(400), None));
        assert_eq!(line.body.unwrap().get(), r#"{"error":{"message":"bad"}}"#);
    }

    #[test]
    fn an_error_field_in_a_successful_response_is_not_the_error_of_the_line() {
        let line = r#"{"custom_id":"a","response":{"status_code":200,"body":{"status":"failed","error":{"code":"x"}}}}"#;
        assert!(parse(line).error.is_none());
    }

    #[test]
    fn tokens_of_responses_chat_completions_and_embeddings_are_counted() {
        assert_eq!(tokens(r#"{"input_tokens":1,"output_tokens":2,"total_tokens":3}"#), (Some(1), Some(2)));
        assert_eq!(
            tokens(r#"{"prompt_tokens":4,"completion_tokens":5,"total_tokens":9}"#),
            (Some(4), Some(5))
        );
        assert_eq!(tokens(r#"{"prompt_tokens":6,"total_tokens":6}"#), (Some(6), None));
        assert_eq!(tokens("null"), (None, None));
        assert_eq!(tokens(r#"{"input_tokens":"1","output_tokens":1.5}"#), (None, None));
    }

    #[test]
    fn malformed_fields_are_none() {
        for line in [r#"{"custom_id":7}"#, r#"{"response":[]}"#, r#"{"response":{"body":null}}"#] {
            let line = parse(line);
            assert!(line.custom_id.is_none() && line.body.is_none() && line.error.is_none());
        }
        let text_body = r#"{"custom_id":"a","response":{"status_code":502.0,"body":"bad gateway"}}"#;
        let line = parse(text_body);
        assert_eq!((line.status_code, line.body.unwrap().get()), (Some(502), "\"bad gateway\""));
        assert_eq!(parse(r#"{"custom_id":"a\ud800\u0000"}"#).custom_id.as_deref(), Some("a\u{fffd}\u{fffd}"));
    }

    #[test]
    fn a_line_that_is_not_an_object_is_an_error_that_does_not_repeat_it() {
        for line in [&b""[..], b"secret", b"\"secret\"", b"[]", b"{\"secret\":", b"{} {}", b"{\"a\":NaN}"] {
            let error = BatchLine::parse(line).unwrap_err();
            assert!(matches!(error, LineError::NotJson(_)));
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
        assert!(matches!(BatchLine::parse(b"{\"a\":\"\xff\"}"), Err(LineError::NotUtf8(_))));
        assert!(BatchLine::parse(b"\xef\xbb\xbf{\"custom_id\":\"a\"}\r").is_ok());
    }

    #[test]
    fn an_object_without_a_result_is_an_error() {
        for line in [
            "{}",
            r#"{"error":{"message":"Not now.","code":"server_error"}}"#,
            r#"{"custom_id":null,"response":null,"error":null}"#,
            r#"{"id":"batch_req_1"}"#,
        ] {
            assert!(matches!(BatchLine::parse(line.as_bytes()), Err(LineError::NoResult)), "{line}");
        }
        for line in [r#"{"custom_id":""}"#, r#"{"response":{}}"#] {
            assert!(BatchLine::parse(line.as_bytes()).is_ok(), "{line}");
        }
    }
}
