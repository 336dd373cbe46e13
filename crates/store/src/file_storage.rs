//! The storage of raw files that `FILES_URL` selects: a folder or an S3-compatible bucket.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt as _, RetryConfig};
use secrecy::{ExposeSecret as _, SecretString};

use crate::bucket_http::Connector;
use crate::error::StoreError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Within this time a part is sent, or the next bytes of a file arrive.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// Together below the worker's stall timeout; after that the event itself is retried.
const RETRIES_MAX: usize = 5;
const RETRY_FOR: Duration = Duration::from_secs(60);
/// Any reachable bucket responds within this time.
const CHECK_TIMEOUT: Duration = Duration::from_secs(15);
const REGION_DEFAULT: &str = "us-east-1";

/// How to reach a bucket: the standard AWS variables. For `None` the machine's role applies.
#[derive(Debug, Clone, Default)]
pub struct S3Config {
    /// `AWS_ENDPOINT_URL`, for services other than AWS.
    pub endpoint: Option<String>,
    /// `AWS_REGION`
    pub region: Option<String>,
    /// `AWS_ACCESS_KEY_ID`
    pub access_key_id: Option<String>,
    /// `AWS_SECRET_ACCESS_KEY`
    pub secret_access_key: Option<SecretString>,
    /// `AWS_SESSION_TOKEN`
    pub session_token: Option<SecretString>,
}

/// A folder or a bucket. Cheap to clone.
#[derive(Clone)]
pub(crate) enum FileStorage {
    Folder(PathBuf),
    Bucket { name: String, files: Arc<PrefixStore<AmazonS3>> },
}

impl FileStorage {
    /// Parses the settings, without I/O.
    pub(crate) fn new(files_url: &str, s3: &S3Config) -> Result<Self, StoreError> {
        let refuse = |problem| Err(refused("FILES_URL", problem));
        let folder = match files_url.split_once("://") {
            None if files_url.trim().is_empty() => {
                return refuse("is empty: write the path of a folder, such as data/files");
            }
            None => PathBuf::from(files_url),
            Some(("file", _)) => match url::Url::parse(files_url).map(|url| url.to_file_path()) {
                Ok(Ok(path)) => path,
                Ok(Err(())) | Err(_) => {
                    return refuse(
                        "is not a valid file URL: write file:///folder, or the path of the folder",
                    );
                }
            },
            Some(("s3", bucket_and_prefix)) => return bucket(bucket_and_prefix, s3),
            Some(_) => {
                return refuse(
                    "has an unknown scheme: write the path of a folder, a file:// URL or s3://bucket/prefix",
                );
            }
        };
        Ok(Self::Folder(folder))
    }

    /// The client that reads and writes. A missing folder is detected here.
    pub(crate) fn backend(&self) -> object_store::Result<Arc<dyn ObjectStore>> {
        Ok(match self {
            Self::Folder(root) => Arc::new(LocalFileSystem::new_with_prefix(root)?.with_fsync(true)),
            Self::Bucket { files, .. } => files.clone(),
        })
    }
}

/// Writes a small object, reads it and deletes it.
pub(crate) async fn check_bucket(files: &PrefixStore<AmazonS3>) -> Result<(), StoreError> {
    let name = format!("landfall-check-{}", std::process::id());
    let path = Path::from(name.as_str());
    let probe = async {
        files.put(&path, "written by landfall doctor; safe to delete".into()).await?;
        let read = files.get(&path).await;
        files.delete(&path).await?;
        read.map(drop)
    };
    let late = |elapsed| object_store::Error::Generic { store: "S3", source: Box::new(elapsed) };
    let probed = tokio::time::timeout(CHECK_TIMEOUT, probe).await;
    probed.map_err(late).flatten().map_err(StoreError::files("write, read and delete the test object", &name))
}

impl fmt::Debug for FileStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(root) => f.debug_tuple("Folder").field(root).finish(),
            // The client contains credentials.
            Self::Bucket { name, .. } => f.debug_tuple("Bucket").field(name).finish(),
        }
    }
}

