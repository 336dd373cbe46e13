//! A real Chromium without a window, driven over the WebDriver protocol (https://www.w3.org/TR/webdriver2/). The crate
//! fantoccini would bring a library under a licence that deny.toml does not allow, and has no calls for logs and for the
//! DevTools, which half of the tests need.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::wait;

const DRIVER: &str = "chromedriver";
/// A call that takes longer has failed. Machines that run tests are busy.
const CALL_MAX: Duration = Duration::from_secs(60);
const TAB: &str = "\u{E004}";

/// One browser with one window. Ends when dropped.
pub(crate) struct Browser {
    driver: Child,
    /// Of the session.
    url: String,
    http: reqwest::Client,
    axe: String,
    profile: TempDir,
}

impl Browser {
    /// `None`, with a loud message, where Chromium or axe is not installed; in CI that is a failure.
    pub(crate) async fn start() -> Option<Self> {
        // reqwest needs a TLS provider even for plain HTTP.
        rustls::crypto::ring::default_provider().install_default().ok();
        let axe = programs_folder().join("../axe/node_modules/axe-core/axe.min.js");
        let axe = std::fs::read_to_string(axe);
        let driver = Command::new(DRIVER)
            .arg("--port=0")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let (axe, mut driver) = match (axe, driver) {
            (Ok(axe), Ok(driver)) => (axe, driver),
            (axe, driver) => {
                driver.ok().iter_mut().for_each(end);
                let missing = if axe.is_err() { "axe-core" } else { DRIVER };
                skip(missing);
                return None;
            }
        };
        let port = port(&mut driver);
        let http = reqwest::Client::builder().no_proxy().timeout(CALL_MAX).build().unwrap();
        let profile = tempfile::tempdir().unwrap();
        let server = format!("http://127.0.0.1:{port}");
        let mut browser = Self { driver, url: server, http, axe, profile };
        let profile = format!("--user-data-dir={}", browser.profile.path().display());
        let arguments = [
            "--headless=new",
            // Chromium refuses its sandbox as root. It loads only pages of this test.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-proxy-server",
            "--no-first-run",
            "--disable-background-networking",
            "--window-size=1440,1000",
            &profile,
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "goog:chromeOptions": {"args": arguments},
        }}});
        let session = browser.post("/session", wanted).await;
        browser.url = format!("{}/session/{}", browser.url, session["sessionId"].as_str().unwrap());
        Some(browser)
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.http.post(format!("{}{path}", self.url)).json(&body).send().await.unwrap();
        let is_done = answer.status().is_success();
        let mut answer: Value = answer.json().await.unwrap();
        assert!(is_done, "{path} {body}: {answer}");
        answer["value"].take()
    }

    async fn devtools(&self, command: &str, parameters: Value) {
        self.post("/goog/cdp/execute", json!({"cmd": command, "params": parameters})).await;
    }

    pub(crate) async fn open(&self, url: &str) {
        self.post("/url", json!({"url": url})).await;
    }

    pub(crate) async fn back(&self) {
        self.post("/back", json!({})).await;
    }

    /// The result of a function body in the page. Works with the page's own scripts off, too.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({"script": script, "args": []})).await
    }

    /// Waits until the script returns true.
    pub(crate) async fn wait_until(&self, script: &str) {
        let holds = async || (self.run(script).await == true).then_some(());
        wait::until(script, holds).await;
    }

    /// Clicks on the first element of a CSS selector.
    pub(crate) async fn click(&self, selector: &str) {
        let found = self.post("/element", json!({"using": "css selector", "value": selector})).await;
        let id = found.as_object().unwrap().values().next().unwrap().as_str().unwrap();
        self.post(&format!("/element/{id}/click"), json!({})).await;
    }

    /// Presses the tabulator key.
    pub(crate) async fn press_tab(&self, times: u64) {
        let press = [json!({"type": "keyDown", "value": TAB}), json!({"type": "keyUp", "value": TAB})];
        let presses: Vec<Value> = (0..times).flat_map(|_| press.clone()).collect();
        self.post("/actions", json!({"actions": [{"type": "key", "id": "keys", "actions": presses}]})).await;
    }

    /// Hides the window, as another tab in front of it does.
    pub(crate) async fn hide(&self) {
        self.post("/window/minimize", json!({})).await;
    }

    pub(crate) async fn unhide(&self) {
        self.post("/window/rect", json!({"width": 1440, "height": 1000})).await;
    }

    /// Sets the width of the page, and whether its user prefers dark colours.
    pub(crate) async fn show_as(&self, width: u32, is_dark: bool) {
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Runs the scripts of pages, or not.
    pub(crate) async fn set_scripts(&self, are_on: bool) {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({"value": !are_on})).await;
    }

    /// The messages of the console since the last call. Violations of the Content-Security-Policy are among them.
    pub(crate) async fn console_messages(&self) -> Vec<String> {
        let entries = self.post("/se/log", json!({"type": "browser"})).await;
        entries.as_array().unwrap().iter().map(|entry| entry["message"].to_string()).collect()
    }

    /// The addresses of all requests since the last call, except those of the browser's own pages, such as its page for a new
    /// tab, which it may load late.
    pub(crate) async fn requests(&self) -> Vec<String> {
        let entries = self.post("/se/log", json!({"type": "performance"})).await;
        let requested = |entry: &Value| {
            let entry: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &entry["message"];
            let document = message["params"]["documentURL"].as_str().unwrap_or_default();
            let is_of_page =
                message["method"] == "Network.requestWillBeSent" && !document.starts_with("chrome://");
            is_of_page.then(|| message["params"]["request"]["url"].as_str().map(str::to_owned))?
        };
        entries.as_array().unwrap().iter().filter_map(requested).collect()
    }

    /// What axe finds on the page that is open, from serious on.
    pub(crate) async fn inaccessible(&self) -> Vec<String> {
        self.post("/execute/sync", json!({"script": self.axe, "args": []})).await;
        let script = "const done = arguments[0]; axe.run().then((found) => done(found.violations \
                      .filter((it) => ['serious', 'critical'].includes(it.impact)) \
                      .map((it) => `${it.id}: ${it.nodes[0].html}: ${it.nodes[0].failureSummary}`)))";
        let found = self.post("/execute/async", json!({"script": script, "args": []})).await;
        let found = found.as_array().unwrap_or_else(|| panic!("axe ended with {found}"));
        found.iter().map(ToString::to_string).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        end(&mut self.driver);
    }
}

/// Ends the driver and the browser, which is in its process group and would outlive it.
fn end(driver: &mut Child) {
    let group = format!("-{}", driver.id());
    Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status().ok();
    driver.wait().ok();
}

/// The port that the driver has chosen.
fn port(driver: &mut Child) -> u16 {
    let lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut started = lines.filter_map(|line| {
        let (_, port) = line.split_once("started successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    started.next().expect("chromedriver exited before it listened")
}

fn programs_folder() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(|deps| deps.parent()).unwrap().to_owned()
}

#[expect(clippy::print_stderr, reason = "a skipped test is loud")]
fn skip(missing: &str) {
    assert!(std::env::var_os("CI").is_none(), "{missing} is not installed, which CI needs: see scripts/test");
    eprintln!("\n*** SKIPPED: {missing} is not installed; scripts/test installs it ***\n");
}
