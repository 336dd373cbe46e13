//! The response object, its text joined as in the SDKs, and its citations.

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use crate::citations::{CITATIONS_MAX, Citation, CitationKind, citation};
use crate::client::{Client, Fetched, Get, segment};
use crate::container_files::{ContainerFile, ContainerFiles};
use crate::endpoint::Endpoint;
use crate::error::ApiError;
use crate::images::{EmbeddedImage, Images};
use crate::lenient::{any_text, each_element, error_text, fields, inner, object_text, text, text_of, time};
use crate::phase::Phase;
use crate::tokens::Tokens;

/// Generated images are embedded in base64; this is enough for about ten.
const RESPONSE_BYTES_MAX: usize = 64 << 20;
/// Parts that are only included on request: the sources of citations.
const INCLUDE: &str = "include[]=web_search_call.action.sources&include[]=file_search_call.results";
/// Servers with an older version of the API may refuse the values below; see [`Client::response`].
const INCLUDE_OUTPUTS: &str = "&include[]=code_interpreter_call.outputs";
const INCLUDE_SEARCH_RESULTS: &str = "&include[]=web_search_call.results";

/// The response of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    pub id: Option<String>,
    pub status: Option<String>,
    pub model: Option<String>,
    /// The text of all messages, joined. As in the SDKs, commentary is included, refusals are not.
    pub output_text: String,
    /// Whether the object contains any output (a thin one does not).
    pub has_output: bool,
    pub citations: Vec<Citation>,
    /// The files that the code interpreter made, as far as the response names them.
    pub container_files: Vec<ContainerFile>,
    /// The images that it contains in base64, in the order of their positions.
    pub images: Vec<EmbeddedImage>,
    /// JSON text.
    pub usage: Option<String>,
    pub tokens: Tokens,
    /// JSON text: what tools used.
    pub tool_usage: Option<String>,
    /// The tier that processed the request.
    pub service_tier: Option<String>,
    pub conversation_id: Option<String>,
    pub previous_response_id: Option<String>,
    /// JSON text.
    pub error: Option<String>,
    /// JSON text.
    pub metadata: Option<String>,
    pub incomplete_reason: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
    pub completed_at: Option<DateTime<Utc>>,
}

impl Client {
    /// `GET /responses/{id}`, including the sources of citations, the outputs of the code interpreter, and, if
    /// configured, the results of web searches. If the server answers 400, the request is repeated once without the
    /// values that an older server may not know.
    pub async fn response(&self, id: &str) -> Result<Fetched<Response>, ApiError> {
        let searches = if self.includes_web_search_results() { INCLUDE_SEARCH_RESULTS } else { "" };
        match self.response_including(id, &format!("{INCLUDE}{INCLUDE_OUTPUTS}{searches}")).await {
            Err(error) if error.status() == Some(400) => self.response_including(id, INCLUDE).await,
            result => result,
        }
    }

    async fn response_including(&self, id: &str, include: &str) -> Result<Fetched<Response>, ApiError> {
        let path = format!("/responses/{}?{include}", segment(id)?);
        let get = Get::new(Endpoint::Responses, path, RESPONSE_BYTES_MAX);
        self.get_object(get, id, Response::parse, |response| response.id.as_deref()).await
    }
}

