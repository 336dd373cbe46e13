//! Where results too large for a notification are fetched by their signed links.

use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::SecretString;

use super::secret::{Given, SettingError};
use super::values::http_url;

/// The worker reads these: all three, or none.
#[derive(Debug, Clone, clap::Args)]
pub struct ResultsSettings {
    /// Address that serves GET /results/... by signed links, for results too large for a notification. Not set: none
    #[arg(long, env = "RESULTS_ADDR", value_name = "ADDR")]
    pub results_addr: Option<SocketAddr>,
    /// Where those who are told reach RESULTS_ADDR: the links begin with it, such as `https://landfall.example.com`
    #[arg(long, env = "RESULTS_BASE_URL", value_name = "URL", value_parser = http_url)]
    pub results_base_url: Option<String>,
    /// What the links are signed with, whsec_... as `landfall secret new` makes it; of several, the first signs. Of all workers the same
    #[arg(long, env = "RESULTS_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub results_secret: Option<SecretString>,
    /// A file that holds it, instead of RESULTS_SECRET
    #[arg(long, env = "RESULTS_SECRET_FILE", value_name = "PATH")]
    pub results_secret_file: Option<PathBuf>,
}

/// Of the settings that belong together, one is missing.
#[derive(Debug, thiserror::Error)]
#[error("write it, or leave {other} out: links need both")]
struct Lonely {
    other: &'static str,
}

impl ResultsSettings {
    /// Address, base of the links, and the secret; `None` when results are not served.
    ///
    /// # Errors
    /// [`SettingError`] when one is there without the others, or the secret cannot be read.
    pub fn served(&self) -> Result<Option<(SocketAddr, String, SecretString)>, SettingError> {
        let lonely = |name, other| Err(SettingError::wrong(name, Lonely { other }));
        let (addr, base_url) = match (self.results_addr, &self.results_base_url) {
            (None, None) => return Ok(None),
            (Some(addr), Some(base_url)) => (addr, base_url.clone()),
            (Some(_), None) => return lonely("RESULTS_BASE_URL", "RESULTS_ADDR"),
            (None, Some(_)) => return lonely("RESULTS_ADDR", "RESULTS_BASE_URL"),
        };
        let secret = Given {
            name: "RESULTS_SECRET",
            what_to_write: "a secret as `landfall secret new` makes it, the same for all workers",
            value: self.results_secret.as_ref(),
            file: self.results_secret_file.as_deref(),
        };
        Ok(Some((addr, base_url, secret.load()?)))
    }
}
