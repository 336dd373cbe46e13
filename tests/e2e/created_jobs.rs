//! An app's whole loop: it creates a job at OpenAI, the webhook arrives when the job ends, and the result is stored.

use serde_json::{Value, json};
use test_support::wait;

use crate::harness::{API_KEY, Landfall};

/// A request as an app sends it.
async fn post(landfall: &Landfall, path: &str, content_type: &str, body: String) -> Value {
    let http = reqwest::Client::builder().build().unwrap();
    let request = http.post(format!("{}{path}", landfall.fake.base_url())).bearer_auth(API_KEY);
    let answer = request.header("content-type", content_type).body(body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

/// Waits until the object is stored and nothing is queued.
async fn stored(landfall: &Landfall, id: &str) -> Value {
    let known = async || landfall.landfall(&["show", id, "--json"]).status.success().then_some(());
    wait::until(&format!("{id} to be stored"), known).await;
    landfall.settled().await;
    landfall.show(id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_background_response_that_an_app_creates_is_stored_when_it_ends() {
    let landfall = Landfall::start().await;
    let request = json!({
        "model": "gpt-6-luna", "input": "Which kit is cheapest?", "background": true, "metadata": {"team": "search"},
    });
    let created = post(&landfall, "/responses", "application/json", request.to_string()).await;
    assert_eq!(created["status"], "queued");
    let found = stored(&landfall, created["id"].as_str().unwrap()).await;
    assert_eq!((&found["status"], &found["fetch_state"]), (&json!("completed"), &json!("fetched")));
    assert_eq!(found["output_text"], "fake-openai was asked: Which kit is cheapest?");
    assert_eq!(found["metadata"], json!({"team": "search"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_an_app_creates_is_stored_with_a_row_per_request() {
    let landfall = Landfall::start().await;
    let line = |number: u32| {
        let body = json!({"model": "gpt-6-luna", "input": format!("question {number}")});
        json!({"custom_id": format!("q-{number}"), "method": "POST", "url": "/v1/responses", "body": body})
    };
    let lines: String = (1..=20).map(|number| format!("{}\n", line(number))).collect();
    let form = format!(
        "--form\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
         --form\r\nContent-Disposition: form-data; name=\"file\"; filename=\"q.jsonl\"\r\n\r\n{lines}\r\n--form--\r\n"
    );
    let file = post(&landfall, "/files", "multipart/form-data; boundary=form", form).await;
    let request =
        json!({"input_file_id": file["id"], "endpoint": "/v1/responses", "completion_window": "24h"});
    let batch = post(&landfall, "/batches", "application/json", request.to_string()).await;
    let id = batch["id"].as_str().unwrap();
    let found = stored(&landfall, id).await;
    assert_eq!(
        (&found["status"], &found["results_complete"]),
        (&json!("completed"), &json!(true)),
        "{found}"
    );
    let mut custom_ids: Vec<_> =
        landfall.rows(id).await.into_iter().filter_map(|row| row.custom_id).collect();
    custom_ids.sort_unstable();
    let mut expected: Vec<String> = (1..=20).map(|number| format!("q-{number}")).collect();
    expected.sort_unstable();
    assert_eq!(custom_ids, expected);
}
