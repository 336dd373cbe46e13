//! Rows of `batch_inputs`: the requests of a batch.

use serde::Serialize;

use crate::columns::columns;
use crate::json_text;

/// One line of a batch's input file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchInput {
    /// From 1.
    pub line: i64,
    pub custom_id: Option<String>,
    pub method: Option<String>,
    pub url: Option<String>,
    /// The body of the request, or the whole line if it is not a request.
    #[serde(serialize_with = "json_text::nested_optional_bytes")]
    pub body: Option<Vec<u8>>,
}

columns! {
    BatchInput {
        line: Integer,
        custom_id: Text,
        method: Text,
        url: Text,
        body: Json + body_bytes,
    }
}
