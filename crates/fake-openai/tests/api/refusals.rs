//! API errors: OpenAI's format and messages, API keys, and the headers of every response.

use fake_openai::FakeConfig;
use serde_json::Value;

use crate::client::Client;

const KEY: &str = "sk-proj-the-right-key-0123456789";

async fn with_key(client: &Client, key: &str, path: &str) -> (u16, Value) {
    let url = format!("{}{path}", client.fake.base_url());
    let answer = client.http.get(url).bearer_auth(key).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn every_error_has_the_four_fields() {
    let client = Client::new().await;
    let cases = [
        ("/responses/resp_abc123", 404, Value::Null),
        ("/batches/batch_x", 404, Value::Null),
        ("/files/file-x", 404, Value::Null),
        ("/files/file-x/content", 404, Value::Null),
        ("/fine_tuning/jobs/ftjob-x", 404, "fine_tune_not_found".into()),
        ("/fine_tuning/jobs/ftjob-x/events", 404, "fine_tune_not_found".into()),
        ("/models/gpt-9", 404, "model_not_found".into()),
        ("/evals/eval_x/runs", 404, Value::Null),
        ("/evals/eval_demo/runs/evalrun_x", 404, Value::Null),
        ("/nonsense", 404, Value::Null),
        ("/batches?limit=101", 400, "integer_above_max_value".into()),
        ("/batches?limit=0", 400, "integer_below_min_value".into()),
        ("/batches?limit=few", 400, "invalid_type".into()),
        ("/batches?after=batch_x", 400, Value::Null),
        ("/evals?order=up", 400, "invalid_value".into()),
        ("/responses/resp_demo_research?include[]=everything", 400, "invalid_value".into()),
    ];
    for (path, status, code) in cases {
        let answer = client.get(path).await;
        assert_eq!(answer.status(), status, "{path}");
        let body: Value = answer.json().await.unwrap();
        let error = &body["error"];
        assert!(!error["message"].as_str().unwrap().is_empty());
        assert_eq!(error["type"], "invalid_request_error", "{path}");
        assert!(error.get("param").is_some(), "{path}");
        assert_eq!(error["code"], code, "{path}");
    }
}

#[tokio::test]
async fn a_wrong_method_and_an_unknown_path_are_different_errors() {
    let client = Client::new().await;
    let post = async |path: &str| {
        let url = format!("{}{path}", client.fake.base_url());
        client.http.post(url).send().await.unwrap().status().as_u16()
    };
    assert_eq!(post("/batches/batch_demo_completed").await, 405);
    assert_eq!(post("/nonsense").await, 404);
}

#[tokio::test]
async fn a_wrong_or_missing_key_is_refused_when_one_is_set() {
    let config = FakeConfig { api_key: Some(KEY.into()), ..FakeConfig::default() };
    let client = Client::with(config).await;
    let path = "/batches/batch_demo_completed";
    let missing = client.get(path).await;
    assert_eq!(missing.status(), 401);
    assert_eq!(with_key(&client, KEY, path).await.0, 200);
    let (status, wrong) = with_key(&client, "sk-proj-another-key-that-is-wrong", path).await;
    assert_eq!((status, &wrong["error"]["code"]), (401, &"invalid_api_key".into()));
    assert!(!wrong.to_string().contains("sk-proj-another-key-that-is-wrong"));

    client.fake.set_api_key(Some("sk-new"));
    assert_eq!(with_key(&client, KEY, path).await.0, 401, "the old key is revoked");
}

#[tokio::test]
async fn a_key_of_another_project_is_accepted_and_sees_nothing() {
    let config = FakeConfig {
        api_key: Some(KEY.into()),
        foreign_api_key: Some("sk-foreign".into()),
        ..FakeConfig::default()
    };
    let client = Client::with(config).await;
    assert_eq!(with_key(&client, "sk-foreign", "/batches/batch_demo_completed").await.0, 404);
    let (status, list) = with_key(&client, "sk-foreign", "/batches").await;
    assert_eq!((status, list["data"].as_array().unwrap().len()), (200, 0));
}

#[tokio::test]
async fn every_response_has_the_default_headers() {
    let client = Client::new().await;
    let mut request_ids = Vec::new();
    for path in ["/batches/batch_demo_completed", "/batches/batch_x", "/files/file-DemoTicketsOutput/content"]
    {
        let answer = client.get(path).await;
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert!(header("x-request-id").starts_with("req_"));
        header("openai-processing-ms").parse::<u64>().unwrap();
        for what in ["requests", "tokens"] {
            let limit: u64 = header(&format!("x-ratelimit-limit-{what}")).parse().unwrap();
            assert!(header(&format!("x-ratelimit-remaining-{what}")).parse::<u64>().unwrap() < limit);
            assert!(header(&format!("x-ratelimit-reset-{what}")).ends_with('s'));
        }
        request_ids.push(header("x-request-id"));
    }
    request_ids.dedup();
    assert_eq!(request_ids.len(), 3);
}
