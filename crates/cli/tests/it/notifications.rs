//! The verbs about notifications: config, targets, notifications, listen, secret public-key.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use serde_json::Value;
use store::{
    AttemptEnd, BreakerPolicy, LeaseRequest, NewNotification, NextStep, NotificationAttempt,
    NotificationFilter,
};
use tempfile::TempDir;
use test_support::receiver::{Received, Receiver, Reply};
use test_support::redis::free_port;
use test_support::signed_webhook::{SECRET, now_secs};
use webhook::{NotificationState, NotificationType, Reason, Verifier};

use crate::command::{Ended, landfall};
use crate::filled::{Filled, RESPONSE_ID};
use crate::running::Running;

const BREAKER: BreakerPolicy =
    BreakerPolicy { failures_max: 5, wait_min: Duration::from_secs(60), wait_max: Duration::from_secs(60) };

/// A `landfall.toml` in a temporary folder.
struct Config {
    path: String,
    _folder: TempDir,
}

impl Config {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("landfall.toml");
        std::fs::write(&path, text).unwrap();
        Self { path: path.display().to_string(), _folder: folder }
    }

    fn of_targets(url: &str) -> Self {
        Self::new(&format!(
            "[notifications]\nallow = [\"127.0.0.1\"]\n[[targets]]\nname = \"app\"\nurl = \"{url}\"\n\
             secret_env = \"APP_SECRET\"\n[[targets]]\nname = \"streamed\"\nkind = \"redis-stream\"\n\
             events = [\"batch.*\", \"event.dead\"]\npayload = \"full\"\n"
        ))
    }

    fn run(&self, filled: Option<&Filled>, arguments: &[&str]) -> Ended {
        let stored = filled.map(Filled::settings);
        let stored = stored.iter().flatten().map(|(name, value)| (*name, value.as_str()));
        let own = [("LANDFALL_CONFIG", self.path.as_str()), ("APP_SECRET", SECRET)];
        landfall(&own.into_iter().chain(stored).collect::<Vec<_>>(), arguments)
    }
}

#[test]
fn public_keys_are_printed_and_private_keys_are_not() {
    /// The first key pair of RFC 8032's examples.
    const PUBLIC: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n";
    const PRIVATE: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
    let config = Config::of_targets("https://app.example.com/hooks");
    let public_key = |secret: &str, arguments: &[&str]| {
        let settings = [("LANDFALL_CONFIG", config.path.as_str()), ("APP_SECRET", secret)];
        landfall(&settings, &[&["secret", "public-key"], arguments].concat())
    };
    let both = format!("{PRIVATE} {SECRET}");
    assert_eq!(public_key(&both, &["app"]).with_code(0).stdout, PUBLIC);
    let json: Value =
        serde_json::from_str(&public_key(&both, &["app", "--json"]).with_code(0).stdout).unwrap();
    assert_eq!((&json["target"], &json["public_keys"][0]), (&"app".into(), &PUBLIC.trim().into()));

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{PRIVATE}\n")).unwrap();
    let path = file.path().to_str().unwrap();
    assert_eq!(public_key("", &["--key-file", path]).with_code(0).stdout, PUBLIC);
    std::fs::write(file.path(), "whsk_hunter2").unwrap();
    let refused = public_key("", &["--key-file", path]).with_code(2);
    assert!(refused.stderr.contains("ed25519") && !refused.stderr.contains("hunter2"), "{refused:#?}");

    assert!(public_key(SECRET, &["app"]).with_code(1).stderr.contains("no ed25519 private key"));
    public_key(SECRET, &["streamed"]).with_code(1);
    public_key(SECRET, &["no-such-target"]).with_code(1);
    public_key(SECRET, &[]).with_code(2);
}

fn notification(id: &str, target: &str, kind: NotificationType) -> NewNotification {
    NewNotification {
        project: "default".to_owned(),
        id: id.to_owned(),
        target: target.to_owned(),
        kind: kind.into(),
        urgent: false,
        webhook_id: Some("wh_1".to_owned()),
        event_id: Some("evt_1".to_owned()),
        object_id: Some(RESPONSE_ID.to_owned()),
        event_created_at: None,
        created_at: Utc::now(),
        expires_at: None,
        body: br#"{"type":"x"}"#.to_vec(),
    }
}

