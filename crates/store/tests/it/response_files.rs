//! Files of responses: their states outlive an attempt, and are never lost or repeated.

use store::{FileRecord, ResponseFile, ResponseFileState, Retention};
use webhook::Family;

use crate::fixture::Fixture;
use crate::samples::{at, completion, event, file, response, response_file};

fn fetched(file_id: &str) -> (ResponseFile, FileRecord) {
    let id = format!("resp_1/{file_id}");
    let settled = ResponseFile {
        state: ResponseFileState::Fetched.into(),
        stored_file_id: Some(id.clone()),
        ..response_file(file_id)
    };
    let location = format!("default/resp_1/{file_id}");
    (settled, FileRecord { object_id: "resp_1".to_owned(), file_id: id, location, ..file() })
}

pub(crate) async fn a_response_keeps_the_states_of_its_files(fixture: Fixture) {
    let store = &fixture.store;
    let named = [response_file("cfile_1"), response_file("cfile_2")];
    store.record_delivery(&event("wh_1", "resp_1"), 1).await.unwrap();
    assert_eq!(store.begin_response(&response("{}"), &named).await.unwrap(), named);
    let (settled, row) = fetched("cfile_1");
    store.settle_response_file(&settled, Some(&row)).await.unwrap();
    let stored = store.response("default", "resp_1").await.unwrap().unwrap();
    assert_eq!(stored.output_text.as_deref(), Some("Forty-two."));

    // The next attempt, or another worker.
    let again = store.begin_response(&response("{}"), &named).await.unwrap();
    assert_eq!(again, [settled.clone(), named[1].clone()]);
    let late = ResponseFile { state: ResponseFileState::Expired.into(), ..response_file("cfile_1") };
    store.settle_response_file(&late, None).await.unwrap();
    let files = store.response_files("default", "resp_1").await.unwrap();
    assert_eq!(files[0], settled, "a fetched file stays fetched");
    assert!(store.response_files("other", "resp_1").await.unwrap().is_empty());
    assert_eq!(store.find("resp_1/cfile_1").await.unwrap().len(), 1);

    store.save_event(&event("wh_1", "resp_1"), &completion("wh_1")).await.unwrap();
    // The newest event of all is never deleted.
    store.record_delivery(&event("wh_2", "resp_2"), 1).await.unwrap();
    let old = Retention { family: Family::Response, before: at(60) };
    store.prune(&old, |_| ()).await.unwrap();
    assert!(store.response_files("default", "resp_1").await.unwrap().is_empty());
    assert!(store.find("resp_1/cfile_1").await.unwrap().is_empty());
}

pub(crate) async fn files_that_could_not_be_fetched_are_pending_again_on_request(fixture: Fixture) {
    let store = &fixture.store;
    let named = ["cfile_1", "cfile_2", "cfile_3"].map(response_file);
    store.begin_response(&response("{}"), &named).await.unwrap();
    let (settled, row) = fetched("cfile_1");
    store.settle_response_file(&settled, Some(&row)).await.unwrap();
    for (file, state) in [(&named[1], ResponseFileState::Expired), (&named[2], ResponseFileState::Forbidden)]
    {
        let settled = ResponseFile { state: state.into(), ..file.clone() };
        store.settle_response_file(&settled, None).await.unwrap();
    }
    assert_eq!(store.forbidden_response_files().await.unwrap(), (1, Some("resp_1".to_owned())));
    store.reopen_response_files("default", "resp_1", at(90)).await.unwrap();
    assert_eq!(store.forbidden_response_files().await.unwrap(), (0, None));
    let files = store.response_files("default", "resp_1").await.unwrap();
    let states: Vec<(&str, i64)> = files
        .iter()
        .map(|file| (file.state.as_str(), (file.first_attempt_at - at(0)).num_seconds()))
        .collect();
    assert_eq!(states, [("fetched", 1), ("pending", 90), ("pending", 90)]);
}
