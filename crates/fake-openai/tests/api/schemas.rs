//! Every object of the catalogue, every list, error and webhook against OpenAI's own schemas
//! (`tests/fixtures/openai/openapi-subset.json`, OpenAPI 3.1).

use fake_openai::OutgoingEvent;
use serde_json::{Value, json};

use crate::client::Client;

const SUBSET: &str = include_str!("../../../../tests/fixtures/openai/openapi-subset.json");

/// Null on the wire although the schema says otherwise, by schema and JSON pointer. Known from answers of the API and
/// from the official clients' types, which have them as optional.
const NULL_ON_THE_WIRE: [(&str, &str); 19] = [
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
    ("FineTuningJob", "/error/code"),
    ("FineTuningJob", "/error/message"),
    ("EvalRun", "/error"),
    ("Response", "/usage"),
    ("ListBatchesResponse", "/first_id"),
    ("ListBatchesResponse", "/last_id"),
];

/// The schemas, and which exemptions were used.
struct Schemas {
    components: Value,
    used: std::collections::BTreeSet<(&'static str, &'static str)>,
}

impl Schemas {
    fn new() -> Self {
        let mut subset: Value = serde_json::from_str(SUBSET).unwrap();
        repair(&mut subset);
        Self { components: subset["components"].take(), used: std::collections::BTreeSet::new() }
    }

    fn errors(&self, schema: &str, object: &Value) -> Vec<String> {
        let root = json!({"$ref": format!("#/components/schemas/{schema}"), "components": self.components});
        let validator = jsonschema::draft202012::new(&root).unwrap();
        let errors = validator.iter_errors(object);
        errors.map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    /// Valid, once the written exemptions are left out.
    fn check(&mut self, schema: &'static str, object: &Value) {
        let mut object = object.clone();
        for (of, pointer) in NULL_ON_THE_WIRE.into_iter().filter(|(of, _)| *of == schema) {
            if object.pointer(pointer) == Some(&Value::Null) {
                self.used.insert((of, pointer));
                put_valid(&self.components, schema, pointer, &mut object);
            }
        }
        let errors = self.errors(schema, &object);
        assert!(errors.is_empty(), "{schema} {}: {errors:#?}", object["id"]);
    }
}

/// Puts a value of the right type where a null was: a field may be required and not be allowed to be null.
fn put_valid(components: &Value, schema: &str, pointer: &str, object: &mut Value) {
    let value = match (schema, pointer) {
        ("Batch", "/errors") => json!({}),
        ("EvalRun", "/error") => json!({"code": "", "message": ""}),
        ("Response", "/usage") => {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            object.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
            return;
        }
        (_, pointer) if pointer.ends_with("_at") => json!(0),
        _ => json!(""),
    };
    assert!(components["schemas"][schema].is_object());
    *object.pointer_mut(pointer).unwrap() = value;
}

/// OpenAPI 3.0's `exclusiveMinimum: true` beside `minimum` is no valid 3.1, but it is in the file.
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
            // Its objects were judged one by one, with their exemptions.
            page["data"] = json!([]);
            schemas.check(list, &page);
        }
    }
    let last = client.json("/batches?limit=100").await["last_id"].clone();
    let empty = client.json(&format!("/batches?after={}", last.as_str().unwrap())).await;
    schemas.check("ListBatchesResponse", &empty);
    let unused: Vec<_> =
        NULL_ON_THE_WIRE.iter().filter(|exemption| !schemas.used.contains(*exemption)).collect();
    assert!(unused.is_empty(), "exemptions nothing needs: {unused:?}");
}

#[test]
fn every_exemption_is_needed() {
    let schemas = Schemas::new();
    for (schema, pointer) in NULL_ON_THE_WIRE {
        let mut object = json!({});
        let mut part = &mut object;
        for name in pointer.split('/').skip(1) {
            part[name] = Value::Null;
            part = &mut part[name];
        }
        let errors = schemas.errors(schema, &object);
        let path = format!("{pointer}: ");
        assert!(
            errors
                .iter()
                .any(|error| error.starts_with(&path) || error.contains("anyOf") || error.contains("null")),
            "{schema}{pointer} may be null: {errors:?}"
        );
    }
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
async fn refusals_are_valid_errors() {
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
    let schemas = Schemas::new();
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
