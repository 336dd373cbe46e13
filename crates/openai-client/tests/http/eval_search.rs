//! The search for an eval run by its id alone.

use openai_client::{Advice, ErrorKind};

use crate::client;
use crate::server::{Server, Step, json, response};

/// The path of a request, without its query.
fn path(head: &str) -> &str {
    head.split([' ', '?']).nth(1).unwrap()
}

async fn serving(answers: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Server {
    Server::start(move |head| vec![Step::Send(answers(path(head)))]).await
}

#[tokio::test]
async fn a_run_is_found_in_the_most_recently_updated_evals() {
    let server = serving(|path| match path {
        "/v1/evals" => json(
            r#"{"data":[{"id":"eval_gone"},7,{"id":""},{"id":"eval_a"},{"id":"eval_b"},{"id":"eval_c"}]}"#,
        ),
        "/v1/evals/eval_gone/runs" => response("404 Not Found", "", "{}"),
        "/v1/evals/eval_a/runs" => json(r#"{"data":[{"id":"evalrun_1"}]}"#),
        "/v1/evals/eval_b/runs" => json(r#"{"data":[{"id":"evalrun_9"},{"id":"evalrun_2"}]}"#),
        "/v1/evals/eval_b/runs/evalrun_2" => {
            json(r#"{"id":"evalrun_2","eval_id":"eval_b","status":"completed"}"#)
        }
        _ => response("500 Internal Server Error", "", ""),
    })
    .await;
    let run = client(&server).find_eval_run("evalrun_2").await.unwrap().unwrap();
    assert_eq!(run.object.eval_id.as_deref(), Some("eval_b"));
    assert_eq!(run.raw, r#"{"id":"evalrun_2","eval_id":"eval_b","status":"completed"}"#);
    let heads = server.heads();
    assert!(heads[0].starts_with("GET /v1/evals?order_by=updated_at&order=desc&limit=50 "), "{}", heads[0]);
    assert!(heads[1].starts_with("GET /v1/evals/eval_gone/runs?order=desc&limit=100 "), "{}", heads[1]);
    assert_eq!(heads.len(), 5);
}

#[tokio::test]
async fn a_missing_run_is_none() {
    let server = serving(|path| match path {
        "/v1/evals" => json(r#"{"data":[{"id":"eval_a"}]}"#),
        "/v1/evals/eval_a/runs" => json(r#"{"data":[{"id":"evalrun_1"}]}"#),
        _ => response("404 Not Found", "", "{}"),
    })
    .await;
    assert!(client(&server).find_eval_run("evalrun_2").await.unwrap().is_none());
    // Listed, but deleted before it could be read.
    assert!(client(&server).find_eval_run("evalrun_1").await.unwrap().is_none());
    let odd = Server::responding(json(r#"{"data":null}"#)).await;
    assert!(client(&odd).find_eval_run("evalrun_2").await.unwrap().is_none());
}

#[tokio::test]
async fn the_search_is_bounded() {
    let server = serving(|path| match path {
        "/v1/evals" => {
            let evals: Vec<String> = (0..5_000).map(|n| format!(r#"{{"id":"eval_{n}"}}"#)).collect();
            json(&format!(r#"{{"data":[{}],"has_more":true}}"#, evals.join(",")))
        }
        _ => json(r#"{"data":[],"has_more":true}"#),
    })
    .await;
    assert!(client(&server).find_eval_run("evalrun_2").await.unwrap().is_none());
    assert_eq!(server.heads().len(), 51);
}

#[tokio::test]
async fn a_removed_or_failing_api_is_an_error() {
    let gone = Server::responding(response("404 Not Found", "", "{}")).await;
    assert_eq!(client(&gone).find_eval_run("evalrun_1").await.unwrap_err().kind(), ErrorKind::NotFound);
    let down = serving(|path| match path {
        "/v1/evals" => json(r#"{"data":[{"id":"eval_a"}]}"#),
        _ => response("500 Internal Server Error", "", ""),
    })
    .await;
    let error = client(&down).find_eval_run("evalrun_1").await.unwrap_err();
    assert_eq!(error.advice(), Advice::Retry { after: None });
}
