//! The groups of settings with little logic of their own: where results are stored, how logs look.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::bucket::BucketSettings;
use super::secret::{Given, SettingError};
use super::values::{database_url, log_filter, userinfo};

/// The worker and the command line read these.
#[derive(Debug, Clone, clap::Args)]
pub struct StoreSettings {
    /// Where rows are stored: sqlite://PATH, or postgres://USER:PASSWORD@HOST/DATABASE
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    #[arg(default_value = "sqlite://data/landfall.db", value_parser = database_url)]
    pub database_url: SecretString,
    /// The password of a postgres:// DATABASE_URL that holds none
    #[arg(long, env = "DATABASE_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    pub database_password: Option<SecretString>,
    /// A file that holds it, instead of DATABASE_PASSWORD
    #[arg(long, env = "DATABASE_PASSWORD_FILE", value_name = "PATH")]
    pub database_password_file: Option<PathBuf>,
    /// Where raw files are stored: a folder that all workers share, or s3://bucket/prefix
    #[arg(long, env = "FILES_URL", value_name = "PATH_OR_URL", default_value = "data/files")]
    pub files_url: String,
    #[command(flatten)]
    pub bucket: BucketSettings,
}

/// Why a database's password is refused.
#[derive(Debug, thiserror::Error)]
enum PasswordError {
    #[error("DATABASE_URL holds a password as well: remove one of them")]
    Twice,
    #[error(
        "only postgres:// has a password: write DATABASE_URL as postgres://user@host/database, or remove it"
    )]
    NoUse,
}

impl StoreSettings {
    /// `DATABASE_URL`, with the password that is set apart from it put in.
    ///
    /// # Errors
    /// [`SettingError`] when the password is given twice, is of no use, or its file cannot be read or is empty.
    pub fn database_url(&self) -> Result<SecretString, SettingError> {
        const NAME: &str = "DATABASE_PASSWORD";
        let given = Given {
            name: NAME,
            what_to_write: "the password of the database",
            value: self.database_password.as_ref(),
            file: self.database_password_file.as_deref(),
        };
        let Some(password) = given.load_if_set()? else { return Ok(self.database_url.clone()) };
        let wrong = |error: PasswordError| SettingError::wrong(NAME, error);
        let mut url = Url::parse(self.database_url.expose_secret())
            .ok()
            .filter(|url| url.scheme() != "sqlite")
            .ok_or_else(|| wrong(PasswordError::NoUse))?;
        if url.password().is_some() || url.query_pairs().any(|(key, _)| key == "password") {
            return Err(wrong(PasswordError::Twice));
        }
        // Refused for addresses without a host: postgres:///database?host=/run/postgresql
        if url.set_password(Some(&userinfo(password.expose_secret()))).is_err() {
            url.query_pairs_mut().append_pair("password", password.expose_secret());
        }
        Ok(SecretString::from(String::from(url)))
    }
}

/// Every program reads these.
#[derive(Debug, Clone, clap::Args)]
pub struct LogSettings {
    /// How log lines on stderr look; auto is json unless stderr is a terminal
    #[arg(long, env = "LOG_FORMAT", value_name = "FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or per module as in info,queue=debug
    #[arg(long, env = "RUST_LOG", value_name = "FILTER", default_value = "info", value_parser = log_filter)]
    pub rust_log: String,
}

/// The setting `LOG_FORMAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    Auto,
    Json,
    Pretty,
}

impl LogFormat {
    /// Whether lines on this process's stderr are JSON.
    pub fn is_json(self) -> bool {
        match self {
            Self::Json => true,
            Self::Pretty => false,
            Self::Auto => !std::io::stderr().is_terminal(),
        }
    }
}
