//! The control API: the same functions as the library, over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Client;

async fn control(client: &Client, method: Method, path: &str, body: Value) -> (u16, Value) {
    let url = format!("{}/{path}", client.fake.control_url());
    let request = client.http.request(method, url).json(&body);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn faults_are_set_listed_and_cleared() {
    let client = Client::new().await;
    let fault = json!({"kind": {"status": 503}, "path_contains": "/batches", "times": 1});
    assert_eq!(control(&client, Method::POST, "faults", fault.clone()).await.0, 200);
    let (_, listed) = control(&client, Method::GET, "faults", json!(null)).await;
    assert_eq!(listed, json!([fault]));
    assert_eq!(client.status("/batches").await, 503);
    assert_eq!(client.status("/batches").await, 200);
    control(&client, Method::POST, "faults", json!({"kind": "invalid_json"})).await;
    control(&client, Method::DELETE, "faults", json!(null)).await;
    client.json("/batches").await;
}

#[tokio::test]
async fn requests_are_listed_without_the_key_and_cleared() {
    let client = Client::new().await;
    let url = format!("{}/models/ft%3Ax?a=b", client.fake.base_url());
    client.http.get(url).bearer_auth("sk-secret").send().await.unwrap();
    let (_, requests) = control(&client, Method::GET, "requests", json!(null)).await;
    let request = &requests[0];
    assert_eq!(
        (&request["method"], &request["query"], &request["status"]),
        (&json!("GET"), &json!("a=b"), &json!(404))
    );
    assert_eq!(request["path"], "/v1/models/ft%3Ax");
    assert!(request["received_ms"].as_u64().unwrap() > 1_700_000_000_000);
    assert!(!requests.to_string().contains("sk-secret"));
    assert_eq!(client.fake.requests()[0].header("authorization"), Some("Bearer"));
    control(&client, Method::DELETE, "requests", json!(null)).await;
    assert_eq!(control(&client, Method::GET, "requests", json!(null)).await.1, json!([]));
}

#[tokio::test]
async fn objects_and_files_are_put_and_removed() {
    let client = Client::new().await;
    let response = json!({"object": {"id": "resp_1", "object": "response", "status": "queued"}});
    control(&client, Method::PUT, "objects", response).await;
    assert_eq!(client.json("/responses/resp_1").await["status"], "queued");
    let file = json!({"object": {"id": "file-1", "purpose": "batch"}, "content_base64": "AP8="});
    control(&client, Method::PUT, "objects", file).await;
    assert_eq!(client.json("/files/file-1").await["bytes"], 2);
    let bytes = client.get("/files/file-1/content").await.bytes().await.unwrap();
    assert_eq!(&bytes[..], [0, 255]);
    assert_eq!(control(&client, Method::DELETE, "objects/resp_1", json!(null)).await.0, 200);
    assert_eq!(client.status("/responses/resp_1").await, 404);
    assert_eq!(control(&client, Method::DELETE, "objects/resp_1", json!(null)).await.0, 404);
}

#[tokio::test]
async fn every_object_is_listed_with_its_parent() {
    let client = Client::new().await;
    let (_, listed) = control(&client, Method::GET, "objects", json!(null)).await;
    let listed = listed.as_array().unwrap();
    let run = json!({"object": "eval.run", "id": "evalrun_demo_succeeded", "parent": "eval_demo"});
    let batch = json!({"object": "batch", "id": "batch_demo_failed", "parent": null});
    for expected in [run, batch] {
        assert!(listed.contains(&expected), "{expected}");
    }
    let files = client.pages("/files", 100).await.concat().len();
    assert_eq!(listed.iter().filter(|entry| entry["object"] == "file").count(), files);
}

#[tokio::test]
async fn a_batch_is_generated_and_removed_by_a_reset() {
    let client = Client::new().await;
    control(&client, Method::POST, "batches", json!({"id": "batch_big", "lines": 10, "line_bytes": 2048}))
        .await;
    assert_eq!(client.json("/files/file-batch_big-output").await["bytes"], 10 * 2048);
    control(&client, Method::POST, "faults", json!({"kind": "cut_body"})).await;
    control(&client, Method::POST, "reset", json!(null)).await;
    assert_eq!(client.status("/batches/batch_big").await, 404);
    assert_eq!(client.status("/batches/batch_demo_completed").await, 200);
}

#[tokio::test]
async fn settings_change_at_run_time() {
    let client = Client::new().await;
    control(&client, Method::PUT, "settings", json!({"api_key": "sk-new", "ranges": false})).await;
    assert_eq!(client.status("/batches").await, 401);
}

#[tokio::test]
async fn invalid_requests_are_refused_with_a_reason() {
    let client = Client::new().await;
    let cases = [
        (Method::POST, "faults", json!({"kind": "explode"}), 400, "explode"),
        (Method::POST, "faults", json!({"kind": "cut_body", "tmies": 2}), 400, "tmies"),
        (Method::PUT, "objects", json!({"object": {"id": "x"}}), 400, "object"),
        (Method::PUT, "objects", json!({"object": {"object": "batch"}}), 400, "id"),
        (Method::PUT, "objects", json!({"object": {"id": "x", "object": "teapot"}}), 400, "teapot"),
        (Method::PUT, "objects", json!({"object": {"id": "x", "object": "eval.run"}}), 400, "eval.run"),
        (Method::POST, "send", json!({"url": "http://127.0.0.1:1", "type": "batch.failed"}), 400, "secret"),
        (Method::GET, "nonsense", json!(null), 404, "nonsense"),
    ];
    for (method, path, body, status, word) in cases {
        let (found, answer) = control(&client, method, path, body.clone()).await;
        let text = answer["error"].as_str().unwrap();
        assert_eq!(found, status, "{path} {body}");
        assert!(text.contains(word), "{text}");
    }
}
