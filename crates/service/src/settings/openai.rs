//! How OpenAI's API is reached. The names are those of OpenAI's own libraries.

use std::path::PathBuf;

use secrecy::SecretString;

use super::secret::{Given, SettingError};
use super::values::http_url;

/// The worker and the command line read these.
#[derive(Debug, Clone, clap::Args)]
pub struct OpenAiSettings {
    /// API key of the project that sends the webhooks, sk-...; not needed with FETCH=off
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub openai_api_key: Option<SecretString>,
    /// A file that holds the API key, instead of OPENAI_API_KEY
    #[arg(long, env = "OPENAI_API_KEY_FILE", value_name = "PATH")]
    pub openai_api_key_file: Option<PathBuf>,
    /// Where the API is, an http:// or https:// address
    #[arg(long, env = "OPENAI_BASE_URL", value_name = "URL")]
    #[arg(default_value = "https://api.openai.com/v1", value_parser = http_url)]
    pub openai_base_url: String,
    /// Sent as OpenAI-Organization when set, org-...
    #[arg(long, env = "OPENAI_ORG_ID", value_name = "ID")]
    pub openai_org_id: Option<String>,
    /// Sent as OpenAI-Project when set, proj_...
    #[arg(long, env = "OPENAI_PROJECT_ID", value_name = "ID")]
    pub openai_project_id: Option<String>,
    /// Whether objects are fetched; with off, only what the event itself holds is stored
    #[arg(long, env = "FETCH", value_name = "ON_OR_OFF", value_enum, default_value_t = Fetch::On)]
    pub fetch: Fetch,
}

/// The setting `FETCH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Fetch {
    On,
    Off,
}

impl OpenAiSettings {
    /// The API key. Ask for it only when [`Fetch::On`].
    ///
    /// # Errors
    /// [`SettingError`] when it is missing, given twice, or its file cannot be read or is empty.
    pub fn api_key(&self) -> Result<SecretString, SettingError> {
        Given {
            name: "OPENAI_API_KEY",
            what_to_write: "an API key of the project that sends the webhooks (sk-...), or FETCH=off",
            value: self.openai_api_key.as_ref(),
            file: self.openai_api_key_file.as_deref(),
        }
        .load()
    }
}
