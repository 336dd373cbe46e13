//! The settings of the console.

use std::net::SocketAddr;

use clap::Parser;
use service::settings::{
    ConfigFileSettings, ConsolePasswordSettings, LogSettings, RedisSettings, ResultsSecretSettings,
    StoreSettings, yes_or_no,
};

use crate::bodies::Bodies;
use crate::hosts::AllowedHosts;
use crate::proxy::{ProxyNetwork, UserHeader};

/// Serves stored results, events and notifications as pages for people and as an HTTP API.
///
/// Every setting is an environment variable and a flag; the flag wins. An empty variable counts as unset.
#[derive(Debug, Clone, Parser)]
#[command(name = "console", version, max_term_width = 100)]
pub struct Settings {
    #[command(flatten)]
    pub redis: RedisSettings,
    #[command(flatten)]
    pub store: StoreSettings,
    /// Address of pages and API. On a loopback address everybody may read while no password is set; otherwise pages need a
    /// login, and the API a token from `landfall token new`. Port 0 selects a free port and logs it
    #[arg(long, env = "CONSOLE_ADDR", default_value = "127.0.0.1:8090", value_name = "ADDR")]
    pub console_addr: SocketAddr,
    /// Host names that clients use, separated by commas, besides localhost and loopback addresses. Requests for other
    /// hosts are refused, so that no web page can read the console through a name of its own
    #[arg(long, env = "CONSOLE_HOSTS", default_value = "", value_name = "LIST")]
    pub console_hosts: AllowedHosts,
    #[command(flatten)]
    pub passwords: ConsolePasswordSettings,
    /// Network of the proxy in front of the console, such as 10.0.0.0/8. Only requests from there may say, in
    /// X-Forwarded-For and X-Forwarded-Proto, which client sent them and whether it used HTTPS
    #[arg(long, env = "CONSOLE_TRUSTED_PROXY", value_name = "NETWORK")]
    pub console_trusted_proxy: Option<ProxyNetwork>,
    /// Header with the name of the user, whom the proxy of CONSOLE_TRUSTED_PROXY has logged in, such as X-Forwarded-User.
    /// The user is an operator, or with CONSOLE_PASSWORD a viewer until he enters it
    #[arg(long, env = "CONSOLE_USER_HEADER", value_name = "NAME")]
    pub console_user_header: Option<UserHeader>,
    /// Name of this installation, shown on every page, such as production
    #[arg(long, env = "CONSOLE_NAME", value_name = "TEXT")]
    pub console_name: Option<String>,
    /// Refuse every call that changes something, even from operators: true or false
    #[arg(long, env = "CONSOLE_READ_ONLY", value_name = "BOOL", value_parser = yes_or_no)]
    #[arg(default_value = "false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub console_read_only: bool,
    /// Who may read what models wrote and what OpenAI sent: with `none`, and for viewers with
    /// `operator`, those fields are null, and results and files are refused
    #[arg(long, env = "CONSOLE_BODIES", value_enum, default_value_t = Bodies::All, value_name = "WHO")]
    pub console_bodies: Bodies,
    #[command(flatten)]
    pub results: ResultsSecretSettings,
    /// Address of /healthz, /readyz and /metrics; keep it private. Port 0 selects a free port and logs it
    #[arg(long, env = "ADMIN_ADDR", default_value = "127.0.0.1:9102", value_name = "ADDR")]
    pub admin_addr: SocketAddr,
    /// Check whether the console at ADMIN_ADDR is alive, and exit with 0 or 1
    #[arg(long)]
    pub healthcheck: bool,
    #[command(flatten)]
    pub targets: ConfigFileSettings,
    #[command(flatten)]
    pub log: LogSettings,
}
