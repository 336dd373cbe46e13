//! The model object, with the fields that a fine-tuned model has.

use chrono::{DateTime, Utc};

use crate::client::{Client, Fetched, Get, segment};
use crate::endpoint::Endpoint;
use crate::error::ApiError;
use crate::lenient::{fields, text, text_of, time};

const MODEL_BYTES_MAX: usize = 256 << 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    pub id: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
    pub owned_by: Option<String>,
}

impl Client {
    /// `GET /models/{id}`.
    pub async fn model(&self, id: &str) -> Result<Fetched<Model>, ApiError> {
        let get = Get::new(Endpoint::Models, format!("/models/{}", segment(id)?), MODEL_BYTES_MAX);
        self.get(get, Model::parse).await
    }
}

impl Model {
    /// Fails only if it is not a JSON object.
    pub fn parse(raw: &[u8]) -> Result<Self, serde_json::Error> {
        let json = text_of(raw);
        let [id, created, owned_by] = fields(&json, ["id", "created", "owned_by"])?;
        Ok(Self { id: text(id), created_at: time(created), owned_by: text(owned_by) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_fine_tuned_model() {
        let model = Model::parse(
            br#"{"id":"ft:gpt-6-luna:acme::1","object":"model","created":1750864800,"owned_by":"acme-1"}"#,
        );
        let model = model.unwrap();
        assert_eq!(model.id.as_deref(), Some("ft:gpt-6-luna:acme::1"));
        assert_eq!(model.created_at.unwrap().timestamp(), 1_750_864_800);
        assert_eq!(model.owned_by.as_deref(), Some("acme-1"));
        assert_eq!(Model::parse(b"{\"created\":\"x\"}").unwrap().created_at, None);
    }
}
