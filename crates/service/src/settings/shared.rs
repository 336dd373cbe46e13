//! Setting groups with little logic: database, files and log format.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::bucket::BucketSettings;
use super::secret::{Given, SettingError};
use super::values::{database_url, log_filter, userinfo};

/// Used by the worker and the command line.
#[derive(Debug, Clone, clap::Args)]
pub struct StoreSettings {
    /// Database: sqlite://PATH, or postgres://USER:PASSWORD@HOST/DATABASE
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    #[arg(default_value = "sqlite://data/landfall.db", value_parser = database_url)]
    pub database_url: SecretString,
    /// Password for PostgreSQL, if DATABASE_URL contains none
    #[arg(long, env = "DATABASE_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    pub database_password: Option<SecretString>,
    /// File with the password, instead of DATABASE_PASSWORD
    #[arg(long, env = "DATABASE_PASSWORD_FILE", value_name = "PATH")]
    pub database_password_file: Option<PathBuf>,
    /// Storage for raw files: a folder shared by all workers, or s3://bucket/prefix
    #[arg(long, env = "FILES_URL", value_name = "PATH_OR_URL", default_value = "data/files")]
    pub files_url: String,
    #[command(flatten)]
    pub bucket: BucketSettings,
}

/// Why a database password is rejected.
#[derive(Debug, thiserror::Error)]
enum PasswordError {
    #[error("DATABASE_URL also contains a password: remove one of them")]
    Twice,
    #[error(
        "only PostgreSQL has a password: write DATABASE_URL as postgres://user@host/database, or remove the password"
    )]
    NoUse,
}

impl StoreSettings {
    /// `DATABASE_URL`, including a password that was set separately.
    ///
    /// # Errors
    /// [`SettingError`] if the password is set twice or has no use, or its file is unreadable or empty.
    pub fn database_url(&self) -> Result<SecretString, SettingError> {
        const NAME: &str = "DATABASE_PASSWORD";
        let given = Given {
            name: NAME,
            expected: "the password of the database",
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
        // Fails for URLs without a host: postgres:///database?host=/run/postgresql
        if url.set_password(Some(&userinfo(password.expose_secret()))).is_err() {
            url.query_pairs_mut().append_pair("password", password.expose_secret());
        }
        Ok(SecretString::from(String::from(url)))
    }
}

/// Used by every program.
#[derive(Debug, Clone, clap::Args)]
pub struct LogSettings {
    /// Format of log lines on stderr; auto means json, or pretty if stderr is a terminal
    #[arg(long, env = "LOG_FORMAT", value_name = "FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    pub log_format: LogFormat,
    /// Log level: error, warn, info, debug, trace, or per module as in info,queue=debug
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
    /// Whether this process logs JSON to stderr.
    pub fn is_json(self) -> bool {
        match self {
            Self::Json => true,
            Self::Pretty => false,
            Self::Auto => !std::io::stderr().is_terminal(),
        }
    }
}
