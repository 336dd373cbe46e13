//! Objects of which the demo and the generator make many: bodies of responses, chat completions and embeddings as they
//! stand in batch files, and a finished batch.

use serde_json::{Value, json};

use crate::generated_lines::{INPUT_TOKENS, OUTPUT_TOKENS};

/// A finished response of one message, as it stands in a line of a batch's output.
pub(super) fn response_body(id: &str, text: &str, input_tokens: u64, output_tokens: u64) -> Value {
    json!({
        "id": format!("resp_{id}"), "object": "response", "created_at": 1_795_308_000, "completed_at": 1_795_308_004,
        "status": "completed", "background": false, "error": null, "incomplete_details": null,
        "instructions": "Answer with one JSON object: label, summary.", "max_output_tokens": null, "metadata": {},
        "model": "gpt-5.4-mini-2026-03-17", "parallel_tool_calls": true, "previous_response_id": null,
        "reasoning": {"effort": "none", "summary": null}, "service_tier": "default", "store": true,
        "temperature": 1.0, "text": {"format": {"type": "json_object"}, "verbosity": "medium"},
        "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled",
        "output": [{
            "id": format!("msg_{id}"), "type": "message", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": text}],
        }],
        "usage": {
            "input_tokens": input_tokens, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": output_tokens, "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": input_tokens + output_tokens,
        },
    })
}

pub(super) fn chat_completion_body(
    id: &str,
    text: &str,
    prompt_tokens: u64,
    completion_tokens: u64,
) -> Value {
    json!({
        "id": format!("chatcmpl-{id}"), "object": "chat.completion", "created": 1_795_309_000,
        "model": "gpt-4.1-mini-2025-04-14", "service_tier": "default", "system_fingerprint": "fp_demo",
        "choices": [{
            "index": 0, "logprobs": null, "finish_reason": "stop",
            "message": {"role": "assistant", "content": text, "refusal": null, "annotations": []},
        }],
        "usage": {
            "prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
    })
}

pub(super) fn embedding_body(embedding: &Value, prompt_tokens: u64) -> Value {
    json!({
        "object": "list", "model": "text-embedding-3-small",
        "data": [{"object": "embedding", "index": 0, "embedding": embedding}],
        "usage": {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens},
    })
}

/// A batch's usage of so many tokens.
pub(super) fn batch_usage(input_tokens: u64, output_tokens: u64) -> Value {
    json!({
        "input_tokens": input_tokens, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": output_tokens, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input_tokens + output_tokens,
    })
}

/// A finished batch of which every request succeeded.
pub(crate) fn generated_batch(id: &str, output_file_id: &str, lines: u64) -> Value {
    let created = 1_795_300_000;
    json!({
        "id": id, "object": "batch", "endpoint": "/v1/responses", "model": "gpt-5.4-mini-2026-03-17", "errors": null,
        "input_file_id": format!("file-{id}-input"), "completion_window": "24h", "status": "completed",
        "output_file_id": output_file_id, "error_file_id": null, "created_at": created,
        "in_progress_at": created + 60, "expires_at": created + 86_400, "finalizing_at": created + 4000,
        "completed_at": created + 4100, "failed_at": null, "expired_at": null, "cancelling_at": null,
        "cancelled_at": null, "request_counts": {"total": lines, "completed": lines, "failed": 0},
        "usage": batch_usage(lines * INPUT_TOKENS, lines * OUTPUT_TOKENS), "metadata": null,
    })
}
