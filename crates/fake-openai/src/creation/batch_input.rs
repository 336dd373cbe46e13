//! The input file of a batch: checks its lines as OpenAI does, and answers them.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::answers::{Endpoint, answer, embedding};
use crate::event::{now_secs, random_hex};
use crate::fixtures::{chat_completion_body, embedding_body, response_body};

/// What a valid input file results in.
#[derive(Default)]
pub(super) struct Results {
    /// JSON Lines.
    pub(super) output: String,
    pub(super) errors: String,
    pub(super) completed: u64,
    pub(super) failed: u64,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    /// Of the first line.
    pub(super) model: Value,
}

/// One request.
struct Line {
    custom_id: String,
    body: Value,
}

/// The results, or the entries of `errors.data` for a file that fails the validation.
pub(super) fn run(content: &[u8], path: &str, endpoint: Endpoint) -> Result<Results, Vec<Value>> {
    let lines = parse(content, path)?;
    let mut results = Results { model: lines[0].body["model"].clone(), ..Results::default() };
    for line in &lines {
        results.add(line, endpoint);
    }
    Ok(results)
}

fn parse(content: &[u8], path: &str) -> Result<Vec<Line>, Vec<Value>> {
    let (mut lines, mut errors, mut ids) = (Vec::new(), Vec::new(), HashSet::new());
    let texts = content.split(|byte| *byte == b'\n').zip(1_u64..);
    for (text, number) in texts.filter(|(text, _)| !text.trim_ascii().is_empty()) {
        let error = |code: &str, message: &str, param: Option<&str>| json!({"code": code, "message": message, "param": param, "line": number});
        let Ok(Value::Object(mut request)) = serde_json::from_slice(text) else {
            errors.push(error("invalid_json_line", "This line is not parseable as valid JSON.", None));
            continue;
        };
        let missing =
            ["custom_id", "method", "url", "body"].into_iter().find(|name| request.get(*name).is_none());
        if let Some(name) = missing {
            let message = format!("Missing required parameter: '{name}'.");
            errors.push(error("missing_required_parameter", &message, Some(name)));
            continue;
        }
        let custom_id = request["custom_id"].as_str().unwrap_or_default().to_owned();
        if request["method"] != "POST" {
            errors.push(error("invalid_method", "The method must be 'POST'.", Some("method")));
        } else if request["url"] != path {
            let message = format!("The URL of this line does not match the batch's endpoint '{path}'.");
            errors.push(error("mismatched_endpoint", &message, Some("url")));
        } else if custom_id.is_empty() {
            errors.push(error(
                "invalid_custom_id",
                "The custom_id must be a non-empty string.",
                Some("custom_id"),
            ));
        } else if !ids.insert(custom_id.clone()) {
            let message = format!("The custom_id '{custom_id}' is used by more than one request.");
            errors.push(error("duplicate_custom_id", &message, Some("custom_id")));
        } else {
            lines.push(Line { custom_id, body: request["body"].take() });
        }
    }
    if lines.is_empty() && errors.is_empty() {
        errors.push(json!({
            "code": "empty_file", "message": "The input file is empty.", "param": "input_file_id", "line": null,
        }));
    }
    if errors.is_empty() { Ok(lines) } else { Err(errors) }
}

impl Results {
    fn add(&mut self, line: &Line, endpoint: Endpoint) {
        let missing = ["model", endpoint.question()].into_iter().find(|name| line.body[*name].is_null());
        let (status, body) = match missing {
            Some(name) => (400, missing_parameter(name)),
            None => (200, self.answered(&line.body, endpoint)),
        };
        let response =
            json!({"status_code": status, "request_id": format!("req_{}", random_hex()), "body": body});
        let id = format!("batch_req_{}", random_hex());
        let written = json!({"id": id, "custom_id": line.custom_id, "response": response, "error": null});
        let (text, count) = match missing {
            None => (&mut self.output, &mut self.completed),
            Some(_) => (&mut self.errors, &mut self.failed),
        };
        text.push_str(&format!("{written}\n"));
        *count += 1;
    }

    fn answered(&mut self, request: &Value, endpoint: Endpoint) -> Value {
        let format = match endpoint {
            Endpoint::Responses => request["text"]["format"]["type"].as_str(),
            Endpoint::ChatCompletions => request["response_format"]["type"].as_str(),
            Endpoint::Embeddings => None,
        };
        let answer = answer(&request[endpoint.question()], format.unwrap_or("text"));
        let (id, input, mut output) = (random_hex(), answer.input_tokens, answer.output_tokens);
        let mut body = match endpoint {
            Endpoint::Responses => response_body(&id, &answer.text, input, output),
            Endpoint::ChatCompletions => chat_completion_body(&id, &answer.text, input, output),
            Endpoint::Embeddings => {
                output = 0;
                embedding_body(&embedding(request), input)
            }
        };
        body["model"] = request["model"].clone();
        match endpoint {
            Endpoint::Responses => {
                body["instructions"] = request["instructions"].clone();
                for name in ["created_at", "completed_at"] {
                    body[name] = now_secs().into();
                }
            }
            Endpoint::ChatCompletions => body["created"] = now_secs().into(),
            Endpoint::Embeddings => {}
        }
        self.input_tokens += input;
        self.output_tokens += output;
        body
    }
}

fn missing_parameter(name: &str) -> Value {
    json!({"error": {
        "message": format!("Missing required parameter: '{name}'."), "type": "invalid_request_error", "param": name,
        "code": "missing_required_parameter",
    }})
}
