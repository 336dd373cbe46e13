//! What notifications say.

use std::collections::HashSet;

use notifier::{Config, News, Target};
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
    let secret = |place: notifier::SecretPlace<'_>| {
        Ok(if place == notifier::SecretPlace::Variable("X") { SECRET } else { "https://a.example/" }.into())
    };
    Config::parse(text, &secret).unwrap().targets
}

pub(crate) fn stored() -> News {
    News {
        kind: NotificationType::ResponseStored,
        project: "default".to_owned(),
        at: "2026-11-23T20:31:07.5Z".parse().unwrap(),
        webhook_id: Some("wh_1".to_owned()),
        event_id: Some("evt_1".to_owned()),
        event_type: "response.completed".to_owned(),
        event_created_at: Some("2026-11-23T20:31:00Z".parse().unwrap()),
        object_id: Some("resp_1".to_owned()),
        result: Some(json!({
            "response_id": "resp_1", "status": "completed", "model": "gpt-5", "error": null, "metadata": {"a": "b"},
            "fetch_state": "fetched", "output_text": "Forty-two.\n<!channel> & @everyone",
        })),
        result_is_whole: true,
        reason: None,
        error: None,
        link: None,
    }
}

fn body(news: &News, target: &str, max: u64) -> Value {
    let target = targets().into_iter().find(|one| one.name == target).unwrap();
    serde_json::from_slice(&news.body(&target, max)).unwrap()
}

#[test]
fn a_thin_one_has_ids_and_states_and_a_full_one_the_result_too() {
    let news = stored();
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
                "id": "resp_1", "status": "completed", "model": "gpt-5", "metadata": {"a": "b"},
                "fetch_state": "fetched",
            },
        },
    });
    assert_eq!(body(&news, "thin", 1000), thin);
    let mut full = thin.clone();
    full["data"]["result"] = news.result.clone().unwrap();
    assert_eq!(body(&news, "full", 1000), full);
    let mut large = thin;
    large["data"]["result_omitted"] = true.into();
    assert_eq!(body(&news, "full", 400), large);
    assert_eq!(body(&News { result_is_whole: false, ..stored() }, "full", 1000), large);
}

#[test]
fn a_message_for_people_calls_nobody() {
    assert_eq!(
        body(&stored(), "slack", 1000),
        json!({"text": "*response.stored* response.completed `resp_1` completed gpt-5\n\
                        > Forty-two. &lt;!channel&gt; &amp; @everyone"})
    );
    let discord = body(&stored(), "discord", 1000);
    assert_eq!(discord["allowed_mentions"], json!({"parse": []}));
    assert!(
        discord["content"].as_str().unwrap().starts_with("**response.stored** response.completed `resp_1`")
    );
    let long = News { error: Some("x ".repeat(10_000)), ..stored() };
    assert!(
        body(&long, "discord", 1000)["content"].as_str().unwrap().chars().count() < 2000,
        "Discord's limit"
    );
}

#[test]
fn the_id_is_that_of_the_news_and_the_target() {
    let news = stored();
    let id = news.id("app");
    assert!(id.len() == 36 && id.starts_with("ntf_"), "{id}");
    let again =
        News { webhook_id: Some("wh_2".to_owned()), at: "2027-01-01T00:00:00Z".parse().unwrap(), ..stored() };
    assert_eq!(again.id("app"), id, "another endpoint, another day");
    let others = [
        news.id("chat"),
        News { project: "other".to_owned(), ..stored() }.id("app"),
        News { event_id: Some("evt_2".to_owned()), ..stored() }.id("app"),
        News { kind: NotificationType::EventDead, ..stored() }.id("app"),
        News { reason: Some("not_found"), ..stored() }.id("app"),
        // No part can lend its bytes to its neighbour.
        News { project: "defaul".to_owned(), ..stored() }.id("tapp"),
        News { event_id: None, ..stored() }.id("app"),
    ];
    assert_eq!(others.iter().chain([&id]).collect::<HashSet<_>>().len(), others.len() + 1);
}
