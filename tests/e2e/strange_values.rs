//! Untrusted values, from the API to both databases: ids of any length, JSON nested to any depth.

use serde_json::{Value, json};
use webhook::EventState;

use crate::harness::{Database, Landfall};

/// `[[…]]` with this many levels.
fn nested(levels: usize) -> String {
    "[".repeat(levels) + &"]".repeat(levels)
}

/// Incompressible text, identical in every run.
fn random_text(chars: usize) -> String {
    let mut state = 88_172_645_463_325_252_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[(state >> 58) as usize],
        )
    };
    std::iter::repeat_with(next).take(chars).collect()
}

fn line(custom_id: &str, body: &str) -> String {
    let custom_id = Value::from(custom_id);
    format!(r#"{{"custom_id":{custom_id},"response":{{"status_code":200,"body":{body}}},"error":null}}"#)
}

async fn lines_with_long_ids_and_deep_answers_cost_no_other_line_its_row(database: Database) {
    let landfall = Landfall::start_on(database).await;
    // Long and incompressible.
    let long = random_text(50_000);
    let ids = [
        "a".to_owned(),
        long.clone(),
        format!("{long}/b"),
        "c".repeat(3000),
        "deep".to_owned(),
        "deeper".to_owned(),
    ];
    let mut lines: Vec<String> =
        ids[..4].iter().map(|id| line(id, r#"{"choices":[{"message":{"content":"yes"}}]}"#)).collect();
    lines.push(line(&ids[4], &format!(r#"{{"choices":{}}}"#, nested(1500))));
    lines.push(line(&ids[5], &format!(r#"{{"choices":{}}}"#, nested(100_000))));
    let content = lines.join("\n").into_bytes();
    landfall.fake.add_file("file-strange", &json!({}), content.clone());
    landfall
        .fake
        .add_batch(json!({"id": "batch_strange", "status": "completed", "output_file_id": "file-strange",
        "request_counts": {"total": 6, "completed": 6, "failed": 0}}));
    let sent = landfall.send("batch.completed", "batch_strange").await;
    landfall.settled().await;
    let event = landfall.event(&sent).await.unwrap();
    assert_eq!((event.state, event.attempts), (EventState::Stored, 1), "{:?}", event.last_error);
    let batch = landfall.show("batch_strange");
    assert_eq!((&batch["rows_stored"], &batch["results_state"]), (&6.into(), &"complete".into()));
    for id in &ids {
        let output = landfall.landfall(&["results", "batch_strange", "--custom-id", id, "--json"]);
        let rows = String::from_utf8(output.stdout).unwrap();
        assert_eq!(rows.lines().count(), 1, "{} bytes", id.len());
        let row: Value = serde_json::from_str(&rows).unwrap();
        assert_eq!(row["custom_id"], id.as_str());
    }
    let body = |line: usize| {
        lines[line].split_once("\"body\":").unwrap().1.strip_suffix("},\"error\":null}").unwrap()
    };
    let rows = landfall.rows("batch_strange").await;
    assert_eq!(rows[5].body.as_deref(), Some(body(5).as_bytes()));
}

async fn an_object_nested_to_any_depth_is_stored(database: Database) {
    let landfall = Landfall::start_on(database).await;
    for levels in [200, 1500, 100_000] {
        let (id, deep) = (format!("resp_{levels}"), nested(levels));
        let object = format!(
            r#"{{"id":"{id}","object":"response","status":"completed","metadata":{{"deep":{deep}}},"usage":{deep},
            "output":[{{"type":"message","content":[{{"type":"output_text","text":"yes"}}]}},{{"type":"deep","x":{deep}}}]}}"#
        );
        landfall.fake.add_raw_object(&object).unwrap();
        let sent = landfall.send("response.completed", &id).await;
        landfall.settled().await;
        let event = landfall.event(&sent).await.unwrap();
        assert_eq!((event.state, event.attempts), (EventState::Stored, 1), "{:?}", event.last_error);
        assert_eq!(landfall.show(&id)["output_text"], "yes");
        assert_eq!(landfall.landfall(&["show", &id, "--raw"]).stdout, object.as_bytes());
    }
}

async fn an_object_id_of_any_length_is_stored_with_its_event(database: Database) {
    let landfall = Landfall::start_on(database).await;
    let id = format!("resp_{}", random_text(9000));
    let sent = landfall.send("response.completed", &id).await;
    landfall.settled().await;
    let event = landfall.event(&sent).await.unwrap();
    assert_eq!(event.state, EventState::Stored, "{:?}", event.last_error);
    assert_eq!(landfall.show(&id)["fetch_state"], "not_found");
}

on_both_databases!(
    lines_with_long_ids_and_deep_answers_cost_no_other_line_its_row,
    an_object_nested_to_any_depth_is_stored,
    an_object_id_of_any_length_is_stored_with_its_event,
);
