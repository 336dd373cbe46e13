//! The groups of settings with no logic of their own: where results are stored, how logs look.

use secrecy::SecretString;

use super::bucket::BucketSettings;
use super::values::{database_url, log_filter};

/// The worker and the command line read these.
#[derive(Debug, Clone, clap::Args)]
pub struct StoreSettings {
    /// Where rows are stored: sqlite://PATH, or postgres://USER:PASSWORD@HOST/DATABASE
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    #[arg(default_value = "sqlite://data/landfall.db", value_parser = database_url)]
    pub database_url: SecretString,
    /// Where raw files are stored: a folder that all workers share, or s3://bucket/prefix
    #[arg(long, env = "FILES_URL", value_name = "PATH_OR_URL", default_value = "data/files")]
    pub files_url: String,
    #[command(flatten)]
    pub bucket: BucketSettings,
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
