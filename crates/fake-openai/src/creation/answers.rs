//! The answers of the fake: they quote the question, so that an app can be seen to work.

use serde_json::{Value, json};

/// The endpoints that can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Responses,
    ChatCompletions,
    Embeddings,
}

/// An answer and the tokens it is said to need.
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
}

const QUOTED_CHARS_MAX: usize = 500;
const DIMENSIONS_DEFAULT: u64 = 8;

impl Endpoint {
    pub(super) const PATHS: [&str; 3] = ["/v1/responses", "/v1/chat/completions", "/v1/embeddings"];

    pub(super) fn of_path(path: &str) -> Option<Self> {
        match path {
            "/v1/responses" => Some(Self::Responses),
            "/v1/chat/completions" => Some(Self::ChatCompletions),
            "/v1/embeddings" => Some(Self::Embeddings),
            _ => None,
        }
    }

    /// The parameter with the question.
    pub(super) const fn question(self) -> &'static str {
        match self {
            Self::Responses | Self::Embeddings => "input",
            Self::ChatCompletions => "messages",
        }
    }
}

/// The answer to an `input` or to `messages`. `format` is the type of the text that was asked for.
pub(super) fn answer(question: &Value, format: &str) -> Answer {
    let asked = asked(question);
    let quoted: String = asked.chars().take(QUOTED_CHARS_MAX).collect();
    let text = match format {
        "json_object" | "json_schema" => {
            json!({"answer": format!("fake-openai was asked: {quoted}")}).to_string()
        }
        _ => format!("fake-openai was asked: {quoted}"),
    };
    Answer { input_tokens: tokens(&asked), output_tokens: tokens(&text), text }
}

/// An embedding with the requested number of dimensions, the same for the same question.
pub(super) fn embedding(body: &Value) -> Value {
    let dimensions = body["dimensions"].as_u64().filter(|dimensions| *dimensions <= 4096);
    let seed = body["input"]
        .to_string()
        .bytes()
        .fold(0, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    let mut random = fastrand::Rng::with_seed(seed);
    (0..dimensions.unwrap_or(DIMENSIONS_DEFAULT)).map(|_| random.f64() * 2.0 - 1.0).collect()
}

/// The text of a question: a string, or the last message's text.
fn asked(question: &Value) -> String {
    match question {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.last().map(asked).unwrap_or_default(),
        Value::Object(item) => {
            item.get("content").or_else(|| item.get("text")).map(asked).unwrap_or_default()
        }
        _ => String::new(),
    }
}

/// A rule of thumb: four characters are one token.
fn tokens(text: &str) -> u64 {
    text.chars().count() as u64 / 4 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_quotes_the_last_text_that_was_asked() {
        let message = json!([
            {"role": "user", "content": "one"},
            {"role": "user", "content": [{"type": "input_text", "text": "two"}]},
        ]);
        for (question, quoted) in [(json!("why?"), "why?"), (message, "two"), (json!([]), "")] {
            assert_eq!(answer(&question, "text").text, format!("fake-openai was asked: {quoted}"));
        }
        let json: Value = serde_json::from_str(&answer(&json!("why?"), "json_object").text).unwrap();
        assert_eq!(json["answer"], "fake-openai was asked: why?");
    }

    #[test]
    fn an_embedding_has_its_dimensions_and_depends_on_the_question() {
        let of = |input: &str| embedding(&json!({"input": input, "dimensions": 3}));
        assert_eq!(of("a").as_array().unwrap().len(), 3);
        assert_eq!(of("a"), of("a"));
        assert_ne!(of("a"), of("b"));
    }
}
