//! Settings of the signed links to results that are too large for a notification.

use std::path::PathBuf;

use secrecy::SecretString;

use super::secret::{Given, SettingError};
use super::values::http_url;

/// Used by the worker, which makes links, and by the console, which serves what they lead to.
#[derive(Debug, Clone, clap::Args)]
pub struct ResultsSecretSettings {
    /// Secret that signs links to results, whsec_... from `landfall secret new`. When several are given, the first one signs. Must be the same on all workers and consoles
    #[arg(long, env = "RESULTS_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub results_secret: Option<SecretString>,
    /// File with the secret, instead of RESULTS_SECRET
    #[arg(long, env = "RESULTS_SECRET_FILE", value_name = "PATH")]
    pub results_secret_file: Option<PathBuf>,
}

/// Used by the worker.
#[derive(Debug, Clone, clap::Args)]
pub struct ResultsSettings {
    /// Public URL of the console, with which links to results too large for a notification start, such as `https://landfall.example.com`; without it there are no links
    #[arg(long, env = "RESULTS_BASE_URL", value_name = "URL", value_parser = http_url)]
    pub results_base_url: Option<String>,
    #[command(flatten)]
    pub secret: ResultsSecretSettings,
    /// Where workers served results before the console did; ignored
    #[arg(long, env = "RESULTS_ADDR", hide = true, value_name = "ADDR")]
    pub results_addr: Option<String>,
}

impl ResultsSecretSettings {
    /// The secret; `None` if links are not served.
    ///
    /// # Errors
    /// [`SettingError`] if it is set twice, or cannot be read.
    pub fn secret_if_set(&self) -> Result<Option<SecretString>, SettingError> {
        self.given().load_if_set()
    }

    fn given(&self) -> Given<'_> {
        Given {
            name: "RESULTS_SECRET",
            expected: "a secret from `landfall secret new`, the same on all workers and consoles",
            value: self.results_secret.as_ref(),
            file: self.results_secret_file.as_deref(),
        }
    }
}

impl ResultsSettings {
    /// The base URL and the secret; `None` if notifications contain no links.
    ///
    /// # Errors
    /// [`SettingError`] if the secret is missing, set twice, or cannot be read.
    pub fn links(&self) -> Result<Option<(String, SecretString)>, SettingError> {
        let Some(base_url) = &self.results_base_url else { return Ok(None) };
        Ok(Some((base_url.clone(), self.secret.given().load()?)))
    }
}
