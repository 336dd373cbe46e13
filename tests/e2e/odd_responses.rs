//! Responses that differ from the documentation: all are stored, with everything that is readable.

use serde_json::{Value, json};
use store::Found;
use test_support::signed_webhook::SignedWebhook;
use webhook::{EventState, FetchState};

use crate::harness::{Database, Landfall};

/// Every type of `output` item in OpenAI's SDKs except `message`.
const SILENT_ITEMS: [&str; 27] = [
    "file_search_call",
    "function_call",
    "function_call_output",
    "web_search_call",
    "computer_call",
    "computer_call_output",
    "reasoning",
    "program",
    "program_output",
    "tool_search_call",
    "tool_search_output",
    "additional_tools",
    "compaction",
    "image_generation_call",
    "code_interpreter_call",
    "local_shell_call",
    "local_shell_call_output",
    "shell_call",
    "shell_call_output",
    "apply_patch_call",
    "apply_patch_call_output",
    "mcp_call",
    "mcp_list_tools",
    "mcp_approval_request",
    "mcp_approval_response",
    "custom_tool_call",
    "custom_tool_call_output",
];

fn message(phase: &str, content: &Value) -> Value {
    json!({"id": null, "type": "message", "role": "assistant", "phase": phase, "content": content})
}

fn text(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

/// Adds a completed response to fake-openai, sends its event, and returns the record.
async fn stored(database: Database, output: Value, more: &Value) -> Value {
    let landfall = Landfall::start_on(database).await;
    let mut response = json!({"id": "resp_odd", "status": "completed", "created_at": 1_795_305_600});
    response["output"] = output;
    for (name, value) in more.as_object().unwrap() {
        response[name] = value.clone();
    }
    landfall.fake.add_response(response);
    let id = landfall.send("response.completed", "resp_odd").await;
    landfall.settled().await;
    assert_eq!(landfall.event(&id).await.unwrap().attempts, 1);
    landfall.show("resp_odd")
}

async fn every_type_of_output_item_is_kept_and_an_unknown_one_too(database: Database) {
    let mut output: Vec<Value> = SILENT_ITEMS
        .iter()
        .map(|kind| json!({"type": kind, "id": "", "content": [text("not a message")], "output": "no text"}))
        .collect();
    output.push(json!({"type": "teleport_call", "content": [text("nor this")], "destination": {"x": 1}}));
    output.push(json!({"type": null}));
    output.push(message("final_answer", &json!([text("The answer.")])));
    let response = stored(database, json!(output), &json!({})).await;
    assert_eq!(response["output_text"], "The answer.");
    assert_eq!(response["raw"]["output"], json!(output));
    assert!(response["completed_at"].is_string(), "the event's time replaces the object's missing one");
}

async fn commentary_is_part_of_the_text_and_a_refusal_is_not(database: Database) {
    let output = json!([
        message("commentary", &json!([text("Looking. ")])),
        message(
            "final_answer",
            &json!([{"type": "refusal", "refusal": "I can't do that."}, text("Found it.")])
        ),
    ]);
    assert_eq!(stored(database.clone(), output, &json!({})).await["output_text"], "Looking. Found it.");
    // A refusal without text is an empty output_text, not a missing one.
    let refusal = json!([message("final_answer", &json!([{"type": "refusal", "refusal": "No."}]))]);
    assert_eq!(stored(database, refusal, &json!({})).await["output_text"], "");
}

async fn citations_of_all_four_kinds_keep_their_source(database: Database) {
    let annotations = json!([
        {"type": "url_citation", "url": "https://a.example/", "title": "A", "start_index": 0, "end_index": 3},
        {"type": "file_citation", "file_id": "file-1", "filename": "b.pdf", "index": 5},
        {"type": "container_file_citation", "container_id": "cntr_1", "file_id": "cfile_1", "filename": "c.png",
         "start_index": 1, "end_index": 2},
        {"type": "file_path", "file_id": "file-2", "index": 9},
        {"type": "hologram", "url": "https://unknown.example/"},
        {"type": "file_path", "file_id": "", "index": null},
    ]);
    let content = json!([{"type": "output_text", "text": "All.", "annotations": annotations}]);
    let response = stored(database, json!([message("final_answer", &content)]), &json!({})).await;
    let place = |mut citation: Value| {
        (citation["output_index"], citation["content_index"]) = (0.into(), 0.into());
        citation
    };
    let expected = json!([
        place(
            json!({"kind": "url_citation", "url": "https://a.example/", "title": "A", "start_index": 0, "end_index": 3})
        ),
        place(json!({"kind": "file_citation", "file_id": "file-1", "filename": "b.pdf", "index": 5})),
        place(json!({"kind": "container_file_citation", "container_id": "cntr_1", "file_id": "cfile_1",
                     "filename": "c.png", "start_index": 1, "end_index": 2})),
        place(json!({"kind": "file_path", "file_id": "file-2", "index": 9})),
        place(json!({"kind": "file_path"})),
    ]);
    assert_eq!(response["citations"], expected);
}

async fn times_may_be_floats_and_fields_may_be_missing_or_of_another_shape(database: Database) {
    let odd = json!({"created_at": 1_795_305_600.25, "completed_at": 1_795_305_700.5, "usage": "much", "error": null,
        "metadata": null, "conversation": {"id": null}, "incomplete_details": [], "model": 7});
    let response = stored(database, json!([message("final_answer", &json!("A plain text."))]), &odd).await;
    assert_eq!(response["created_at"], "2026-11-22T00:00:00.250Z");
    assert_eq!(response["completed_at"], "2026-11-22T00:01:40.500Z");
    assert_eq!(response["output_text"], "A plain text.");
    for name in ["usage", "error", "metadata", "model", "incomplete_reason"] {
        assert_eq!(response[name], Value::Null, "{name}");
    }
}

async fn text_that_no_database_holds_is_mended_and_the_object_kept_byte_for_byte(database: Database) {
    let landfall = Landfall::start_on(database).await;
    let raw = r#"{"id":"resp_odd","object":"response","status":"completed","created_at":1e400000,"odd\u0000":-1e999999,
        "model":"m\u0000","metadata":{"a":"\u0000\udc00","n":1e400000},"usage":{"input_tokens":1e400000,"output_tokens":2},
        "output":[{"type":"message","content":[{"type":"output_text","text":"a\u0000b\ud800c\udc00\ud83d\ude00",
        "annotations":[{"type":"url_citation","url":"https://a.example/\u0000","start_index":1e400000}]}]}]}"#;
    landfall.fake.add_raw_object(raw).unwrap();
    let id = landfall.send("response.completed", "resp_odd").await;
    landfall.settled().await;
    assert_eq!(landfall.event(&id).await.unwrap().attempts, 1);
    let response = landfall.show("resp_odd");
    assert_eq!(response["output_text"], "a\u{fffd}b\u{fffd}c\u{fffd}😀");
    assert_eq!((&response["model"], &response["created_at"]), (&"m\u{fffd}".into(), &Value::Null));
    assert_eq!(response["metadata"], json!({"a": "\u{fffd}\u{fffd}", "n": null}));
    assert_eq!(response["usage"], json!({"input_tokens": null, "output_tokens": 2}));
    assert_eq!(landfall.landfall(&["show", "resp_odd", "--raw"]).stdout, raw.as_bytes());
}

