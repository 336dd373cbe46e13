//! Validates every fixture, list, error and webhook against OpenAI's schemas
//! (`tests/fixtures/openai/openapi-subset.json`, OpenAPI 3.1).

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use fake_openai::{FakeConfig, OutgoingEvent};
use serde_json::{Value, json};
use test_support::wait;

use crate::client::Client;

const SUBSET: &str = include_str!("../../../../tests/fixtures/openai/openapi-subset.json");

/// Fields that are null or an empty object on the wire although the schema forbids it, by schema and JSON pointer.
/// They are known from API responses, from examples in OpenAI's guides (a successful job has `"error": {}`) and from the
/// official clients, where they are optional.
const EMPTY_ON_THE_WIRE: [(&str, &str); 20] = [
    ("Batch", "/errors"),
    ("Batch", "/model"),
    ("Batch", "/output_file_id"),
    ("Batch", "/error_file_id"),
    ("Batch", "/in_progress_at"),
    ("Batch", "/finalizing_at"),
    ("Batch", "/completed_at"),
    ("Batch", "/failed_at"),
    ("Batch", "/expired_at"),
    ("Batch", "/cancelling_at"),
    ("Batch", "/cancelled_at"),
    ("OpenAIFile", "/expires_at"),
    ("OpenAIFile", "/status_details"),
    ("FineTuningJob", "/error"),
    ("FineTuningJob", "/error/code"),
    ("FineTuningJob", "/error/message"),
    ("EvalRun", "/error"),
    ("Response", "/usage"),
    ("ListBatchesResponse", "/first_id"),
    ("ListBatchesResponse", "/last_id"),
];

/// The schemas, compiled on first use, and the exemptions that were used.
struct Schemas {
    components: Value,
    compiled: HashMap<String, jsonschema::Validator>,
    used: HashSet<(&'static str, &'static str)>,
}

impl Schemas {
    fn new() -> Self {
        let mut subset: Value = serde_json::from_str(SUBSET).unwrap();
        repair(&mut subset);
        Self { components: subset["components"].take(), compiled: HashMap::new(), used: HashSet::new() }
    }