/// Leases the due notification of a target, and settles it.
async fn settle(filled: &Filled, target: &str, next: NextStep) {
    let request = LeaseRequest {
        target: target.to_owned(),
        urgent: false,
        limit: 1,
        rate_per_sec: 1000.0,
        owner: "test".to_owned(),
        lease_for: Duration::from_secs(30),
        breaker: BREAKER,
    };
    let leased = filled.store.lease_notifications(&request, Utc::now()).await.unwrap();
    let record = &leased.notifications[0];
    let is_delivered = next == NextStep::Delivered;
    let end = AttemptEnd {
        project: "default".to_owned(),
        id: record.notification.id.clone(),
        target: target.to_owned(),
        owner: Some("test".to_owned()),
        attempt: NotificationAttempt {
            attempt: record.attempts + 1,
            started_at: Utc::now(),
            latency_ms: 1234,
            status: Some(if is_delivered { 200 } else { 503 }),
            answer: Some("busy \u{1b}[31m".to_owned()),
            error: (!is_delivered).then(|| "the target answered with status 503 ".repeat(10)),
        },
        next,
        is_probe: false,
        is_gone: false,
        retry_after: None,
        at: Utc::now(),
        breaker: BREAKER,
    };
    assert!(filled.store.settle_notification(&end).await.unwrap());
}

async fn notifications_are_listed_shown_and_sent_again(filled: Filled) {
    let config = Config::of_targets("http://127.0.0.1:9/");
    let config_run = |arguments: &[&str]| config.run(Some(&filled), arguments);
    let given_up =
        notification("ntf_0a1b2c3d4e5f60718293a4b5c6d7e8f9", "app", NotificationType::ResponseStored);
    filled.store.add_notifications(std::slice::from_ref(&given_up)).await.unwrap();
    settle(&filled, "app", NextStep::GiveUp(Reason::GaveUp)).await;
    filled
        .store
        .add_notifications(&[notification("ntf_2", "app", NotificationType::EvalStored)])
        .await
        .unwrap();
    settle(&filled, "app", NextStep::Delivered).await;
    let old = notification("ntf_3", "no-longer-in-the-file", NotificationType::EventDead);
    filled.store.add_notifications(&[old]).await.unwrap();

    let list = config_run(&["notifications", "list"]).with_code(0);
    list.fits_80_columns();
    assert!(list.stdout.contains(&given_up.id) && list.stdout.contains(RESPONSE_ID), "{list:#?}");
    let ids = |arguments: &[&str]| {
        let all = [&["notifications", "list", "--json"], arguments].concat();
        let lines = config_run(&all).with_code(0).json_lines();
        lines.iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&[]).len(), 3);
    assert_eq!(ids(&["--target", "app", "--state", "delivered"]), ["ntf_2"]);
    assert_eq!(ids(&["--type", "event.dead"]), ["ntf_3"]);
    assert!(ids(&["--state", "pending", "--type", "eval.stored"]).is_empty());
    config_run(&["notifications", "list", "--state", "lost"]).with_code(2);

    let show = config_run(&["notifications", "show", &given_up.id]).with_code(0);
    show.fits_80_columns();
    assert!(show.stdout.contains("1,234") && show.stdout.contains("given_up"), "{show:#?}");
    assert!(!show.stdout.contains('\u{1b}'));
    let shown = config_run(&["notifications", "show", "--json", &given_up.id]).with_code(0).json();
    assert_eq!((&shown["attempt_log"][0]["status"], &shown["body"]["type"]), (&503.into(), &"x".into()));
    let raw = config_run(&["notifications", "show", "--raw", &given_up.id]).with_code(0);
    assert_eq!(raw.stdout.as_bytes(), given_up.body);
    config_run(&["notifications", "show", "ntf_9"]).with_code(1);

    let targets = config_run(&["targets", "list"]).with_code(0);
    targets.fits_80_columns();
    let targets = config_run(&["targets", "list", "--json"]).with_code(0).json_lines();
    let app = &targets[0];
    assert_eq!((&app["target"], &app["given_up"], &app["delivered"]), (&"app".into(), &1.into(), &1.into()));
    assert_eq!((&targets[1]["target"], &targets[1]["kind"]), (&"no-longer-in-the-file".into(), &Value::Null));

    config_run(&["notifications", "retry"]).with_code(2);
    config_run(&["notifications", "retry", "ntf_9"]).with_code(1);
    let again = config_run(&["notifications", "retry", "--target", "app", "--json"]).with_code(0).json();
    assert_eq!((&again["id"], &again["state"]), (&given_up.id.clone().into(), &"pending".into()));
    let pending =
        NotificationFilter { state: Some(NotificationState::Pending), ..NotificationFilter::default() };
    assert_eq!(filled.store.list_notifications(&pending).await.unwrap().len(), 2);
    let again = config_run(&["notifications", "retry", "ntf_2"]).with_code(0);
    assert_eq!(again.stdout, "1 notification queued to be sent again\n");
}

