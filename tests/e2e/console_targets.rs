//! The console's pages of targets and notifications.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::StatusCode;
use store::TargetState;
use test_support::receiver::{Receiver, Reply};
use test_support::signed_webhook::SECRET;
use test_support::wait;

use crate::console_client::Console;
use crate::harness::{Database, Landfall};
use crate::notifications::{start, target, targets_file};

/// Longer than a test takes.
const NO_RETRY: (&str, &str) = ("NOTIFICATION_SCHEDULE", "3600");

async fn page(console: &Console, path: &str) -> (StatusCode, String) {
    let url = format!("{}{path}", console.url.strip_suffix("/api/v1").unwrap());
    let answer = console.http.get(url).send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

/// A page that is there.
async fn shown(console: &Console, path: &str) -> String {
    let (status, html) = page(console, path).await;
    assert_eq!(status, StatusCode::OK, "{html}");
    html
}

async fn until_shown(console: &Console, path: &str, text: &str) -> String {
    let has = async || Some(shown(console, path).await).filter(|html| html.contains(text));
    wait::until(&format!("{text} on {path}"), has).await
}

/// The rows of the first table.
fn rows(html: &str) -> Vec<&str> {
    let body = html.split_once("<tbody>").map_or("", |(_, rest)| rest.split_once("</tbody>").unwrap().0);
    body.split("<tr>").skip(1).collect()
}

async fn targets_show_what_waits_and_what_they_answered(database: Database) {
    let fails = Arc::new(AtomicBool::new(true));
    let failing = Arc::clone(&fails);
    let bad = Receiver::start(move |_| match failing.load(Ordering::SeqCst) {
        true => Reply::Answer {
            status: "500 Oh No",
            headers: String::new(),
            body: "<script>alert(1)</script>".to_owned(),
        },
        false => Reply::ok(),
    })
    .await;
    let good = Receiver::start(|_| Reply::ok()).await;
    let (_folder, path) = targets_file(&[target("good", &good, ""), target("bad", &bad, "")]);
    let landfall = start(database, 1, &path, &[NO_RETRY]).await;
    let settings =
        [("LANDFALL_CONFIG", path.as_str()), ("NEW", SECRET), ("OLD", SECRET), ("CONSOLE_NAME", "test")];
    let console = Console::start(&landfall, &settings).await;
    landfall.send("response.completed", "resp_demo_research").await;
    landfall.settled().await;
    good.wait_for(1).await;
    bad.wait_for(1).await;

    let html = until_shown(&console, "/targets", ">failed once<").await;
    let rows_of_targets = rows(&html);
    let [bad_row, good_row] = rows_of_targets[..] else { panic!("{html}") };
    for part in
        ["status 500", "landfall targets test bad", "target=bad&#38;state=pending\">1<", "http://127.0.0.1"]
    {
        assert!(bad_row.contains(part), "no {part} in {bad_row}");
    }
    for part in ["delivering", "200 in ", "target=good&#38;state=delivered\">1<", "webhook, "] {
        assert!(good_row.contains(part), "no {part} in {good_row}");
    }

    let html = shown(&console, "/notifications?target=bad&state=pending").await;
    let pending = rows(&html);
    assert_eq!(pending.len(), 1, "{html}");
    assert!(pending[0].contains("resp_demo_research") && pending[0].contains(">in "), "{}", pending[0]);
    assert!(html.contains("landfall notifications list --state pending --target bad"), "{html}");
    assert_eq!(rows(&shown(&console, "/notifications").await).len(), 2);
    assert!(rows(&shown(&console, "/notifications?target=bad&state=delivered").await).is_empty());

    let link = pending[0].split_once("href=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
    let html = shown(&console, &link).await;
    assert!(!html.contains("<script>alert") && html.contains("&#60;script&#62;alert(1)"), "{html}");
    assert!(html.contains("&#34;response.stored&#34;") && html.contains("Next attempt"), "{html}");

    fails.store(false, Ordering::SeqCst);
    let id = link.rsplit_once('/').unwrap().1;
    let retried = landfall.landfall(&["notifications", "retry", id]);
    assert!(retried.status.success(), "{}", String::from_utf8_lossy(&retried.stderr));
    let html = until_shown(&console, &link, ">delivered<").await;
    assert_eq!(rows(&html).len(), 2, "both attempts: {html}");
    let paused =
        landfall.store().await.set_target_state("good", TargetState::Paused, chrono::Utc::now()).await;
    assert_eq!(paused.unwrap().state, TargetState::Active);
    let html = shown(&console, "/targets").await;
    assert!(html.contains(">paused<") && html.contains("landfall targets resume good"), "{html}");
}

on_both_databases!(targets_show_what_waits_and_what_they_answered);

#[tokio::test(flavor = "multi_thread")]
async fn targets_of_the_workers_are_listed_without_the_file_and_without_notifications() {
    let server = Receiver::start(|_| Reply::ok()).await;
    let (_folder, path) = targets_file(&[target("app", &server, "events = [\"batch.stored\"]")]);
    let landfall = start(Database::Sqlite, 1, &path, &[]).await;
    // The database is created by the worker's first event.
    landfall.send("safety.warning_issued", "case_1").await;
    landfall.settled().await;
    let console = Console::start(&landfall, &[("LANDFALL_CONFIG", "/nowhere.toml")]).await;
    let html = shown(&console, "/targets").await;
    assert!(html.contains("cannot read /nowhere.toml"), "{html}");
    let rows = rows(&html);
    assert_eq!(rows.len(), 1, "{html}");
    assert!(rows[0].contains(">app<") && rows[0].contains("delivering"), "{html}");
    let html = shown(&console, "/notifications").await;
    assert!(html.contains("No notifications found") && html.contains("target=app"), "{html}");
    assert!(shown(&console, "/notifications?target=b%3Cb%3E").await.contains("b&#60;b&#62;"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_targets_or_notifications_that_cannot_be_shown_says_why() {
    let landfall = Landfall::start().await;
    landfall.send("safety.warning_issued", "case_1").await;
    landfall.settled().await;
    let console = Console::start(&landfall, &[]).await;
    let html = shown(&console, "/targets").await;
    assert!(html.contains("No targets"), "{html}");
    for (path, wanted) in [
        ("/notifications/ntf_%3Cb%3E", StatusCode::NOT_FOUND),
        ("/notifications?state=lost", StatusCode::BAD_REQUEST),
        ("/notifications?after=x", StatusCode::BAD_REQUEST),
    ] {
        let (status, html) = page(&console, path).await;
        assert_eq!(status, wanted, "{path}");
        assert!(html.contains("<!doctype html>") && !html.contains("<b>\""), "{html}");
    }
    let down = Console::start(&landfall, &[("DATABASE_URL", "sqlite:///nowhere/landfall.db")]).await;
    for path in ["/targets", "/notifications", "/notifications/ntf_1"] {
        let (status, html) = page(&down, path).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(html.contains("the database cannot be read"), "{html}");
    }
}
