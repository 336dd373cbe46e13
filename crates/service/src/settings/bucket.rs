//! Settings for the bucket of `FILES_URL`, with the same names as in the AWS tools.

use std::path::PathBuf;

use secrecy::SecretString;

use super::secret::{Given, SettingError};
use super::values::http_url;

const HEADING: &str = "Bucket (if FILES_URL is s3://…)";

/// Only used if `FILES_URL` is a bucket.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct BucketSettings {
    /// Endpoint of an S3-compatible service other than AWS: https://… or http://…
    #[arg(long, help_heading = HEADING, env = "AWS_ENDPOINT_URL", value_name = "URL", value_parser = http_url)]
    pub aws_endpoint_url: Option<String>,
    /// Region of the bucket; us-east-1 if not set
    #[arg(long, help_heading = HEADING, env = "AWS_REGION", value_name = "REGION")]
    pub aws_region: Option<String>,
    /// Id of the access key; if not set, the EC2 instance role is used
    #[arg(long, help_heading = HEADING, env = "AWS_ACCESS_KEY_ID", value_name = "ID")]
    pub aws_access_key_id: Option<String>,
    /// Secret of the access key
    #[arg(long, help_heading = HEADING, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true, value_name = "SECRET")]
    pub aws_secret_access_key: Option<SecretString>,
    /// File with the secret, instead of AWS_SECRET_ACCESS_KEY
    #[arg(long, help_heading = HEADING, env = "AWS_SECRET_ACCESS_KEY_FILE", value_name = "PATH")]
    pub aws_secret_access_key_file: Option<PathBuf>,
    /// Session token, for temporary access keys
    #[arg(long, help_heading = HEADING, env = "AWS_SESSION_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub aws_session_token: Option<SecretString>,
    /// File with the token, instead of AWS_SESSION_TOKEN
    #[arg(long, help_heading = HEADING, env = "AWS_SESSION_TOKEN_FILE", value_name = "PATH")]
    pub aws_session_token_file: Option<PathBuf>,
}

impl BucketSettings {
    /// The secret of the access key, if set.
    ///
    /// # Errors
    /// [`SettingError`] if it is set twice, or its file is unreadable or empty.
    pub fn secret_access_key(&self) -> Result<Option<SecretString>, SettingError> {
        Given {
            name: "AWS_SECRET_ACCESS_KEY",
            expected: "the secret of the access key",
            value: self.aws_secret_access_key.as_ref(),
            file: self.aws_secret_access_key_file.as_deref(),
        }
        .load_if_set()
    }

    /// The session token, if set.
    ///
    /// # Errors
    /// See [`BucketSettings::secret_access_key`].
    pub fn session_token(&self) -> Result<Option<SecretString>, SettingError> {
        Given {
            name: "AWS_SESSION_TOKEN",
            expected: "the session token",
            value: self.aws_session_token.as_ref(),
            file: self.aws_session_token_file.as_deref(),
        }
        .load_if_set()
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn an_unset_secret_is_fine_and_one_set_twice_is_an_error() {
        assert!(BucketSettings::default().secret_access_key().unwrap().is_none());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "hidden\n").unwrap();
        let by_file =
            BucketSettings { aws_session_token_file: Some(file.clone()), ..BucketSettings::default() };
        assert_eq!(by_file.session_token().unwrap().unwrap().expose_secret(), "hidden");
        let both = BucketSettings { aws_session_token: Some("x".into()), ..by_file };
        assert!(both.session_token().unwrap_err().to_string().contains("AWS_SESSION_TOKEN_FILE"));
    }
}
