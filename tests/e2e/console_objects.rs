//! The console's pages of objects: responses, batches, fine-tuning jobs, eval runs, and everything else by its id.

use fake_openai::{Fault, FaultKind};
use reqwest::{StatusCode, redirect};
use serde_json::json;
use test_support::wait;

use crate::console_client::Console;
use crate::harness::{Database, Landfall};

const RESPONSE: &str = "resp_demo_research";
const BATCH: &str = "batch_demo_completed";
const JOB: &str = "ftjob_demo_succeeded";
const EVAL: &str = "evalrun_demo_succeeded";

async fn page(console: &Console, path: &str) -> (StatusCode, String) {
    let url = console.url.replace("/api/v1", path);
    let answer = console.http.get(url).send().await.unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert_eq!(kind, "text/html; charset=utf-8", "{path}");
    (answer.status(), answer.text().await.unwrap())
}

/// A page that has all these texts.
async fn shows(console: &Console, path: &str, texts: &[&str]) -> String {
    let (status, html) = page(console, path).await;
    assert_eq!(status, StatusCode::OK, "{path}: {html}");
    for text in texts {
        assert!(html.contains(text), "{path} has no {text:?}: {html}");
    }
    html
}

/// Where the search box leads.
async fn leads_to(console: &Console, id: &str) -> String {
    let client = reqwest::Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let mut url: reqwest::Url = console.url.replace("/api/v1", "/find").parse().unwrap();
    url.query_pairs_mut().append_pair("q", id);
    let answer = client.get(url).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{id}");
    answer.headers()["location"].to_str().unwrap().to_owned()
}

/// Adds a response whose code interpreter made a file of this name.
fn add_response_with_file(landfall: &Landfall, id: &str, name: &str) {
    landfall.fake.add_container_file("cntr_page", "cfile_page", name, "1");
    landfall.fake.add_response(json!({
        "id": id, "object": "response", "status": "completed", "model": "m",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "See.", "annotations": [
            {"type": "container_file_citation", "container_id": "cntr_page", "file_id": "cfile_page",
             "filename": name, "start_index": 0, "end_index": 1},
        ]}]}],
    }));
}

async fn every_object_has_a_page_that_its_id_leads_to(database: Database) {
    let landfall = Landfall::start_on(database).await;
    let console = Console::start(&landfall, &[]).await;
    add_response_with_file(&landfall, "resp_file", "median.txt");
    let webhook_id = landfall.send("response.completed", RESPONSE).await;
    for (event_type, id) in [
        ("batch.completed", BATCH),
        ("batch.failed", "batch_demo_failed"),
        ("response.completed", "resp_file"),
        ("fine_tuning.job.succeeded", JOB),
        ("fine_tuning.job.failed", "ftjob_demo_failed"),
        ("eval.run.succeeded", EVAL),
        ("agent.session.idle", "asess_demo"),
        ("safety.alert.created", "alert_demo"),
        ("realtime.call.incoming", "rtc_1"),
    ] {
        landfall.send(event_type, id).await;
    }
    landfall.settled().await;
    let event = format!("/events/{webhook_id}");
    for (id, path) in [
        (webhook_id.as_str(), event.as_str()),
        (RESPONSE, "/responses/resp_demo_research"),
        (BATCH, "/batches/batch_demo_completed"),
        (JOB, "/jobs/ftjob_demo_succeeded"),
        (EVAL, "/evals/evalrun_demo_succeeded"),
        (" asess_demo ", "/objects/asess_demo"),
        ("alert_demo", "/objects/alert_demo"),
        ("file-DemoTicketsOutput", "/objects/file-DemoTicketsOutput"),
        ("ft:gpt-6-luna:acme:support:demo", "/objects/ft%3Agpt-6-luna%3Aacme%3Asupport%3Ademo"),
    ] {
        assert_eq!(leads_to(&console, id).await, path);
        let html = shows(&console, path, &["The same in the shell: <code>landfall show "]).await;
        assert!(!html.contains("style=") && !html.contains("onclick="), "{path}: {html}");
    }
    assert!(leads_to(&console, "rtc_1").await.starts_with("/events/wh_"));
    let texts =
        ["Flow temperature decides.", "rel=\"noopener noreferrer\"", "412 flats", "48,211 in, 6,874 out"];
    shows(&console, "/responses/resp_demo_research", &texts).await;
    shows(&console, "/responses/resp_demo_research", &["web search", &event]).await;
    let texts = ["median.txt", "/content\" download", "fetched"];
    shows(&console, "/responses/resp_file", &texts).await;
    let texts = ["10 of 12 succeeded", "<progress", "server_error", "ticket-0004", "format=csv", "complete"];
    shows(&console, "/batches/batch_demo_completed", &texts).await;
    shows(&console, "/batches/batch_demo_failed", &["line 3: invalid_json_line", "rejected"]).await;
    let texts = ["<polyline class=\"l1\"", "<desc", "Validation", "ckpt-step-20", "/find?q=ft%3Agpt-6-luna"];
    shows(&console, "/jobs/ftjob_demo_succeeded", &texts).await;
    shows(&console, "/jobs/ftjob_demo_failed", &["What OpenAI reported"]).await;
    shows(&console, "/evals/evalrun_demo_succeeded", &["36 of 40 passed", "Same label", "36 of 39"]).await;
    shows(&console, "/objects/asess_demo", &["agent session", "Turns"]).await;
    shows(&console, "/objects/file-DemoTicketsOutput", &["/content\" download"]).await;
    shows(&console, "/responses", &["href=\"/responses/resp_demo_research\""]).await;
    shows(&console, "/batches", &[BATCH, "batch_demo_failed"]).await;
    shows(&console, "/jobs", &[JOB, "href=\"/evals\""]).await;
    shows(&console, "/evals", &[EVAL]).await;
}

