//! Settings for the endpoint that serves results too large for a notification, by signed links.

use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::SecretString;

use super::secret::{Given, SettingError};
use super::values::http_url;

/// Used by the worker. All are set, or none.
#[derive(Debug, Clone, clap::Args)]
pub struct ResultsSettings {
    /// Address that serves GET /results/... by signed links, for results too large for a notification; disabled if not set
    #[arg(long, env = "RESULTS_ADDR", value_name = "ADDR")]
    pub results_addr: Option<SocketAddr>,
    /// Public URL of RESULTS_ADDR, with which the links start, such as `https://landfall.example.com`
    #[arg(long, env = "RESULTS_BASE_URL", value_name = "URL", value_parser = http_url)]
    pub results_base_url: Option<String>,
    /// Secret that signs the links, whsec_... from `landfall secret new`. When several are given, the first one signs. Must be the same on all workers
    #[arg(long, env = "RESULTS_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub results_secret: Option<SecretString>,
    /// File with the secret, instead of RESULTS_SECRET
    #[arg(long, env = "RESULTS_SECRET_FILE", value_name = "PATH")]
    pub results_secret_file: Option<PathBuf>,
}

/// One of two settings that must be set together is missing.
#[derive(Debug, thiserror::Error)]
#[error("it must be set together with {other}: set both or neither")]
struct MissingCounterpart {
    other: &'static str,
}

impl ResultsSettings {
    /// The address, the base URL and the secret; `None` if results are not served.
    ///
    /// # Errors
    /// [`SettingError`] if only some are set, or the secret cannot be read.
    pub fn served(&self) -> Result<Option<(SocketAddr, String, SecretString)>, SettingError> {
        let missing = |name, other| Err(SettingError::wrong(name, MissingCounterpart { other }));
        let (addr, base_url) = match (self.results_addr, &self.results_base_url) {
            (None, None) => return Ok(None),
            (Some(addr), Some(base_url)) => (addr, base_url.clone()),
            (Some(_), None) => return missing("RESULTS_BASE_URL", "RESULTS_ADDR"),
            (None, Some(_)) => return missing("RESULTS_ADDR", "RESULTS_BASE_URL"),
        };
        let secret = Given {
            name: "RESULTS_SECRET",
            expected: "a secret from `landfall secret new`, the same on all workers",
            value: self.results_secret.as_ref(),
            file: self.results_secret_file.as_deref(),
        };
        Ok(Some((addr, base_url, secret.load()?)))
    }
}
