//! The input, output and error files of the demo batches, line by line from `demo/batch_answers.json`. Both shapes of
//! error lines occur: refused by the API (`response.status_code` >= 400) and never run (`response` null).

use serde::Deserialize;
use serde_json::{Value, json};

use super::objects::{chat_completion_body, embedding_body, response_body};

const ANSWERS: &str = include_str!("demo/batch_answers.json");

#[derive(Deserialize)]
struct Answers {
    tickets: Vec<Ticket>,
    letters: Vec<Letter>,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Ticket {
    custom_id: String,
    ticket: String,
    label: String,
    summary: String,
    input_tokens: u64,
    output_tokens: u64,
}

#[derive(Deserialize)]
struct Letter {
    custom_id: String,
    text: String,
    prompt_tokens: u64,
    completion_tokens: u64,
}

#[derive(Deserialize)]
struct Vector {
    custom_id: String,
    embedding: Value,
    prompt_tokens: u64,
}

/// The files of one batch, as lines, and what its requests cost.
#[derive(Default)]
pub(super) struct BatchFiles {
    pub(super) input: Vec<Value>,
    pub(super) output: Vec<Value>,
    pub(super) errors: Vec<Value>,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
}

impl BatchFiles {
    fn ask(&mut self, custom_id: &str, url: &str, body: &Value) {
        self.input.push(json!({"custom_id": custom_id, "method": "POST", "url": url, "body": body}));
    }

    fn answer(&mut self, custom_id: &str, body: &Value) {
        let response = json!({"status_code": 200, "request_id": request_id(custom_id), "body": body});
        self.output.push(json!({
            "id": line_id(custom_id), "custom_id": custom_id, "response": response, "error": null,
        }));
    }

    fn spend(&mut self, input_tokens: u64, output_tokens: u64) {
        self.input_tokens += input_tokens;
        self.output_tokens += output_tokens;
    }

    fn never_ran(&mut self, custom_id: &str, code: &str, message: &str) {
        let error = json!({"code": code, "message": message});
        self.errors.push(json!({
            "id": line_id(custom_id), "custom_id": custom_id, "response": null, "error": error,
        }));
    }

    /// JSON Lines: every line ends with a newline.
    pub(super) fn text(lines: &[Value]) -> String {
        lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

fn line_id(custom_id: &str) -> String {
    format!("batch_req_demo_{custom_id}")
}

fn request_id(custom_id: &str) -> String {
    format!("req_demo_{custom_id}")
}

fn answers() -> Answers {
    serde_json::from_str(ANSWERS).expect("the file is checked by a test")
}

/// Twelve requests to /v1/responses: ten answered, one refused, one lost.
pub(super) fn tickets() -> BatchFiles {
    let mut files = BatchFiles::default();
    let request = |text: &str| json!({"model": "gpt-5.4-mini-2026-03-17", "input": text, "text": {"format": {"type": "json_object"}}});
    for ticket in answers().tickets {
        files.ask(&ticket.custom_id, "/v1/responses", &request(&ticket.ticket));
        let text = json!({"label": ticket.label, "summary": ticket.summary}).to_string();
        let body = response_body(
            &format!("demo_{}", ticket.custom_id),
            &text,
            ticket.input_tokens,
            ticket.output_tokens,
        );
        files.answer(&ticket.custom_id, &body);
        files.spend(ticket.input_tokens, ticket.output_tokens);
    }
    // The order of the output is not the order of the input.
    files.output.rotate_left(3);
    files.ask("ticket-0007", "/v1/responses", &request(""));
    files.errors.push(json!({
        "id": line_id("ticket-0007"), "custom_id": "ticket-0007", "error": null,
        "response": {"status_code": 400, "request_id": request_id("ticket-0007"), "body": {"error": {
            "message": "Invalid 'input': string too short. Expected a string with minimum length 1, but got an empty string instead.",
            "type": "invalid_request_error", "param": "input", "code": "string_below_min_length",
        }}},
    }));
    files.ask("ticket-0009", "/v1/responses", &request("Which plan do we have?"));
    files.never_ran(
        "ticket-0009",
        "server_error",
        "The server had an error while processing your request. Sorry about that!",
    );
    files
}

/// Eight requests to /v1/chat/completions, of which three were not run in time.
pub(super) fn letters() -> BatchFiles {
    let mut files = BatchFiles::default();
    let url = "/v1/chat/completions";
    let request = |id: &str| json!({"model": "gpt-4.1-mini-2025-04-14", "messages": [{"role": "user", "content": format!("Write {id}.")}]});
    for letter in answers().letters {
        files.ask(&letter.custom_id, url, &request(&letter.custom_id));
        let id = format!("demo-{}", letter.custom_id);
        let body = chat_completion_body(&id, &letter.text, letter.prompt_tokens, letter.completion_tokens);
        files.answer(&letter.custom_id, &body);
        files.spend(letter.prompt_tokens, letter.completion_tokens);
    }
    for custom_id in ["letter-06", "letter-07", "letter-08"] {
        files.ask(custom_id, url, &request(custom_id));
        let message = "This request could not be executed before the completion window expired.";
        files.never_ran(custom_id, "batch_expired", message);
    }
    files
}

/// Eight requests to /v1/embeddings, of which three were answered before the batch was cancelled.
pub(super) fn vectors() -> BatchFiles {
    let mut files = BatchFiles::default();
    for number in 1..=8 {
        let custom_id = format!("vector-{number}");
        let body = json!({"model": "text-embedding-3-small", "dimensions": 8, "input": custom_id});
        files.ask(&custom_id, "/v1/embeddings", &body);
    }
    for vector in answers().vectors {
        files.answer(&vector.custom_id, &embedding_body(&vector.embedding, vector.prompt_tokens));
        files.spend(vector.prompt_tokens, 0);
    }
    files
}
