//! Opens the store for reading, and says in one place what kept it from being opened.

use service::settings::{SettingError, StoreSettings, refuse};
use store::{S3Config, Store, StoreConfig, StoreError};

use crate::exit::Failure;

/// The store as a worker made it; nothing is changed.
pub(crate) async fn open(settings: &StoreSettings) -> Result<Store, Failure> {
    Ok(open_existing(settings).await?)
}

/// The same for verbs that can do without: `None` when no worker has made the database yet.
pub(crate) async fn open_if_there(settings: &StoreSettings) -> Result<Option<Store>, Failure> {
    match open_existing(settings).await {
        Ok(store) => Ok(Some(store)),
        Err(StoreError::NoDatabase(_) | StoreError::NoTables(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The same, with the error as it is.
pub(crate) async fn open_existing(settings: &StoreSettings) -> Result<Store, StoreError> {
    Store::open_existing(&config(settings)).await
}

/// A secret that cannot be read is wrong use, and ends the program with what to write.
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

impl From<StoreError> for Failure {
    /// A setting that names nothing usable is wrong use; all else is a database out of reach.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Setting { .. } => Self::WrongUse(error.to_string()),
            error => {
                let hint = hint(&error);
                let failure = Self::unreachable("cannot read DATABASE_URL", error);
                match hint {
                    Some(hint) => failure.with_hint(hint),
                    None => failure,
                }
            }
        }
    }
}

/// What leads out of an error, where it does not say so itself.
fn hint(error: &StoreError) -> Option<String> {
    match error {
        StoreError::Connect { .. } => {
            Some("start the server, or correct host, database, user and password in DATABASE_URL".to_owned())
        }
        StoreError::Obstructed { obstacle, .. } => Some(obstacle.hint()),
        _ => None,
    }
}