/// `bucket_and_prefix` follows `s3://`.
fn bucket(bucket_and_prefix: &str, s3: &S3Config) -> Result<FileStorage, StoreError> {
    let (name, prefix) = bucket_and_prefix.split_once('/').unwrap_or((bucket_and_prefix, ""));
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let wrong = || refused("FILES_URL", "has no valid bucket name: write s3://bucket or s3://bucket/prefix");
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(wrong());
    }
    let prefix = Path::parse(prefix).map_err(|_| wrong())?;
    let endpoint = s3.endpoint.as_deref();
    if endpoint.is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
        return Err(refused("AWS_ENDPOINT_URL", "is not a URL: write https://host or http://host:port"));
    }
    let options = ClientOptions::new()
        .with_allow_http(endpoint.is_some_and(|url| url.starts_with("http://")))
        .with_connect_timeout(CONNECT_TIMEOUT)
        // Reading a large file may take long.
        .with_timeout_disabled()
        .with_read_timeout(IDLE_TIMEOUT);
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(name)
        .with_region(s3.region.as_deref().unwrap_or(REGION_DEFAULT))
        .with_client_options(options)
        .with_retry(RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: RETRIES_MAX,
            retry_timeout: RETRY_FOR,
        });
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    match (&s3.access_key_id, &s3.secret_access_key) {
        (Some(id), Some(secret)) => {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret.expose_secret());
        }
        (Some(_), None) => {
            return Err(refused("AWS_SECRET_ACCESS_KEY", "is not set, but AWS_ACCESS_KEY_ID is: set both"));
        }
        (None, Some(_)) => {
            return Err(refused("AWS_ACCESS_KEY_ID", "is not set, but AWS_SECRET_ACCESS_KEY is: set both"));
        }
        (None, None) => {}
    }
    if let Some(token) = &s3.session_token {
        builder = builder.with_token(token.expose_secret());
    }
    let credentials = [&s3.secret_access_key, &s3.session_token].into_iter().flatten().cloned().collect();
    let builder = builder.with_http_connector(Connector { credentials });
    let client = builder.build().map_err(StoreError::files("set up the client of the bucket", name))?;
    Ok(FileStorage::Bucket { name: name.to_owned(), files: Arc::new(PrefixStore::new(client, prefix)) })
}

fn refused(setting: &'static str, problem: &str) -> StoreError {
    StoreError::Setting { setting, problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(url: &str, s3: &S3Config) -> String {
        FileStorage::new(url, s3).unwrap_err().to_string()
    }

    #[test]
    fn a_folder_is_a_path_or_a_file_url() {
        for url in ["data/files", "/srv/files", "file:///srv/files"] {
            assert!(
                matches!(FileStorage::new(url, &S3Config::default()), Ok(FileStorage::Folder(_))),
                "{url}"
            );
        }
        let problem = |url| problem(url, &S3Config::default());
        assert!(problem("").contains("empty") && problem("gs://b").contains("unknown scheme"));
    }

    #[test]
    fn a_bucket_has_a_name_and_perhaps_a_prefix() {
        let none = S3Config::default();
        for url in ["s3://", "s3:///prefix", "s3://key@bucket/x", "s3://bucket?x=1", "s3://bucket/a//b"] {
            assert!(problem(url, &none).contains("write s3://bucket"), "{url}");
        }
        let address = S3Config { endpoint: Some("minio:9000".to_owned()), ..none.clone() };
        assert!(problem("s3://bucket", &address).starts_with("AWS_ENDPOINT_URL"));
        let half = S3Config { access_key_id: Some("AKIA".to_owned()), ..none.clone() };
        assert!(problem("s3://bucket", &half).starts_with("AWS_SECRET_ACCESS_KEY is not set"));
        let half = S3Config { secret_access_key: Some("hidden".into()), ..none };
        assert!(problem("s3://bucket", &half).starts_with("AWS_ACCESS_KEY_ID is not set"));
    }
}
