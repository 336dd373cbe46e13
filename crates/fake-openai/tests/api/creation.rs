//! Creating responses, files and batches as the official clients do, up to the webhook of their end.

use std::time::Duration;

use fake_openai::FakeConfig;
use serde_json::{Value, json};
use test_support::signed_webhook::SECRET;
use test_support::wait;
use webhook::SigningSecret;

use crate::client::Client;
use crate::sending::{Receiver, verify};

const LINES: &str = concat!(
    r#"{"custom_id":"a","method":"POST","url":"/v1/responses","body":{"model":"gpt-6-luna","input":"one"}}"#,
    "\n",
    r#"{"custom_id":"b","method":"POST","url":"/v1/responses","body":{"model":"gpt-6-luna","input":"two"}}"#,
    "\n",
);

async fn client() -> (Client, Receiver) {
    let receiver = Receiver::answering(&["200 OK"]).await;
    let config = FakeConfig {
        webhook_secret: Some(SigningSecret::parse(SECRET).unwrap()),
        send_to: Some(receiver.url.clone()),
        end_after: Duration::from_millis(20),
        ..FakeConfig::default()
    };
    (Client::with(config).await, receiver)
}

async fn post(client: &Client, path: &str, content_type: &str, body: String) -> (u16, Value) {
    let url = format!("{}{path}", client.fake.base_url());
    let request = client.http.post(url).header("content-type", content_type).body(body);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn create(client: &Client, path: &str, body: Value) -> Value {
    let (status, created) = post(client, path, "application/json", body.to_string()).await;
    assert_eq!(status, 200, "{created}");
    created
}

/// As curl sends it.
async fn upload(client: &Client, purpose: &str, content: &str) -> (u16, Value) {
    let body = format!(
        "--xyz\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n{purpose}\r\n\
         --xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"requests.jsonl\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n{content}\r\n--xyz--\r\n"
    );
    post(client, "/files", "multipart/form-data; boundary=xyz", body).await
}

async fn create_batch(client: &Client, content: &str) -> Value {
    let (status, file) = upload(client, "batch", content).await;
    assert_eq!(status, 200, "{file}");
    let batch = json!({"input_file_id": file["id"], "endpoint": "/v1/responses", "completion_window": "24h"});
    create(client, "/batches", batch).await
}

/// The object once it has this status.
async fn with_status(client: &Client, path: &str, status: &str) -> Value {
    let ended = async || {
        let found = client.json(path).await;
        (found["status"] == status).then_some(found)
    };
    wait::until(&format!("{path} to be {status}"), ended).await
}

/// The type and object of the only webhook.
async fn webhook(receiver: &Receiver) -> (String, String) {
    let received = wait::until("a webhook", async || receiver.received().first().cloned()).await;
    verify(&received);
    assert_eq!(receiver.received().len(), 1);
    let event: Value = serde_json::from_slice(&received.body).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&event["type"]), text(&event["data"]["id"]))
}

#[tokio::test]
async fn a_background_response_ends_and_sends_its_webhook() {
    let (client, receiver) = client().await;
    let request = json!({
        "model": "gpt-6.1-sol", "input": "why?", "background": true, "metadata": {"team": "search"},
        "instructions": "Be brief.",
    });
    let created = create(&client, "/responses", request).await;
    assert_eq!((&created["status"], &created["output"]), (&json!("queued"), &json!([])));
    let id = created["id"].as_str().unwrap();
    let ended = with_status(&client, &format!("/responses/{id}"), "completed").await;
    assert_eq!(ended["output"][0]["content"][0]["text"], "fake-openai was asked: why?");
    assert_eq!((&ended["metadata"], &ended["model"]), (&json!({"team": "search"}), &json!("gpt-6.1-sol")));
    assert!(ended["completed_at"].is_u64() && ended["usage"]["total_tokens"].is_u64(), "{ended}");
    assert_eq!(webhook(&receiver).await, ("response.completed".to_owned(), id.to_owned()));
}

