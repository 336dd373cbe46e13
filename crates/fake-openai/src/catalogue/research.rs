//! The answer of a deep research: Markdown whose sources stand in the text as `([name](url))`, and the `url_citation`
//! annotations that point at them.

use serde_json::{Value, json};

const ANSWER: &str = include_str!("demo/research_answer.md");
const SOURCES: &str = include_str!("demo/research_sources.json");

/// The content part of the answer's message.
pub(super) fn content() -> Value {
    let text = ANSWER.trim_end();
    json!({"type": "output_text", "text": text, "annotations": citations(text), "logprobs": []})
}

/// One annotation for each source named in the text. Positions count Unicode characters: OpenAI documents no unit, and
/// its own client is written in Python.
fn citations(text: &str) -> Vec<Value> {
    let sources: Vec<Value> = serde_json::from_str(SOURCES).expect("the file is checked by a test");
    let title = |url: &str| {
        let source = sources.iter().find(|source| source["url"] == url);
        source.map_or(Value::Null, |source| source["title"].clone())
    };
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = text[from..].find("([").map(|at| from + at) {
        let Some(end) = text[start..].find("))").map(|at| start + at + 2) else { break };
        let inside = &text[start + 2..end - 2];
        if let Some((_, url)) = inside.split_once("](") {
            let count = |until: usize| text[..until].chars().count();
            found.push(json!({
                "type": "url_citation", "start_index": count(start), "end_index": count(end),
                "url": url, "title": title(url),
            }));
        }
        from = end;
    }
    found
}
