//! Reads `landfall.toml`, for the names and destinations of the targets. The console sends them nothing.

use std::path::Path;
use std::time::Duration;

use error_text::chain;
use notifier::{Config, ConfigFile, SecretRef};
use service::detached;
use service::settings::{secret_in_file, secret_in_variable};

/// A file on an unavailable network file system may block for ever.
const READ_MAX: Duration = Duration::from_secs(2);

/// The file at this path, or why it cannot be read.
pub(crate) async fn read(path: &Path) -> Result<Config, String> {
    let path = path.to_owned();
    let reading = detached::run(move || ConfigFile::read(&path)?.parse(&secret));
    match tokio::time::timeout(READ_MAX, reading).await {
        Ok(Ok(Ok(config))) => Ok(config),
        Ok(Ok(Err(error))) => Err(chain(&error)),
        Ok(Err(error)) => Err(chain(&error)),
        Err(_) => Err(format!("LANDFALL_CONFIG: not read after {} s", READ_MAX.as_secs())),
    }
}

/// The file is valid only with the secrets that it names.
fn secret(named: SecretRef<'_>) -> Result<secrecy::SecretString, String> {
    let read = match named {
        SecretRef::Variable(name) => secret_in_variable(name),
        SecretRef::File(path) => secret_in_file(path),
    };
    read.map_err(|error| error.to_string())
}
