//! `landfall secret install`: which user gets which secret, and the errors for missing and invalid ones.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use tempfile::TempDir;
use test_support::signed_webhook::SECRET;

use crate::command::{Ended, landfall};

const API_KEY: &str = "sk-proj-Wq7-very-secret";
const FILES: [&str; 4] = [
    "ingest/openai_webhook_secret",
    "worker/openai_api_key",
    "worker/database_password",
    "database/database_password",
];

struct Folders(TempDir);

impl Folders {
    fn new() -> Self {
        let folders = Self(tempfile::tempdir().unwrap());
        for name in ["secrets", "to/ingest", "to/worker", "to/database", "to/console"] {
            fs::create_dir_all(folders.path().join(name)).unwrap();
        }
        folders
    }

    fn filled() -> Self {
        let folders = Self::new();
        folders.put("openai_webhook_secret", &format!("{SECRET}\n"));
        folders.put("openai_api_key", &format!("{API_KEY}\n"));
        folders.put("database_password", "hunter2+/=");
        folders
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.path().join("secrets").join(name), text).unwrap();
    }

    /// The owner is the user that runs the test, because only root can change the owner of a file.
    fn install(&self, settings: &[(&str, &str)], more: &[&str]) -> Ended {
        let text = |name: &str| self.path().join(name).to_str().unwrap().to_owned();
        let owner = fs::metadata(self.path()).unwrap().uid().to_string();
        let (from, to) = (text("secrets"), text("to"));
        let source: &[&str] = if more.contains(&"--generate") { &[] } else { &["--from", &from] };
        let fixed = ["secret", "install", "--to", &to, "--owner", &owner, "--database-owner", &owner];
        landfall(settings, &[&fixed, source, more].concat())
    }

    fn got(&self, name: &str) -> String {
        fs::read_to_string(self.path().join("to").join(name)).unwrap()
    }
}

#[test]
fn each_user_gets_private_copies_of_its_secrets() {
    let folders = Folders::filled();
    for _ in 0..2 {
        folders.install(&[], &[]).with_code(0);
        for (file, text) in FILES.into_iter().zip([SECRET, API_KEY, "hunter2+/=", "hunter2+/="]) {
            assert_eq!(folders.got(file), text);
            let mode = fs::metadata(folders.path().join("to").join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o400, "{file}");
        }
    }
    let count = |name: &str| fs::read_dir(folders.path().join("to").join(name)).unwrap().count();
    assert_eq!([count("ingest"), count("worker"), count("database")], [1, 2, 1]);
}

#[test]
fn the_password_of_the_reader_is_for_the_database_alone() {
    let folders = Folders::filled();
    folders.put("reader_password", "hunter3\n");
    folders.install(&[], &[]).with_code(0);
    assert_eq!(folders.got("database/reader_password"), "hunter3");
    assert!(!folders.path().join("to/worker/reader_password").exists());
}

#[test]
fn only_the_console_gets_its_password_and_without_one_logins_wait() {
    let folders = Folders::filled();
    let ended = folders.install(&[], &[]).with_code(0);
    assert!(ended.stderr.contains("scripts/setup"), "{ended:?}");
    let made = folders.got("console/console_password");
    assert!(made.len() > 40 && !ended.stderr.contains(&made), "{ended:?}");
    folders.put("console_password", "hunter4\n");
    assert_eq!(folders.install(&[], &[]).with_code(0).stderr, "");
    assert_eq!(folders.got("console/console_password"), "hunter4");
    assert!(!folders.path().join("to/worker/console_password").exists());
}

#[test]
fn a_missing_secret_is_one_line_with_a_hint() {
    let folders = Folders::filled();
    fs::remove_file(folders.path().join("secrets/openai_api_key")).unwrap();
    let ended = folders.install(&[], &[]).with_code(2);
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    assert!(ended.stderr.contains("secrets/openai_api_key is missing: run scripts/setup"), "{ended:?}");
    assert!(
        !folders.path().join("to").join(FILES[0]).exists(),
        "nothing is copied unless all secrets are valid"
    );
    folders.install(&[("FETCH", "off")], &[]).with_code(0);
}

