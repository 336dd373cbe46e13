//! [`Store`]: the database and the raw files behind one handle. Its calls stand beside their SQL, in `tables`.

use secrecy::{ExposeSecret as _, SecretString};

use crate::database::{Database, Dialect};
use crate::error::StoreError;
use crate::file_storage::S3Config;
use crate::files::{Files, FilesCheck};
use crate::folder_check::{self, FolderCheck};
use crate::sqlite;

/// Where things are kept.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// `DATABASE_URL`. A secret: with some databases it holds a password.
    pub database_url: SecretString,
    /// `FILES_URL`.
    pub files_url: String,
    /// How the bucket is reached when `FILES_URL` names one.
    pub s3: S3Config,
}

/// What [`Store::migrate`] has done: the schema's version before, 0 for a new database, and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    pub from: i64,
    pub to: i64,
}

/// The database and the raw files. Cheap to clone.
///
/// Each call is one transaction, or one read. Where its description names no other error, a call fails only when the
/// database cannot be read or written.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) database: Database,
    pub(crate) files: Files,
}

impl Store {
    /// Connects, makes what is missing, and brings the schema up to date. Safe with several workers starting at once.
    ///
    /// # Errors
    /// A setting that names nothing usable, a database that cannot be reached, or a migration that fails.
    pub async fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        let files = Files::new(&config.files_url, &config.s3)?;
        let database = Database::open(config.database_url.expose_secret()).await?;
        files.prepare().await?;
        Ok(Self { database, files })
    }

    /// Connects to what a worker has made. Changes nothing.
    ///
    /// # Errors
    /// Besides those of [`Store::open`], [`StoreError::NoDatabase`], [`StoreError::NoTables`] and
    /// [`StoreError::OldSchema`].
    pub async fn open_existing(config: &StoreConfig) -> Result<Self, StoreError> {
        let files = Files::new(&config.files_url, &config.s3)?;
        let database = Database::open_existing(config.database_url.expose_secret()).await?;
        Ok(Self { database, files })
    }

    /// Makes what is missing of the database, and brings its schema up to date: what [`Store::open`] does, without a
    /// look at the files.
    ///
    /// # Errors
    /// Those of [`Store::open`] that are about the database.
    pub async fn migrate(config: &StoreConfig) -> Result<Migrated, StoreError> {
        let url = config.database_url.expose_secret();
        let from = match Database::open_existing(url).await {
            Ok(database) => {
                let version = database.schema_version().await;
                database.close().await;
                version?
            }
            Err(StoreError::NoDatabase(_) | StoreError::NoTables(_)) => 0,
            Err(StoreError::OldSchema { found, .. }) => found,
            Err(error) => return Err(error),
        };
        let database = Database::open(url).await?;
        let to = database.schema_version().await?;
        database.close().await;
        Ok(Migrated { from, to })
    }

    /// The raw files.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The version of the database's schema.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn schema_version(&self) -> Result<i64, StoreError> {
        self.database.schema_version().await
    }

    /// Whether the folder or bucket of raw files takes what is written. The database may be missing.
    ///
    /// # Errors
    /// A setting that names nothing usable, or a place that cannot be written; its source says why.
    pub async fn check_files(config: &StoreConfig) -> Result<FilesCheck, StoreError> {
        Files::new(&config.files_url, &config.s3)?.check().await
    }

    /// The same of the folder of the database, which SQLite writes to beside the database itself. `None` when the
    /// database is not in a folder of this machine.
    ///
    /// # Errors
    /// As [`Store::check_files`].
    pub async fn check_database_folder(config: &StoreConfig) -> Result<Option<FolderCheck>, StoreError> {
        let url = config.database_url.expose_secret();
        match Dialect::of(url)? {
            Dialect::Sqlite => folder_check::check("DATABASE_URL", &sqlite::folder(url)?).await.map(Some),
            Dialect::Postgres => Ok(None),
        }
    }

    /// Closes all connections. Without it they end with the process, which loses nothing either.
    pub async fn close(&self) {
        self.database.close().await;
    }
}
