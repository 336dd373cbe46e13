//! The parameters of a JSON request, with OpenAI's errors for missing and wrong ones.

use serde_json::{Map, Value};

use crate::api_error::ApiError;

/// The JSON object in the body of a request.
pub(super) struct Params(Map<String, Value>);

impl Params {
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(params)) => Ok(Self(params)),
            _ => Err(ApiError::not_json()),
        }
    }

    /// `None` if it is absent or null.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn or(&self, name: &str, default: Value) -> Value {
        self.get(name).cloned().unwrap_or(default)
    }

    pub(super) fn text(&self, name: &str) -> Result<&str, ApiError> {
        let value = self.get(name).ok_or_else(|| ApiError::missing_parameter(name))?;
        value.as_str().ok_or_else(|| ApiError::wrong_type(name, "a string", type_of(value)))
    }

    /// False if it is absent.
    pub(super) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        let Some(value) = self.get(name) else { return Ok(false) };
        value.as_bool().ok_or_else(|| ApiError::wrong_type(name, "a boolean", type_of(value)))
    }

    /// Up to sixteen pairs of strings; `default` if it is absent.
    pub(super) fn metadata(&self, default: Value) -> Result<Value, ApiError> {
        const PAIRS_MAX: usize = 16;
        let Some(value) = self.get("metadata") else { return Ok(default) };
        let Some(pairs) = value.as_object() else {
            return Err(ApiError::wrong_type("metadata", "an object", type_of(value)));
        };
        if let Some((name, other)) = pairs.iter().find(|(_, value)| !value.is_string()) {
            return Err(ApiError::wrong_type(&format!("metadata.{name}"), "a string", type_of(other)));
        }
        if pairs.len() > PAIRS_MAX {
            return Err(ApiError::too_many("metadata", PAIRS_MAX, pairs.len()));
        }
        Ok(value.clone())
    }
}

/// As OpenAI's messages name it.
fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