#[test]
fn other_files_are_copied_for_workers() {
    let folders = Folders::filled();
    folders.put("aws_secret_access_key", "hunter3\n");
    folders.put("README.md", "no secret");
    folders.put(".openai_api_key.swp", "no secret");
    folders.install(&[], &[]).with_code(0);
    assert_eq!(folders.got("worker/aws_secret_access_key"), "hunter3");
    assert_eq!(fs::read_dir(folders.path().join("to/worker")).unwrap().count(), 3);
}

#[test]
fn a_secret_that_is_removed_is_removed_from_the_copies_and_copies_of_secrets_are_not_given() {
    let folders = Folders::filled();
    folders.put("aws_secret_access_key", "hunter3");
    folders.put("app.example.com", "hunter4");
    folders.put("redis_password", "\u{feff}hunter5\r\n");
    folders.install(&[], &[]).with_code(0);
    for (file, text) in
        [("aws_secret_access_key", "hunter3"), ("app.example.com", "hunter4"), ("redis_password", "hunter5")]
    {
        assert_eq!(folders.got(&format!("worker/{file}")), text);
    }
    assert_eq!(folders.got("ingest/redis_password"), "hunter5");

    for copy in ["openai_api_key.bak", "openai_api_key~", "aws_secret_access_key.OLD", "#app#", ".app.swp"] {
        folders.put(copy, "hunter6");
    }
    for gone in ["aws_secret_access_key", "redis_password"] {
        fs::remove_file(folders.path().join("secrets").join(gone)).unwrap();
    }
    // Left by an interrupted install and by a previous version.
    for left in ["worker/openai_api_key.new", "worker/openai_api_key.bak", "database/aws_secret_access_key"] {
        fs::write(folders.path().join("to").join(left), "hunter7").unwrap();
    }
    fs::create_dir(folders.path().join("to/worker/lost+found")).unwrap();
    let ended = folders.install(&[], &[]).with_code(0);
    assert!(ended.stderr.contains("secrets/openai_api_key.bak looks like a backup file"), "{ended:?}");
    let names = |folder: &str| {
        let entries = fs::read_dir(folders.path().join("to").join(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names("worker"), ["app.example.com", "database_password", "lost+found", "openai_api_key"]);
    assert_eq!(
        (names("ingest"), names("database")),
        (vec!["openai_webhook_secret".to_owned()], vec!["database_password".to_owned()])
    );
    folders.install(&[("FETCH", "off")], &[]).with_code(0);
    assert_eq!(names("worker"), ["app.example.com", "database_password", "lost+found"], "nothing is fetched");
}

#[test]
fn all_invalid_secrets_are_reported_and_not_printed() {
    let folders = Folders::filled();
    folders.put("openai_webhook_secret", "whsec_hunter2!");
    folders.put("openai_api_key", "sk-hunter2 sk-hunter2");
    folders.put("database_password", " \n");
    let ended = folders.install(&[], &[]).with_code(2);
    for name in [
        "openai_webhook_secret ",
        "openai_api_key is invalid: it contains a space",
        "database_password is empty",
    ] {
        assert!(ended.stderr.contains(name), "{name}: {ended:?}");
    }
    assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
}

#[test]
fn generated_secrets_are_well_formed_and_kept() {
    let folders = Folders::new();
    let ended = folders.install(&[], &["--generate"]).with_code(0);
    assert!(ended.stderr.contains(&folders.got("console/console_password")), "of a demo: {ended:?}");
    let first = FILES.map(|file| folders.got(file));
    landfall(&[("OPENAI_WEBHOOK_SECRET", &first[0])], &["secret", "check"]).with_code(0);
    assert_eq!(first[2], first[3]);
    assert!(first[2].len() > 40 && first[1] != first[2]);
    assert!(folders.got("database/reader_password").len() > 40);
    folders.install(&[], &["--generate"]).with_code(0);
    assert_eq!(FILES.map(|file| folders.got(file)), first);
}
