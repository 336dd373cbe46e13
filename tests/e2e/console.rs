//! The console's API: an app awaits an object by its id, reads lists, results and files, and needs a token.

use std::time::Duration;

use fake_openai::{Fault, FaultKind};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use test_support::signed_webhook::SignedWebhook;
use test_support::wait;

use crate::console_client::Console;
use crate::harness::{Database, Landfall};

const RESPONSE: &str = "resp_demo_research";
const BATCH: &str = "batch_demo_completed";

async fn an_app_awaits_objects_by_their_ids(database: Database) {
    let landfall = Landfall::start_on(database).await;
    let console = Console::start(&landfall, &[]).await;
    let (status, answer) = console.json(&format!("/objects/{RESPONSE}?wait=0")).await;
    assert_eq!((status, &answer["state"]), (StatusCode::ACCEPTED, &Value::from("waiting")));
    let (status, _) = console.json(&format!("/objects/{RESPONSE}")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);

    let waits = [RESPONSE, BATCH].map(|id| console.waiting(&format!("/objects/{id}?wait=60")));
    landfall.send("response.completed", RESPONSE).await;
    landfall.send("batch.completed", BATCH).await;
    let [response, batch] = waits;
    let (status, response) = response.await.unwrap();
    assert_eq!(status, StatusCode::OK);
    assert_eq!((&response["kind"], &response["state"]), (&"response".into(), &"stored".into()));
    assert_eq!(response["object"], landfall.show(RESPONSE));
    let (_, batch) = batch.await.unwrap();
    assert_eq!(batch["object"]["results_complete"], true, "a batch is awaited with all its results");
    // What is there already is answered at once.
    let (status, again) = console.json(&format!("/objects/{RESPONSE}?wait=60")).await;
    assert_eq!((status, again), (StatusCode::OK, response));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_awaits_objects_by_their_ids_in_sqlite() {
    an_app_awaits_objects_by_their_ids(Database::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_awaits_objects_by_their_ids_in_postgres() {
    an_app_awaits_objects_by_their_ids(Database::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_object_is_answered_with_its_reason_instead_of_waiting() {
    let landfall = Landfall::start().await;
    let console = Console::start(&landfall, &[]).await;
    landfall.send("response.completed", "resp_that_openai_does_not_know").await;
    let (status, lost) = console.json("/objects/resp_that_openai_does_not_know?wait=60").await;
    assert_eq!(status, StatusCode::OK, "{lost}");
    assert_eq!((&lost["state"], &lost["reason"]), (&"not_found".into(), &"not_found".into()));
    for (path, text) in [
        ("/objects/wh_1?wait=1", "awaited"),
        ("/objects/resp_1?wait=121", "120"),
        ("/objects/resp_1?wait=soon", "openapi.json"),
        ("/objects/resp_1?weight=1", "weight"),
    ] {
        let (status, problem) = console.json(path).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(text), "{path}: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_survive_a_restart_of_redis() {
    let mut landfall = Landfall::start().await;
    let console = Console::start(&landfall, &[]).await;
    let waits: Vec<_> = (0..50).map(|_| console.waiting(&format!("/objects/{RESPONSE}?wait=120"))).collect();
    landfall.redis.kill();
    landfall.redis.resume();
    // ingest may still be connecting.
    wait::until("an accepted webhook", async || {
        (landfall.post(&SignedWebhook::new("response.completed", RESPONSE)).await.0 == 200).then_some(())
    })
    .await;
    for wait in waits {
        let (status, answer) = wait.await.unwrap();
        assert_eq!((status, &answer["state"]), (StatusCode::OK, &"stored".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_its_object_although_the_console_is_killed() {
    let landfall = Landfall::start().await;
    let mut console = Console::start(&landfall, &[]).await;
    let wait = console.http.get(format!("{}/objects/{RESPONSE}?wait=60", console.url)).send();
    let wait = tokio::spawn(wait);
    console.program.kill();
    assert!(wait.await.unwrap().is_err(), "the client sees that its request broke off");
    landfall.send("response.completed", RESPONSE).await;
    let console = Console::start(&landfall, &[]).await;
    let (status, answer) = console.json(&format!("/objects/{RESPONSE}?wait=60")).await;
    assert_eq!((status, &answer["state"]), (StatusCode::OK, &"stored".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_is_read_page_by_page() {
    let landfall = Landfall::start().await;
    let console = Console::start(&landfall, &[]).await;
    for number in 0..5 {
        landfall.send("safety.warning_issued", &format!("case_{number}")).await;
    }
    landfall.send("response.completed", RESPONSE).await;
    landfall.send("batch.completed", BATCH).await;
    landfall.send("fine_tuning.job.succeeded", "ftjob_demo_succeeded").await;
    landfall.settled().await;
    assert_eq!(console.all("/events").await.len(), 8);
    let ids = |rows: Vec<Value>| -> Vec<String> {
        rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(console.all("/responses").await), [RESPONSE]);
    assert_eq!(ids(console.all("/batches").await), [BATCH]);
    assert_eq!(ids(console.all("/fine-tuning-jobs").await), ["ftjob_demo_succeeded"]);
    assert!(console.all("/eval-runs").await.is_empty() && console.all("/notifications").await.is_empty());
    let (_, problem) = console.json("/events?since=1h").await;
    assert!(problem["detail"].as_str().unwrap().contains("since must be a time such as"), "{problem}");
    let (_, some) =
        console.json("/events?family=safety&state=stored&since=2026-01-01T00:00:00%2B01:00").await;
    assert_eq!(some["data"].as_array().unwrap().len(), 5);
    for path in ["/events?family=x", "/events?limit=0", "/events?limit=501", "/events?after=x", "/events?x=1"]
    {
        let (status, problem) = console.json(path).await;
        assert_eq!((status, &problem["status"]), (StatusCode::BAD_REQUEST, &400.into()), "{path}: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_listed_without_a_database() {
    let landfall = Landfall::start().await;
    landfall.fake.inject(Fault::always(FaultKind::Status(400), BATCH));
    landfall.send("batch.completed", BATCH).await;
    landfall.settled().await;
    let nowhere = [("DATABASE_URL", "postgres://landfall@127.0.0.1:1/landfall")];
    let console = Console::start(&landfall, &nowhere).await;
    let (status, problem) = console.json("/events").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
    assert!(!problem.to_string().contains("127.0.0.1"), "addresses are for the log: {problem}");
    let (status, letters) = console.json("/dead-letters?family=batch").await;
    assert_eq!(status, StatusCode::OK, "{letters}");
    assert_eq!(letters["data"][0]["object_id"], BATCH, "{letters}");
}

#[tokio::test(flavor = "multi_thread")]
async fn results_and_files_are_served_as_they_are_stored() {
    let landfall = Landfall::start().await;
    let console = Console::start(&landfall, &[]).await;
    landfall.send("batch.completed", BATCH).await;
    landfall.settled().await;
    let text = console.get(&format!("/batches/{BATCH}/results")).await.text().await.unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let rows = landfall.rows(BATCH).await;
    assert_eq!(lines.len(), rows.len());
    let after = format!("{}:{}", rows[0].source, rows[0].line);
    let rest =
        console.get(&format!("/batches/{BATCH}/results?after={after}&limit=1")).await.text().await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&rest).unwrap(), lines[1]);
    for path in ["?status=x", "?after=x", "?limit=0", "?errors=x"] {
        let (status, problem) = console.json(&format!("/batches/{BATCH}/results{path}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {problem}");
    }

    let file = landfall.show(BATCH)["output_file_id"].as_str().unwrap().to_owned();
    let whole = console.get(&format!("/files/{file}/content")).await;
    assert!(whole.headers()["digest"].to_str().unwrap().starts_with("sha-256="));
    assert!(whole.headers()["content-disposition"].to_str().unwrap().starts_with("attachment"));
    let whole = whole.bytes().await.unwrap();
    let part = console.http.get(format!("{}/files/{file}/content", console.url)).header("Range", "bytes=3-9");
    let part = part.send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.headers()["content-range"], format!("bytes 3-9/{}", whole.len()).as_str());
    assert_eq!(part.bytes().await.unwrap(), whole.slice(3..10));
    let beyond = console.http.get(format!("{}/files/{file}/content", console.url));
    let beyond = beyond.header("Range", format!("bytes={}-", whole.len())).send().await.unwrap();
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(console.get("/files/file-none/content").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_loopback_every_call_needs_a_valid_token() {
    let landfall = Landfall::start().await;
    let console = Console::start(&landfall, &[("CONSOLE_ADDR", "0.0.0.0:0")]).await;
    let made = landfall.landfall(&["token", "new", "app"]);
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    assert!(made.status.success() && token.starts_with("landfall_"));
    let again = landfall.landfall(&["token", "new", "app"]);
    assert_eq!(again.status.code(), Some(1), "a name is used once");

    let document = console.http.get(format!("{}/openapi.json", console.url)).bearer_auth(&token);
    let document: Value = document.send().await.unwrap().json().await.unwrap();
    let calls = calls(&document);
    assert!(calls.len() > 8, "{calls:?}");
    for (method, path) in calls {
        let call = || console.http.request(method.clone(), format!("{}{path}", console.url));
        for answer in [call(), call().bearer_auth("landfall_wrong"), call().basic_auth("app", Some(&token))] {
            let answer = answer.send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
            assert_eq!(answer.headers()["content-type"], "application/problem+json", "{method} {path}");
        }
    }
    let with_token = || console.http.get(format!("{}/events", console.url)).bearer_auth(&token).send();
    assert_eq!(with_token().await.unwrap().status(), StatusCode::OK);
    let listed = landfall.landfall(&["token", "list", "--json"]);
    assert!(!String::from_utf8(listed.stdout).unwrap().contains(&token));
    assert!(landfall.landfall(&["token", "revoke", "app"]).status.success());
    assert_eq!(with_token().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

/// Every call of the OpenAPI document, each with an id.
fn calls(document: &Value) -> Vec<(Method, String)> {
    let mut calls = Vec::new();
    for (template, item) in document["paths"].as_object().unwrap() {
        let segments = template.split('/').map(|part| if part.starts_with('{') { RESPONSE } else { part });
        let path = segments.collect::<Vec<_>>().join("/");
        for method in ["GET", "PUT", "POST", "DELETE", "PATCH"] {
            if item.get(method.to_ascii_lowercase()).is_some() {
                calls.push((method.parse().unwrap(), path.clone()));
            }
        }
    }
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_a_call_does_not_have_is_405() {
    let landfall = Landfall::start().await;
    let console = Console::start(&landfall, &[]).await;
    for path in ["/events", "/objects/resp_1", "/files/file-1/content"] {
        let answer = console.http.delete(format!("{}{path}", console.url)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.headers()["allow"], "GET", "{path}");
    }
    assert_eq!(console.get("/object/resp_1").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_with_a_name_of_its_own_cannot_read_the_console() {
    let landfall = Landfall::start().await;
    let console = Console::start(&landfall, &[("CONSOLE_HOSTS", "console.example.com")]).await;
    let named =
        |host: &'static str| console.http.get(format!("{}/events", console.url)).header("Host", host).send();
    assert_eq!(named("evil.example").await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(named("console.example.com").await.unwrap().status(), StatusCode::OK);
    assert_eq!(named("localhost:8090").await.unwrap().status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_stream_continues_where_it_broke_off() {
    let landfall = Landfall::start().await;
    let console = Console::start(&landfall, &[]).await;
    landfall.send("safety.warning_issued", "case_1").await;
    landfall.settled().await;
    let from =
        |id: &str| console.http.get(format!("{}/events/stream", console.url)).header("Last-Event-ID", id);
    let mut stream = from("0-0").send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let first = events(&mut stream, 1).await;
    assert!(first.contains("case_1") && first.contains("stored"), "{first}");
    landfall.send("safety.warning_issued", "case_2").await;
    let second = events(&mut stream, 1).await;
    assert!(second.contains("case_2"), "{second}");
    drop(stream);
    landfall.send("safety.warning_issued", "case_3").await;
    landfall.settled().await;
    let id = first.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
    let missed = events(&mut from(id).send().await.unwrap(), 2).await;
    assert!(missed.contains("case_2") && missed.contains("case_3") && !missed.contains("case_1"), "{missed}");
    assert_eq!(from("soon").send().await.unwrap().status(), StatusCode::BAD_REQUEST);
}

/// Reads until so many events have come.
async fn events(stream: &mut reqwest::Response, count: usize) -> String {
    let mut text = String::new();
    while text.matches("data: ").count() < count || !text.ends_with("\n\n") {
        let chunk = tokio::time::timeout(wait::DEADLINE, stream.chunk()).await;
        text.push_str(
            str::from_utf8(&chunk.expect("an event").unwrap().expect("the stream goes on")).unwrap(),
        );
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_that_stops_answers_those_who_wait() {
    let landfall = Landfall::start().await;
    let mut console = Console::start(&landfall, &[]).await;
    let wait = console.waiting(&format!("/objects/{RESPONSE}?wait=120"));
    // It is being waited for once the connection is there.
    let followed = async || {
        let sockets = console.get("/events").await.status();
        (sockets == StatusCode::OK && !wait.is_finished()).then_some(())
    };
    wait::until("a wait", followed).await;
    let stopped = tokio::task::spawn_blocking(move || console.program.stop());
    let (status, answer) = tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap().unwrap();
    assert_eq!((status, &answer["state"]), (StatusCode::ACCEPTED, &"waiting".into()));
    assert!(stopped.await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_console_is_seen_by_status_and_doctor() {
    let landfall = Landfall::start().await;
    let mut console = Console::start(&landfall, &[]).await;
    let rows = |landfall: &Landfall| {
        let instances = landfall.status()["instances"].clone();
        instances.as_array().unwrap().iter().filter(|row| row["program"] == "console").count()
    };
    wait::until("the console's row", async || (rows(&landfall) == 1).then_some(())).await;
    landfall.metric_of(&console.program, "landfall_instances{program=\"console\",", " 1.0").await;
    let doctor = landfall.landfall(&["doctor", "--json"]);
    let doctor = String::from_utf8(doctor.stdout).unwrap();
    assert!(doctor.contains("alive: 1 ingest, 1 worker, 1 console"), "{doctor}");
    assert!(console.program.stop().success());
    assert_eq!(rows(&landfall), 0, "a clean stop is not a crash");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_no_result_is_served_by_a_link() {
    let landfall = Landfall::start().await;
    let console = Console::start(&landfall, &[]).await;
    let link = console.url.replace("/api/v1", "/results/default/resp_1?expires=4000000000&signature=v1,x");
    let answer = reqwest::get(link).await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert!(answer.text().await.unwrap().contains("RESULTS_SECRET"));
}
