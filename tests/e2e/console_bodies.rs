//! What the console gives out: results as JSON Lines or CSV, and bodies only to those who may read them.

use reqwest::StatusCode;
use reqwest::header::ACCEPT;
use serde_json::Value;

use crate::console_client::{Console, token};
use crate::harness::Landfall;

const RESPONSE: &str = "resp_demo_research";
const BATCH: &str = "batch_demo_completed";

#[tokio::test(flavor = "multi_thread")]
async fn results_are_csv_for_those_who_ask_for_it() {
    let landfall = Landfall::start().await;
    let console = Console::start(&landfall, &[]).await;
    landfall.send("batch.completed", BATCH).await;
    landfall.settled().await;
    let url = format!("{}/batches/{BATCH}/results", console.url);
    let asked = console.http.get(format!("{url}?format=csv")).send().await.unwrap();
    assert_eq!(asked.headers()["content-type"], "text/csv; charset=utf-8");
    let disposition = format!("attachment; filename=\"{BATCH}.csv\"");
    assert_eq!(asked.headers()["content-disposition"], disposition.as_str());
    let csv = asked.text().await.unwrap();
    // The demo has no text that a spreadsheet would run, so it is what the command prints.
    let printed = landfall.landfall(&["results", BATCH, "--format", "csv"]);
    assert_eq!(csv, String::from_utf8(printed.stdout).unwrap());
    assert!(csv.starts_with("source,line,custom_id,"), "{csv}");

    for (accept, kind) in [
        ("text/csv", "text/csv; charset=utf-8"),
        ("application/x-ndjson;q=0.5, text/csv", "text/csv; charset=utf-8"),
        ("*/*", "application/x-ndjson"),
        ("text/html", "application/x-ndjson"),
    ] {
        let answer = console.http.get(&url).header(ACCEPT, accept).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], kind, "{accept}");
    }
    let one =
        console.get(&format!("/batches/{BATCH}/results?format=csv&limit=1")).await.text().await.unwrap();
    assert_eq!(one.lines().next(), csv.lines().next());
    let none = console.get(&format!("/batches/{BATCH}/results?format=csv&custom_id=none")).await;
    assert_eq!(none.text().await.unwrap().lines().count(), 1, "only the header line");
    let (status, problem) = console.json(&format!("/batches/{BATCH}/results?format=xml")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
}

/// All that a caller gets to see, and the status of the two calls that are nothing but bodies.
async fn seen(console: &Console, token: &str, file: &str) -> (String, [StatusCode; 2]) {
    let get = async |path: &str| {
        let request = console.http.get(format!("{}{path}", console.url)).bearer_auth(token);
        request.send().await.unwrap()
    };
    let mut seen = String::new();
    for path in [
        &format!("/objects/{RESPONSE}?wait=1"),
        &format!("/objects/{RESPONSE}"),
        &format!("/objects/{BATCH}"),
        "/responses",
        "/events",
        "/notifications",
        "/dead-letters",
    ] {
        let answer = get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        seen.push_str(&answer.text().await.unwrap());
    }
    let mut statuses = Vec::new();
    for path in [format!("/batches/{BATCH}/results"), format!("/files/{file}/content")] {
        let answer = get(&path).await;
        statuses.push(answer.status());
        if answer.status() == StatusCode::FORBIDDEN {
            assert!(answer.text().await.unwrap().contains("CONSOLE_BODIES"), "{path}");
        }
    }
    (seen, [statuses[0], statuses[1]])
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_for_those_whom_the_setting_names() {
    let landfall = Landfall::start().await;
    let webhook_id = landfall.send("response.completed", RESPONSE).await;
    landfall.send("batch.completed", BATCH).await;
    landfall.settled().await;
    let response = landfall.show(RESPONSE);
    let text = Value::from(response["output_text"].as_str().unwrap()).to_string();
    let sentence = &text[1..40];
    let file = landfall.show(BATCH)["output_file_id"].as_str().unwrap().to_owned();
    let viewer = token(&landfall, &["viewer"]);
    let operator = token(&landfall, &["operator", "--operator"]);
    for (setting, for_viewers, for_operators) in
        [("all", true, true), ("operator", false, true), ("none", false, false)]
    {
        let console = Console::start(&landfall, &[("CONSOLE_BODIES", setting)]).await;
        for (token, may_read) in [(&viewer, for_viewers), (&operator, for_operators)] {
            let (seen, statuses) = seen(&console, token, &file).await;
            assert_eq!(seen.contains(sentence), may_read, "{setting}: {seen}");
            // The body of an event, as OpenAI sent it.
            assert_eq!(seen.contains(r#""object":"event""#), may_read, "{setting}: {seen}");
            assert!(seen.contains(r#""status":"completed""#), "{setting}: {seen}");
            let status = if may_read { StatusCode::OK } else { StatusCode::FORBIDDEN };
            assert_eq!(statuses, [status, status], "{setting}");
        }
        // A page of anybody on this machine.
        let page = format!("{}/events/{webhook_id}", console.url.trim_end_matches("/api/v1"));
        let page = console.http.get(page).send().await.unwrap().text().await.unwrap();
        assert!(page.contains(&webhook_id), "{page}");
        assert_eq!(page.contains("CONSOLE_BODIES"), setting != "all", "{setting}: {page}");
    }
}
