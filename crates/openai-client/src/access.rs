//! Whether the API lets us in: one small GET, whose answer tells a wrong key, a wrong address and a wrong clock apart.

use chrono::{DateTime, Utc};
use serde::de::Error as _;

use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::error::ApiError;
use crate::lenient::{fields, text, text_of};

/// A list of one batch.
const LIST_BYTES_MAX: usize = 8 << 20;

/// What the answer told.
#[derive(Debug)]
pub struct Access {
    /// The server's clock, in whole seconds; known also when it refuses us.
    pub server_time: Option<DateTime<Utc>>,
    /// Whether it answered as OpenAI does, with something we may read.
    pub outcome: Result<(), ApiError>,
}

impl Client {
    /// `GET /batches?limit=1`: small, and a right that Landfall needs.
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

/// Any server may answer 200; OpenAI's lists say that they are lists.
fn parse_list(raw: &[u8]) -> Result<(), serde_json::Error> {
    let json = text_of(raw);
    let [object, data] = fields(&json, ["object", "data"])?;
    if text(object).as_deref() == Some("list") && data.is_some() {
        Ok(())
    } else {
        Err(serde_json::Error::custom("not a list as OpenAI's API sends it"))
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