impl Response {
    /// Parses the object as returned by the API, or as embedded in an event by some senders.
    pub fn parse(raw: &[u8]) -> Result<Self, serde_json::Error> {
        let json = text_of(raw);
        let [id, status, model, usage, error, metadata] =
            fields(&json, ["id", "status", "model", "usage", "error", "metadata"])?;
        let [output, output_text, incomplete, created_at, completed_at] =
            fields(&json, ["output", "output_text", "incomplete_details", "created_at", "completed_at"])?;
        let [service_tier, tool_usage, conversation, previous_response_id] =
            fields(&json, ["service_tier", "tool_usage", "conversation", "previous_response_id"])?;
        let mut found = Output::default();
        each_element(output, |item| found.add_item(item, raw));
        // Not a field of the API object, but of the SDK view of it, which some senders pass on.
        if found.items == 0
            && let Some(text) = text(output_text)
        {
            found = Output { text, items: 1, ..Output::default() };
        }
        let [incomplete_reason] = inner(incomplete, ["reason"]);
        let [conversation_id] = inner(conversation, ["id"]);
        Ok(Self {
            id: text(id),
            status: text(status),
            model: text(model),
            output_text: found.text,
            has_output: found.items > 0,
            citations: found.citations,
            container_files: found.files.found,
            images: found.images.found,
            usage: object_text(usage),
            tokens: Tokens::of(usage),
            tool_usage: object_text(tool_usage),
            service_tier: text(service_tier),
            conversation_id: text(conversation_id).or_else(|| text(conversation)),
            previous_response_id: text(previous_response_id),
            error: error_text(error),
            metadata: object_text(metadata),
            incomplete_reason: text(incomplete_reason),
            created_at: time(created_at),
            completed_at: time(completed_at),
        })
    }

    /// The phase of the response.
    pub fn phase(&self) -> Phase {
        match self.status.as_deref() {
            Some("completed" | "failed" | "cancelled" | "canceled" | "incomplete") => Phase::Ended,
            Some("queued" | "in_progress") => Phase::Running,
            _ => Phase::Unknown,
        }
    }
}

/// The content collected from `output`.
#[derive(Default)]
struct Output {
    text: String,
    /// Number of items of any type: 28 types are known, and only messages contain text.
    items: usize,
    citations: Vec<Citation>,
    files: ContainerFiles,
    images: Images,
}

impl Output {
    fn add_item(&mut self, item: &RawValue, raw: &[u8]) {
        let output_index = self.items;
        self.items += 1;
        let [kind, content, message] = inner(Some(item), ["type", "content", "message"]);
        match text(kind).as_deref() {
            Some("message") => {}
            Some("code_interpreter_call") => return self.files.add_outputs(item),
            Some("image_generation_call") => return self.images.add(item, raw),
            _ => return,
        }
        // In an event, a message may be nested once more, and its content may be a plain string.
        let [wrapped] = inner(message, ["content"]);
        let content = content.or(wrapped);
        if let Some(text) = any_text(content) {
            self.text.push_str(&text);
            return;
        }
        let mut content_index = 0;
        each_element(content, |part| {
            self.add_part(part, output_index, content_index);
            content_index += 1;
        });
    }

