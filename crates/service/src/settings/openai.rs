//! Settings for the OpenAI API, with the same names as in the OpenAI libraries.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use super::secret::{Given, SettingError};
use super::values::{header_id, http_url};

/// Used by the worker and the command line.
#[derive(Debug, Clone, clap::Args)]
pub struct OpenAiSettings {
    /// API key of the project that sends the webhooks, sk-...; not needed with FETCH=off
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub openai_api_key: Option<SecretString>,
    /// File with the API key, instead of OPENAI_API_KEY
    #[arg(long, env = "OPENAI_API_KEY_FILE", value_name = "PATH")]
    pub openai_api_key_file: Option<PathBuf>,
    /// Base URL of the API, http:// or https://
    #[arg(long, env = "OPENAI_BASE_URL", value_name = "URL")]
    #[arg(default_value = "https://api.openai.com/v1", value_parser = http_url)]
    pub openai_base_url: String,
    /// Value of the OpenAI-Organization header, org-...
    #[arg(long, env = "OPENAI_ORG_ID", value_name = "ID", value_parser = header_id)]
    pub openai_org_id: Option<String>,
    /// Value of the OpenAI-Project header, proj_...
    #[arg(long, env = "OPENAI_PROJECT_ID", value_name = "ID", value_parser = header_id)]
    pub openai_project_id: Option<String>,
    /// Fetch objects from the API; with off, only the content of the event is stored
    #[arg(long, env = "FETCH", value_name = "ON_OR_OFF", value_enum, default_value_t = Fetch::On)]
    pub fetch: Fetch,
}

/// The setting `FETCH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Fetch {
    On,
    Off,
}

/// Common mistakes when an API key is pasted. Never contains the key.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeyError {
    #[error("it is enclosed in quotes: remove them")]
    Quoted,
    #[error("it starts with \"Bearer\": write only the key, sk-...")]
    Bearer,
    #[error("it is a webhook signing secret (whsec_...): write an API key, sk-...")]
    SigningSecret,
    #[error("it contains a space or a line break: copy only the key, sk-...")]
    Blank,
    #[error("it contains a character that is invalid in an API key: copy the key again, sk-...")]
    Odd,
}

impl OpenAiSettings {
    /// The API key. Call this only for [`Fetch::On`].
    ///
    /// # Errors
    /// [`SettingError`] if it is missing, set twice, or cannot be an API key, or its file is unreadable or empty.
    pub fn api_key(&self) -> Result<SecretString, SettingError> {
        let given = Given {
            name: "OPENAI_API_KEY",
            expected: "an API key of the project that sends the webhooks (sk-...; not needed with FETCH=off)",
            value: self.openai_api_key.as_ref(),
            file: self.openai_api_key_file.as_deref(),
        };
        let key = given.load()?;
        let name = if self.openai_api_key_file.is_some() { "OPENAI_API_KEY_FILE" } else { "OPENAI_API_KEY" };
        check_api_key(key.expose_secret()).map_err(|error| SettingError::wrong(name, error))?;
        Ok(key)
    }
}

/// Checks whether a text can be an API key. Does not contact OpenAI.
///
/// # Errors
/// [`ApiKeyError`] describes the mistake.
pub fn check_api_key(key: &str) -> Result<(), ApiKeyError> {
    const QUOTES: [char; 8] = ['"', '\'', '`', '\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}'];
    if key.starts_with(QUOTES) || key.ends_with(QUOTES) {
        return Err(ApiKeyError::Quoted);
    }
    if key.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("bearer")) {
        return Err(ApiKeyError::Bearer);
    }
    if key.starts_with("whsec_") {
        return Err(ApiKeyError::SigningSecret);
    }
    if key.contains(char::is_whitespace) {
        return Err(ApiKeyError::Blank);
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ApiKeyError::Odd);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_mistakes_are_recognized() {
        for key in ["sk-proj-abc_DEF-123", "x", "some.proxy/key=1"] {
            assert!(check_api_key(key).is_ok(), "{key}");
        }
        for (key, part) in [
            ("\"sk-hunter2\"", "quotes"),
            ("'sk-hunter2'", "quotes"),
            ("\u{201c}sk-hunter2\u{201d}", "quotes"),
            ("Bearer sk-hunter2", "Bearer"),
            ("bearer sk-hunter2", "Bearer"),
            ("whsec_hunter2", "signing secret"),
            ("sk-hunter2 sk-hunter2", "a space"),
            ("sk-hunter2\nsk-hunter2", "line break"),
            ("sk-\u{200b}hunter2", "invalid in an API key"),
        ] {
            let error = check_api_key(key).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("hunter2"), "{key:?}: {error}");
        }
    }
}
