//! Checks access to the API with one small GET, whose result distinguishes a wrong key, a wrong base URL and a wrong
//! clock.

use chrono::{DateTime, Utc};
use serde::de::Error as _;

use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::error::ApiError;
use crate::lenient::{fields, text, text_of};

/// A list with one batch.
const LIST_BYTES_MAX: usize = 8 << 20;

/// The result of the check.
#[derive(Debug)]
pub struct Access {
    /// The clock of the server, in whole seconds; also known when access is denied.
    pub server_time: Option<DateTime<Utc>>,
    /// Whether the server responded like OpenAI and granted access.
    pub outcome: Result<(), ApiError>,
}

impl Client {
    /// `GET /batches?limit=1`: small, and requires a permission that Landfall needs.
    pub async fn check_access(&self) -> Access {
        match self.send(Endpoint::Batches, "/batches?limit=1", "application/json").await {
            Err(error) => Access { server_time: None, outcome: Err(error) },
            Ok(exchange) => {
                let server_time = exchange.server_time();
                let list = async {
                    let exchange = self.accept(exchange).await?;
                    self.read_json(exchange, LIST_BYTES_MAX, parse_list).await
                };
                Access { server_time, outcome: list.await.map(drop) }
            }
        }
    }
}

/// Any server may respond with 200; lists from OpenAI identify themselves as lists.
fn parse_list(raw: &[u8]) -> Result<(), serde_json::Error> {
    let json = text_of(raw);
    let [object, data] = fields(&json, ["object", "data"])?;
    if text(object).as_deref() == Some("list") && data.is_some() {
        Ok(())
    } else {
        Err(serde_json::Error::custom("not a list from the OpenAI API"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_list_is_a_list() {
        assert!(parse_list(br#"{"object":"list","data":[],"has_more":false}"#).is_ok());
        for other in
            [&b"{}"[..], b"[]", br#"{"object":"list"}"#, br#"{"data":[]}"#, b"<html>sk-key</html>", b""]
        {
            let error = parse_list(other).unwrap_err().to_string();
            assert!(!error.contains("sk-key"), "{error}");
        }
    }
}