async fn a_target_is_paused_and_resumed(filled: Filled) {
    let config = Config::of_targets("http://127.0.0.1:9/");
    let state = || {
        let lines = config.run(Some(&filled), &["targets", "list", "--json"]).with_code(0).json_lines();
        lines[0]["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(), "active");
    let paused = config.run(Some(&filled), &["targets", "pause", "app"]).with_code(0);
    assert_eq!(paused.stdout, "app is paused; it was active\n");
    assert_eq!(state(), "paused");
    let resumed = config.run(Some(&filled), &["targets", "resume", "app", "--json"]).with_code(0).json();
    assert_eq!((&resumed["before"], &resumed["state"]), (&"paused".into(), &"active".into()));
    assert_eq!(state(), "active");
    let unknown = config.run(Some(&filled), &["targets", "pause", "no-such-target"]).with_code(1);
    assert!(unknown.stderr.contains("unknown target no-such-target"), "{unknown:#?}");
}

async fn what_is_stored_is_forwarded_signed(filled: Filled) {
    let server = Receiver::start(|_| Reply::ok()).await;
    let url = server.url();
    let listening = Running::start(&filled, &["listen", "--forward", &url, "--payload", "full"]);
    let secret = listening.wait_until_said("signing secret for this run").await;
    let secret = secret.rsplit(' ').next().unwrap().to_owned();
    listening.wait_until_said("forwarding new results to").await;
    let call = filled.add_event("wh_call", "realtime.call.incoming", Some("rtc_1"), 0).await;
    filled.store.complete_event(&call).await.unwrap();
    listening.wait_for("event.received").await;
    let known = filled.add_event("wh_again", "response.completed", Some(RESPONSE_ID), 0).await;
    filled.store.complete_event(&known).await.unwrap();
    let received = server.wait_for(2).await;
    listening.wait_for("response.stored").await;
    let (code, lines) = listening.interrupt();
    assert_eq!(code, 0);
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
    let bodies: Vec<Value> = received.iter().map(|request| verified(request, &secret)).collect();
    assert_eq!(bodies[1]["data"]["result"]["response_id"], RESPONSE_ID);
    assert!(bodies[1]["data"]["result"]["output_text"].is_string(), "{}", bodies[1]);
}

fn verified(request: &Received, secret: &str) -> Value {
    let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers = headers.map(|name| (name, request.header(name).unwrap().as_bytes()));
    Verifier::from_setting(secret).unwrap().verify(headers, &request.body, now_secs()).unwrap();
    serde_json::from_slice(&request.body).unwrap()
}

#[tokio::test]
async fn a_target_is_tested_with_one_signed_notification() {
    let server = Receiver::start(|_| Reply::ok()).await;
    let config = Arc::new(Config::of_targets(&server.url()));
    let test = |arguments: &'static [&'static str]| {
        let config = Arc::clone(&config);
        tokio::task::spawn_blocking(move || config.run(None, &[&["targets", "test"], arguments].concat()))
    };
    let report = test(&["app", "--json"]).await.unwrap().with_code(0).json();
    assert_eq!((&report["ok"], &report["status"]), (&true.into(), &200.into()));
    let body = verified(&server.received()[0], SECRET);
    assert_eq!(body["type"], "landfall.test");
    test(&["no-such-target"]).await.unwrap().with_code(1);

    let refusing = Receiver::start(|_| Reply::status("401 Unauthorized")).await;
    let config = Config::of_targets(&refusing.url());
    let refused = tokio::task::spawn_blocking(move || config.run(None, &["targets", "test", "app"]));
    let refused = refused.await.unwrap().with_code(1);
    assert!(refused.stdout.contains("401"), "{refused:#?}");
    let unreachable = Config::of_targets(&format!("http://127.0.0.1:{}/", free_port()));
    unreachable.run(None, &["targets", "test", "app"]).with_code(3);
}

#[test]
fn the_config_file_is_validated() {
    let good = Config::of_targets("https://app.example.com/hooks/secret-path");
    let checked = good.run(None, &["config", "check"]).with_code(0);
    checked.fits_80_columns();
    assert!(checked.stdout.contains("https://app.example.com") && !checked.stdout.contains("secret-path"));
    let verdict = good.run(None, &["config", "check", "--json"]).with_code(0).json();
    assert_eq!(verdict["targets"], serde_json::json!(["app", "streamed"]));

    let wrong = Config::new("[[targets]]\nname = \"app\"\nurll = \"https://a.example\"\n");
    let ended = wrong.run(None, &["config", "check"]).with_code(1);
    assert!(ended.stderr.contains("line 3: urll: unknown field"), "{ended:#?}");
    let verdict = wrong.run(None, &["config", "check", "--json"]).with_code(1).json();
    assert!(verdict["problem"].as_str().unwrap().contains("line 3"), "{verdict}");
    wrong.run(None, &["targets", "test", "app"]).with_code(2);
    let ended = landfall(&[], &["config", "check"]).with_code(2);
    assert!(ended.stderr.contains("LANDFALL_CONFIG is not set"), "{ended:#?}");
}

#[test]
fn probable_mistakes_are_warned_of() {
    let warned = |url: &str, more: &str, allow: &str| {
        let config = Config::new(&format!(
            "[notifications]\nallow = [{allow}]\n[[targets]]\nname = \"app\"\nurl = \"{url}\"\n{more}\n"
        ));
        let ended = config.run(None, &["config", "check"]).with_code(0);
        let verdict = config.run(None, &["config", "check", "--json"]).with_code(0).json();
        let warnings = verdict["warnings"].as_array().unwrap().clone();
        assert_eq!(ended.stderr.lines().count(), warnings.len(), "{ended:#?}");
        warnings.first().map_or_else(String::new, |warning| warning.as_str().unwrap().to_owned())
    };
    const SIGNED: &str = "secret_env = \"APP_SECRET\"";
    for (url, part) in [
        ("https://hooks.slack.com/services/T0/B0/x", "set kind = \"slack\""),
        ("https://discord.com/api/webhooks/1/x", "set kind = \"discord\""),
        (
            "http://localhost:3000/hook",
            "localhost is a loopback address, so nothing is sent to it: add allow = [\"localhost:3000\"]",
        ),
        ("http://127.0.0.1:3000/hook", "add allow = [\"127.0.0.1:3000\"]"),
        ("http://[::1]/hook", "add allow = [\"[::1]:80\"]"),
        ("https://10.1.2.3/hook", "add allow = [\"10.1.2.3:443\"]"),
        ("http://app:3000/hook", "add allow = [\"app:3000\"]"),
        ("http://app.internal/hook", "add allow = [\"app.internal:80\"]"),
    ] {
        let warning = warned(url, SIGNED, "");
        assert!(warning.starts_with("target app: ") && warning.contains(part), "{url}: {warning}");
    }
    for (url, allow) in [
        ("https://app.example.com/hook", ""),
        ("https://hooks.slack.com/triggers/T0/x", ""),
        ("http://localhost:3000/hook", "\"localhost:3000\""),
        ("http://localhost:3000/hook", "\"127.0.0.0/8\""),
        ("http://10.1.2.3/hook", "\"10.0.0.0/8\""),
        ("http://app:3000/hook", "\"10.0.0.0/8\""),
    ] {
        assert_eq!(warned(url, SIGNED, allow), "", "{url}");
    }
}

on_both_databases!(
    notifications_are_listed_shown_and_sent_again,
    a_target_is_paused_and_resumed,
    what_is_stored_is_forwarded_signed
);
