//! The safety alert object: OpenAI paused or reported a request of the project.

use chrono::{DateTime, Utc};

use crate::client::{Client, Fetched, Get, segment};
use crate::endpoint::Endpoint;
use crate::error::ApiError;
use crate::lenient::{fields, flag, text, text_of, time};

const SAFETY_ALERT_BYTES_MAX: usize = 1 << 20;

/// A safety alert. It names the response that caused it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafetyAlert {
    pub id: Option<String>,
    pub response_id: Option<String>,
    pub request_id: Option<String>,
    pub model: Option<String>,
    pub error_type: Option<String>,
    /// Null with zero data retention.
    pub reason: Option<String>,
    /// Only available for a while, and only with zero data retention.
    pub detailed_explanation: Option<String>,
    pub request_paused: Option<bool>,
    pub created_at: Option<DateTime<Utc>>,
}

impl Client {
    /// `GET /safety/alerts/{id}`: the API key needs the permission `api.safety.alerts.read`.
    pub async fn safety_alert(&self, id: &str) -> Result<Fetched<SafetyAlert>, ApiError> {
        let path = format!("/safety/alerts/{}", segment(id)?);
        let get = Get::new(Endpoint::SafetyAlerts, path, SAFETY_ALERT_BYTES_MAX);
        self.get_object(get, id, SafetyAlert::parse, |alert| alert.id.as_deref()).await
    }
}

impl SafetyAlert {
    /// Fails only if it is not a JSON object.
    pub fn parse(raw: &[u8]) -> Result<Self, serde_json::Error> {
        let json = text_of(raw);
        let names = [
            "id",
            "response_id",
            "request_id",
            "model",
            "error_type",
            "reason",
            "detailed_explanation",
            "request_paused",
            "created_at",
        ];
        let [id, response_id, request_id, model, error_type, reason, explanation, paused, created_at] =
            fields(&json, names)?;
        Ok(Self {
            id: text(id),
            response_id: text(response_id),
            request_id: text(request_id),
            model: text(model),
            error_type: text(error_type),
            reason: text(reason),
            detailed_explanation: text(explanation),
            request_paused: flag(paused),
            created_at: time(created_at),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_and_its_explanation_are_parsed() {
        let alert = SafetyAlert::parse(
            br#"{"id":"alert_1","object":"safety.alert","created_at":1795305600,"request_id":"req_1",
            "response_id":"resp_1","model":"gpt-6-luna","request_paused":true,"error_type":"other","reason":null,
            "detailed_explanation":"It tried to delete a table."}"#,
        );
        let alert = alert.unwrap();
        assert_eq!((alert.response_id.as_deref(), alert.request_paused), (Some("resp_1"), Some(true)));
        assert_eq!((alert.reason, alert.error_type.as_deref()), (None, Some("other")));
        assert!(alert.detailed_explanation.is_some() && alert.created_at.is_some());
    }

    #[test]
    fn malformed_fields_are_none() {
        let alert =
            SafetyAlert::parse(br#"{"request_paused":"yes","error_type":7,"created_at":"x"}"#).unwrap();
        assert_eq!((alert.request_paused, alert.error_type, alert.created_at), (None, None, None));
        assert!(SafetyAlert::parse(b"[]").is_err());
    }
}
