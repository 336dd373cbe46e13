//! The folders of the raw files and of the database: whether they take what is written, and how much more. Raw files may
//! lie in a bucket instead.

use std::io::ErrorKind;

use error_text::chain;
use service::settings::StoreSettings;
use store::{BucketFault, FilesCheck, FolderCheck, Store, StoreError};

use super::findings::{Check, Finding};
use crate::stored;

/// Below it, batches of ordinary size may no longer fit.
const FREE_BYTES_FEW: u64 = 1 << 30;
/// Below it, nearly nothing does.
const FREE_BYTES_MIN: u64 = 64 << 20;

pub(super) async fn files(settings: &StoreSettings) -> Vec<Finding> {
    let checked = match Store::check_files(&stored::config(settings)).await {
        Ok(FilesCheck::Folder(folder)) => Ok(folder),
        Ok(FilesCheck::Bucket { name }) => {
            return vec![Check::Files.ok(format!("the bucket {name} can be written and read"))];
        }
        Err(error) => match error.bucket_fault() {
            Some(fault) => return vec![bucket(fault, &error)],
            None => Err(error),
        },
    };
    vec![judge(Check::Files, "FILES_URL", checked)]
}

pub(super) async fn database(settings: &StoreSettings) -> Vec<Finding> {
    match Store::check_database_folder(&stored::config(settings)).await {
        // Said already, by whoever opened it.
        Err(StoreError::Setting { .. }) => Vec::new(),
        checked => {
            let folder = checked.transpose();
            folder.map(|checked| judge(Check::Database, "DATABASE_URL", checked)).into_iter().collect()
        }
    }
}

fn bucket(fault: BucketFault, error: &StoreError) -> Finding {
    let cure = match fault {
        BucketFault::Missing => "make the bucket, or correct FILES_URL, AWS_REGION and AWS_ENDPOINT_URL",
        BucketFault::Refused => {
            "correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and let the key put, get, delete and abort multipart \
             uploads in the bucket"
        }
        BucketFault::Unreachable => "correct AWS_ENDPOINT_URL and AWS_REGION, or start the bucket's service",
    };
    Check::Files.wrong(chain(error), cure)
}

fn judge(check: Check, setting: &str, checked: Result<FolderCheck, StoreError>) -> Finding {
    match checked {
        Ok(folder) => space(check, setting, &folder),
        Err(StoreError::Folder { path, source, .. }) => {
            let (what, cure) = match source.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                    ("is full".to_owned(), "free space on its disk, or move it to a larger one")
                }
                ErrorKind::ReadOnlyFilesystem => {
                    ("is read-only".to_owned(), "mount it so that it can be written")
                }
                ErrorKind::PermissionDenied => (
                    "may not be written by this user".to_owned(),
                    "give it to the user that workers run as (chown)",
                ),
                ErrorKind::NotADirectory => (
                    "cannot be a folder: a file is in its place or above it".to_owned(),
                    "name another folder",
                ),
                _ => (format!("cannot be written: {source}"), "name a folder that can be written"),
            };
            let what = format!("the folder {} of {setting} {what}", path.display());
            check.wrong(what, cure)
        }
        Err(error) => check.wrong(chain(&error), format!("correct {setting}")),
    }
}

fn space(check: Check, setting: &str, folder: &FolderCheck) -> Finding {
    let free = indicatif::BinaryBytes(folder.free_bytes);
    let cure = "free space on its disk, or move it to a larger one";
    let what = format!("only {free} are free for {setting}");
    match folder.free_bytes {
        ..FREE_BYTES_MIN => check.wrong(what, cure),
        FREE_BYTES_MIN..FREE_BYTES_FEW => check.warning(what, cure),
        FREE_BYTES_FEW.. if folder.exists => check.ok(format!("the folder can be written, {free} are free")),
        FREE_BYTES_FEW.. => check.ok(format!("a worker can make the folder, {free} are free")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_space_is_a_warning_and_none_is_wrong() {
        let state = |free_bytes| {
            let finding = space(Check::Files, "FILES_URL", &FolderCheck { exists: true, free_bytes });
            (finding.is_ok(), finding.is_wrong())
        };
        assert_eq!(state(0), (false, true));
        assert_eq!(state(FREE_BYTES_MIN), (false, false));
        assert_eq!(state(FREE_BYTES_FEW), (true, false));
    }
}
