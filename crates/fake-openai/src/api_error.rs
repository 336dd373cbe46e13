//! API errors in OpenAI's format: `{"error":{"message","type","param","code"}}`. Messages are copied from the real API
//! where they are known, and modelled on similar ones where they are not.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde_json::{Value, json};

use crate::kind::Kind;

/// One API error.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    kind: &'static str,
    message: String,
    param: Option<String>,
    code: Option<&'static str>,
}

const INVALID_REQUEST: &str = "invalid_request_error";

impl ApiError {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, kind: INVALID_REQUEST, message: message.into(), param: None, code: None }
    }

    fn param(mut self, param: &str) -> Self {
        self.param = Some(param.to_owned());
        self
    }

    fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    fn kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    /// The object does not exist or belongs to another project; OpenAI does not distinguish the two.
    pub(crate) fn not_found(kind: Kind, id: &str) -> Self {
        match kind {
            Kind::Response => Self::new(404, format!("Response with id '{id}' not found.")),
            Kind::Batch => Self::new(404, format!("No batch found with id '{id}'.")),
            Kind::File => Self::new(404, format!("No such File object: {id}")).param("id"),
            Kind::Container => Self::new(404, format!("Container with id '{id}' not found.")),
            Kind::ContainerFile => {
                Self::new(404, format!("File with id '{id}' not found in this container."))
            }
            Kind::FineTuningJob | Kind::Checkpoint | Kind::JobEvent => {
                Self::new(404, format!("Could not find fine tune: {id}"))
                    .param("fine_tune_id")
                    .code("fine_tune_not_found")
            }
            Kind::Model => Self::new(404, format!("The model '{id}' does not exist"))
                .param("model")
                .code("model_not_found"),
            Kind::Eval => Self::new(404, format!("Eval with id '{id}' not found.")),
            Kind::EvalRun => Self::new(404, format!("Eval run with id '{id}' not found.")),
            Kind::AgentSession => Self::new(404, format!("Session '{id}' not found.")),
            Kind::AgentTurn | Kind::AgentItem => Self::new(404, format!("Turn '{id}' not found.")),
            Kind::AgentArtifact => Self::new(404, format!("Artifact '{id}' not found.")),
            Kind::SafetyAlert => {
                Self::new(404, format!("Safety alert '{id}' not found.")).code("safety_alert_not_found")
            }
        }
    }

    pub(crate) fn invalid_url(method: &str, path: &str) -> Self {
        Self::new(404, format!("Invalid URL ({method} {path})"))
    }

    pub(crate) fn wrong_method(method: &str, path: &str) -> Self {
        let message = format!(
            "Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP method?)"
        );
        Self::new(405, message).code("method_not_supported")
    }

    pub(crate) fn no_key() -> Self {
        Self::new(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization header using \
             Bearer auth (i.e. Authorization: Bearer YOUR_KEY). You can obtain an API key from \
             https://platform.openai.com/account/api-keys.",
        )
    }

    /// Shows only the first and last characters of the key, as OpenAI does.
    pub(crate) fn wrong_key(key: &str) -> Self {
        let message = format!(
            "Incorrect API key provided: {}. You can find your API key at \
             https://platform.openai.com/account/api-keys.",
            masked(key)
        );
        Self::new(401, message).code("invalid_api_key")
    }

    pub(crate) fn not_json() -> Self {
        Self::new(
            400,
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP \
             library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)",
        )
    }

    pub(crate) fn not_a_form() -> Self {
        Self::new(400, "We could not parse the body of your request as multipart/form-data.")
    }

    pub(crate) fn missing_parameter(param: &str) -> Self {
        let message = format!("Missing required parameter: '{param}'.");
        Self::new(400, message).param(param).code("missing_required_parameter")
    }

    /// `expected` and `given` are types with their article.
    pub(crate) fn wrong_type(param: &str, expected: &str, given: &str) -> Self {
        let message = format!("Invalid type for '{param}': expected {expected}, but got {given} instead.");
        Self::new(400, message).param(param).code("invalid_type")
    }

    pub(crate) fn too_many(param: &str, max: usize, given: usize) -> Self {
        let message = format!(
            "Invalid '{param}': too many properties. Expected an object with at most {max} properties, but got {given} instead."
        );
        Self::new(400, message).param(param).code("object_above_max_properties")
    }

    pub(crate) fn not_supported(param: &str, message: &str) -> Self {
        Self::new(400, message).param(param).code("unsupported_value")
    }

    pub(crate) fn not_an_integer(param: &str, given: &str) -> Self {
        let message = format!("Invalid type for '{param}': expected an integer, but got '{given}' instead.");
        Self::new(400, message).param(param).code("invalid_type")
    }

    pub(crate) fn too_large(param: &str, max: usize, given: usize) -> Self {
        let message = format!(
            "Invalid '{param}': integer above maximum value. Expected a value <= {max}, but got {given} instead."
        );
        Self::new(400, message).param(param).code("integer_above_max_value")
    }

    pub(crate) fn too_small(param: &str, min: usize, given: usize) -> Self {
        let message = format!(
            "Invalid '{param}': integer below minimum value. Expected a value >= {min}, but got {given} instead."
        );
        Self::new(400, message).param(param).code("integer_below_min_value")
    }

    pub(crate) fn not_one_of(param: &str, given: &str, supported: &[&str]) -> Self {
        let supported: Vec<String> = supported.iter().map(|value| format!("'{value}'")).collect();
        let message = format!("Invalid value: '{given}'. Supported values are: {}.", supported.join(", "));
        Self::new(400, message).param(param).code("invalid_value")
    }

    pub(crate) fn unknown_cursor(after: &str) -> Self {
        Self::new(400, format!("Invalid 'after': no object with id '{after}'.")).param("after")
    }

    pub(crate) fn policy_violation() -> Self {
        Self::new(403, "This request was blocked because it violates our policies.")
            .code("misalignment_policy_violation")
    }

    /// The API is a beta.
    pub(crate) fn no_beta(header: &str) -> Self {
        Self::new(400, format!("You must provide the 'OpenAI-Beta' header to access this API: '{header}'."))
            .code("invalid_beta")
    }

    /// A restricted API key that lacks a permission, such as `api.safety.alerts.read`.
    pub(crate) fn missing_scopes(scopes: &str) -> Self {
        let message = format!(
            "You have insufficient permissions for this operation. Missing scopes: {scopes}. Check that you have the \
             correct role in your project, and if you're using a restricted API key, that it has the necessary scopes."
        );
        Self::new(401, message)
    }

    pub(crate) fn insufficient_quota() -> Self {
        Self::new(429, "You exceeded your current quota, please check your plan and billing details.")
            .kind("insufficient_quota")
            .code("insufficient_quota")
    }

    /// The API's generic error for this status.
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            401 => Self::wrong_key("sk-revoked-0000"),
            403 => Self::new(403, "You do not have access to this resource with this API key."),
            404 => Self::new(404, "The requested resource was not found."),
            408 => Self::new(408, "The request timed out. Please try again.").kind("request_timeout"),
            409 => Self::new(409, "The resource was changed by another request. Please try again.")
                .kind("conflict"),
            429 => Self::new(429, "Rate limit reached for requests. Please try again later.")
                .kind("requests")
                .code("rate_limit_exceeded"),
            503 => Self::new(503, "The engine is currently overloaded, please try again later.")
                .kind("service_unavailable"),
            500.. => {
                Self::new(status, "The server had an error while processing your request. Sorry about that!")
                    .kind("server_error")
            }
            _ => Self::new(status, "The request was refused."),
        }
    }

    pub(crate) fn body(&self) -> Value {
        json!({"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}})
    }

    pub(crate) fn into_response(self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        HttpResponse::build(status).content_type("application/json").body(format!("{:#}", self.body()))
    }
}

fn masked(key: &str) -> String {
    const SHOWN_FIRST: usize = 8;
    const SHOWN_LAST: usize = 4;
    let letters: Vec<char> = key.chars().collect();
    if letters.len() < 2 * (SHOWN_FIRST + SHOWN_LAST) {
        return "*".repeat(letters.len());
    }
    let hidden = letters.len() - SHOWN_FIRST - SHOWN_LAST;
    let first: String = letters[..SHOWN_FIRST].iter().collect();
    let last: String = letters[SHOWN_FIRST + hidden..].iter().collect();
    format!("{first}{}{last}", "*".repeat(hidden))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_key_is_masked() {
        for key in ["sk-short", "sk-proj-0123456789abcdefghijklmnopqrstuvwxyz"] {
            let text = ApiError::wrong_key(key).body().to_string();
            assert!(!text.contains(key), "{text}");
        }
        assert_eq!(masked("sk-proj-0123456789abcdefwxyz"), "sk-proj-****************wxyz");
    }
}