#[tokio::test]
async fn a_response_in_the_foreground_is_completed_at_once_without_a_webhook() {
    let (client, receiver) = client().await;
    let made = create(&client, "/responses", json!({"model": "gpt-6-luna", "input": "why?"})).await;
    assert_eq!(made["status"], "completed");
    assert_eq!(client.json(&format!("/responses/{}", made["id"].as_str().unwrap())).await, made);
    let unstored = json!({"model": "gpt-6-luna", "input": "why?", "store": false});
    let made = create(&client, "/responses", unstored).await;
    assert_eq!(client.status(&format!("/responses/{}", made["id"].as_str().unwrap())).await, 404);
    // The webhook of a later job is the only one.
    let request = json!({"model": "gpt-6-luna", "input": "why?", "background": true});
    let later = create(&client, "/responses", request).await;
    assert_eq!(webhook(&receiver).await.1, later["id"].as_str().unwrap());
}

#[tokio::test]
async fn the_output_of_a_batch_has_a_line_for_each_line_of_its_input() {
    let (client, receiver) = client().await;
    let refused = r#"{"custom_id":"c","method":"POST","url":"/v1/responses","body":{"model":"gpt-6-luna"}}"#;
    let created = create_batch(&client, &format!("{LINES}{refused}\n")).await;
    assert_eq!((&created["status"], &created["output_file_id"]), (&json!("validating"), &Value::Null));
    let id = created["id"].as_str().unwrap();
    let ended = with_status(&client, &format!("/batches/{id}"), "completed").await;
    assert_eq!(ended["request_counts"], json!({"total": 3, "completed": 2, "failed": 1}));
    let lines = |field: &str| {
        let content = client.fake.file_bytes(ended[field].as_str().unwrap()).unwrap();
        let text = String::from_utf8(content.to_vec()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let output = lines("output_file_id");
    let found: Vec<_> =
        output.iter().map(|line| (&line["custom_id"], &line["response"]["status_code"])).collect();
    assert_eq!(found, [(&json!("a"), &json!(200)), (&json!("b"), &json!(200))]);
    let text = &output[1]["response"]["body"]["output"][0]["content"][0]["text"];
    assert_eq!(text, "fake-openai was asked: two");
    let errors = lines("error_file_id");
    assert_eq!((errors.len(), &errors[0]["custom_id"]), (1, &json!("c")));
    assert_eq!(errors[0]["response"]["body"]["error"]["param"], "input");
    assert_eq!(webhook(&receiver).await, ("batch.completed".to_owned(), id.to_owned()));
}

#[tokio::test]
async fn each_endpoint_of_batches_has_its_answers() {
    let (client, _receiver) = client().await;
    let messages = json!({"model": "gpt-6-luna", "messages": [{"role": "user", "content": "why?"}]});
    let input = json!({"model": "text-embedding-3-small", "input": "why?"});
    for (endpoint, body, object) in
        [("/v1/chat/completions", messages, "chat.completion"), ("/v1/embeddings", input, "list")]
    {
        let line = json!({"custom_id": "a", "method": "POST", "url": endpoint, "body": body});
        let (_, file) = upload(&client, "batch", &line.to_string()).await;
        let batch = json!({"input_file_id": file["id"], "endpoint": endpoint, "completion_window": "24h"});
        let id = create(&client, "/batches", batch).await["id"].as_str().unwrap().to_owned();
        let ended = with_status(&client, &format!("/batches/{id}"), "completed").await;
        let content = client.fake.file_bytes(ended["output_file_id"].as_str().unwrap()).unwrap();
        let line: Value = serde_json::from_slice(&content).unwrap();
        let made = &line["response"]["body"];
        assert_eq!((&made["object"], &made["model"]), (&json!(object), &body["model"]));
    }
}

#[tokio::test]
async fn a_batch_with_invalid_lines_fails_and_names_them() {
    let (client, receiver) = client().await;
    let other = r#"{"custom_id":"d","method":"POST","url":"/v1/embeddings","body":{}}"#;
    let created = create_batch(&client, &format!("{LINES}{LINES}{{\n{{}}\n{other}\n")).await;
    let id = created["id"].as_str().unwrap();
    let ended = with_status(&client, &format!("/batches/{id}"), "failed").await;
    let errors: Vec<_> = ended["errors"]["data"].as_array().unwrap().iter().collect();
    let found: Vec<_> =
        errors.iter().map(|error| (error["code"].as_str().unwrap(), error["line"].as_u64())).collect();
    let expected = [
        ("duplicate_custom_id", Some(3)),
        ("duplicate_custom_id", Some(4)),
        ("invalid_json_line", Some(5)),
        ("missing_required_parameter", Some(6)),
        ("mismatched_endpoint", Some(7)),
    ];
    assert_eq!(found, expected);
    assert!(ended["failed_at"].is_u64() && ended["in_progress_at"].is_null(), "{ended}");
    assert_eq!(webhook(&receiver).await, ("batch.failed".to_owned(), id.to_owned()));
}

#[tokio::test]
async fn missing_and_wrong_parameters_are_refused_as_openai_does() {
    let (client, _receiver) = client().await;
    let file = upload(&client, "batch", LINES).await.1["id"].clone();
    let (model, input) = ("gpt-6-luna", "why?");
    let window = "24h";
    let cases = [
        ("/responses", json!({"input": input}), "model", "missing_required_parameter"),
        ("/responses", json!({"model": model, "background": true}), "input", "missing_required_parameter"),
        ("/responses", json!({"model": 7, "input": input}), "model", "invalid_type"),
        (
            "/responses",
            json!({"model": model, "input": input, "background": "yes"}),
            "background",
            "invalid_type",
        ),
        (
            "/responses",
            json!({"model": model, "input": input, "metadata": {"a": 1}}),
            "metadata.a",
            "invalid_type",
        ),
        (
            "/responses",
            json!({"model": model, "input": input, "stream": true}),
            "stream",
            "unsupported_value",
        ),
        (
            "/responses",
            json!({"model": model, "input": input, "background": true, "store": false}),
            "store",
            "unsupported_value",
        ),
        ("/batches", json!({"endpoint": "/v1/responses"}), "input_file_id", "missing_required_parameter"),
        ("/batches", json!({"input_file_id": file}), "endpoint", "missing_required_parameter"),
        (
            "/batches",
            json!({"input_file_id": file, "endpoint": "/v1/responses"}),
            "completion_window",
            "missing_required_parameter",
        ),
        (
            "/batches",
            json!({"input_file_id": file, "endpoint": "/v1/audio", "completion_window": window}),
            "endpoint",
            "invalid_value",
        ),
        (
            "/batches",
            json!({"input_file_id": file, "endpoint": "/v1/responses", "completion_window": "1h"}),
            "completion_window",
            "invalid_value",
        ),
    ];
    for (path, body, param, code) in cases {
        let (status, answer) = post(&client, path, "application/json", body.to_string()).await;
        let error = &answer["error"];
        assert_eq!(
            (status, &error["param"], &error["code"]),
            (400, &json!(param), &json!(code)),
            "{path} {body}"
        );
        assert_eq!(error["type"], "invalid_request_error");
    }
    assert_eq!(post(&client, "/responses", "application/json", "{".to_owned()).await.0, 400);
    assert_eq!(post(&client, "/files", "application/json", "{}".to_owned()).await.0, 400);
    let (status, answer) = upload(&client, "fun", LINES).await;
    assert_eq!((status, &answer["error"]["param"]), (400, &json!("purpose")));
    let unknown =
        json!({"input_file_id": "file-x", "endpoint": "/v1/responses", "completion_window": window});
    assert_eq!(post(&client, "/batches", "application/json", unknown.to_string()).await.0, 404);
}

#[tokio::test]
async fn the_receiver_and_the_delay_can_be_set_while_it_runs() {
    let receiver = Receiver::answering(&["200 OK"]).await;
    let config = FakeConfig {
        webhook_secret: Some(SigningSecret::parse(SECRET).unwrap()),
        end_after: Duration::from_secs(3600),
        ..FakeConfig::default()
    };
    let client = Client::with(config).await;
    let url = format!("{}/settings", client.fake.control_url());
    let settings = json!({"send_to": receiver.url, "end_after_ms": 1});
    assert_eq!(client.http.put(&url).json(&settings).send().await.unwrap().status(), 200);
    let request = json!({"model": "gpt-6-luna", "input": "why?", "background": true});
    let created = create(&client, "/responses", request).await;
    assert_eq!(webhook(&receiver).await.1, created["id"].as_str().unwrap());

    let without_secret = Client::new().await;
    let url = format!("{}/settings", without_secret.fake.control_url());
    assert_eq!(without_secret.http.put(url).json(&settings).send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_key_of_another_project_creates_nothing_here() {
    let config = FakeConfig { foreign_api_key: Some("sk-foreign".into()), ..FakeConfig::default() };
    let client = Client::with(config).await;
    let url = format!("{}/responses", client.fake.base_url());
    let body = json!({"model": "gpt-6-luna", "input": "why?"});
    let answer = client.http.post(url).bearer_auth("sk-foreign").json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 403);
}
