//! The token counts of a `usage` object, in the two forms that the API uses.

use serde_json::value::RawValue;

use crate::lenient::{inner, integer};

/// What a request used. A count that is missing or of another type is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    pub input: Option<i64>,
    pub output: Option<i64>,
    /// Input tokens read from the prompt cache.
    pub cached: Option<i64>,
    /// Input tokens written to the prompt cache.
    pub cache_write: Option<i64>,
    /// Output tokens used for reasoning.
    pub reasoning: Option<i64>,
}

impl Tokens {
    /// Responses and batches count input and output; chat completions and embeddings prompt and completion.
    pub(crate) fn of(usage: Option<&RawValue>) -> Self {
        let [
            input,
            prompt,
            output,
            completion,
            input_details,
            prompt_details,
            output_details,
            completion_details,
        ] = inner(
            usage,
            [
                "input_tokens",
                "prompt_tokens",
                "output_tokens",
                "completion_tokens",
                "input_tokens_details",
                "prompt_tokens_details",
                "output_tokens_details",
                "completion_tokens_details",
            ],
        );
        let [cached, cache_write] =
            inner(input_details.or(prompt_details), ["cached_tokens", "cache_write_tokens"]);
        let [reasoning] = inner(output_details.or(completion_details), ["reasoning_tokens"]);
        Self {
            input: integer(input).or_else(|| integer(prompt)),
            output: integer(output).or_else(|| integer(completion)),
            cached: integer(cached),
            cache_write: integer(cache_write),
            reasoning: integer(reasoning),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(usage: &str) -> Tokens {
        Tokens::of(Some(serde_json::from_str(usage).unwrap()))
    }

    #[test]
    fn both_forms_of_usage_are_counted() {
        let responses = r#"{"input_tokens":100,"input_tokens_details":{"cached_tokens":64,"cache_write_tokens":32},
            "output_tokens":50,"output_tokens_details":{"reasoning_tokens":40},"total_tokens":150}"#;
        let chat = r#"{"prompt_tokens":100,"prompt_tokens_details":{"cached_tokens":64,"cache_write_tokens":32},
            "completion_tokens":50,"completion_tokens_details":{"reasoning_tokens":40}}"#;
        let expected = Tokens {
            input: Some(100),
            output: Some(50),
            cached: Some(64),
            cache_write: Some(32),
            reasoning: Some(40),
        };
        assert_eq!([tokens(responses), tokens(chat)], [expected; 2]);
    }

    #[test]
    fn missing_or_malformed_counts_are_none() {
        let embeddings = tokens(r#"{"prompt_tokens":6,"total_tokens":6}"#);
        assert_eq!(embeddings, Tokens { input: Some(6), ..Tokens::default() });
        let odd = r#"{"input_tokens":"1","output_tokens":1.5,"input_tokens_details":[],
            "output_tokens_details":{"reasoning_tokens":1e400000}}"#;
        assert_eq!([tokens(odd), tokens("null"), Tokens::of(None)], [Tokens::default(); 3]);
    }
}
