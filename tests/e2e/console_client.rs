//! A running console, and its calls.

use reqwest::StatusCode;
use serde_json::Value;
use test_support::programs::Program;

use crate::harness::Landfall;

/// A running console.
pub(crate) struct Console {
    pub(crate) program: Program,
    /// Up to `/api/v1`.
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
}

impl Console {
    pub(crate) async fn start(landfall: &Landfall, settings: &[(&str, &str)]) -> Self {
        let [redis, database, files] = landfall.stores();
        let mut all = vec![
            ("REDIS_URL", redis.as_str()),
            ("DATABASE_URL", database.as_str()),
            ("FILES_URL", files.as_str()),
            ("CONSOLE_ADDR", "127.0.0.1:0"),
            ("ADMIN_ADDR", "127.0.0.1:0"),
        ];
        all.extend(settings);
        let mut program = Program::start("console", &all);
        let line: Value = serde_json::from_str(&program.wait_for_log("console.addr")).unwrap();
        let port = line["console.addr"].as_str().unwrap().rsplit_once(':').unwrap().1.to_owned();
        let http = reqwest::Client::builder().build().unwrap();
        Self { program, url: format!("http://127.0.0.1:{port}/api/v1"), http }
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.http.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    pub(crate) async fn json(&self, path: &str) -> (StatusCode, Value) {
        let answer = self.get(path).await;
        let status = answer.status();
        (status, answer.json().await.unwrap())
    }

    /// A wait in the background.
    pub(crate) fn waiting(&self, path: &str) -> tokio::task::JoinHandle<(StatusCode, Value)> {
        let request = self.http.get(format!("{}{path}", self.url));
        tokio::spawn(async move {
            let answer = request.send().await.unwrap();
            (answer.status(), answer.json().await.unwrap())
        })
    }

    /// All rows of a list, page by page.
    pub(crate) async fn all(&self, list: &str) -> Vec<Value> {
        let (mut rows, mut after) = (Vec::new(), String::new());
        loop {
            let (status, page) = self.json(&format!("{list}?limit=2{after}")).await;
            assert_eq!(status, StatusCode::OK, "{page}");
            rows.extend(page["data"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return rows,
            }
        }
    }

    /// A call with a token and a body.
    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value) -> (StatusCode, Value) {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(token).json(body);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        (status, answer.json().await.unwrap())
    }
}

/// A new token, viewer's or operator's.
pub(crate) fn token(landfall: &Landfall, arguments: &[&str]) -> String {
    let made = landfall.landfall(&[&["token", "new"], arguments].concat());
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}
