//! Checks the folders of the raw files and of the database: write access and free space. Raw files may be stored in a
//! bucket instead.

use std::io::ErrorKind;

use error_text::chain;
use service::settings::StoreSettings;
use store::{BucketFault, FilesCheck, FolderCheck, Store, StoreError};

use super::findings::{Check, Finding};
use crate::store_client;

/// Below this, a batch of ordinary size may not fit.
const FREE_BYTES_FEW: u64 = 1 << 30;
/// Below this, almost nothing fits.
const FREE_BYTES_MIN: u64 = 64 << 20;

pub(super) async fn files(settings: &StoreSettings) -> Vec<Finding> {
    let checked = match Store::check_files(&store_client::config(settings)).await {
        Ok(FilesCheck::Folder(folder)) => Ok(folder),
        Ok(FilesCheck::Bucket { name }) => {
            return vec![Check::Files.ok(format!("the bucket {name} can be read and written"))];
        }
        Err(error) => match error.bucket_fault() {
            Some(fault) => return vec![bucket(fault, &error)],
            None => Err(error),
        },
    };
    vec![folder_finding(Check::Files, "FILES_URL", checked)]
}

pub(super) async fn database(settings: &StoreSettings) -> Vec<Finding> {
    match Store::check_database_folder(&store_client::config(settings)).await {
        // Already reported when the database was opened.
        Err(StoreError::Setting { .. }) => Vec::new(),
        checked => {
            let folder = checked.transpose();
            folder
                .map(|checked| folder_finding(Check::Database, "DATABASE_URL", checked))
                .into_iter()
                .collect()
        }
    }
}

fn bucket(fault: BucketFault, error: &StoreError) -> Finding {
    let hint = match fault {
        BucketFault::Missing => "create the bucket, or correct FILES_URL, AWS_REGION and AWS_ENDPOINT_URL",
        BucketFault::Refused => {
            "correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and allow the key to put, get and delete objects and \
             to abort multipart uploads in the bucket"
        }
        BucketFault::Unreachable => "correct AWS_ENDPOINT_URL and AWS_REGION, or start the storage service",
    };
    Check::Files.wrong(chain(error), hint)
}

fn folder_finding(check: Check, setting: &str, checked: Result<FolderCheck, StoreError>) -> Finding {
    match checked {
        Ok(folder) => space(check, setting, &folder),
        Err(StoreError::Folder { path, source, .. }) => {
            let (what, hint) = match source.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                    ("is on a full disk".to_owned(), "free disk space, or move the folder to a larger disk")
                }
                ErrorKind::ReadOnlyFilesystem => ("is read-only".to_owned(), "mount it read-write"),
                ErrorKind::PermissionDenied => (
                    "is not writable by this user".to_owned(),
                    "change its owner to the user that workers run as (chown)",
                ),
                ErrorKind::NotADirectory => {
                    ("cannot be created: its path or a parent is a file".to_owned(), "choose another folder")
                }
                _ => (format!("cannot be written: {source}"), "choose a folder that can be written"),
            };
            let what = format!("{setting}: the folder {} {what}", path.display());
            check.wrong(what, hint)
        }
        Err(error) => check.wrong(chain(&error), format!("correct {setting}")),
    }
}

fn space(check: Check, setting: &str, folder: &FolderCheck) -> Finding {
    let free = indicatif::BinaryBytes(folder.free_bytes);
    let hint = "free disk space, or move the folder to a larger disk";
    let what = format!("{setting}: only {free} are free");
    match folder.free_bytes {
        ..FREE_BYTES_MIN => check.wrong(what, hint),
        FREE_BYTES_MIN..FREE_BYTES_FEW => check.warning(what, hint),
        FREE_BYTES_FEW.. if folder.exists => check.ok(format!("the folder can be written, {free} are free")),
        FREE_BYTES_FEW.. => check.ok(format!("a worker can create the folder, {free} are free")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_space_is_a_warning_and_no_space_is_wrong() {
        let state = |free_bytes| {
            let finding = space(Check::Files, "FILES_URL", &FolderCheck { exists: true, free_bytes });
            (finding.is_ok(), finding.is_wrong())
        };
        assert_eq!(state(0), (false, true));
        assert_eq!(state(FREE_BYTES_MIN), (false, false));
        assert_eq!(state(FREE_BYTES_FEW), (true, false));
    }
}
