//! Links to the multicall binary run the programs they are named after.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

use std::os::unix::fs::symlink;
use std::process::{Command, Output};

const PROGRAMS: [&str; 5] = ["ingest", "worker", "console", "landfall", "fake-openai"];

/// Runs the binary through a link of this name.
fn run(name: &str, argument: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join(name);
    symlink(env!("CARGO_BIN_EXE_multicall"), &link).unwrap();
    Command::new(link).arg(argument).output().unwrap()
}

#[test]
fn a_link_runs_the_program_it_is_named_after() {
    for name in PROGRAMS {
        let output = run(name, "--version");
        let version = format!("{name} {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), version);
        assert!(output.status.success());
    }
}

#[test]
fn another_name_is_a_usage_error_that_lists_the_programs() {
    let output = run("nonsense", "--version");
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    for name in PROGRAMS.iter().chain(&["nonsense"]) {
        assert!(error.contains(name), "{error}");
    }
    assert_eq!(error.lines().count(), 1, "{error}");
}
