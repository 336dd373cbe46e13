//! Lists: their format, their order, and pagination.

use serde_json::{Value, json};

use crate::client::Client;

const LISTS: [&str; 8] = [
    "/batches",
    "/files",
    "/fine_tuning/jobs",
    "/fine_tuning/jobs/ftjob_demo_succeeded/checkpoints",
    "/fine_tuning/jobs/ftjob_demo_succeeded/events",
    "/evals",
    "/evals/eval_demo/runs",
    "/files?purpose=batch_output",
];

fn ids(objects: &[Value]) -> Vec<String> {
    objects.iter().map(|object| object["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_list_is_the_same_however_large_its_pages_are() {
    let client = Client::new().await;
    for list in LISTS {
        let at_once = client.pages(list, 100).await;
        assert_eq!(at_once.len(), 1, "{list}");
        let at_once = ids(&at_once.concat());
        assert!(at_once.len() >= 3, "{list}: {at_once:?}");
        for limit in [1, 2, 7] {
            let pages = client.pages(list, limit).await;
            assert_eq!(pages.len(), at_once.len().div_ceil(limit), "{list} by {limit}");
            assert_eq!(ids(&pages.concat()), at_once, "{list} by {limit}");
        }
        let mut unique = at_once.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), at_once.len());
    }
}

#[tokio::test]
async fn a_page_names_its_first_and_last_object() {
    let client = Client::new().await;
    let page = client.json("/batches?limit=2").await;
    assert_eq!((&page["first_id"], &page["last_id"]), (&page["data"][0]["id"], &page["data"][1]["id"]));
    assert_eq!(page["has_more"], true);
    let last = page["last_id"].as_str().unwrap();
    let rest = client.json(&format!("/batches?after={last}")).await;
    assert_eq!((rest["data"].as_array().unwrap().len(), &rest["has_more"]), (2, &json!(false)));
    // Fine-tuning lists do not have these fields.
    assert_eq!(client.json("/fine_tuning/jobs").await.get("first_id"), None);
    let end = rest["last_id"].as_str().unwrap();
    let nothing = client.json(&format!("/batches?after={end}")).await;
    assert_eq!(
        nothing,
        json!({"object": "list", "data": [], "first_id": null, "last_id": null, "has_more": false})
    );
}

#[tokio::test]
async fn lists_are_newest_first_and_evals_oldest_first_by_default() {
    let client = Client::new().await;
    let times = async |path: &str| -> Vec<i64> {
        let page = client.json(path).await;
        let objects = page["data"].as_array().unwrap().iter();
        objects.map(|object| object["created_at"].as_i64().unwrap()).collect()
    };
    for list in
        ["/batches", "/files", "/fine_tuning/jobs", "/evals?order=desc", "/evals/eval_demo/runs?order=desc"]
    {
        let times = times(list).await;
        assert!(times.is_sorted_by(|a, b| a >= b), "{list}: {times:?}");
    }
    for list in ["/files?order=asc", "/evals", "/evals/eval_demo/runs"] {
        let times = times(list).await;
        assert!(times.is_sorted(), "{list}: {times:?}");
    }
}

#[tokio::test]
async fn evals_can_be_ordered_by_their_latest_run() {
    let client = Client::new().await;
    let run = json!({"id": "evalrun_late", "object": "eval.run", "eval_id": "eval_demo_older", "created_at": 1_795_400_000});
    client.fake.add_object(&run).unwrap();
    let by_update = client.json("/evals?order_by=updated_at&order=desc").await;
    assert_eq!(by_update["data"][0]["id"], "eval_demo_older");
    let by_creation = client.json("/evals?order_by=created_at&order=desc").await;
    assert_eq!(by_creation["data"][0]["id"], "eval_demo");
}

#[tokio::test]
async fn lists_can_be_filtered() {
    let client = Client::new().await;
    let results = client.json("/files?purpose=fine-tune-results").await;
    assert_eq!(ids(results["data"].as_array().unwrap()), ["file-DemoResultFile"]);
    let failed = client.json("/evals/eval_demo/runs?status=failed").await;
    assert_eq!(ids(failed["data"].as_array().unwrap()), ["evalrun_demo_failed"]);
    let jobs = client.json("/fine_tuning/jobs?metadata[dataset]=support-2026-10").await;
    assert_eq!(ids(jobs["data"].as_array().unwrap()), ["ftjob_demo_succeeded"]);
}

#[tokio::test]
async fn a_run_is_found_only_under_its_own_eval() {
    let client = Client::new().await;
    assert_eq!(client.status("/evals/eval_demo/runs/evalrun_demo_failed").await, 200);
    assert_eq!(client.status("/evals/eval_demo_tone/runs/evalrun_demo_failed").await, 404);
}
