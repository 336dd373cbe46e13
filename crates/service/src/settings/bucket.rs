//! How the bucket of `FILES_URL` is reached. The names are those of AWS's own tools.

use std::path::PathBuf;

use secrecy::SecretString;

use super::secret::{Given, SettingError};
use super::values::http_url;

const HEADING: &str = "Bucket, when FILES_URL is s3://…";

/// Read only when `FILES_URL` names a bucket.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct BucketSettings {
    /// Where the bucket's service is, unless it is AWS: https://… or http://…
    #[arg(long, help_heading = HEADING, env = "AWS_ENDPOINT_URL", value_name = "URL", value_parser = http_url)]
    pub aws_endpoint_url: Option<String>,
    /// The bucket's region; without it us-east-1
    #[arg(long, help_heading = HEADING, env = "AWS_REGION", value_name = "REGION")]
    pub aws_region: Option<String>,
    /// Id of the access key; without it the machine's own role (EC2) is asked for one
    #[arg(long, help_heading = HEADING, env = "AWS_ACCESS_KEY_ID", value_name = "ID")]
    pub aws_access_key_id: Option<String>,
    /// The access key's secret
    #[arg(long, help_heading = HEADING, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true, value_name = "SECRET")]
    pub aws_secret_access_key: Option<SecretString>,
    /// A file that holds it, instead of AWS_SECRET_ACCESS_KEY
    #[arg(long, help_heading = HEADING, env = "AWS_SECRET_ACCESS_KEY_FILE", value_name = "PATH")]
    pub aws_secret_access_key_file: Option<PathBuf>,
    /// Goes with access keys that are valid for some hours
    #[arg(long, help_heading = HEADING, env = "AWS_SESSION_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub aws_session_token: Option<SecretString>,
    /// A file that holds it, instead of AWS_SESSION_TOKEN
    #[arg(long, help_heading = HEADING, env = "AWS_SESSION_TOKEN_FILE", value_name = "PATH")]
    pub aws_session_token_file: Option<PathBuf>,
}

impl BucketSettings {
    /// The access key's secret, if one is set.
    ///
    /// # Errors
    /// [`SettingError`] when it is given twice, or its file cannot be read or is empty.
    pub fn secret_access_key(&self) -> Result<Option<SecretString>, SettingError> {
        Given {
            name: "AWS_SECRET_ACCESS_KEY",
            what_to_write: "the secret of the access key",
            value: self.aws_secret_access_key.as_ref(),
            file: self.aws_secret_access_key_file.as_deref(),
        }
        .load_if_set()
    }

    /// The session token, if one is set.
    ///
    /// # Errors
    /// As [`BucketSettings::secret_access_key`].
    pub fn session_token(&self) -> Result<Option<SecretString>, SettingError> {
        Given {
            name: "AWS_SESSION_TOKEN",
            what_to_write: "the session token",
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
    fn what_is_not_set_is_no_error_and_what_is_set_twice_is() {
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