async fn results_and_lists_are_filtered_by_the_address(database: Database) {
    let landfall = Landfall::start_on(database).await;
    let console = Console::start(&landfall, &[]).await;
    landfall.fake.add_generated_batch("batch_long", 120);
    for (event_type, id) in
        [("batch.completed", BATCH), ("batch.failed", "batch_demo_failed"), ("batch.completed", "batch_long")]
    {
        landfall.send(event_type, id).await;
    }
    landfall.settled().await;
    let path = format!("/batches/{BATCH}");
    for (query, there, not_there) in [
        ("show=failed", "ticket-0007", "ticket-0004"),
        ("status=400", "ticket-0007", "ticket-0009"),
        ("custom_id=ticket-0005", "Cannot log in", "ticket-0004"),
        ("text=CANNOT+log&custom_id=&status=", "ticket-0005", "ticket-0004"),
        ("text=%25", "No results found", "ticket-0004"),
        ("show=quarantined", "No results found", "ticket-0004"),
    ] {
        let html = shows(&console, &format!("{path}?{query}"), &[there]).await;
        assert!(!html.contains(not_there), "{query}: {html}");
    }
    for query in ["show=x", "status=x", "status=99999", "after=x", "text=a&custom_id=b"] {
        let (status, html) = page(&console, &format!("{path}?{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}: {html}");
    }
    shows(&console, "/batches/batch_long", &["after=output%3A50", "output 50"]).await;
    let second = shows(&console, "/batches/batch_long?after=output%3A50", &["output 51", "output 100"]).await;
    assert!(second.contains("First") && !second.contains("output 50<"), "{second}");

    let some = shows(&console, "/batches?status=failed&model=&project=", &["batch_demo_failed"]).await;
    assert!(!some.contains(BATCH), "{some}");
    shows(&console, "/batches?model=gpt-5.4-mini-2026-03-17&project=default", &[BATCH]).await;
    shows(&console, "/batches?status=expired", &["Nothing found", "Show all"]).await;
    shows(&console, "/responses", &["landfall send response.completed"]).await;
    let (status, _) = page(&console, "/batches?after=x").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

const HTML: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>";

/// Adds objects that have HTML wherever OpenAI, a model or a user writes.
fn add_hostile_objects(landfall: &Landfall) {
    landfall.fake.add_response(json!({
        "id": "resp_html", "object": "response", "status": HTML, "model": HTML, "service_tier": HTML,
        "metadata": {HTML: HTML}, "previous_response_id": HTML, "conversation": {"id": HTML},
        "error": {"code": HTML, "message": HTML}, "incomplete_details": {"reason": HTML},
        "usage": {"input_tokens": 1, "output_tokens": 1},
        "output": [
            {"type": "function_call", "name": HTML, "arguments": HTML, "status": HTML},
            {"type": "message", "content": [{"type": "output_text", "text": HTML, "annotations": [
                {"type": "url_citation", "url": "javascript:alert(1)", "title": HTML, "start_index": 0, "end_index": 1},
                {"type": "url_citation", "url": "https://a.example/\"><script>", "title": HTML},
                {"type": "file_citation", "file_id": HTML, "filename": HTML, "index": 0},
            ]}]},
        ],
    }));
    let line = |custom_id: &str, status: u16, body: serde_json::Value, error: serde_json::Value| {
        json!({"id": HTML, "custom_id": custom_id, "error": error,
               "response": {"status_code": status, "request_id": HTML, "body": body}})
    };
    let lines = [
        line(
            HTML,
            200,
            json!({"output": [{"content": [{"type": "output_text", "text": HTML}]}]}),
            json!(null),
        ),
        line(HTML, 400, json!({"error": {"code": HTML, "message": HTML}}), json!(null)),
        line("b", 500, json!(null), json!({"code": HTML, "message": HTML})),
    ];
    let content = format!("{}\n{}\n{}\nnot JSON {HTML}\n", lines[0], lines[1], lines[2]);
    landfall.fake.add_file("file-html", &json!({"filename": HTML}), content.into_bytes());
    landfall.fake.add_batch(json!({
        "id": "batch_html", "status": HTML, "endpoint": HTML, "model": HTML, "metadata": {HTML: HTML},
        "output_file_id": "file-html", "error_file_id": null, "input_file_id": HTML,
        "errors": {"data": [{"code": HTML, "message": HTML, "line": 1}]},
        "request_counts": {"total": 4, "completed": 1, "failed": 3},
    }));
    let job = json!({
        "id": "ftjob_html", "object": "fine_tuning.job", "status": "failed", "model": HTML,
        "fine_tuned_model": null, "error": {"code": HTML, "message": HTML}, "hyperparameters": {HTML: HTML},
        "result_files": [], "created_at": 1, "finished_at": 2, "trained_tokens": 3,
    });
    landfall.fake.add_object(&job).unwrap();
    let run = json!({
        "id": "evalrun_html", "object": "eval.run", "eval_id": "eval_demo", "status": "failed", "model": HTML,
        "name": HTML, "report_url": "javascript:alert(1)", "created_at": 1,
        "error": {"code": HTML, "message": HTML},
        "result_counts": {"total": 2, "passed": 1, "failed": 1, "errored": 0},
        "per_testing_criteria_results": [{"testing_criteria": HTML, "passed": 1, "failed": 1}],
    });
    landfall.fake.add_object(&run).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn html_from_outside_is_text_on_every_page() {
    let landfall = Landfall::start().await;
    let console = Console::start(&landfall, &[]).await;
    add_hostile_objects(&landfall);
    add_response_with_file(&landfall, "resp_html_file", HTML);
    for (event_type, id) in [
        ("response.completed", "resp_html"),
        ("response.completed", "resp_html_file"),
        ("batch.completed", "batch_html"),
        ("fine_tuning.job.failed", "ftjob_html"),
        ("eval.run.failed", "evalrun_html"),
        ("agent.session.idle", HTML),
        ("realtime.call.incoming", HTML),
    ] {
        landfall.send(event_type, id).await;
    }
    landfall.settled().await;
    for path in [
        "/responses/resp_html",
        "/responses/resp_html_file",
        "/batches/batch_html",
        "/batches/batch_html?text=%3Cscript%3E",
        "/batches/batch_html?custom_id=%22%3E%3Cscript%3E",
        "/batches/batch_html?show=quarantined",
        "/jobs/ftjob_html",
        "/evals/evalrun_html",
        "/objects/file-html",
        "/responses",
        "/batches?status=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&model=%22%3E%3Cscript%3E",
        "/batches",
        "/jobs",
        "/evals",
        "/events",
        "/responses/%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "/objects/%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "/find?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
    ] {
        let (status, html) = page(&console, path).await;
        assert!(status == StatusCode::OK || !path.contains("html"), "{path}: {status}");
        let unsafe_parts = ["<script>", "<img", "href=\"javascript:", "href='javascript:"];
        for part in unsafe_parts {
            assert!(!html.contains(part), "{path} has {part}: {html}");
        }
    }
    let texts = ["&#60;script&#62;alert(1)", "https://a.example/%22%3E%3Cscript%3E"];
    shows(&console, "/responses/resp_html", &texts).await;
    shows(&console, "/batches/batch_html", &["quarantined: ", "&#60;script&#62;"]).await;
    shows(&console, "/evals/evalrun_html", &["javascript:alert(1)"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_not_stored_says_where_it_was_looked_for() {
    let mut landfall = Landfall::start().await;
    let console = Console::start(&landfall, &[]).await;
    landfall.send("safety.warning_issued", "case_1").await;
    landfall.settled().await;
    for path in
        ["/find?q=resp_x", "/responses/resp_x", "/batches/batch_x", "/jobs/ftjob-x", "/evals/evalrun_x"]
    {
        let (status, html) = page(&console, path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        for text in ["not stored", "not queued", "landfall fetch "] {
            assert!(html.contains(text), "{path}: {html}");
        }
    }
    let (status, html) = page(&console, "/find?q=whatever").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(html.contains("Check the id") && !html.contains("landfall fetch"), "{html}");
    for path in ["/find", "/find?q=+"] {
        assert_eq!(page(&console, path).await.0, StatusCode::BAD_REQUEST, "{path}");
    }
    landfall.send("response.completed", "resp_that_openai_does_not_know").await;
    landfall.settled().await;
    let texts = ["OpenAI does not have it", "not found"];
    shows(&console, "/responses/resp_that_openai_does_not_know", &texts).await;
    drop(landfall.workers.pop());
    landfall.send("response.completed", RESPONSE).await;
    let (_, html) = page(&console, &format!("/find?q={RESPONSE}")).await;
    assert!(html.contains("waiting in the queue"), "{html}");
    landfall.redis.kill();
    let (status, html) = page(&console, "/find?q=resp_x").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(html.contains("Redis cannot be read"), "{html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_batch_tells_whether_its_import_goes_on() {
    let mut landfall = Landfall::start().await;
    let console = Console::start(&landfall, &[]).await;
    landfall.fake.add_generated_batch("batch_slow", 6000);
    landfall.fake.inject(Fault::always(FaultKind::StallInBody, "/content"));
    landfall.send("batch.completed", "batch_slow").await;
    let until = async |text: &str| {
        let has_text = async || {
            let (_, html) = page(&console, "/batches/batch_slow").await;
            html.contains(text).then_some(html)
        };
        wait::until("the page of the batch to change", has_text).await
    };
    let running = until(" rows a second · about ").await;
    assert!(running.contains("importing") && running.contains("max=\"6000\""), "{running}");
    landfall.workers.pop().unwrap().kill();
    let stuck = until("No worker with a recent heartbeat").await;
    assert!(stuck.contains("stuck") && !stuck.contains("rows a second"), "{stuck}");
    landfall.fake.clear_faults();
    landfall.fake.inject(Fault::always(FaultKind::Status(400), "/content"));
    landfall.add_worker();
    until("Its event is a dead letter").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_withhold_bodies_as_the_api_does() {
    let landfall = Landfall::start().await;
    let console = Console::start(&landfall, &[("CONSOLE_BODIES", "none")]).await;
    landfall.send("response.completed", RESPONSE).await;
    landfall.send("batch.completed", BATCH).await;
    landfall.send("safety.alert.created", "alert_demo").await;
    landfall.settled().await;
    let response = shows(&console, "/responses/resp_demo_research", &["CONSOLE_BODIES"]).await;
    let batch = shows(&console, "/batches/batch_demo_completed", &["CONSOLE_BODIES", "ticket-0004"]).await;
    let alert = shows(&console, "/objects/alert_demo", &["safety alert"]).await;
    for written in ["Flow temperature", "412 flats", "Asks for deletion", "encrypted_content"] {
        assert!(!response.contains(written) && !batch.contains(written), "{written}");
    }
    assert!(!batch.contains("Download JSONL"), "{batch}");
    let explanation = landfall.show("alert_demo")["detailed_explanation"].as_str().unwrap_or("?").to_owned();
    assert!(!alert.contains(&explanation), "{alert}");
    let (status, html) = page(&console, "/batches/batch_demo_completed?text=deletion").await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_objects_say_that_the_database_is_down() {
    let landfall = Landfall::start().await;
    let nowhere = [("DATABASE_URL", "postgres://landfall@127.0.0.1:1/landfall")];
    let console = Console::start(&landfall, &nowhere).await;
    for path in
        ["/responses", "/batches/batch_1", "/jobs", "/evals/evalrun_1", "/objects/x", "/find?q=resp_1"]
    {
        let (status, html) = page(&console, path).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(
            html.contains("the database cannot be read") && !html.contains("127.0.0.1"),
            "{path}: {html}"
        );
    }
}

on_both_databases!(
    every_object_has_a_page_that_its_id_leads_to,
    results_and_lists_are_filtered_by_the_address
);
