//! Secrets: given as `NAME`, or as `NAME_FILE`, the path of a file that holds it. Never both, never printed.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

/// Why a setting was refused after the arguments were read.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    #[error("{name} is not set: write {what_to_write}, or name a file that holds it in {name}_FILE")]
    Missing { name: &'static str, what_to_write: &'static str },
    #[error("both {name} and {name}_FILE are set: remove one of them")]
    Both { name: &'static str },
    #[error("{name}_FILE: cannot read {}", path.display())]
    Unreadable {
        name: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{name}_FILE: {} is empty: it must hold {what_to_write}", path.display())]
    EmptyFile { name: &'static str, path: PathBuf, what_to_write: &'static str },
    /// A check that only the program can make, such as the form of a signing secret.
    #[error("{name} is wrong")]
    Wrong {
        name: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl SettingError {
    /// A setting that the program itself found wrong. `source` says what to write and never repeats a secret.
    pub fn wrong(name: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Wrong { name, source: Box::new(source) }
    }
}

/// One secret's two settings, as they were given.
pub(super) struct Given<'a> {
    pub(super) name: &'static str,
    pub(super) what_to_write: &'static str,
    pub(super) value: Option<&'a SecretString>,
    pub(super) file: Option<&'a Path>,
}

impl Given<'_> {
    pub(super) fn load(self) -> Result<SecretString, SettingError> {
        let Self { name, what_to_write, .. } = self;
        let value = self.value.filter(|value| !value.expose_secret().trim().is_empty());
        match (value, self.file) {
            (Some(_), Some(_)) => Err(SettingError::Both { name }),
            (Some(value), None) => Ok(value.clone()),
            (None, Some(path)) => read(name, what_to_write, path),
            (None, None) => Err(SettingError::Missing { name, what_to_write }),
        }
    }
}

fn read(name: &'static str, what_to_write: &'static str, path: &Path) -> Result<SecretString, SettingError> {
    let text = std::fs::read_to_string(path).map_err(|source| SettingError::Unreadable {
        name,
        path: path.to_owned(),
        source,
    })?;
    // Editors and `echo` end a file with a newline that is no part of the secret.
    let secret = text.trim_end_matches(['\n', '\r']);
    if secret.trim().is_empty() {
        return Err(SettingError::EmptyFile { name, path: path.to_owned(), what_to_write });
    }
    Ok(SecretString::from(secret))
}

/// What webhooks are verified with.
#[derive(Debug, Clone, clap::Args)]
pub struct WebhookSecretSettings {
    /// The webhook's signing secret as OpenAI showed it, whsec_...; several, separated by spaces or commas, while one is rotated
    #[arg(long, env = "OPENAI_WEBHOOK_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub openai_webhook_secret: Option<SecretString>,
    /// A file that holds the signing secret, instead of OPENAI_WEBHOOK_SECRET
    #[arg(long, env = "OPENAI_WEBHOOK_SECRET_FILE", value_name = "PATH")]
    pub openai_webhook_secret_file: Option<PathBuf>,
}

impl WebhookSecretSettings {
    /// The setting's variable, for errors about its content.
    pub const NAME: &'static str = "OPENAI_WEBHOOK_SECRET";

    /// One or several secrets in one text; their form is not checked here.
    ///
    /// # Errors
    /// [`SettingError`] when it is missing, given twice, or its file cannot be read or is empty.
    pub fn secret(&self) -> Result<SecretString, SettingError> {
        Given {
            name: Self::NAME,
            what_to_write: "the signing secret OpenAI showed when the webhook was made (whsec_...)",
            value: self.openai_webhook_secret.as_ref(),
            file: self.openai_webhook_secret_file.as_deref(),
        }
        .load()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(secret: Option<&str>, file: Option<&Path>) -> WebhookSecretSettings {
        WebhookSecretSettings {
            openai_webhook_secret: secret.map(SecretString::from),
            openai_webhook_secret_file: file.map(Path::to_owned),
        }
    }

    #[test]
    fn a_secret_comes_from_its_file_without_the_last_newline() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "whsec_a whsec_b\r\n").unwrap();
        let secret = settings(None, Some(&file)).secret().unwrap();
        assert_eq!(secret.expose_secret(), "whsec_a whsec_b");
    }

    #[test]
    fn a_missing_or_empty_file_is_refused_by_the_name_of_its_setting() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let error = settings(None, Some(&file)).secret().unwrap_err();
        assert!(matches!(error, SettingError::Unreadable { .. }), "{error}");
        assert!(error.to_string().starts_with("OPENAI_WEBHOOK_SECRET_FILE: cannot read"));

        std::fs::write(&file, "\n \n").unwrap();
        let error = settings(None, Some(&file)).secret().unwrap_err();
        assert!(matches!(error, SettingError::EmptyFile { .. }), "{error}");
        assert!(error.to_string().starts_with("OPENAI_WEBHOOK_SECRET_FILE: "));
    }

    #[test]
    fn neither_and_both_are_refused() {
        let none = settings(None, None).secret().unwrap_err();
        assert!(matches!(none, SettingError::Missing { .. }), "{none}");
        let blank = settings(Some("  "), None).secret().unwrap_err();
        assert!(matches!(blank, SettingError::Missing { .. }), "{blank}");
        let both = settings(Some("whsec_a"), Some(Path::new("x"))).secret().unwrap_err();
        assert!(matches!(both, SettingError::Both { .. }), "{both}");
        assert!(!both.to_string().contains("whsec_a"));
    }
}
