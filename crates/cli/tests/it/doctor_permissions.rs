//! `landfall doctor` with API keys that may not read everything.

use serde_json::Value;

use crate::command::Ended;
use crate::doctor::Setup;
use crate::fake_api::FakeApi;

async fn permissions(api: FakeApi, code: i32) -> (Ended, Vec<Value>) {
    let setup = Setup::valid().await.with("OPENAI_BASE_URL", api.base_url);
    setup.doctor(&[]).with_code(code).fits_80_columns();
    let ended = setup.doctor(&["--json"]).with_code(code);
    let found = ended.json_lines().into_iter().filter(|line| line["check"] == "permissions").collect();
    (ended, found)
}

fn is(finding: &Value, state: &str, words: &[&str]) {
    let line = format!("{} {}; {}", finding["state"], finding["what"], finding["cure"]);
    assert!(finding["state"] == state && words.iter().all(|words| line.contains(words)), "{line}");
}

#[tokio::test]
async fn a_key_that_may_read_everything_is_ok_in_one_line_that_names_all() {
    let (ended, found) = permissions(FakeApi::start(), 0).await;
    assert_eq!(found.len(), 1, "{ended:#?}");
    let all =
        "may read responses, batches, files, fine-tuning jobs, models, containers, safety alerts and agents";
    is(&found[0], "ok", &[all]);
}

#[tokio::test]
async fn a_missing_permission_is_named_with_what_is_lost() {
    let (ended, found) = permissions(FakeApi::refusing(&["/responses/"], "401 Unauthorized"), 1).await;
    assert_eq!(found.len(), 2, "{ended:#?}");
    is(
        &found[0],
        "ok",
        &["may read batches, files, fine-tuning jobs, models, containers, safety alerts and agents"],
    );
    is(
        &found[1],
        "wrong",
        &["may not read responses (401)", "response.* events", "api.responses.read", "landfall retry"],
    );
    let (ended, found) =
        permissions(FakeApi::refusing(&["/safety/", "/containers/"], "403 Forbidden"), 0).await;
    assert_eq!(found.len(), 3, "{ended:#?}");
    is(&found[1], "warning", &["may not read containers (403)", "code interpreters", "to read containers"]);
    is(
        &found[2],
        "warning",
        &["may not read safety alerts (403)", "safety.alert.created", "api.safety.alerts.read"],
    );
}

#[tokio::test]
async fn a_valid_key_that_may_not_read_batches_is_not_called_wrong() {
    let (ended, found) = permissions(FakeApi::refusing(&["/batches"], "401 Unauthorized"), 1).await;
    is(&found[1], "wrong", &["may not read batches (401)", "batch.* events", "api.batch.read"]);
    let api = ended.json_lines().into_iter().find(|line| line["check"] == "api").unwrap();
    assert_eq!(api["state"], "ok", "{ended:#?}");
}

#[tokio::test]
async fn an_odd_answer_leaves_a_permission_not_known() {
    let (ended, found) =
        permissions(FakeApi::refusing(&["/responses/", "/agents/"], "429 Slow Down"), 0).await;
    assert_eq!(found.len(), 2, "{ended:#?}");
    is(&found[0], "ok", &["may read batches, files, fine-tuning jobs, models, containers and safety alerts"]);
    is(
        &found[1],
        "warning",
        &["not known whether", "may read responses or agents", "status 429", "doctor again"],
    );
    let (_, found) = permissions(FakeApi::refusing(&["/files/file-"], "200 OK"), 0).await;
    is(&found[1], "warning", &["may read files", "an object for an ID that cannot exist"]);
}

#[tokio::test]
async fn a_key_that_is_refused_everywhere_has_no_findings_about_permissions() {
    let (ended, found) = permissions(FakeApi::answering("401 Unauthorized", "{}", 0), 1).await;
    assert!(found.is_empty(), "{ended:#?}");
}
