//! Opens the store, and maps its errors to CLI errors.

use operations::RecordError;
use service::settings::{SettingError, StoreSettings, refuse};
use store::{S3Config, Store, StoreConfig, StoreError};

use crate::exit::CliError;

/// Opens the store without creating or migrating anything.
pub(crate) async fn open(settings: &StoreSettings) -> Result<Store, CliError> {
    Ok(open_existing(settings).await?)
}

/// Like [`open`], but `None` when the database does not exist yet.
pub(crate) async fn open_if_there(settings: &StoreSettings) -> Result<Option<Store>, CliError> {
    match open_existing(settings).await {
        Ok(store) => Ok(Some(store)),
        Err(StoreError::NoDatabase(_) | StoreError::NoTables(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Like [`open`], with the store's error.
pub(crate) async fn open_existing(settings: &StoreSettings) -> Result<Store, StoreError> {
    Store::open_existing(&config(settings)).await
}

/// The configuration. Exits with a usage error when a secret cannot be read.
pub(crate) fn config(settings: &StoreSettings) -> StoreConfig {
    let bucket = &settings.bucket;
    StoreConfig {
        database_url: or_refuse(settings.database_url()),
        files_url: settings.files_url.clone(),
        s3: S3Config {
            endpoint: bucket.aws_endpoint_url.clone(),
            region: bucket.aws_region.clone(),
            access_key_id: bucket.aws_access_key_id.clone(),
            secret_access_key: or_refuse(bucket.secret_access_key()),
            session_token: or_refuse(bucket.session_token()),
        },
    }
}

fn or_refuse<T>(secret: Result<T, SettingError>) -> T {
    secret.unwrap_or_else(|error| refuse(&error))
}

impl From<RecordError> for CliError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Store(error) => error.into(),
            RecordError::Json(error) => Self::Output(std::io::Error::other(error)),
        }
    }
}

impl From<StoreError> for CliError {
    /// An invalid setting is a usage error; any other error means that the database is unreachable.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Setting { .. } => Self::Usage(error.to_string()),
            error => {
                let hint = error.hint();
                Self::unreachable_hint("cannot use the database at DATABASE_URL", error, hint)
            }
        }
    }
}
