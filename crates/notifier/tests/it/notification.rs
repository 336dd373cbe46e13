//! The content of notifications.

use std::collections::HashSet;

use notifier::{Config, Notification, Target};
use serde_json::{Value, json};
use std::sync::Arc;
use webhook::NotificationType;

use crate::SECRET;

fn targets() -> Vec<Arc<Target>> {
    let text = r#"
[[targets]]
name = "thin"
url = "https://a.example/"
secret_env = "X"
[[targets]]
name = "full"
url = "https://a.example/"
secret_env = "X"
payload = "full"
[[targets]]
name = "slack"
kind = "slack"
url_env = "URL"
[[targets]]
name = "discord"
kind = "discord"
url_env = "URL"
"#;
    let secret = |secret_ref: notifier::SecretRef<'_>| {
        Ok(if secret_ref == notifier::SecretRef::Variable("X") { SECRET } else { "https://a.example/" }
            .into())
    };
    Config::parse(text, &secret).unwrap().targets
}

pub(crate) fn stored() -> Notification {
    Notification {
        kind: NotificationType::ResponseStored,
        project: "default".to_owned(),
        at: "2026-11-23T20:31:07.5Z".parse().unwrap(),
        webhook_id: Some("wh_1".to_owned()),
        event_id: Some("evt_1".to_owned()),
        event_type: "response.completed".to_owned(),
        event_created_at: Some("2026-11-23T20:31:00Z".parse().unwrap()),
        event_age_secs: None,
        object_id: Some("resp_1".to_owned()),
        result: Some(json!({
            "response_id": "resp_1", "status": "completed", "model": "gpt-6.1-sol", "error": null, "metadata": {"a": "b"},
            "fetch_state": "fetched", "output_text": "Forty-two.\n<!channel> & @everyone",
        })),
        result_is_whole: true,
        reason: None,
        error: None,
        link: None,
    }
}

fn body(notification: &Notification, target: &str, max: u64) -> Value {
    let target = targets().into_iter().find(|one| one.name == target).unwrap();
    serde_json::from_slice(&notification.body(&target, max)).unwrap()
}

#[test]
fn a_thin_body_has_ids_and_states_and_a_full_one_the_result_too() {
    let notification = stored();
    let thin = json!({
        "type": "response.stored",
        "timestamp": "2026-11-23T20:31:07.500000Z",
        "data": {
            "project": "default",
            "event": {
                "id": "evt_1", "type": "response.completed", "webhook_id": "wh_1",
                "created_at": "2026-11-23T20:31:00.000000Z",
            },
            "object": {
                "id": "resp_1", "status": "completed", "model": "gpt-6.1-sol", "metadata": {"a": "b"},
                "fetch_state": "fetched",
            },
        },
    });
    assert_eq!(body(&notification, "thin", 1000), thin);
    let mut full = thin.clone();
    full["data"]["result"] = notification.result.clone().unwrap();
    assert_eq!(body(&notification, "full", 1000), full);
    let mut large = thin;
    large["data"]["result_omitted"] = true.into();
    assert_eq!(body(&notification, "full", 400), large);
    assert_eq!(body(&Notification { result_is_whole: false, ..stored() }, "full", 1000), large);
}

#[test]
fn a_call_says_how_old_it_was() {
    let call = Notification {
        kind: NotificationType::EventReceived,
        event_type: "realtime.call.incoming".to_owned(),
        event_age_secs: Some(3),
        ..stored()
    };
    assert_eq!(body(&call, "thin", 1000)["data"]["event"]["age_secs"], 3);
    assert_eq!(call.id("thin"), Notification { event_age_secs: None, ..call.clone() }.id("thin"));
}

#[test]
fn a_chat_message_mentions_no_one() {
    assert_eq!(
        body(&stored(), "slack", 1000),
        json!({"text": "*response.stored* response.completed `resp_1` completed gpt-6.1-sol\n\
                        > Forty-two. &lt;!channel&gt; &amp; @everyone"})
    );
    let discord = body(&stored(), "discord", 1000);
    assert_eq!(discord["allowed_mentions"], json!({"parse": []}));
    assert!(
        discord["content"].as_str().unwrap().starts_with("**response.stored** response.completed `resp_1`")
    );
    let long = Notification { error: Some("x ".repeat(10_000)), ..stored() };
    assert!(
        body(&long, "discord", 1000)["content"].as_str().unwrap().chars().count() < 2000,
        "Discord's limit"
    );
}

#[test]
fn the_id_identifies_the_event_and_the_target() {
    let notification = stored();
    let id = notification.id("app");
    assert!(id.len() == 36 && id.starts_with("ntf_"), "{id}");
    let again = Notification {
        webhook_id: Some("wh_2".to_owned()),
        at: "2027-01-01T00:00:00Z".parse().unwrap(),
        ..stored()
    };
    assert_eq!(again.id("app"), id, "another endpoint, another day");
    let others = [
        notification.id("chat"),
        Notification { project: "other".to_owned(), ..stored() }.id("app"),
        Notification { event_id: Some("evt_2".to_owned()), ..stored() }.id("app"),
        Notification { kind: NotificationType::EventDead, ..stored() }.id("app"),
        Notification { reason: Some("not_found"), ..stored() }.id("app"),
        // No part can shift bytes to its neighbour.
        Notification { project: "defaul".to_owned(), ..stored() }.id("tapp"),
        Notification { event_id: None, ..stored() }.id("app"),
    ];
    assert_eq!(others.iter().chain([&id]).collect::<HashSet<_>>().len(), others.len() + 1);
}
