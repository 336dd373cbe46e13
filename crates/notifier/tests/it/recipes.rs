//! The recipes of docs/notifications.md: each one loads, and its tool accepts what it sends.

use bytes::Bytes;
use chrono::Utc;
use notifier::{Config, Notification, SecretRef, system_resolver};
use serde_json::{Value, json};
use test_support::receiver::{Receiver, Reply};

use crate::notification::stored;

/// The limits of the tool (bytes per body, requests per second), and the header it checks.
const TOOLS: [(&str, usize, f64, Option<&str>); 4] = [
    ("zapier", 10 << 20, 30.0, Some("x-landfall-token")),
    ("make", 5 << 20, 30.0, Some("x-make-apikey")),
    ("n8n", 16 << 20, 1000.0, Some("x-landfall-token")),
    ("team-chat", 40_000, 1.0, None),
];

fn recipes() -> Vec<String> {
    let text = include_str!("../../../../docs/notifications.md");
    let (_, text) = text.split_once("\n## Recipes\n").unwrap();
    let (text, _) = text.split_once("\n## ").unwrap();
    let blocks = text.split("```toml\n").skip(1);
    blocks.map(|block| block.split_once("```").unwrap().0.to_owned()).collect()
}

#[tokio::test]
async fn every_recipe_loads_and_is_sent() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = Receiver::start(|_| Reply::ok()).await;
    let url = server.url();
    let secret = |secret_ref: SecretRef<'_>| match secret_ref {
        SecretRef::Variable(name) if name.ends_with("_URL") => Ok(url.as_str().into()),
        SecretRef::Variable(_) | SecretRef::File(_) => Ok("the-token".into()),
    };
    let recipes = recipes();
    assert_eq!(recipes.len(), TOOLS.len());
    for (recipe, (name, bytes_max, rate_max, header)) in recipes.iter().zip(TOOLS) {
        let config =
            Config::parse(&format!("[notifications]\nallow = [\"127.0.0.1\"]\n{recipe}"), &secret).unwrap();
        let target = &config.targets[0];
        assert_eq!(target.name, name);
        assert!(target.rate_per_sec <= rate_max, "{name}: {}", target.rate_per_sec);
        let endpoint = target.destination.http().unwrap().endpoint(&config.allow, system_resolver()).unwrap();
        // As large as a result may be, and much larger.
        for chars in [config.full_max_bytes as usize - 2_000, 20 << 20] {
            let mut notification: Notification = stored();
            notification.result = Some(json!({ "response_id": "resp_1", "output_text": "x".repeat(chars) }));
            let body = notification.body(target, config.full_max_bytes);
            assert!(body.len() < bytes_max, "{name}: {}", body.len());
            endpoint.send("ntf_1", Bytes::from(body), Utc::now()).await.unwrap();
            let received = server.received().pop().unwrap();
            let sent: Value = serde_json::from_slice(&received.body).unwrap();
            match header {
                Some(header) => {
                    assert_eq!(received.header(header), Some("the-token"), "{name}");
                    assert_eq!(sent["data"]["result"].is_null(), chars > 1 << 20, "{name}");
                }
                None => assert!(sent["text"].as_str().unwrap().contains("response.stored"), "{sent}"),
            }
        }
    }
}

/// Every `toml` block of the documents is a file that can be used.
#[test]
fn every_example_of_the_documents_loads() {
    let documents =
        [include_str!("../../../../README.md"), include_str!("../../../../docs/notifications.md")];
    let secret = |secret_ref: SecretRef<'_>| match secret_ref {
        SecretRef::Variable(name) if name.ends_with("_URL") => Ok("https://hooks.example.com/x".into()),
        SecretRef::Variable(name) if name.ends_with("_TOKEN") || name.ends_with("_KEY") => Ok("token".into()),
        SecretRef::Variable(_) | SecretRef::File(_) => {
            Ok("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=".into())
        }
    };
    let blocks = documents.iter().flat_map(|text| text.split("```toml\n").skip(1));
    let mut examples = 0;
    for block in blocks.map(|block| block.split_once("```").unwrap().0) {
        let config = Config::parse(block, &secret);
        assert!(config.is_ok_and(|config| !config.targets.is_empty()), "{block}");
        examples += 1;
    }
    assert!(examples >= 6, "{examples}");
}
