//! [`Store`]: one handle for the database and the raw files. Its methods are defined next to their SQL, in `tables`.

use secrecy::{ExposeSecret as _, SecretString};

use crate::database::{Database, Dialect};
use crate::error::StoreError;
use crate::file_storage::S3Config;
use crate::files::{Files, FilesCheck};
use crate::folder_check::{self, FolderCheck};
use crate::read_limits::ReadLimits;
use crate::sqlite;

/// Where the database and the raw files are.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// `DATABASE_URL`. Secret, because it may contain a password.
    pub database_url: SecretString,
    /// `FILES_URL`.
    pub files_url: String,
    /// How to reach the bucket when `FILES_URL` names one.
    pub s3: S3Config,
}

/// The result of [`Store::migrate`]: the schema version before (0 for a new database) and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    pub from: i64,
    pub to: i64,
}

/// The database and the raw files. Cheap to clone.
///
/// Each call is one transaction or one read. Unless its documentation lists other errors, a call fails only when the
/// database cannot be read or written.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) database: Database,
    pub(crate) files: Files,
}

impl Store {
    /// Connects, creates a missing database or folder, and migrates the schema. Safe to call from several workers at
    /// once.
    ///
    /// # Errors
    /// An invalid setting, a database that cannot be reached, or a migration that fails.
    pub async fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        let files = Files::new(&config.files_url, &config.s3)?;
        let database = Database::open(config.database_url.expose_secret()).await?;
        files.prepare().await?;
        Ok(Self { database, files })
    }

    /// Connects to an existing database. Changes nothing.
    ///
    /// # Errors
    /// The errors of [`Store::open`], and [`StoreError::NoDatabase`], [`StoreError::NoTables`] and
    /// [`StoreError::OldSchema`].
    pub async fn open_existing(config: &StoreConfig) -> Result<Self, StoreError> {
        let files = Files::new(&config.files_url, &config.s3)?;
        let database = Database::open_existing(config.database_url.expose_secret()).await?;
        Ok(Self { database, files })
    }

    /// Like [`Store::open_existing`], for reading only: with connections of its own, and with a time limit for each
    /// statement. The database refuses writes.
    ///
    /// # Errors
    /// The errors of [`Store::open_existing`].
    pub async fn open_for_reading(config: &StoreConfig, limits: ReadLimits) -> Result<Self, StoreError> {
        let files = Files::new(&config.files_url, &config.s3)?;
        let database = Database::open_for_reading(config.database_url.expose_secret(), limits).await?;
        Ok(Self { database, files })
    }

    /// Creates and migrates the database like [`Store::open`], but does not touch the files.
    ///
    /// # Errors
    /// The errors of [`Store::open`] that concern the database.
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

    /// The schema version of the database.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn schema_version(&self) -> Result<i64, StoreError> {
        self.database.schema_version().await
    }

    /// Checks that the folder or bucket of raw files can be written. The database may be missing.
    ///
    /// # Errors
    /// An invalid setting, or a folder or bucket that cannot be written; the error's source gives the cause.
    pub async fn check_files(config: &StoreConfig) -> Result<FilesCheck, StoreError> {
        Files::new(&config.files_url, &config.s3)?.check().await
    }

    /// Checks that the folder of the database can be written, because SQLite writes other files next to the database.
    /// `None` when the database is not a local file.
    ///
    /// # Errors
    /// The errors of [`Store::check_files`].
    pub async fn check_database_folder(config: &StoreConfig) -> Result<Option<FolderCheck>, StoreError> {
        let url = config.database_url.expose_secret();
        match Dialect::of(url)? {
            Dialect::Sqlite => folder_check::check("DATABASE_URL", &sqlite::folder(url)?).await.map(Some),
            Dialect::Postgres => Ok(None),
        }
    }

    /// Closes all connections. Optional: without it they close when the process exits, and no data is lost.
    pub async fn close(&self) {
        self.database.close().await;
    }
}
