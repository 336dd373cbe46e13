//! Modes of the files that the command creates, and files that it never replaces.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use crate::command::{Ended, command, landfall};
use crate::filled::Filled;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn export(filled: &Filled, to: &Path) -> Ended {
    let settings = filled.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    landfall(&settings, &["export", "batch_1", "--output", to.to_str().unwrap()])
}

#[tokio::test]
async fn an_export_keeps_the_mode_of_what_it_replaces_and_a_new_one_is_private() {
    let filled = Filled::with_everything().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("results.jsonl");
    export(&filled, &file).with_code(0);
    assert_eq!(mode(&file), 0o600);
    let whole = fs::read(&file).unwrap();
    for kept in [0o600, 0o640, 0o644] {
        fs::write(&file, "before").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(kept)).unwrap();
        export(&filled, &file).with_code(0);
        assert_eq!((mode(&file), fs::read(&file).unwrap().len()), (kept, whole.len()));
    }
    // A symbolic link is kept, and the file that it points to is replaced.
    let link = folder.path().join("latest");
    symlink("results.jsonl", &link).unwrap();
    fs::write(&file, "before").unwrap();
    export(&filled, &link).with_code(0);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read(&file).unwrap() == whole);
}

#[tokio::test]
async fn an_export_never_replaces_what_is_no_regular_file() {
    let filled = Filled::with_everything().await;
    let folder = tempfile::tempdir().unwrap();
    let [pipe, nowhere] = ["pipe", "nowhere"].map(|name| folder.path().join(name));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    symlink("none", &nowhere).unwrap();
    for path in [&pipe, &nowhere, folder.path(), Path::new("/dev/null")] {
        let ended = export(&filled, path).with_code(2);
        assert!(ended.stderr.contains("--output"), "{ended:#?}");
    }
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    assert!(fs::symlink_metadata(&nowhere).unwrap().is_symlink());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "a temporary file is left");
}

#[test]
fn databases_exports_of_them_and_new_secrets_are_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let url = format!("sqlite://{}/data/landfall.db", path.display());
    let settings = [("DATABASE_URL", url.as_str())];
    landfall(&settings, &["migrate"]).with_code(0);
    assert_eq!((mode(&path.join("data")), mode(&path.join("data/landfall.db"))), (0o700, 0o600));
    let rows = path.join("rows.jsonl");
    landfall(&settings, &["db", "export", "--output", rows.to_str().unwrap()]).with_code(0);
    assert_eq!(mode(&rows), 0o600);

    let secret = path.join("secret");
    let made = || File::options().create(true).append(true).open(&secret).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    drop(made());
    fs::set_permissions(&secret, Permissions::from_mode(0o644)).unwrap();
    assert!(command(&[]).args(["secret", "new"]).stdout(made()).status().unwrap().success());
    assert_eq!(mode(&secret), 0o600);
    // The mode of a file that already has content is not changed.
    fs::set_permissions(&secret, Permissions::from_mode(0o644)).unwrap();
    assert!(command(&[]).args(["secret", "new"]).stdout(made()).status().unwrap().success());
    assert_eq!(mode(&secret), 0o644);
}
