//! The console's pages in a real Chromium: nothing is blocked or loaded from elsewhere, and everybody can use them, also
//! with the keyboard only and without scripts.

use std::time::Instant;

use fake_openai::{Fault, FaultKind};
use test_support::receiver::{Receiver, Reply};
use test_support::wait;

use crate::chromium::Browser;
use crate::console_client::Console;
use crate::harness::{Database, Landfall};
use crate::notifications::{start, target, targets_file};

/// Every page of the console. `{webhook}` and `{notification}` are ids.
const PAGES: [&str; 17] = [
    "/",
    "/health",
    "/responses",
    "/responses/resp_demo_research",
    "/batches",
    "/batches/batch_demo_completed",
    "/jobs",
    "/jobs/ftjob_demo_succeeded",
    "/evals",
    "/evals/evalrun_demo_succeeded",
    "/events",
    "/events?state=dead&family=response",
    "/events/{webhook}",
    "/dead",
    "/targets",
    "/notifications",
    "/notifications/{notification}",
];
/// A page has fewer elements that take the focus.
const FOCUSABLE_MAX: u64 = 300;

const FOCUSABLE: &str = "[...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex=\"0\"]')] \
     .filter((it) => it.checkVisibility() && !it.disabled)";

/// An installation with something on every page.
struct Filled {
    landfall: Landfall,
    console: Console,
    /// Of a stored event.
    webhook_id: String,
    _receiver: Receiver,
    _folder: tempfile::TempDir,
}

impl Filled {
    async fn start() -> Self {
        let receiver = Receiver::start(|_| Reply::ok()).await;
        let (folder, path) = targets_file(&[target("app", &receiver, "")]);
        let landfall = start(Database::Sqlite, 1, &path, &[]).await;
        let webhook_id = landfall.send("response.completed", "resp_demo_research").await;
        for (event_type, id) in [
            ("batch.completed", "batch_demo_completed"),
            ("fine_tuning.job.succeeded", "ftjob_demo_succeeded"),
            ("eval.run.succeeded", "evalrun_demo_succeeded"),
        ] {
            landfall.send(event_type, id).await;
        }
        landfall.settled().await;
        landfall.fake.inject(Fault::always(FaultKind::Status(400), "resp_refused"));
        landfall.send("response.completed", "resp_refused").await;
        landfall.settled().await;
        receiver.wait_for(5).await;
        let console = Console::start(&landfall, &[("CONSOLE_NAME", "test")]).await;
        let filled = Self { landfall, console, webhook_id, _receiver: receiver, _folder: folder };
        // It is read in the background, and stands above every page from then on.
        let has_finding = async || {
            let page = filled.console.http.get(filled.address("/events")).send().await.ok()?;
            page.text().await.ok()?.contains("1 dead letter").then_some(())
        };
        wait::until("the worst finding", has_finding).await;
        filled
    }

    fn origin(&self) -> &str {
        self.console.url.strip_suffix("/api/v1").unwrap()
    }

    fn address(&self, page: &str) -> String {
        format!("{}{page}", self.origin())
    }

    /// All pages, with their ids.
    async fn pages(&self) -> Vec<String> {
        let notifications = self.console.all("/notifications").await;
        let notification = notifications[0]["id"].as_str().unwrap();
        let pages = PAGES
            .iter()
            .map(|page| page.replace("{webhook}", &self.webhook_id).replace("{notification}", notification));
        pages.map(|page| self.address(&page)).collect()
    }
}

/// What is wrong with a page, one line each.
async fn faults(browser: &Browser, origin: &str, page: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (width, is_dark) in [(1440, false), (390, true)] {
        browser.show_as(width, is_dark).await;
        browser.open(page).await;
        faults.extend(browser.console_messages().await);
        let foreign = |url: &String| !url.starts_with(&format!("{origin}/"));
        faults.extend(
            browser.requests().await.into_iter().filter(foreign).map(|url| format!("requested {url}")),
        );
        let wide = "return document.documentElement.scrollWidth > innerWidth";
        if browser.run(wide).await == true {
            faults.push(format!("is wider than {width}"));
        }
        faults.extend(browser.inaccessible().await);
    }
    faults.extend(keyboard(browser, page).await);
    faults.extend(without_scripts(browser, page).await);
    faults
}

/// Elements that the tabulator key does not reach, or that do not show the focus.
async fn keyboard(browser: &Browser, page: &str) -> Vec<String> {
    browser.open(page).await;
    let all = browser.run(&format!("return {FOCUSABLE}.length")).await.as_u64().unwrap();
    assert!((3..FOCUSABLE_MAX).contains(&all), "{page} has {all} elements that take the focus");
    let record = "window.reached = new Map(); document.addEventListener('focusin', (event) => { \
                  const style = getComputedStyle(event.target); \
                  reached.set(event.target, style.outlineStyle !== 'none'); })";
    browser.run(record).await;
    browser.press_tab(all + 1).await;
    let left_out = format!(
        "return {FOCUSABLE}.flatMap((it) => !reached.has(it) ? ['is not reached by keyboard: ' + it.outerHTML] \
         : reached.get(it) ? [] : ['does not show the focus: ' + it.outerHTML])"
    );
    let left_out = browser.run(&left_out).await;
    left_out.as_array().unwrap().iter().map(ToString::to_string).collect()
}