    fn errors(&mut self, schema: &str, object: &Value) -> Vec<String> {
        let compile = || {
            assert!(self.components["schemas"][schema].is_object(), "{schema} is not described");
            let root =
                json!({"$ref": format!("#/components/schemas/{schema}"), "components": self.components});
            jsonschema::draft202012::new(&root).unwrap()
        };
        let validator = self.compiled.entry(schema.to_owned()).or_insert_with(compile);
        validator.iter_errors(object).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    /// Checks that the object is valid except for the listed exemptions, each of which must be needed.
    fn check(&mut self, schema: &'static str, object: &Value) {
        let mut repaired = object.clone();
        let exempted = EMPTY_ON_THE_WIRE.into_iter().filter(|(of, _)| *of == schema);
        let exempted: Vec<_> =
            exempted.filter(|(_, pointer)| object.pointer(pointer).is_some_and(is_empty)).collect();
        for (_, pointer) in &exempted {
            repair_empty(pointer, &mut repaired);
        }
        let errors = self.errors(schema, &repaired);
        assert!(errors.is_empty(), "{schema} {}: {errors:#?}", object["id"]);
        for exemption in exempted {
            if self.used.insert(exemption) {
                let (parent, name) = exemption.1.rsplit_once('/').unwrap();
                let mut again = repaired.clone();
                again.pointer_mut(parent).unwrap()[name] = object.pointer(exemption.1).unwrap().clone();
                assert!(!self.errors(schema, &again).is_empty(), "{exemption:?} may be empty");
            }
        }
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// Inserts a value that the schema accepts.
fn repair_empty(pointer: &str, object: &mut Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match name {
        // No schema requires this field.
        "usage" => parent.remove(name),
        "errors" => parent.insert(name.to_owned(), json!({})),
        "error" => parent.insert(name.to_owned(), json!({"code": "", "message": "", "param": null})),
        name if name.ends_with("_at") => parent.insert(name.to_owned(), json!(0)),
        _ => parent.insert(name.to_owned(), json!("")),
    };
}

/// The file contains OpenAPI 3.0's `exclusiveMinimum: true` with `minimum`, which is not valid in 3.1.
fn repair(schema: &mut Value) {
    if let Some(object) = schema.as_object_mut()
        && object.get("exclusiveMinimum") == Some(&json!(true))
    {
        let minimum = object.remove("minimum").unwrap();
        object.insert("exclusiveMinimum".into(), minimum);
    }
    match schema {
        Value::Object(object) => object.values_mut().for_each(repair),
        Value::Array(array) => array.iter_mut().for_each(repair),
        _ => {}
    }
}

const RESPONSES: [&str; 4] =
    ["resp_demo_research", "resp_demo_failed", "resp_demo_cancelled", "resp_demo_incomplete"];
const ALL_INCLUDES: &str = "?include[]=web_search_call.action.sources&include[]=reasoning.encrypted_content&include[]=code_interpreter_call.outputs";

#[tokio::test]
async fn every_object_and_list_is_valid() {
    let client = Client::new().await;
    client.fake.add_generated_batch("batch_generated", 3);
    let mut schemas = Schemas::new();
    for id in RESPONSES {
        for query in ["", ALL_INCLUDES] {
            schemas.check("Response", &client.json(&format!("/responses/{id}{query}")).await);
        }
    }
    let job = "/fine_tuning/jobs/ftjob_demo_succeeded";
    let lists = [
        ("/batches", "ListBatchesResponse", "Batch", 5),
        ("/files", "ListFilesResponse", "OpenAIFile", 12),
        ("/fine_tuning/jobs", "ListPaginatedFineTuningJobsResponse", "FineTuningJob", 3),
        (&format!("{job}/events"), "ListFineTuningJobEventsResponse", "FineTuningJobEvent", 60),
        (&format!("{job}/checkpoints"), "ListFineTuningJobCheckpointsResponse", "FineTuningJobCheckpoint", 3),
        ("/evals", "EvalList", "Eval", 3),
        ("/evals/eval_demo/runs", "EvalRunList", "EvalRun", 3),
        ("/models", "", "Model", 5),
    ];
    for (path, list, object, count) in lists {
        let objects = client.pages(path, 100).await.concat();
        assert!(objects.len() >= count, "{path}: {}", objects.len());
        for found in &objects {
            schemas.check(object, found);
        }
        if !list.is_empty() {
            let mut page = client.json(path).await;
            // Its objects were validated one by one, with their exemptions.
            page["data"] = json!([]);
            schemas.check(list, &page);
        }
    }
    let last = client.json("/batches?limit=100").await["last_id"].clone();
    let empty = client.json(&format!("/batches?after={}", last.as_str().unwrap())).await;
    schemas.check("ListBatchesResponse", &empty);
    let unused: Vec<_> =
        EMPTY_ON_THE_WIRE.iter().filter(|exemption| !schemas.used.contains(*exemption)).collect();
    assert!(unused.is_empty(), "unused exemptions: {unused:?}");
}

#[tokio::test]
async fn the_bodies_in_batch_lines_are_valid_responses() {
    let client = Client::new().await;
    client.fake.add_generated_batch("batch_generated", 3);
    let mut schemas = Schemas::new();
    for file_id in ["file-DemoTicketsOutput", "file-batch_generated-output"] {
        let content = client.fake.file_bytes(file_id).unwrap();
        for line in content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: Value = serde_json::from_slice(line).unwrap();
            schemas.check("Response", &line["response"]["body"]);
        }
    }
}

#[tokio::test]
async fn created_objects_are_valid_from_their_creation_to_their_end() {
    let config = FakeConfig { end_after: Duration::from_millis(20), ..FakeConfig::default() };
    let client = Client::with(config).await;
    let mut schemas = Schemas::new();
    let post = async |path: &str, body: Value| {
        let url = format!("{}{path}", client.fake.base_url());
        client.http.post(url).json(&body).send().await.unwrap().json::<Value>().await.unwrap()
    };
    let request =
        json!({"model": "gpt-6-luna", "input": "why?", "background": true, "reasoning": {"effort": "low"}});
    let batch = json!({
        "input_file_id": "file-DemoTicketsInput", "endpoint": "/v1/responses", "completion_window": "24h",
    });
    for (path, body, schema) in [("/responses", request, "Response"), ("/batches", batch, "Batch")] {
        let created = post(path, body).await;
        schemas.check(schema, &created);
        let path = format!("{path}/{}", created["id"].as_str().unwrap());
        let seen = RefCell::new(Vec::new());
        let ended = async || {
            let found = client.json(&path).await;
            let is_completed = found["status"] == "completed";
            seen.borrow_mut().push(found);
            is_completed.then_some(())
        };
        wait::until("the end of the job", ended).await;
        for object in seen.into_inner() {
            schemas.check(schema, &object);
        }
    }
    let url = format!("{}/files", client.fake.base_url());
    let form = "--b\r\ncontent-disposition: form-data; name=purpose\r\n\r\nbatch\r\n--b\r\n\
        content-disposition: form-data; name=file; filename=a.jsonl\r\n\r\n{}\r\n--b--";
    let upload = client.http.post(url).header("content-type", "multipart/form-data; boundary=b").body(form);
    schemas.check("OpenAIFile", &upload.send().await.unwrap().json().await.unwrap());
}

#[tokio::test]
async fn errors_are_valid() {
    let client = Client::new().await;
    let mut schemas = Schemas::new();
    for path in ["/responses/x", "/files/x", "/models/x", "/batches?limit=1000", "/x"] {
        schemas.check("ErrorResponse", &client.json(path).await);
    }
}

#[test]
fn webhooks_are_valid_where_openai_describes_them() {
    let mut subset: Value = serde_json::from_str(SUBSET).unwrap();
    let webhooks = subset["components"]["schemas"].take();
    let described = webhooks.as_object().unwrap().iter().filter(|(name, _)| name.starts_with("Webhook"));
    let mut schemas = Schemas::new();
    let mut judged = 0;
    for (name, schema) in described {
        let event_type = schema["properties"]["type"]["enum"][0].as_str().unwrap();
        let event = OutgoingEvent::thin(event_type, None);
        let body: Value = serde_json::from_slice(&event.body).unwrap();
        let errors = schemas.errors(name, &body);
        assert!(errors.is_empty(), "{event_type}: {errors:?}");
        judged += 1;
    }
    assert_eq!(judged, 16);
}
