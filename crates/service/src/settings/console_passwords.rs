//! The passwords of the console's pages.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use super::secret::{Given, SettingError};

/// Used by the console. Neither has a default.
#[derive(Debug, Clone, clap::Args)]
pub struct ConsolePasswordSettings {
    /// Password of operators, who may also redrive, discard, replay and fetch. Without any password, pages can be read on a
    /// loopback address only
    #[arg(long, env = "CONSOLE_PASSWORD", hide_env_values = true, value_name = "SECRET")]
    pub console_password: Option<SecretString>,
    /// File with the password, instead of CONSOLE_PASSWORD
    #[arg(long, env = "CONSOLE_PASSWORD_FILE", value_name = "PATH")]
    pub console_password_file: Option<PathBuf>,
    /// Password of viewers, who may only read
    #[arg(long, env = "CONSOLE_VIEWER_PASSWORD", hide_env_values = true, value_name = "SECRET")]
    pub console_viewer_password: Option<SecretString>,
    /// File with the password, instead of CONSOLE_VIEWER_PASSWORD
    #[arg(long, env = "CONSOLE_VIEWER_PASSWORD_FILE", value_name = "PATH")]
    pub console_viewer_password_file: Option<PathBuf>,
}

/// Both passwords are the same, so that viewers would be operators.
#[derive(Debug, thiserror::Error)]
#[error("it is the same as CONSOLE_PASSWORD: choose another password for viewers")]
struct SamePassword;

impl ConsolePasswordSettings {
    /// The passwords of operators and of viewers.
    ///
    /// # Errors
    /// [`SettingError`] if one is set twice or cannot be read, or if both are the same.
    pub fn load(&self) -> Result<(Option<SecretString>, Option<SecretString>), SettingError> {
        let operator = Given {
            name: "CONSOLE_PASSWORD",
            expected: "a password for operators",
            value: self.console_password.as_ref(),
            file: self.console_password_file.as_deref(),
        }
        .load_if_set()?;
        let viewer = Given {
            name: "CONSOLE_VIEWER_PASSWORD",
            expected: "a password for viewers",
            value: self.console_viewer_password.as_ref(),
            file: self.console_viewer_password_file.as_deref(),
        }
        .load_if_set()?;
        match (&operator, &viewer) {
            (Some(operator), Some(viewer)) if operator.expose_secret() == viewer.expose_secret() => {
                Err(SettingError::wrong("CONSOLE_VIEWER_PASSWORD", SamePassword))
            }
            _ => Ok((operator, viewer)),
        }
    }
}