/// Compares a page with and without scripts.
async fn without_scripts(browser: &Browser, page: &str) -> Vec<String> {
    // Without the times, which pass between the two.
    let content = "const main = document.querySelector('main').cloneNode(true); \
                   main.querySelectorAll('time').forEach((it) => it.remove()); return main.textContent";
    let mut differs = Vec::new();
    // What goes on meanwhile may change a page between the two, but not each time.
    for _ in 0..3 {
        browser.open(page).await;
        let with = browser.run(content).await;
        browser.set_scripts(false).await;
        browser.open(page).await;
        let without = browser.run(content).await;
        browser.set_scripts(true).await;
        if with == without {
            return Vec::new();
        }
        differs = vec![format!("differs without scripts: {with} {without}")];
    }
    differs
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_works_for_everybody_and_loads_nothing_from_elsewhere() {
    let Some(browser) = Browser::start().await else { return };
    let filled = Filled::start().await;
    let mut wrong = Vec::new();
    // What the browser itself requests at its start.
    browser.requests().await;
    for page in filled.pages().await {
        let started = Instant::now();
        let found = faults(&browser, filled.origin(), &page).await;
        wrong.extend(found.into_iter().map(|fault| format!("{page} {fault}")));
        // Measured, not asserted: the machine may be busy.
        eprintln!("{page}: {:.1} s", started.elapsed().as_secs_f64());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The other tests would not notice a browser that keeps its complaints to itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_breaks_the_rules_is_found_out() {
    let Some(browser) = Browser::start().await else { return };
    let filled = Filled::start().await;
    browser.open(&filled.address("/events")).await;
    assert_eq!(browser.console_messages().await, Vec::<String>::new());
    for html in ["<p style='color: red'>red", "<img src='http://127.0.0.1:1/x.png' alt=x>"] {
        browser.run(&format!("document.body.insertAdjacentHTML('beforeend', \"{html}\")")).await;
        let messages =
            async || Some(browser.console_messages().await).filter(|messages| !messages.is_empty());
        let messages = wait::until("a message of the browser", messages).await;
        assert!(messages[0].contains("Content Security Policy"), "{messages:?}");
    }
    browser.run("document.querySelector('.find input').removeAttribute('aria-label')").await;
    browser.run("document.querySelector('.find input').removeAttribute('placeholder')").await;
    assert_eq!(browser.inaccessible().await.len(), 1);
    browser.open("data:text/html,<h1>elsewhere</h1>").await;
    assert!(browser.requests().await.iter().any(|url| url.starts_with("data:")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_back_button_restores_the_filters() {
    let Some(browser) = Browser::start().await else { return };
    let filled = Filled::start().await;
    let current =
        "return [...document.querySelectorAll('.chips [aria-current]')].map((it) => it.textContent)";
    browser.open(&filled.address("/events")).await;
    for (label, value) in [("States", "stored"), ("Families", "batch")] {
        browser.click(&format!("nav[aria-label={label}] a[href*='={value}']")).await;
    }
    assert_eq!(browser.run(current).await, serde_json::json!(["stored", "batch"]));
    let rows = "return document.querySelectorAll('tbody tr').length";
    assert_eq!(browser.run(rows).await, 1);
    browser.click("tbody a").await;
    browser.wait_until("return location.pathname.startsWith('/events/')").await;
    browser.back().await;
    assert_eq!(browser.run(current).await, serde_json::json!(["stored", "batch"]));
    assert_eq!(browser.run(rows).await, 1);
    browser.back().await;
    assert_eq!(browser.run(current).await, serde_json::json!(["stored", "All"]));
    assert_eq!(browser.run(rows).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_follows_what_happens_but_not_in_a_hidden_tab() {
    let Some(browser) = Browser::start().await else { return };
    let filled = Filled::start().await;
    browser.open(&filled.address("/events")).await;
    browser.run("window.isTheSamePage = true").await;
    browser.wait_until("return document.getElementById('live').textContent === 'live'").await;
    let rows = async |count: u32| {
        let script = format!("return document.querySelectorAll('#events tbody tr').length === {count}");
        browser.wait_until(&script).await;
    };
    rows(5).await;
    filled.landfall.send("safety.warning_issued", "case_1").await;
    rows(6).await;

    browser.hide().await;
    browser.wait_until("return document.hidden").await;
    browser.wait_until("return document.getElementById('live').textContent === 'paused'").await;
    browser.requests().await;
    filled.landfall.send("safety.warning_issued", "case_2").await;
    filled.landfall.settled().await;
    rows(6).await;
    assert_eq!(browser.requests().await, Vec::<String>::new(), "a hidden tab leaves the console alone");
    browser.unhide().await;
    rows(7).await;
    browser.wait_until("return document.getElementById('live').textContent === 'live'").await;
    assert_eq!(browser.run("return isTheSamePage").await, true, "nothing was loaded again");
}
