//! The demo objects are consistent: citations match their text, counts match the files, `include` adds parts.

use serde_json::Value;

use crate::client::Client;

async fn lines(client: &Client, file_id: &Value) -> Vec<Value> {
    let id = file_id.as_str().unwrap();
    let text = client.get(&format!("/files/{id}/content")).await.text().await.unwrap();
    let file = client.json(&format!("/files/{id}")).await;
    assert_eq!(file["bytes"], text.len());
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn every_citation_points_at_the_source_named_in_the_text() {
    let client = Client::new().await;
    let response = client.json("/responses/resp_demo_research").await;
    let output = response["output"].as_array().unwrap();
    let part = &output.last().unwrap()["content"][0];
    let text: Vec<char> = part["text"].as_str().unwrap().chars().collect();
    assert!(text.len() > 2000);
    let annotations = part["annotations"].as_array().unwrap();
    assert!(annotations.len() >= 6);
    let mut urls = std::collections::BTreeSet::new();
    for annotation in annotations {
        let index = |name: &str| usize::try_from(annotation[name].as_u64().unwrap()).unwrap();
        let cited: String = text[index("start_index")..index("end_index")].iter().collect();
        let url = annotation["url"].as_str().unwrap();
        assert!(cited.starts_with("([") && cited.ends_with(&format!("]({url}))")), "{cited}");
        assert!(annotation["title"].as_str().unwrap().len() > 10);
        urls.insert(url);
    }
    assert!(urls.len() >= 5);
    let whole: String = text.iter().collect();
    assert_eq!(whole.matches("](https://").count(), annotations.len(), "a source is not cited");
    assert!(whole.matches("\n## ").count() >= 3);
}

#[tokio::test]
async fn parts_of_a_response_are_present_only_if_included() {
    let client = Client::new().await;
    let path = "/responses/resp_demo_research";
    let item = |response: &Value, kind: &str| {
        let items = response["output"].as_array().unwrap();
        items.iter().find(|item| item["type"] == kind).unwrap().clone()
    };
    let plain = client.json(path).await;
    assert_eq!(item(&plain, "web_search_call")["action"].get("sources"), None);
    assert_eq!(item(&plain, "reasoning").get("encrypted_content"), None);
    assert_eq!(item(&plain, "code_interpreter_call")["outputs"], Value::Null);

    // Arrays as the Python client writes them, and as others do.
    for name in ["include[]", "include"] {
        let query = format!(
            "{path}?{name}=web_search_call.action.sources&{name}=reasoning.encrypted_content&{name}=code_interpreter_call.outputs"
        );
        let whole = client.json(&query).await;
        let sources = &item(&whole, "web_search_call")["action"]["sources"];
        assert!(sources[0]["url"].as_str().unwrap().starts_with("https://"));
        assert!(item(&whole, "reasoning")["encrypted_content"].is_string());
        assert_eq!(item(&whole, "code_interpreter_call")["outputs"][0]["type"], "logs");
    }
}

#[tokio::test]
async fn the_completed_batch_has_ten_answers_and_two_errors_of_both_shapes() {
    let client = Client::new().await;
    let batch = client.json("/batches/batch_demo_completed").await;
    let input = lines(&client, &batch["input_file_id"]).await;
    let output = lines(&client, &batch["output_file_id"]).await;
    let errors = lines(&client, &batch["error_file_id"]).await;
    assert_eq!((input.len(), output.len(), errors.len()), (12, 10, 2));
    assert_eq!(batch["request_counts"], serde_json::json!({"total": 12, "completed": 10, "failed": 2}));
    let ids = |lines: &[Value]| -> Vec<String> {
        lines.iter().map(|line| line["custom_id"].as_str().unwrap().to_owned()).collect()
    };
    let mut answered = [ids(&output), ids(&errors)].concat();
    assert_ne!(ids(&output), ids(&input)[..10], "output is not in the order of the input");
    answered.sort_unstable();
    answered.dedup();
    assert_eq!(answered.len(), 12);
    let refused = errors.iter().filter(|line| line["error"].is_null()).count();
    let never_ran = errors.iter().filter(|line| line["response"].is_null()).count();
    assert_eq!((refused, never_ran), (1, 1));
    let spent = |name: &str| -> u64 {
        output.iter().map(|line| line["response"]["body"]["usage"][name].as_u64().unwrap()).sum()
    };
    for name in ["input_tokens", "output_tokens", "total_tokens"] {
        assert_eq!(batch["usage"][name], spent(name));
    }
}

#[tokio::test]
async fn batches_that_ended_early_have_partial_results() {
    let client = Client::new().await;
    let expired = client.json("/batches/batch_demo_expired").await;
    assert_eq!(lines(&client, &expired["output_file_id"]).await.len(), 5);
    let errors = lines(&client, &expired["error_file_id"]).await;
    assert!(errors.iter().all(|line| line["error"]["code"] == "batch_expired"));
    assert_eq!(errors.len(), 3);

    let cancelled = client.json("/batches/batch_demo_cancelled").await;
    assert_eq!(lines(&client, &cancelled["output_file_id"]).await.len(), 3);
    assert_eq!(cancelled["error_file_id"], "");

    let failed = client.json("/batches/batch_demo_failed").await;
    assert!(failed["output_file_id"].is_null() && failed["error_file_id"].is_null());
    assert_eq!(failed["errors"]["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_fine_tuned_model_is_found_by_its_id_with_colons_escaped_or_not() {
    let client = Client::new().await;
    let job = client.json("/fine_tuning/jobs/ftjob_demo_succeeded").await;
    let id = job["fine_tuned_model"].as_str().unwrap();
    assert_eq!(id, "ft:gpt-6-luna:acme:support:demo");
    for path in [format!("/models/{id}"), format!("/models/{}", id.replace(':', "%3A"))] {
        assert_eq!(client.json(&path).await["id"], id);
    }
    let checkpoints = client.json("/fine_tuning/jobs/ftjob_demo_succeeded/checkpoints").await;
    for checkpoint in checkpoints["data"].as_array().unwrap() {
        let model = checkpoint["fine_tuned_model_checkpoint"].as_str().unwrap();
        assert_eq!(client.status(&format!("/models/{model}")).await, 200, "{model}");
    }
}

#[tokio::test]
async fn referenced_objects_exist() {
    let client = Client::new().await;
    for list in ["/batches", "/fine_tuning/jobs"] {
        for object in client.pages(list, 100).await.concat() {
            let fields =
                ["input_file_id", "output_file_id", "error_file_id", "training_file", "validation_file"];
            let named = fields.iter().map(|name| &object[*name]);
            let results = object["result_files"].as_array().into_iter().flatten();
            for id in named.chain(results).filter_map(Value::as_str) {
                if !id.is_empty() {
                    assert_eq!(client.status(&format!("/files/{id}/content")).await, 200, "{id}");
                }
            }
        }
    }
}

#[tokio::test]
async fn unusual_objects_are_served_byte_for_byte() {
    let client = Client::new().await;
    let odd = r#"{ "id":"resp_odd", "object":"response","output":[],
        "a":"\ud800 \u0000", "b":123456789012345678901234567890, "c":1e999 }"#;
    client.fake.add_raw_object(odd).unwrap();
    let text = client.get("/responses/resp_odd").await.text().await.unwrap();
    assert_eq!(text, odd);
}
