//! Properties for arbitrary input: parsers never panic, and lines do not depend on how a stream is split into chunks.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

use openai_client::{
    AgentSession, AgentTurn, Batch, BatchInputLine, BatchLine, EvalRun, FileObject, FineTuningJob, LineError,
    LineSplitter, LineTooLong, Model, Response, SafetyAlert, images_of_batch_body, result_file,
};
use proptest::prelude::*;

type Line = Result<Vec<u8>, LineTooLong>;

fn split(chunks: &[&[u8]], bytes_max: usize) -> Vec<Line> {
    let mut splitter = LineSplitter::with_bytes_max(bytes_max);
    let mut lines: Vec<Line> = Vec::new();
    for chunk in chunks {
        splitter.push(bytes::Bytes::copy_from_slice(chunk));
        lines.extend(std::iter::from_fn(|| splitter.next_line().transpose()).map(|line| line.map(Vec::from)));
    }
    lines.extend(std::iter::from_fn(|| splitter.finish().transpose()).map(|line| line.map(Vec::from)));
    assert_eq!(splitter.line_number(), i64::try_from(lines.len()).unwrap());
    lines
}

/// The reference implementation, on the whole content.
fn expected(content: &[u8], bytes_max: usize) -> Vec<Line> {
    let mut pieces: Vec<&[u8]> = content.split(|byte| *byte == b'\n').collect();
    if pieces.last().is_some_and(|last| last.is_empty()) {
        pieces.pop();
    }
    let numbered = (1..).zip(pieces);
    numbered
        .map(|(line, piece)| match piece.len() > bytes_max {
            true => Err(LineTooLong { line, bytes_max }),
            false => Ok(piece.strip_suffix(b"\r").unwrap_or(piece).to_vec()),
        })
        .collect()
}

fn parse_all(bytes: &[u8]) {
    let _ = Response::parse(bytes);
    let _ = Batch::parse(bytes);
    let _ = FileObject::parse(bytes);
    let _ = FineTuningJob::parse(bytes);
    let _ = Model::parse(bytes);
    let _ = EvalRun::parse(bytes);
    let _ = SafetyAlert::parse(bytes);
    let _ = AgentSession::parse(bytes);
    let _ = AgentTurn::parse(bytes);
    let _ = BatchLine::parse(bytes);
    let _ = BatchInputLine::parse(bytes);
    let _ = images_of_batch_body(bytes);
    let _ = result_file::parse(bytes);
}

/// JSON texts with the field names we use, including numbers and escapes that serde_json rejects.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_filter("JSON has no NaN", |n| n.is_finite()).prop_map(|n| n.to_string()),
        Just("1e400000".to_owned()),
        Just("-0.0".to_owned()),
        text(),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        let array =
            prop::collection::vec(inner.clone(), 0..6).prop_map(|items| format!("[{}]", items.join(",")));
        let field = (name(), inner).prop_map(|(name, value)| format!("{name}:{value}"));
        let object =
            prop::collection::vec(field, 0..6).prop_map(|fields| format!("{{{}}}", fields.join(",")));
        prop_oneof![array, object]
    })
}

fn name() -> impl Strategy<Value = String> {
    const NAMES: &[&str] = &[
        "id",
        "type",
        "output",
        "content",
        "message",
        "text",
        "annotations",
        "status",
        "usage",
        "error",
        "url",
        "response",
        "body",
        "custom_id",
        "status_code",
        "result_files",
        "request_counts",
        "created_at",
        "\\u0069d",
        "\\ud800",
    ];
    prop::sample::select(NAMES).prop_map(|name| format!("\"{name}\""))
}

fn text() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "message",
        "output_text",
        "url_citation",
        "a",
        "é",
        "😀",
        "\\n",
        "\\\"",
        "\\\\",
        "\\/",
        "\\u0000",
        "\\ud800",
        "\\udc00",
        "\\ud83d\\ude00",
        "\\u00E9",
    ];
    prop::collection::vec(prop::sample::select(PIECES), 0..5)
        .prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { fork: false, ..ProptestConfig::default() })]

    #[test]
    fn lines_do_not_depend_on_chunks(
        content in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        bytes_max in 0_usize..30,
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(content.len() + 1)).collect();
        cuts.extend([0, content.len()]);
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|cut| &content[cut[0]..cut[1]]).collect();
        prop_assert_eq!(split(&chunks, bytes_max), expected(&content, bytes_max));
        prop_assert_eq!(split(&chunks, usize::MAX), expected(&content, usize::MAX));
    }

    #[test]
    fn parsers_never_panic_on_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        parse_all(&bytes);
    }

    #[test]
    fn every_json_object_is_parsed_and_nothing_else(json in json()) {
        parse_all(json.as_bytes());
        let is_object = json.starts_with('{');
        prop_assert_eq!(Response::parse(json.as_bytes()).is_ok(), is_object);
        prop_assert_eq!(Batch::parse(json.as_bytes()).is_ok(), is_object);
        // An object may contain no result.
        let line = BatchLine::parse(json.as_bytes());
        prop_assert_eq!(matches!(line, Ok(_) | Err(LineError::NoResult)), is_object);
    }

    #[test]
    fn a_body_of_any_json_is_unchanged(body in json(), custom_id in text()) {
        let line = format!(r#"{{"custom_id":{custom_id},"response":{{"status_code":200,"body":{body}}},"error":null}}"#);
        let parsed = BatchLine::parse(line.as_bytes()).unwrap();
        prop_assert_eq!(parsed.body.map(|body| body.get()), Some(body.as_str()).filter(|body| *body != "null"));
        let extracted = parsed.custom_id.unwrap_or_default();
        prop_assert!(!extracted.contains('\0'));
        if !custom_id.contains("\\u0000") && !custom_id.contains("\\ud800") && !custom_id.contains("\\udc00") {
            prop_assert_eq!(extracted, serde_json::from_str::<String>(&custom_id).unwrap());
        }
    }

    #[test]
    fn a_truncated_object_is_an_error_and_never_a_panic(json in json(), cut in any::<prop::sample::Index>()) {
        let object = format!(r#"{{"output":{json}}}"#);
        let cut = cut.index(object.len());
        parse_all(&object.as_bytes()[..cut]);
        prop_assert!(Response::parse(&object.as_bytes()[..cut]).is_err());
    }
}
