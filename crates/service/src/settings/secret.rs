//! Secrets, set as `NAME`, or as `NAME_FILE`, the path of a file that contains the secret. Never both, and never
//! printed.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use super::values::trimmed;

/// Secrets are smaller than this.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Why a setting was rejected after the arguments were parsed.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    #[error(
        "{name} is not set: set it to {expected}, or set {name}_FILE to the path of a file that contains it"
    )]
    Missing { name: &'static str, expected: &'static str },
    #[error("both {name} and {name}_FILE are set: remove one of them")]
    Both { name: &'static str },
    #[error("{name}_FILE: cannot read {}", path.display())]
    Unreadable { name: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{name}_FILE: {} is empty: it must contain {expected}", path.display())]
    EmptyFile { name: &'static str, path: PathBuf, expected: &'static str },
    /// A check by the program itself, such as the format of a signing secret.
    #[error("{name}")]
    Wrong { name: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
}

impl SettingError {
    /// A setting that the program rejected. `source` says how to fix it and never contains a secret.
    pub fn wrong(name: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Wrong { name, source: Box::new(source) }
    }
}

/// The two settings of one secret.
pub(super) struct Given<'a> {
    pub(super) name: &'static str,
    pub(super) expected: &'static str,
    pub(super) value: Option<&'a SecretString>,
    pub(super) file: Option<&'a Path>,
}

impl Given<'_> {
    /// Returns the secret without surrounding white space.
    pub(super) fn load(self) -> Result<SecretString, SettingError> {
        let Self { name, expected, .. } = self;
        let value = self.value.map(|value| trimmed(value.expose_secret())).filter(|value| !value.is_empty());
        match (value, self.file) {
            (Some(_), Some(_)) => Err(SettingError::Both { name }),
            (Some(value), None) => Ok(SecretString::from(value)),
            (None, Some(path)) => {
                let unreadable = |source| SettingError::Unreadable { name, path: path.to_owned(), source };
                let secret = read_file(path).map_err(unreadable)?;
                if secret.expose_secret().is_empty() {
                    return Err(SettingError::EmptyFile { name, path: path.to_owned(), expected });
                }
                Ok(secret)
            }
            (None, None) => Err(SettingError::Missing { name, expected }),
        }
    }

    /// The same for an optional secret.
    pub(super) fn load_if_set(self) -> Result<Option<SecretString>, SettingError> {
        match self.load() {
            Ok(secret) => Ok(Some(secret)),
            Err(SettingError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Reads the file of a secret, without a byte order mark and surrounding white space.
pub(super) fn read_file(path: &Path) -> io::Result<SecretString> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    let wrong = |problem: &str| io::Error::new(io::ErrorKind::InvalidData, problem);
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong("it is larger than 64 KiB, the maximum for a secret"));
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8 text: save it as UTF-8"))?;
    Ok(SecretString::from(trimmed(&text)))
}

/// The secret that verifies webhooks.
#[derive(Debug, Clone, clap::Args)]
pub struct WebhookSecretSettings {
    /// Signing secret of the webhook from the OpenAI dashboard, whsec_...; several during a rotation, separated by spaces or commas
    #[arg(long, env = "OPENAI_WEBHOOK_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub openai_webhook_secret: Option<SecretString>,
    /// File with the signing secret, instead of OPENAI_WEBHOOK_SECRET
    #[arg(long, env = "OPENAI_WEBHOOK_SECRET_FILE", value_name = "PATH")]
    pub openai_webhook_secret_file: Option<PathBuf>,
}

impl WebhookSecretSettings {
    /// The variable, for errors about its content.
    pub const NAME: &'static str = "OPENAI_WEBHOOK_SECRET";

    /// One or more secrets in one text; their format is not checked here.
    ///
    /// # Errors
    /// [`SettingError`] if it is missing or set twice, or its file is unreadable or empty.
    pub fn secret(&self) -> Result<SecretString, SettingError> {
        Given {
            name: Self::NAME,
            expected: "the signing secret that OpenAI showed when the webhook was created (whsec_...)",
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
    fn white_space_around_a_secret_is_trimmed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        for around in
            ["whsec_a whsec_b", "whsec_a whsec_b\r\n", " \twhsec_a whsec_b \n\n", "\u{feff}whsec_a whsec_b"]
        {
            std::fs::write(&file, around).unwrap();
            let secret = settings(None, Some(&file)).secret().unwrap();
            assert_eq!(secret.expose_secret(), "whsec_a whsec_b", "{around:?}");
            let secret = settings(Some(around), None).secret().unwrap();
            assert_eq!(secret.expose_secret(), "whsec_a whsec_b", "{around:?}");
        }
    }

    #[test]
    fn a_huge_or_binary_file_is_refused_without_reading_all_of_it() {
        let error = settings(None, Some(Path::new("/dev/zero"))).secret().unwrap_err();
        assert!(error_text::chain(&error).contains("larger than 64 KiB"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("utf-16");
        std::fs::write(&file, b"\xff\xfew\0h\0").unwrap();
        let error = settings(None, Some(&file)).secret().unwrap_err();
        assert!(error_text::chain(&error).contains("save it as UTF-8"), "{error}");
    }

    #[test]
    fn a_missing_or_empty_file_is_refused_with_the_name_of_its_setting() {
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
