//! A browser, as far as the console can tell: it keeps its session, and follows no redirect.

use reqwest::{RequestBuilder, Response, StatusCode, header, redirect};

use crate::console_client::Console;

pub(crate) const SAME_ORIGIN: (&str, &str) = ("Sec-Fetch-Site", "same-origin");

/// A browser that looks at one console.
pub(crate) struct Browser {
    http: reqwest::Client,
    base: String,
    /// `name=value`.
    pub(crate) cookie: Option<String>,
    /// Sent with every request.
    headers: Vec<(&'static str, String)>,
}

impl Browser {
    pub(crate) fn new(console: &Console) -> Self {
        let http = reqwest::Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        let base = console.url.strip_suffix("/api/v1").unwrap().to_owned();
        Self { http, base, cookie: None, headers: Vec::new() }
    }

    /// Sends a header with every request, as a proxy in front of the console does.
    pub(crate) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// After a login.
    pub(crate) async fn logged_in(mut self, password: &str) -> Self {
        let answer = self.log_in(password, "/").await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
        self.cookie = Some(cookie.split(';').next().unwrap().to_owned());
        self
    }

    pub(crate) async fn log_in(&self, password: &str, next: &str) -> Response {
        self.post("/login", &[("password", password), ("next", next)]).await
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.with_session(self.http.get(format!("{}{path}", self.base))).send().await.unwrap()
    }

    /// The text of a page.
    pub(crate) async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.unwrap()
    }

    /// Sends a form, as a page of the console does.
    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Response {
        self.post_with(path, form, &[SAME_ORIGIN]).await
    }

    pub(crate) async fn post_with(
        &self,
        path: &str,
        form: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Response {
        let encoded: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let mut request = self.http.post(format!("{}{path}", self.base)).body(encoded.join("&"));
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.with_session(request).send().await.unwrap()
    }

    fn with_session(&self, mut request: RequestBuilder) -> RequestBuilder {
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        match &self.cookie {
            Some(cookie) => request.header(header::COOKIE, cookie),
            None => request,
        }
    }
}

/// Where a redirect leads.
pub(crate) fn location(answer: &Response) -> &str {
    answer.headers()[header::LOCATION].to_str().unwrap()
}

/// The value of a hidden field.
pub(crate) fn hidden_field(page: &str, name: &str) -> String {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