async fn odd_text_in_an_event_does_not_keep_its_object_from_being_fetched(database: Database) {
    let landfall = Landfall::start_on(database).await;
    let body =
        br#"{"id":"evt\u0000\ud800","created_at":1e400000,"\udc00":"\ud800","type":"response.completed",
        "n":-1e999999,"data":{"id":"resp_demo_research","note":"a\u0000b\ud800","size":1e400000}}"#;
    let webhook = SignedWebhook::with_body("wh_odd_text", body.to_vec());
    assert_eq!(landfall.post(&webhook).await.0, 200);
    landfall.settled().await;
    let event = landfall.event("wh_odd_text").await.unwrap();
    assert_eq!((event.state, event.body.as_slice()), (EventState::Stored, &body[..]));
    let Found::Response(response) = landfall.found("resp_demo_research").await else { panic!("no response") };
    assert_eq!(response.fetch_state, FetchState::Fetched);
}

async fn events_whose_id_is_null_or_empty_are_kept_without_asking_openai(database: Database) {
    let landfall = Landfall::start_on(database).await;
    let mut sent = Vec::new();
    for (number, data) in
        [r#"{"id":null}"#, r#"{"id":""}"#, r#"{"id":7}"#, "null", "{}", "[]"].iter().enumerate()
    {
        for family in ["response.completed", "batch.completed", "fine_tuning.job.failed", "eval.run.failed"] {
            let body = format!(r#"{{"id":"","type":"{family}","created_at":null,"data":{data}}}"#);
            let webhook =
                SignedWebhook::with_body(&format!("wh_{family}_{number}").replace('.', "_"), body.into());
            assert_eq!(landfall.post(&webhook).await.0, 200);
            sent.push(webhook.webhook_id);
        }
    }
    landfall.settled().await;
    for id in sent {
        let event = landfall.event(&id).await.unwrap();
        assert_eq!((event.state, event.event_id, event.object_id), (EventState::Stored, None, None), "{id}");
    }
    assert_eq!(landfall.fake.requests().len(), 0);
}

on_both_databases!(
    every_type_of_output_item_is_kept_and_an_unknown_one_too,
    commentary_is_part_of_the_text_and_a_refusal_is_not,
    citations_of_all_four_kinds_keep_their_source,
    times_may_be_floats_and_fields_may_be_missing_or_of_another_shape,
    text_that_no_database_holds_is_mended_and_the_object_kept_byte_for_byte,
    odd_text_in_an_event_does_not_keep_its_object_from_being_fetched,
    events_whose_id_is_null_or_empty_are_kept_without_asking_openai
);
