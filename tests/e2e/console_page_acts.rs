//! Acts on pages: dead letters are redriven and discarded after a preview, events replayed, objects fetched again.

use fake_openai::{Fault, FaultKind};
use reqwest::StatusCode;
use serde_json::Value;

use crate::console_client::Console;
use crate::harness::Landfall;
use crate::page_client::{Browser, hidden_field, location};

const RESPONSE: &str = "resp_demo_research";
const OPERATOR: &str = "correct horse battery";

/// As many dead letters as there are ids, and a browser of an operator.
async fn with_dead_letters(ids: &[&str]) -> (Landfall, Console, Browser) {
    let landfall = Landfall::start().await;
    landfall.fake.inject(Fault::always(FaultKind::Status(400), ""));
    for id in ids {
        landfall.send("response.completed", id).await;
    }
    landfall.settled().await;
    let console = Console::start(&landfall, &[("CONSOLE_PASSWORD", OPERATOR)]).await;
    let browser = Browser::new(&console).logged_in(OPERATOR).await;
    (landfall, console, browser)
}

fn dead(landfall: &Landfall) -> Value {
    landfall.status()["total"]["dead"].clone()
}

/// The address of the page of the first letter in a list.
fn first_letter(page: &str) -> String {
    let (_, rest) = page.split_once("href=\"/dead/response/").unwrap();
    format!("/dead/response/{}", rest.split_once('"').unwrap().0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_redrives_what_its_preview_showed() {
    let (landfall, _console, browser) = with_dead_letters(&["resp_<b>1</b>", RESPONSE]).await;
    let list = browser.page("/dead").await;
    assert!(list.contains("resp_&#60;b&#62;1&#60;/b&#62;") && !list.contains("<b>1</b>"), "{list}");
    assert!(list.contains(">rejected</a></td><td class=\"num\">2</td>"), "{list}");
    let (none, some) =
        (browser.page("/dead?family=batch").await, browser.page("/dead?reason=rejected").await);
    assert!(none.contains("None match these filters") && some.contains(RESPONSE), "{none}");
    assert_eq!(browser.get("/dead?reason=sleepy").await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(browser.get("/dead/bury").await.status(), StatusCode::NOT_FOUND);

    let preview = browser.page("/dead/redrive?reason=rejected").await;
    assert!(preview.contains("Redrive 2 dead letters") && preview.contains(RESPONSE), "{preview}");
    let bound = hidden_field(&preview, "preview");
    // It dies after the preview.
    landfall.send("response.completed", "resp_later").await;
    landfall.settled().await;
    landfall.fake.clear_faults();
    let acted = browser.post("/dead/redrive", &[("preview", &bound)]).await;
    assert_eq!(
        (acted.status(), location(&acted)),
        (StatusCode::SEE_OTHER, "/dead?done=redriven&count=2&gone=0")
    );
    let list = browser.page(location(&acted)).await;
    assert!(list.contains("Redriven: 2 dead letters.") && list.contains("resp_later"), "{list}");
    landfall.settled().await;
    assert_eq!((dead(&landfall), &landfall.show(RESPONSE)["fetch_state"]), (1.into(), &"fetched".into()));
    let again = browser.post("/dead/redrive", &[("preview", &bound)]).await;
    assert_eq!(location(&again), "/dead?done=redriven&count=0&gone=0");
    assert!(browser.page("/dead/redrive?reason=crashed").await.contains("Nothing is left to redrive"));
    assert_eq!(browser.post("/dead/redrive", &[("preview", "x")]).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_letter_is_looked_at_and_discarded() {
    let (landfall, _console, browser) = with_dead_letters(&["resp_1", "resp_2"]).await;
    let letter = first_letter(&browser.page("/dead").await);
    let page = browser.page(&letter).await;
    for text in ["rejected", "/find?q=resp_", "&#34;type&#34;: &#34;response.completed&#34;", "Last error"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let acted = browser.post(&format!("{letter}/discard"), &[]).await;
    assert_eq!(location(&acted), "/dead?done=discarded&count=1&gone=0");
    assert_eq!((dead(&landfall), browser.get(&letter).await.status()), (1.into(), StatusCode::NOT_FOUND));
    assert_eq!(browser.post(&format!("{letter}/discard"), &[]).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(browser.get("/dead/response/x").await.status(), StatusCode::NOT_FOUND);
    landfall.fake.clear_faults();
    let other = first_letter(&browser.page("/dead").await);
    assert_eq!(
        location(&browser.post(&format!("{other}/redrive"), &[]).await),
        "/dead?done=redriven&count=1&gone=0"
    );
    assert!(browser.page("/dead").await.contains("No dead letters"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_replayed_and_an_object_fetched_from_its_page() {
    let mut landfall = Landfall::start().await;
    let sent = landfall.send("safety.warning_issued", "case_1").await;
    landfall.settled().await;
    drop(landfall.workers.pop());
    let console =
        Console::start(&landfall, &[("CONSOLE_PASSWORD", OPERATOR), ("CONSOLE_VIEWER_PASSWORD", "look")])
            .await;
    let browser = Browser::new(&console).logged_in(OPERATOR).await;
    let page = browser.page(&format!("/events/{sent}")).await;
    assert!(page.contains(&format!("action=\"/events/{sent}/replay\"")), "{page}");
    let viewer = Browser::new(&console).logged_in("look").await;
    let page = viewer.page(&format!("/events/{sent}")).await;
    assert!(!page.contains("/replay\""), "viewers see no button: {page}");
    let acted = browser.post(&format!("/events/{sent}/replay"), &[]).await;
    assert_eq!(location(&acted), format!("/events/{sent}?done=replayed&count=1&gone=0"));
    assert!(browser.page(location(&acted)).await.contains("Enqueued again."));
    assert_eq!(landfall.backlog(), 1);
    assert_eq!(browser.post("/events/wh_none/replay", &[]).await.status(), StatusCode::NOT_FOUND);

    let fetch = async |id, back| browser.post("/fetch", &[("id", id), ("back", back)]).await;
    let acted = fetch(RESPONSE, "/responses?model=o4").await;
    assert_eq!(location(&acted), "/responses?model=o4&done=fetching&count=1&gone=0");
    let acted = fetch(RESPONSE, "//evil.example").await;
    assert_eq!(location(&acted), format!("/find?q={RESPONSE}&done=fetching&count=1&gone=0"));
    assert_eq!(landfall.backlog(), 3);
    assert_eq!(fetch("wh_1", "/").await.status(), StatusCode::BAD_REQUEST);
    landfall.add_worker();
    landfall.settled().await;
    let address = format!("/responses/{RESPONSE}?done=fetching&count=1&gone=0");
    let page = browser.page(&address).await;
    assert!(page.contains("A worker fetches the object from OpenAI now."), "{page}");
    assert_eq!(
        (hidden_field(&page, "id").as_str(), hidden_field(&page, "back")),
        (RESPONSE, address.replace('&', "&#38;"))
    );
}
