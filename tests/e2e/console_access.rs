//! Who may use the console: every page and act for every role, sessions, other web sites, and the limit of logins.

use std::path::Path;

use reqwest::{StatusCode, header};

use crate::console_client::{Console, token};
use crate::harness::Landfall;
use crate::page_client::{Browser, SAME_ORIGIN, location};

const OPERATOR: &str = "correct horse battery";
const VIEWER: &str = "only for looking";

async fn with_passwords(landfall: &Landfall, settings: &[(&str, &str)]) -> Console {
    let mut all = vec![
        ("CONSOLE_ADDR", "0.0.0.0:0"),
        ("CONSOLE_PASSWORD", OPERATOR),
        ("CONSOLE_VIEWER_PASSWORD", VIEWER),
    ];
    all.extend(settings);
    Console::start(landfall, &all).await
}

/// The routes of all pages with this method, from the source, so that none is left out.
fn routes(method: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/console/src/pages");
    let sources = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let sources: String =
        sources.filter(|file| file.is_file()).map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let attribute = format!("\n#[{method}(\"");
    let attributes = sources.split(&attribute).skip(1);
    let paths = attributes.map(|rest| rest.split('"').next().unwrap());
    let filled = paths
        .map(|path| path.replace("{family}", "response").replace("{act}", "redrive").replace("{id}", "1-1"));
    filled.filter(|path| !path.starts_with("/log") && !path.starts_with("/assets")).collect()
}

