//! `landfall.toml`: valid files, and the errors of invalid ones.

use std::collections::BTreeMap;

use notifier::{Config, ConfigError, Credentials, Destination, Payload, SecretRef, Subject};
use secrecy::SecretString;
use webhook::NotificationType;

use crate::SECRET;

const GOOD: &str = r#"
[notifications]
allow = ["10.1.0.0/16", "localhost:3000"]
full_max_bytes = 100000

[[targets]]
name = "app"
url = "https://app.example.com/hooks/landfall"
events = ["*.stored", "event.dead"]
model = "gpt-6*"
metadata = { team = ["search", "ads-?"] }
payload = "full"
secret_env = ["APP_SECRET", "APP_SECRET_OLD"]
timeout_secs = 5
rate_per_sec = 2.5
call_ttl_secs = 4
headers = { x-tenant = "acme" }

[[targets]]
name = "team-chat"
kind = "slack"
url_env = "SLACK_URL"
events = "event.dead"

[[targets]]
name = "ifttt"
url_file = "/run/secrets/ifttt"
token_header = "authorization"
token_env = "IFTTT_TOKEN"

[[targets]]
name = "stream"
kind = "redis-stream"
stream_max_len = 5000
"#;

fn read_secret(secret_ref: SecretRef<'_>) -> Result<SecretString, String> {
    let text = match secret_ref {
        SecretRef::Variable("APP_SECRET") => SECRET,
        SecretRef::Variable("APP_SECRET_OLD") => "whsec_b3RoZXI6IDI0IGJ5dGVzIG9mIGtleSEhISE=",
        SecretRef::Variable("SLACK_URL") => "https://hooks.slack.com/services/T0/B0/very-secret",
        SecretRef::Variable("IFTTT_TOKEN") => "Bearer very-secret",
        SecretRef::Variable("BAD_SECRET") => "very-secret",
        SecretRef::File(path) if path.ends_with("ifttt") => "https://maker.ifttt.com/trigger/x/very-secret\n",
        SecretRef::Variable(name) => return Err(format!("the variable {name} is not set")),
        SecretRef::File(path) => return Err(format!("cannot read {}", path.display())),
    };
    Ok(text.into())
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, &read_secret)
}

#[test]
fn a_whole_file_is_read() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.full_max_bytes, 100_000);
    let names: Vec<&str> = config.targets.iter().map(|target| target.name.as_str()).collect();
    assert_eq!(names, ["app", "team-chat", "ifttt", "stream"]);
    let [app, chat, ifttt, stream] = &config.targets[..] else { panic!("four targets") };
    assert_eq!((app.payload, app.rate_per_sec, app.call_ttl.as_secs()), (Payload::Full, 2.5, 4));
    assert_eq!(stream.call_ttl.as_secs(), 10, "the default");
    let http = app.destination.http().unwrap();
    assert_eq!((http.timeout.as_secs(), http.shown().as_str()), (5, "https://app.example.com"));
    assert!(matches!(http.credentials, Credentials::Signature(_)));
    assert!(
        matches!(&chat.destination, Destination::Slack(http) if matches!(http.credentials, Credentials::Url))
    );
    assert_eq!(chat.rate_per_sec, 1.0, "Slack's rate limit");
    let http = ifttt.destination.http().unwrap();
    assert_eq!(http.url.as_str(), "https://maker.ifttt.com/trigger/x/very-secret");
    assert!(matches!(&stream.destination, Destination::RedisStream { max_len: 5000 }));
    assert!(!format!("{config:?}").contains("very-secret") && !format!("{config:?}").contains("dGVz"));
}

#[test]
fn an_empty_file_has_no_targets() {
    let config = parse("").unwrap();
    assert!(config.targets.is_empty());
    assert_eq!(config.full_max_bytes, 256 << 10);
}

#[test]
fn filters_match_by_type_model_and_metadata() {
    let config = parse(GOOD).unwrap();
    let team = |team: &str| BTreeMap::from([("team".to_owned(), team.to_owned())]);
    let wants = |kind, model, metadata: Option<&BTreeMap<String, String>>| {
        config.targets[0].filter.wants(&Subject { project: "default", kind, model, metadata })
    };
    let (stored, model) = (NotificationType::ResponseStored, Some("gpt-6-luna"));
    assert!(wants(stored, model, Some(&team("search"))));
    assert!(wants(stored, model, Some(&team("ads-1"))));
    assert!(!wants(stored, model, Some(&team("ads"))));
    assert!(!wants(stored, model, None));
    assert!(!wants(stored, Some("o4"), Some(&team("search"))));
    assert!(!wants(stored, None, Some(&team("search"))));
    assert!(!wants(NotificationType::EventReceived, model, Some(&team("search"))));
    let all = &config.targets[2].filter;
    for kind in NotificationType::ALL {
        assert!(all.wants(&Subject { project: "x", kind: *kind, model: None, metadata: None }), "{kind}");
    }
}