    fn add_part(&mut self, part: &RawValue, output_index: usize, content_index: usize) {
        let [kind, content, annotations] = inner(Some(part), ["type", "text", "annotations"]);
        if text(kind).as_deref() != Some("output_text") {
            return;
        }
        self.text.push_str(&any_text(content).unwrap_or_default());
        each_element(annotations, |annotation| {
            let Some(citation) = citation(annotation, output_index, content_index) else { return };
            if citation.kind == CitationKind::ContainerFileCitation {
                let Citation { container_id, file_id, filename, .. } = &citation;
                self.files.add(container_id.as_ref(), file_id.as_ref(), filename.as_ref());
            }
            if self.citations.len() < CITATIONS_MAX {
                self.citations.push(citation);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Response {
        Response::parse(json.as_bytes()).unwrap()
    }

    const RESEARCH: &str = r#"{"id":"resp_1","object":"response","created_at":1750861210.0,
        "completed_at":1750861300.5,"status":"completed","background":true,"model":"gpt-5.6-sol","error":null,
        "incomplete_details":null,"output":[
          {"id":"rs_1","type":"reasoning","summary":[]},
          {"id":"ws_1","type":"web_search_call","status":"completed","action":{"type":"search","query":"q","sources":[]}},
          {"id":"m0","type":"message","role":"assistant","phase":"commentary","content":[
            {"type":"output_text","text":"Looking. ","annotations":[],"logprobs":[]}]},
          {"id":"x","type":"teleport_call","content":[{"type":"output_text","text":"not a message"}]},
          {"id":"m1","type":"message","role":"assistant","phase":"final_answer","content":[
            {"type":"refusal","refusal":"no"},
            {"type":"output_text","text":"Tides are caused by the Moon.","logprobs":[],"annotations":[
              {"type":"url_citation","url":"https://a.example/t","title":"Tides","start_index":0,"end_index":28},
              {"type":"file_citation","file_id":"file-1","filename":"t.pdf","index":5},
              {"type":"container_file_citation","container_id":"cntr_1","file_id":"cfile_1","filename":"p.png","start_index":1,"end_index":2},
              {"type":"file_path","file_id":"file-2","index":9},
              {"type":"hologram","url":"https://b.example"}, 7, null]}]}],
        "usage":{"input_tokens":10,"output_tokens":20,"total_tokens":30},"metadata":{"topic":"tides"}}"#;

    #[test]
    fn a_research_response_is_parsed_like_in_the_sdks() {
        let response = parse(RESEARCH);
        assert_eq!(response.id.as_deref(), Some("resp_1"));
        assert_eq!(response.model.as_deref(), Some("gpt-5.6-sol"));
        assert_eq!(response.output_text, "Looking. Tides are caused by the Moon.");
        assert!(response.has_output && response.phase() == Phase::Ended);
        assert_eq!(
            response.usage.as_deref(),
            Some(r#"{"input_tokens":10,"output_tokens":20,"total_tokens":30}"#)
        );
        assert_eq!((response.tokens.input, response.tokens.output), (Some(10), Some(20)));
        assert_eq!(response.metadata.as_deref(), Some(r#"{"topic":"tides"}"#));
        assert_eq!((response.error, response.incomplete_reason), (None, None));
        assert_eq!(response.created_at.unwrap().timestamp(), 1_750_861_210);
        assert_eq!(response.completed_at.unwrap().timestamp_millis(), 1_750_861_300_500);
    }

    #[test]
    fn all_four_types_of_citations_keep_their_position() {
        let citations = serde_json::to_value(parse(RESEARCH).citations).unwrap();
        let expected = serde_json::json!([
            {"kind":"url_citation","output_index":4,"content_index":1,"url":"https://a.example/t","title":"Tides","start_index":0,"end_index":28},
            {"kind":"file_citation","output_index":4,"content_index":1,"file_id":"file-1","filename":"t.pdf","index":5},
            {"kind":"container_file_citation","output_index":4,"content_index":1,"container_id":"cntr_1","file_id":"cfile_1","filename":"p.png","start_index":1,"end_index":2},
            {"kind":"file_path","output_index":4,"content_index":1,"file_id":"file-2","index":9},
        ]);
        assert_eq!(citations, expected);
    }

    #[test]
    fn the_origin_and_the_price_of_a_response_are_parsed() {
        let response = parse(
            r#"{"service_tier":"flex","tool_usage":{"web_search":{"num_requests":2}},"conversation":{"id":"conv_1"},
            "previous_response_id":"resp_0"}"#,
        );
        assert_eq!(response.service_tier.as_deref(), Some("flex"));
        assert_eq!(response.tool_usage.as_deref(), Some(r#"{"web_search":{"num_requests":2}}"#));
        assert_eq!(response.conversation_id.as_deref(), Some("conv_1"));
        assert_eq!(response.previous_response_id.as_deref(), Some("resp_0"));
        let odd = parse(r#"{"service_tier":7,"tool_usage":[],"conversation":[],"previous_response_id":{}}"#);
        assert_eq!((odd.service_tier, odd.tool_usage), (None, None));
        assert_eq!((odd.conversation_id, odd.previous_response_id), (None, None));
    }

    #[test]
    fn failed_and_incomplete_responses_have_a_reason() {
        let failed = parse(
            r#"{"status":"failed","error":{"code":"server_error","message":"x"},"output":[],"usage":null}"#,
        );
        assert_eq!(failed.error.as_deref(), Some(r#"{"code":"server_error","message":"x"}"#));
        assert!(failed.phase() == Phase::Ended && !failed.has_output && failed.output_text.is_empty());
        let incomplete =
            parse(r#"{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}"#);
        assert_eq!(incomplete.incomplete_reason.as_deref(), Some("max_output_tokens"));
        assert!(incomplete.phase() == Phase::Ended);
    }

    #[test]
    fn final_statuses_are_ended() {
        for status in ["queued", "in_progress", "reticulating", ""] {
            assert!(parse(&format!(r#"{{"status":"{status}"}}"#)).phase() != Phase::Ended, "{status}");
        }
        for status in ["completed", "failed", "cancelled", "incomplete"] {
            assert!(parse(&format!(r#"{{"status":"{status}"}}"#)).phase() == Phase::Ended, "{status}");
        }
    }

    #[test]
    fn the_text_of_embedded_forms_is_found() {
        let wrapped = r#"{"id":"resp_1","object":"response","status":"completed","completed_at":1750861210,"output":[
            {"type":"message","message":{"role":"assistant","content":"Hello "}},
            {"type":"message","content":"there"},
            {"type":"message","message":{"content":[{"type":"output_text","text":"!"}]}}]}"#;
        assert_eq!(parse(wrapped).output_text, "Hello there!");
        let flat = parse(r#"{"id":"resp_1","output_text":"Hello"}"#);
        assert_eq!((flat.output_text.as_str(), flat.has_output), ("Hello", true));
        let both = parse(r#"{"output_text":"twice","output":[{"type":"message","content":"once"}]}"#);
        assert_eq!(both.output_text, "once");
    }

    #[test]
    fn a_thin_object_is_all_none() {
        let thin = parse(r#"{"id":"resp_1"}"#);
        assert!(!thin.has_output && thin.phase() != Phase::Ended && thin.citations.is_empty());
        assert_eq!((thin.status, thin.usage, thin.created_at), (None, None, None));
    }

    #[test]
    fn malformed_fields_are_none() {
        let odd = r#"{"id":7,"status":["completed"],"model":null,"created_at":1e400000,"usage":"much","metadata":[],
            "error":"boom","incomplete_details":"why","n":-1e999999,"s":"\ud800","\udc00":1,"output":[null,7,"x",[],
            {"type":7},{"type":"message"},{"type":"message","content":7},{"type":"message","content":[7,null,
            {"type":"output_text","text":7,"annotations":"x"},
            {"type":"output_text","text":"a\ud800b\u0000c","annotations":[{"type":"url_citation","url":7,"start_index":1e99}]}]}]}"#;
        let odd = parse(odd);
        assert_eq!(odd.output_text, "a\u{fffd}b\u{fffd}c");
        assert_eq!((odd.id, odd.status, odd.model, odd.created_at), (None, None, None, None));
        assert_eq!((odd.usage, odd.metadata, odd.incomplete_reason), (None, None, None));
        assert_eq!(odd.error.as_deref(), Some("\"boom\""));
        assert_eq!((odd.citations.len(), odd.citations[0].start_index), (1, None));
    }

    #[test]
    fn one_broken_byte_does_not_hide_the_object() {
        let broken = Response::parse(
            b"{\"id\":\"resp_1\",\"output\":[{\"type\":\"message\",\"content\":\"a\xffb\"}]}",
        );
        assert_eq!(broken.unwrap().output_text, "a\u{fffd}b");
    }

    #[test]
    fn citations_are_bounded() {
        let annotations = vec![r#"{"type":"file_path"}"#; CITATIONS_MAX + 5].join(",");
        let json = format!(
            r#"{{"output":[{{"type":"message","content":[{{"type":"output_text","annotations":[{annotations}]}}]}}]}}"#
        );
        assert_eq!(parse(&json).citations.len(), CITATIONS_MAX);
    }

    #[test]
    fn a_body_that_is_not_an_object_is_an_error() {
        for raw in [&b""[..], b"[]", b"\"x\"", b"{", b"{} {}", b"\xff{}", b"null", b"<html>"] {
            assert!(Response::parse(raw).is_err(), "{raw:?}");
        }
        assert!(Response::parse(b"\xef\xbb\xbf {} ").is_ok());
    }
}
