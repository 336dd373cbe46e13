//! Webhooks as OpenAI sends them: a thin body and three headers, signed with the test secret.

use std::time::{SystemTime, UNIX_EPOCH};

use webhook::SigningSecret;

/// The signing secret of all tests: 32 bytes in base64, like OpenAI's.
pub const SECRET: &str = "whsec_dGVzdHMgb25seTogMzIgYnl0ZXMgb2Yga2V5ISEhISE=";

/// One delivery, ready to post.
#[derive(Debug, Clone)]
pub struct SignedWebhook {
    pub webhook_id: String,
    pub timestamp_secs: i64,
    pub body: Vec<u8>,
    pub signature: String,
}

impl SignedWebhook {
    /// A thin event of this type about this object, signed now.
    pub fn new(event_type: &str, object_id: &str) -> Self {
        let body = format!(
            r#"{{"id":"evt_{}","object":"event","created_at":{},"type":"{event_type}","data":{{"id":"{object_id}"}}}}"#,
            random_id(),
            now_secs()
        );
        Self::with_body(&format!("wh_{}", random_id()), body.into_bytes())
    }

    /// Any body under this `webhook-id`, signed now.
    pub fn with_body(webhook_id: &str, body: Vec<u8>) -> Self {
        Self::signed_at(webhook_id, body, now_secs())
    }

    /// Signed as if it were sent at `timestamp_secs`.
    pub fn signed_at(webhook_id: &str, body: Vec<u8>, timestamp_secs: i64) -> Self {
        let secret = SigningSecret::parse(SECRET).expect("the test secret is well-formed");
        let signature = secret.sign(webhook_id, &timestamp_secs.to_string(), &body);
        Self { webhook_id: webhook_id.to_owned(), timestamp_secs, body, signature }
    }

    /// The headers of the delivery.
    pub fn headers(&self) -> [(&'static str, String); 4] {
        [
            ("content-type", "application/json".to_owned()),
            (webhook::HEADER_ID, self.webhook_id.clone()),
            (webhook::HEADER_TIMESTAMP, self.timestamp_secs.to_string()),
            (webhook::HEADER_SIGNATURE, self.signature.clone()),
        ]
    }
}

/// Twenty-four random letters and digits, as in OpenAI's ids.
pub fn random_id() -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(24).collect()
}

/// Unix seconds.
pub fn now_secs() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_secs().cast_signed()
}