/// The file, the line, the setting, and a part of the message.
type Case<'a> = (String, usize, &'a str, &'a str);

fn target(rest: &str) -> String {
    format!("[[targets]]\nname = \"app\"\n{rest}\n")
}

/// A valid target, except for the text at line 5.
fn signed(rest: &str) -> String {
    target(&format!("url = \"https://a.example/\"\nsecret_env = \"APP_SECRET\"\n{rest}"))
}

fn refused(cases: &[Case<'_>]) {
    for (text, line, setting, words) in cases {
        let error = parse(text).expect_err(text);
        let message = error.to_string();
        assert_eq!(error.line, *line, "{text}\n{message}");
        assert!(error.setting.contains(setting) && message.contains(words), "{text}\n{message}");
        assert!(!message.contains("very-secret"), "{message}");
    }
}

#[test]
fn an_error_names_the_line_and_the_setting() {
    refused(&[
        ("[[targets]]\nname = ".to_owned(), 2, "name", ""),
        ("[[target]]\nname = \"x\"".to_owned(), 1, "", "unknown field `target`, expected"),
        ("[[targets]]\nname = \"My App\"".to_owned(), 2, "targets.name", "a-z, 0-9"),
        (format!("{}{}", signed(""), signed("")), 7, "targets.name", "another target already"),
        ("[notifications]\nallow = [\"localhost\"]".to_owned(), 2, "notifications.allow", "host with a port"),
        ("[notifications]\nfull_max_bytes = 0".to_owned(), 2, "notifications.full_max_bytes", "262144"),
        (signed("secret = \"very-secret\""), 5, "secret", "secrets do not belong in this file"),
        (signed("colour = 1"), 5, "colour", "unknown field `colour`"),
        (signed("timeout_secs = \"5\""), 5, "timeout_secs", "invalid type"),
        (signed("timeout_secs = 0"), 5, "target app: timeout_secs", "more than 0 and at most 120"),
        (signed("rate_per_sec = 1e9"), 5, "target app: rate_per_sec", "at most 1000"),
        (signed("call_ttl_secs = 0"), 5, "target app: call_ttl_secs", "more than 0 and at most 3600"),
        (signed("headers = { Host = \"x\" }"), 5, "target app: headers", "set by Landfall"),
        (signed("payload = \"fat\""), 5, "payload", "unknown variant `fat`"),
        (signed("stream_max_len = 5"), 5, "target app: stream_max_len", "only valid for kind redis-stream"),
    ]);
}

#[test]
fn a_filter_that_matches_nothing_is_refused() {
    refused(&[
        (
            signed("events = [\"batch.storred\"]"),
            5,
            "target app: events",
            "matches no notification type: use one of response.stored",
        ),
        (signed("events = [\"[\"]"), 5, "target app: events", "unclosed"),
        (signed("model = []"), 5, "target app: model", "remove the key to match everything"),
        (signed("metadata = { team = \"[\" }"), 5, "target app: metadata.team", "unclosed"),
    ]);
}

#[test]
fn a_target_needs_a_url_and_credentials() {
    let with_url = "url = \"https://a.example/\"\n";
    let slack = "kind = \"slack\"\nurl_env = \"SLACK_URL\"\n";
    let (url, secret_env, secret_file) =
        ("target app: url", "target app: secret_env", "target app: secret_file");
    let header = "target app: token_header";
    refused(&[
        (target("secret_env = \"APP_SECRET\""), 1, url, "is missing"),
        (target("url = \"ftp://a.example/\""), 3, url, "http:// or https://"),
        (target("url = \"https://me:very-secret@a.example/\""), 3, url, "token_header"),
        (target("kind = \"slack\"\nurl = \"https://hooks.slack.com/x\""), 4, url, "this URL is a secret"),
        (target(&format!("kind = \"redis-stream\"\n{with_url}")), 4, url, "remove it"),
        (target(with_url), 1, secret_env, "is missing"),
        (target(&format!("{with_url}secret_env = \"NOPE\"")), 4, secret_env, "NOPE is not set"),
        (
            target(&format!("{with_url}secret_env = \"BAD_SECRET\"")),
            4,
            secret_env,
            "BAD_SECRET must start with whsec_",
        ),
        (target(&format!("{with_url}secret_file = \"/nope\"")), 4, secret_file, "cannot read"),
        (signed("token_header = \"x\""), 5, header, "token_env or token_file"),
        (signed("token_header = \"x\"\ntoken_env = \"IFTTT_TOKEN\""), 1, header, "only one of them"),
        (target(&format!("{slack}payload = \"full\"")), 5, "target app: payload", "not supported"),
        (target(&format!("{slack}secret_env = \"APP_SECRET\"")), 1, "target app: kind", "remove"),
    ]);
}
