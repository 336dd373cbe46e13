//! Extracts the model's text from the body of a batch result, for any endpoint.

use serde_json::Value;

/// The text of a response or chat completion, the number of embeddings, or else the body.
pub fn summary(body: &[u8]) -> String {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return String::from_utf8_lossy(body).into_owned();
    };
    response_text(&value)
        .or_else(|| chat_text(&value))
        .or_else(|| embeddings(&value))
        .unwrap_or_else(|| value.to_string())
}

/// Only the text, if there is one.
pub fn text(body: &[u8]) -> Option<String> {
    let value = serde_json::from_slice::<Value>(body).ok()?;
    response_text(&value).or_else(|| chat_text(&value))
}

fn response_text(value: &Value) -> Option<String> {
    let items = value.get("output")?.as_array()?;
    let parts = items.iter().filter_map(|item| item.get("content")?.as_array()).flatten();
    let texts = parts.filter(|part| part["type"] == "output_text").filter_map(|part| part["text"].as_str());
    Some(texts.collect::<String>()).filter(|text| !text.is_empty())
}

fn chat_text(value: &Value) -> Option<String> {
    let message = value.get("choices")?.get(0)?.get("message")?;
    let text = message["content"].as_str().or_else(|| message["refusal"].as_str())?;
    Some(text.to_owned())
}

fn embeddings(value: &Value) -> Option<String> {
    let vectors = value.get("data")?.as_array()?;
    let dimensions = vectors.first()?.get("embedding")?.as_array()?.len();
    Some(format!("{} embeddings of {dimensions} dimensions", vectors.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_every_endpoint_is_found() {
        let cases: [(&[u8], &str); 6] = [
            (
                br#"{"output":[{"type":"reasoning"},{"type":"message","content":[{"type":"output_text","text":"Hi"}]}]}"#,
                "Hi",
            ),
            (br#"{"choices":[{"message":{"role":"assistant","content":"Hello"}}]}"#, "Hello"),
            (br#"{"choices":[{"message":{"content":null,"refusal":"No."}}]}"#, "No."),
            (br#"{"data":[{"embedding":[0.1,0.2]},{"embedding":[0.3,0.4]}]}"#, "2 embeddings of 2 dimensions"),
            (br#"{"output":[]}"#, r#"{"output":[]}"#),
            (b"not JSON \xff", "not JSON \u{fffd}"),
        ];
        for (body, text) in cases {
            assert_eq!(summary(body), text);
        }
    }
}
