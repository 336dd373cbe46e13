//! `GET /v1/responses/{id}`: some parts of a response are only present if `include[]` requests them.

use actix_web::HttpResponse;
use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::fixtures::Fixtures;
use crate::http_response::json as as_json;
use crate::kind::Kind;
use crate::query::Query;

const INCLUDABLE: [&str; 8] = [
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
];

pub(super) fn get(fixtures: &Fixtures, id: &str, query: &Query) -> Result<HttpResponse, ApiError> {
    let raw = fixtures.get(Kind::Response, id).ok_or_else(|| ApiError::not_found(Kind::Response, id))?;
    let mut included = Vec::new();
    for (index, given) in query.all("include").enumerate() {
        if !INCLUDABLE.contains(&given) {
            return Err(ApiError::not_one_of(&format!("include[{index}]"), given, &INCLUDABLE));
        }
        included.push(given);
    }
    // Text that is not valid JSON (tests store some) is served unchanged.
    let Ok(whole) = serde_json::from_str::<Value>(raw.get()) else {
        return Ok(as_json(raw.get().to_owned()));
    };
    let mut shown = whole.clone();
    for item in shown["output"].as_array_mut().into_iter().flatten() {
        leave_out(item, &included);
    }
    // An object without excluded fields is served byte for byte as it was stored.
    Ok(as_json(if shown == whole { raw.get().to_owned() } else { format!("{shown:#}") }))
}

fn leave_out(item: &mut Value, included: &[&str]) {
    let absent = |name: &str| !included.contains(&name);
    match item["type"].as_str().unwrap_or_default() {
        "web_search_call" => {
            if absent("web_search_call.action.sources") {
                remove(&mut item["action"], "sources");
            }
            if absent("web_search_call.results") {
                remove(item, "results");
            }
        }
        "file_search_call" if absent("file_search_call.results") => replace(item, "results", &Value::Null),
        "code_interpreter_call" if absent("code_interpreter_call.outputs") => {
            replace(item, "outputs", &Value::Null);
        }
        "reasoning" if absent("reasoning.encrypted_content") => remove(item, "encrypted_content"),
        "message" if absent("message.output_text.logprobs") => {
            for part in item["content"].as_array_mut().into_iter().flatten() {
                replace(part, "logprobs", &json!([]));
            }
        }
        _ => {}
    }
}

fn remove(object: &mut Value, name: &str) {
    if let Some(object) = object.as_object_mut() {
        object.remove(name);
    }
}

/// Replaces an existing field; an absent one stays absent.
fn replace(object: &mut Value, name: &str, value: &Value) {
    if let Some(found) = object.get_mut(name) {
        *found = value.clone();
    }
}
