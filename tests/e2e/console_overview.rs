//! The console's overview and its page of health: on a new installation, with events, and while Redis or the database is
//! down.

use fake_openai::{Fault, FaultKind};
use reqwest::StatusCode;
use test_support::postgres::PostgresServer;
use test_support::wait;

use crate::console_client::Console;
use crate::harness::{Database, Landfall};

const RESPONSE: &str = "resp_demo_research";

/// A page that must be shown.
async fn page(console: &Console, path: &str) -> String {
    let url = console.url.replace("/api/v1", path);
    let answer = console.http.get(url).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    answer.text().await.unwrap()
}

/// Waits until the page contains all of these texts.
async fn page_with(console: &Console, path: &str, texts: &[&str]) -> String {
    let shown = async || {
        let html = page(console, path).await;
        texts.iter().all(|text| html.contains(text)).then_some(html)
    };
    wait::until(&format!("{texts:?} on {path}"), shown).await
}

/// The part of the page with this id.
fn part<'a>(html: &'a str, id: &str) -> &'a str {
    let start = html.find(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no {id} in {html}"));
    let rest = &html[start..];
    rest.split_once("</section>").map_or(rest, |(part, _)| part)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_installation_shows_the_steps_to_the_first_event_as_they_happen() {
    let mut landfall = Landfall::start_with(0, &[]).await;
    let console = Console::start(&landfall, &[("CONSOLE_NAME", "staging <1>")]).await;
    let html = page_with(&console, "/", &["No worker is running.", "Not running: worker."]).await;
    assert!(
        html.contains("staging &#60;1&#62;") && html.contains("landfall send response.completed"),
        "{html}"
    );
    assert!(!html.contains("id=\"cards\"") && !part(&html, "steps-first").contains("class=\"ok\""), "{html}");

    landfall.add_worker();
    let html = page_with(&console, "/", &["All well.", "class=\"ok\""]).await;
    assert_eq!(part(&html, "steps-first").matches("class=\"ok\"").count(), 1, "{html}");

    landfall.send("response.completed", RESPONSE).await;
    landfall.settled().await;
    let html = page_with(&console, "/", &["Last webhook", "nothing overdue", "id=\"cards\""]).await;
    assert_eq!(part(&html, "steps").matches("class=\"ok\"").count(), 4, "{html}");
}

async fn the_overview_shows_what_happened(database: Database) {
    let landfall = Landfall::start_on(database).await;
    let console = Console::start(&landfall, &[]).await;
    landfall.send("response.completed", RESPONSE).await;
    landfall.settled().await;
    landfall.fake.inject(Fault::always(FaultKind::Status(400), ""));
    landfall.send("response.completed", "resp_1").await;
    landfall.settled().await;
    let html = page_with(&console, "/", &["1 dead letter.", "1 response", "2 in the last hour"]).await;
    let chart = part(&html, "chart-events");
    assert!(chart.contains("<title>") && chart.contains("<desc>2 in all"), "{chart}");
    assert!(chart.contains("<rect class=\"c1\"") && chart.contains("<rect class=\"c3\""), "{chart}");
    let table = part(&html, "table-events");
    assert!(table.contains("<td class=\"num\">1</td>"), "the chart's numbers are a table, too: {table}");
    assert!(part(&html, "table-lags").contains(" s</td>") || part(&html, "table-lags").contains(" ms</td>"));
    let version = format!("ingest + workers, all {}", env!("CARGO_PKG_VERSION"));
    assert!(html.contains("1 + 1") && html.contains(&version), "{html}");
    assert!(part(&html, "queue").contains("/events?family=response"), "{html}");
    // Every page shows the worst finding.
    assert!(page(&console, "/events").await.contains("1 dead letter."));
    let html = page(&console, "/health").await;
    assert!(html.contains("alive: 1 ingest, 1 worker") && html.contains("schema "), "{html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_shows_what_happened_in_sqlite() {
    the_overview_shows_what_happened(Database::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_shows_what_happened_in_postgres() {
    the_overview_shows_what_happened(Database::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_the_pages_say_so_and_show_the_rest() {
    let mut landfall = Landfall::start().await;
    let console = Console::start(&landfall, &[]).await;
    landfall.send("response.completed", RESPONSE).await;
    landfall.settled().await;
    page_with(&console, "/", &["All well.", "1 in all"]).await;
    landfall.redis.kill();
    let html = page_with(&console, "/", &["Redis cannot be read.", "not known"]).await;
    assert!(!html.contains("All well.") && html.contains("Last webhook"), "{html}");
    assert!(part(&html, "chart-events").contains("<rect"), "the database is still read: {html}");
    let html = page(&console, "/health").await;
    assert!(
        html.contains("start Redis, or correct the host and port") && html.contains("can be read, schema"),
        "{html}"
    );
    let html = page(&console, "/events").await;
    assert!(html.contains("Redis cannot be read."), "{html}");
    landfall.redis.resume();
    page_with(&console, "/", &["All well."]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_the_pages_say_so_and_show_the_rest() {
    let mut server = PostgresServer::start();
    let landfall = Landfall::start_on(Database::At(server.database())).await;
    let console = Console::start(&landfall, &[]).await;
    landfall.send("response.completed", RESPONSE).await;
    landfall.settled().await;
    page_with(&console, "/", &["All well."]).await;
    server.stop();
    let html = page_with(&console, "/", &["The database cannot be read."]).await;
    assert!(!html.contains("All well.") && part(&html, "queue").contains("idle"), "{html}");
    let html = page(&console, "/health").await;
    assert!(html.contains("alive: 1 ingest, 1 worker") && html.contains("wrong"), "{html}");
    assert!(html.contains("DATABASE_URL</dt><dd>set</dd>"), "{html}");
    server.resume();
    page_with(&console, "/", &["All well."]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_without_redis_and_database_shows_both_pages() {
    let mut landfall = Landfall::start_with(0, &[]).await;
    landfall.redis.kill();
    let nowhere = "postgres://landfall:hunter2@127.0.0.1:1/landfall";
    let console = Console::start(&landfall, &[("DATABASE_URL", nowhere)]).await;
    page_with(&console, "/", &["Neither Redis nor the database can be read."]).await;
    let html = page(&console, "/health").await;
    assert!(html.contains("not known") && !html.contains("hunter2"), "{html}");
}
