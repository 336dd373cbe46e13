//! `POST /v1/responses`: in the background a job with a webhook, otherwise the completed response at once.

use std::sync::Arc;

use actix_web::HttpResponse;
use serde_json::{Value, json};

use super::answers::{Answer, answer};
use super::job::{Job, Step};
use super::params::Params;
use crate::api_error::ApiError;
use crate::endpoints::ApiRequest;
use crate::event::{now_secs, random_hex};
use crate::http_response::json as as_json;
use crate::kind::Kind;
use crate::state::State;

pub(super) fn create(state: &Arc<State>, request: &ApiRequest<'_>) -> Result<HttpResponse, ApiError> {
    let params = Params::parse(request.body)?;
    let model = params.text("model")?;
    let continues = ["previous_response_id", "conversation"].iter().any(|name| params.get(name).is_some());
    let input = match params.get("input") {
        None if !continues => return Err(ApiError::missing_parameter("input")),
        input => input.cloned().unwrap_or_default(),
    };
    if params.flag("stream")? {
        return Err(ApiError::not_supported("stream", "fake-openai does not stream responses."));
    }
    let (background, stored) = (params.flag("background")?, params.or("store", true.into()));
    if background && stored == false {
        return Err(ApiError::not_supported("store", "Background mode requires 'store' to be true."));
    }
    let id = format!("resp_{}", random_hex());
    let mut object = object(&id, model, &params)?;
    let format = object["text"]["format"]["type"].as_str().unwrap_or_default();
    let ended = ended(&id, &answer(&input, format));
    let ends = Step { fields: ended, times: &["completed_at"] };
    if background {
        let created = as_json(format!("{object:#}"));
        let runs = Step { fields: vec![("status", "in_progress".into())], times: &[] };
        let (kind, event_type) = (Kind::Response, "response.completed");
        Job { kind, id, object, runs: Some(runs), ends, files: Vec::new(), event_type }.start(state);
        return Ok(created);
    }
    for (name, value) in ends.fields {
        object[name] = value;
    }
    object["completed_at"] = now_secs().into();
    if stored != false {
        state.fixtures_mut().put_value(&object, None).expect("a response has an id and a kind");
    }
    Ok(as_json(format!("{object:#}")))
}

/// The response before it runs: the parameters of the request, with OpenAI's defaults.
fn object(id: &str, model: &str, params: &Params) -> Result<Value, ApiError> {
    let background = params.flag("background")?;
    let mut text = json!({"format": {"type": "text"}, "verbosity": "medium"});
    let mut reasoning = json!({"effort": "none", "summary": null});
    for (defaults, name) in [(&mut text, "text"), (&mut reasoning, "reasoning")] {
        for (key, value) in params.get(name).and_then(Value::as_object).into_iter().flatten() {
            defaults[key] = value.clone();
        }
    }
    let tier = params.or("service_tier", "auto".into());
    let mut object = json!({
        "id": id, "object": "response", "created_at": now_secs(), "completed_at": null,
        "status": if background { "queued" } else { "in_progress" }, "background": background,
        "error": null, "incomplete_details": null, "model": model, "output": [], "usage": null,
        "instructions": params.or("instructions", Value::Null),
        "max_output_tokens": params.or("max_output_tokens", Value::Null),
        "max_tool_calls": params.or("max_tool_calls", Value::Null),
        "metadata": params.metadata(json!({}))?,
        "parallel_tool_calls": params.or("parallel_tool_calls", true.into()),
        "previous_response_id": params.or("previous_response_id", Value::Null),
        "prompt_cache_key": params.or("prompt_cache_key", Value::Null),
        "reasoning": reasoning, "safety_identifier": params.or("safety_identifier", Value::Null),
        "service_tier": if tier == "auto" { "default".into() } else { tier },
        "store": params.or("store", true.into()), "temperature": params.or("temperature", 1.0.into()), "text": text,
        "tool_choice": params.or("tool_choice", "auto".into()), "tools": params.or("tools", json!([])),
        "top_logprobs": params.or("top_logprobs", 0.into()), "top_p": params.or("top_p", 1.0.into()),
        "truncation": params.or("truncation", "disabled".into()),
    });
    match params.get("conversation") {
        Some(Value::String(id)) => object["conversation"] = json!({"id": id}),
        Some(conversation) => object["conversation"] = conversation.clone(),
        None => {}
    }
    Ok(object)
}

/// What changes when it is completed.
fn ended(id: &str, answer: &Answer) -> Vec<(&'static str, Value)> {
    let Answer { text, input_tokens, output_tokens } = answer;
    let message = json!({
        "id": format!("msg_{}", id.trim_start_matches("resp_")), "type": "message", "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": text}],
    });
    let usage = json!({
        "input_tokens": input_tokens, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": output_tokens, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input_tokens + output_tokens,
    });
    vec![("status", "completed".into()), ("output", json!([message])), ("usage", usage)]
}