/// Whether the answer leads to the login.
fn is_login(answer: &reqwest::Response) -> bool {
    answer.status() == StatusCode::SEE_OTHER && location(answer).starts_with("/login?next=")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_gets_its_pages_and_acts_and_no_others() {
    let landfall = Landfall::start().await;
    landfall.send("safety.warning_issued", "case_1").await;
    landfall.settled().await;
    let console = with_passwords(&landfall, &[]).await;
    let read_only = with_passwords(&landfall, &[("CONSOLE_READ_ONLY", "true")]).await;
    let stranger = Browser::new(&console);
    let viewer = Browser::new(&console).logged_in(VIEWER).await;
    let operator = Browser::new(&console).logged_in(OPERATOR).await;
    let limited = Browser::new(&read_only).logged_in(OPERATOR).await;
    let (pages, acts) = (routes("get"), routes("post"));
    assert!(pages.len() >= 5 && acts.len() >= 4, "{pages:?} {acts:?}");
    for path in &pages {
        assert!(is_login(&stranger.get(path).await), "{path}");
        for browser in [&viewer, &operator, &limited] {
            let answer = browser.get(path).await;
            let may = path != "/dead/redrive" || std::ptr::eq(browser, &operator);
            let status = answer.status();
            assert_eq!(status != StatusCode::FORBIDDEN, may, "{path}");
            assert!(status != StatusCode::UNAUTHORIZED && !is_login(&answer), "{path}: {status}");
            assert!(answer.headers().contains_key("content-security-policy"), "{path}");
            assert_eq!(answer.headers()["cache-control"], "no-store", "{path}");
        }
    }
    for path in &acts {
        let status = async |browser: &Browser| browser.post(path, &[("preview", "x")]).await.status();
        assert_eq!(status(&stranger).await, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(status(&viewer).await, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(status(&limited).await, StatusCode::FORBIDDEN, "{path}");
        let acted = status(&operator).await;
        assert!(!["401", "403"].contains(&acted.as_str()), "{path}: {acted}");
    }
    assert_eq!(stranger.get("/no-such-page").await.status(), StatusCode::SEE_OTHER);
    assert_eq!(viewer.get("/no-such-page").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_password_pages_are_shown_on_loopback_alone() {
    let landfall = Landfall::start().await;
    landfall.send("safety.warning_issued", "case_1").await;
    landfall.settled().await;
    let everywhere = Console::start(&landfall, &[("CONSOLE_ADDR", "0.0.0.0:0")]).await;
    let browser = Browser::new(&everywhere);
    for path in ["/events", "/login"] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
        let text = answer.text().await.unwrap();
        assert!(text.contains("CONSOLE_PASSWORD") && text.contains("CONSOLE_VIEWER_PASSWORD"), "{text}");
    }
    let with_token = everywhere.http.get(format!("{}/events", everywhere.url));
    let with_token = with_token.bearer_auth(token(&landfall, &["app"])).send().await.unwrap();
    assert_eq!(with_token.status(), StatusCode::OK, "programs need no password");

    let here = Console::start(&landfall, &[]).await;
    let browser = Browser::new(&here);
    assert!(browser.page("/events").await.contains("case_1"));
    let refused = browser.post("/dead/redrive", &[("preview", "x")]).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "acts need a proof there, too");
    let closed = Console::start(&landfall, &[("CONSOLE_PASSWORD", OPERATOR)]).await;
    assert!(
        is_login(&Browser::new(&closed).get("/events").await),
        "with a password, there is no reading without"
    );
    assert_eq!(closed.get("/events").await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_leads_back_and_its_session_reads_the_api() {
    let landfall = Landfall::start().await;
    landfall.send("safety.warning_issued", "case_1").await;
    landfall.settled().await;
    let mut console = with_passwords(&landfall, &[]).await;
    let browser = Browser::new(&console);
    let asked = browser.get("/events?state=dead&family=batch").await;
    assert_eq!(location(&asked), "/login?next=%2Fevents%3Fstate%3Ddead%26family%3Dbatch");
    let form = browser.page(location(&asked)).await;
    assert!(form.contains("value=\"/events?state=dead&#38;family=batch\""), "{form}");
    assert_eq!(location(&browser.log_in(OPERATOR, "/events?state=dead").await), "/events?state=dead");
    for elsewhere in ["//evil.example", "https://evil.example", "/\\evil.example", ""] {
        assert_eq!(location(&browser.log_in(OPERATOR, elsewhere).await), "/", "{elsewhere}");
    }
    let wrong = browser.log_in("correct horse", "/").await;
    assert_eq!(wrong.status(), StatusCode::FORBIDDEN);
    assert!(!wrong.headers().contains_key(header::SET_COOKIE));

    let answer = browser.log_in(OPERATOR, "/").await;
    let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"), "{cookie}");
    let browser = browser.logged_in(OPERATOR).await;
    assert_eq!(browser.get("/api/v1/events").await.status(), StatusCode::OK);
    let page = browser.page("/events").await;
    assert!(page.contains("operator</span>") && page.contains("Log out"), "{page}");
    let out = browser.post("/logout", &[]).await;
    assert_eq!((out.status(), location(&out)), (StatusCode::SEE_OTHER, "/login"));
    let forgotten = out.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(forgotten.starts_with("landfall_session=; ") && forgotten.contains("Max-Age=0"), "{forgotten}");

    console.program.stop();
    let log = console.program.log().join("\n");
    assert!(log.contains("a wrong password was tried") && log.contains("someone logged in"), "{log}");
    assert!(!log.contains("correct horse") && !log.contains(VIEWER), "a password is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_cannot_be_forged_and_ends_with_its_password() {
    let landfall = Landfall::start().await;
    landfall.send("safety.warning_issued", "case_1").await;
    landfall.settled().await;
    let console = with_passwords(&landfall, &[]).await;
    let mut browser = Browser::new(&console).logged_in(VIEWER).await;
    let cookie = browser.cookie.clone().unwrap();
    let start = cookie.find('=').unwrap() + 1;
    for at in start..cookie.len() {
        let mut changed = cookie.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        browser.cookie = Some(String::from_utf8(changed).unwrap());
        assert!(is_login(&browser.get("/events").await), "{at} {:?}", browser.cookie);
    }
    let value = &cookie[start..];
    let promoted = value.replace("viewer", "operator");
    let (_, unsigned) = value.split_once('.').unwrap();
    for forged in [
        "",
        ".",
        "..",
        &promoted,
        unsigned,
        &value[..value.len() - 1],
        &format!("{value}A"),
        &value.repeat(2),
    ] {
        browser.cookie = Some(format!("landfall_session={forged}"));
        assert!(is_login(&browser.get("/events").await), "{forged}");
    }
    browser.cookie = Some(format!("a=b; {cookie}; c"));
    browser.page("/events").await;

    let new_password = with_passwords(&landfall, &[("CONSOLE_VIEWER_PASSWORD", "another one")]).await;
    let restarted = with_passwords(&landfall, &[]).await;
    let other_database = Landfall::start().await;
    other_database.send("safety.warning_issued", "case_1").await;
    other_database.settled().await;
    let elsewhere = with_passwords(&other_database, &[]).await;
    for (console, is_valid) in [(&new_password, false), (&restarted, true), (&elsewhere, false)] {
        let mut browser = Browser::new(console);
        browser.cookie = Some(cookie.clone());
        assert_eq!(!is_login(&browser.get("/events").await), is_valid);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_web_sites_cannot_act() {
    let landfall = Landfall::start().await;
    landfall.send("safety.warning_issued", "case_1").await;
    landfall.settled().await;
    let console = with_passwords(&landfall, &[]).await;
    let operator = Browser::new(&console).logged_in(OPERATOR).await;
    let ours = console.url.strip_suffix("/api/v1").unwrap().to_owned();
    let (bad, ok) = (StatusCode::FORBIDDEN, StatusCode::BAD_REQUEST);
    for (headers, expected) in [
        (vec![SAME_ORIGIN], ok),
        (vec![("Origin", ours.as_str())], ok),
        (vec![("Sec-Fetch-Site", "cross-site")], bad),
        (vec![("Sec-Fetch-Site", "same-site"), ("Origin", ours.as_str())], bad),
        (vec![("Sec-Fetch-Site", "none")], bad),
        (vec![("Origin", "http://evil.example")], bad),
        (vec![("Origin", "http://127.0.0.1:1")], bad),
        (vec![("Origin", "null")], bad),
        (vec![], StatusCode::UNAUTHORIZED),
    ] {
        for path in ["/dead/redrive", "/api/v1/dead-letters/redrive"] {
            let answer = operator.post_with(path, &[("preview", "x")], &headers).await;
            assert_eq!(answer.status(), expected, "{path} {headers:?}");
            assert!(!answer.headers().contains_key("access-control-allow-origin"));
        }
        let login = operator.post_with("/login", &[("password", OPERATOR)], &headers).await;
        assert_eq!(login.status() == StatusCode::SEE_OTHER, expected == ok, "{headers:?}");
    }
    let rebound =
        operator.post_with("/dead/redrive", &[("preview", "x")], &[SAME_ORIGIN, ("Host", "evil.example")]);
    assert_eq!(rebound.await.status(), StatusCode::FORBIDDEN, "a name that is not allowed");
    let token = token(&landfall, &["ops", "--operator"]);
    let (status, _) = console.post("/dead-letters/redrive", &token, &serde_json::json!({})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "no other site knows a token");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_passwords_a_minute_can_be_tried_from_an_address() {
    let landfall = Landfall::start().await;
    landfall.send("safety.warning_issued", "case_1").await;
    landfall.settled().await;
    let console = with_passwords(&landfall, &[("CONSOLE_TRUSTED_PROXY", "127.0.0.1")]).await;
    let from = |client: &str| Browser::new(&console).with_header("X-Forwarded-For", client);
    let guesser = from("203.0.113.9");
    for _ in 0..5 {
        assert_eq!(guesser.log_in("guess", "/").await.status(), StatusCode::FORBIDDEN);
    }
    let refused = guesser.log_in(OPERATOR, "/").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS, "even the right one");
    assert_eq!(refused.headers()["retry-after"], "60");
    assert_eq!(
        from("6.6.6.6, 203.0.113.9").log_in(OPERATOR, "/").await.status(),
        StatusCode::TOO_MANY_REQUESTS
    );
    from("203.0.113.10").logged_in(OPERATOR).await;

    let direct = with_passwords(&landfall, &[]).await;
    for number in 0..6 {
        let forged = Browser::new(&direct).with_header("X-Forwarded-For", &format!("203.0.113.{number}"));
        let expected = if number < 5 { StatusCode::FORBIDDEN } else { StatusCode::TOO_MANY_REQUESTS };
        assert_eq!(forged.log_in("guess", "/").await.status(), expected, "{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_trusted_proxy_logs_people_in() {
    let landfall = Landfall::start().await;
    landfall.send("safety.warning_issued", "case_1").await;
    landfall.settled().await;
    let header = ("CONSOLE_USER_HEADER", "X-Forwarded-User");
    let trusting = [("CONSOLE_TRUSTED_PROXY", "127.0.0.0/8"), header];
    let console = Console::start(&landfall, &trusting).await;
    let anna = Browser::new(&console).with_header("X-Forwarded-User", "anna<b>");
    assert!(anna.page("/events").await.contains("anna&#60;b&#62; (operator)"));
    let acted = anna.post("/dead/redrive", &[("preview", "x")]).await;
    assert_eq!(acted.status(), StatusCode::BAD_REQUEST);
    let unnamed = Browser::new(&console).get("/events").await;
    assert_eq!(unnamed.status(), StatusCode::FORBIDDEN);
    assert!(unnamed.text().await.unwrap().contains("CONSOLE_USER_HEADER"));
    assert_eq!(console.get("/events").await.status(), StatusCode::UNAUTHORIZED, "the API needs a proof, too");

    let other = Console::start(&landfall, &[("CONSOLE_TRUSTED_PROXY", "10.0.0.0/8"), header]).await;
    let forged = Browser::new(&other).with_header("X-Forwarded-User", "anna");
    assert_eq!(forged.get("/events").await.status(), StatusCode::FORBIDDEN);

    let with_password =
        Console::start(&landfall, &[&trusting[..], &[("CONSOLE_PASSWORD", OPERATOR)]].concat()).await;
    let anna = Browser::new(&with_password).with_header("X-Forwarded-User", "anna");
    assert!(anna.page("/events").await.contains("anna (viewer)"));
    let anna = anna.with_header("X-Forwarded-Proto", "https");
    let answer = anna.log_in(OPERATOR, "/").await;
    let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("__Host-landfall_session=") && cookie.ends_with("; Secure"), "{cookie}");
    let mut anna = anna.logged_in(OPERATOR).await;
    assert!(anna.page("/events").await.contains("anna (operator)"));
    anna.cookie = anna.cookie.map(|cookie| cookie.replace("__Host-", ""));
    assert!(anna.page("/events").await.contains("anna (viewer)"), "over HTTPS, only its own cookie counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_there_is_no_login_and_no_session() {
    let landfall = Landfall::start().await;
    landfall.send("safety.warning_issued", "case_1").await;
    landfall.settled().await;
    let console = with_passwords(&landfall, &[]).await;
    let cookie = Browser::new(&console).logged_in(OPERATOR).await.cookie;
    let blind = with_passwords(&landfall, &[("DATABASE_URL", "sqlite:///no/such/folder/landfall.db")]).await;
    let mut browser = Browser::new(&blind);
    assert_eq!(browser.log_in(OPERATOR, "/").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(browser.log_in("guess", "/").await.status(), StatusCode::FORBIDDEN);
    browser.cookie = cookie;
    assert_eq!(browser.get("/events").await.status(), StatusCode::SERVICE_UNAVAILABLE);
}
