//! The project's own rules as tests: file sizes, dependencies between crates, access to external systems, prose, and
//! references in documents. Each rule states its reason.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod circles;
mod documents;
mod log_lines;
mod models;
mod paths;
mod words;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A longer file has more than one purpose.
const FILE_LINES_MAX: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Files under version control (or about to be), relative to the root.
fn files(suffix: &str) -> Vec<PathBuf> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let listed = Command::new("git").args(arguments).current_dir(root()).output().unwrap();
    assert!(listed.status.success(), "git cannot list the files; run the tests in a clone");
    let names = String::from_utf8(listed.stdout).unwrap();
    let files: Vec<PathBuf> =
        names.lines().filter(|name| name.ends_with(suffix)).map(PathBuf::from).collect();
    files.into_iter().filter(|file| root().join(file).exists()).collect()
}

fn read(file: &Path) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

/// A source file without its unit tests.
fn product_code(file: &Path) -> String {
    let text = read(file);
    text.split("#[cfg(test)]").next().unwrap().to_owned()
}

fn report(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn no_file_is_longer_than_400_lines() {
    let long = |file: &PathBuf| {
        let lines = product_code(file).lines().count();
        (lines > FILE_LINES_MAX).then(|| format!("{}: {lines} lines; split it by purpose", file.display()))
    };
    report(&files(".rs").iter().filter_map(long).collect::<Vec<_>>());
}

/// The tested code must be the code that runs: `cfg(test)` only marks modules of tests.
#[test]
fn cfg_test_only_marks_modules_of_tests() {
    let mut broken = Vec::new();
    for file in files(".rs") {
        let text = read(&file);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let marked = |pair: &[&str]| pair[0] == concat!("#[cfg", "(test)]") && !pair[1].starts_with("mod ");
        let others = [concat!("cfg!", "(test"), concat!("cfg(not", "(test"), concat!("cfg_attr", "(test")];
        let is_broken = lines.windows(2).any(marked) || others.iter().any(|other| text.contains(other));
        broken.extend(is_broken.then(|| format!("{}: cfg(test) outside of a test module", file.display())));
    }
    report(&broken);
}

#[test]
fn every_source_file_has_a_header() {
    let silent = |file: &&PathBuf| !read(file).starts_with("//!");
    let files = files(".rs");
    report(
        &files
            .iter()
            .filter(silent)
            .map(|file| format!("{}: no //! header", file.display()))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn no_file_has_an_unspecific_name() {
    let banned = ["utils", "util", "common", "helpers", "helper", "misc", "types", "manager", "mod"];
    let named = |file: &&PathBuf| banned.contains(&file.file_stem().unwrap().to_str().unwrap());
    report(&files(".rs").iter().filter(named).map(|file| file.display().to_string()).collect::<Vec<_>>());
}

/// The workspace crates that a crate may depend on: only rows below its own, see `crates/README.md`.
fn allowed() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("webhook", &[][..]),
        ("error-text", &[]),
        ("retry-after", &[]),
        ("service", &["error-text"]),
        ("openai-client", &["webhook", "retry-after"]),
        ("queue", &["webhook", "error-text"]),
        ("store", &["webhook", "error-text"]),
        ("notifier", &["webhook", "retry-after"]),
        ("operations", &["webhook", "error-text", "queue", "openai-client", "store", "notifier"]),
        ("ingest", &["webhook", "error-text", "queue", "service"]),
        ("worker", &["webhook", "error-text", "queue", "openai-client", "store", "notifier", "service"]),
        (
            "cli",
            &[
                "webhook",
                "error-text",
                "queue",
                "openai-client",
                "store",
                "notifier",
                "operations",
                "service",
            ],
        ),
        ("console", &["webhook", "error-text", "queue", "store", "notifier", "operations", "service"]),
        ("fake-openai", &["webhook", "error-text", "service"]),
        ("multicall", &["ingest", "worker", "console", "cli", "fake-openai"]),
        ("test-support", &["webhook"]),
        ("chaos", &["webhook", "queue", "fake-openai", "test-support"]),
        ("bench", &["webhook", "test-support"]),
        ("e2e-tests", &[]),
    ])
}

#[test]
fn crates_depend_only_downwards() {
    let allowed = allowed();
    let mut broken = Vec::new();
    for (name, dependencies) in dependencies() {
        let Some(may) = allowed.get(name.as_str()) else {
            broken.push(format!("{name}: add the new crate to tests/tidy/main.rs and crates/README.md"));
            continue;
        };
        for other in dependencies {
            if allowed.contains_key(other.as_str()) && !may.contains(&other.as_str()) {
                broken.push(format!("{name} must not depend on {other}"));
            }
        }
    }
    report(&broken);
}

/// Each protocol is used in one place, which can be changed on its own.
#[test]
fn each_external_library_belongs_to_its_crates() {
    let owners: [(&str, &[&str]); 6] = [
        ("redis", &["queue", "chaos"]),
        ("deadpool-redis", &["queue"]),
        ("sqlx", &["store", "chaos"]),
        ("object_store", &["store"]),
        // The store uses it only to select the TLS backend of object_store.
        ("reqwest", &["openai-client", "notifier", "cli", "fake-openai", "chaos", "store"]),
        ("actix-web", &["ingest", "service", "console", "fake-openai", "bench"]),
    ];
    let mut broken = Vec::new();
    for (name, dependencies) in dependencies() {
        for (outside, may) in owners {
            if !may.contains(&name.as_str()) && dependencies.iter().any(|other| other == outside) {
                broken.push(format!("{name}: {outside} belongs to {}", may.join(", ")));
            }
        }
    }
    report(&broken);
}

/// The dependencies of each crate, without those of its tests.
fn dependencies() -> Vec<(String, Vec<String>)> {
    let arguments = ["metadata", "--format-version", "1", "--no-deps", "--offline"];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &serde_json::Value| value["name"].as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let of_package = |package: &serde_json::Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        (name(package), all.filter(|dependency| dependency["kind"].is_null()).map(name).collect())
    };
    packages.map(of_package).collect()
}

#[test]
fn only_settle_rs_settles_deliveries() {
    let settling = [
        ".ack()",
        "::ack_all(",
        ".dead_letter(",
        ".release()",
        "delivery.retry_after(",
        ".snooze(",
        ".save_response(",
        ".save_fine_tuning(",
        ".save_eval_run(",
        ".finish_batch(",
        ".save_event(",
        ".save_finished(",
        ".fail_event(",
        ".add_notifications(",
    ];
    let outside = |file: &&PathBuf| {
        file.starts_with("crates/worker/src")
            && !file.ends_with("settle.rs")
            && !file.ends_with("group_commit.rs")
            && !file.ends_with("group_ack.rs")
            && settling.iter().any(|call| product_code(file).contains(call))
    };
    report(&files(".rs").iter().filter(outside).map(|file| file.display().to_string()).collect::<Vec<_>>());
}

/// Tests wait for a condition (`test_support::wait`). Only a fake of a slow server may sleep.
#[test]
fn no_test_sleeps() {
    let calls = [concat!("time::sl", "eep("), concat!("thread::sl", "eep(")];
    let sleeps = |file: &&PathBuf| {
        let text = read(file);
        let in_tests = file.iter().any(|part| part == "tests") && !file.ends_with("server.rs");
        let tests =
            if in_tests { text.as_str() } else { text.split_once("#[cfg(test)]").unwrap_or_default().1 };
        calls.iter().any(|call| tests.contains(call))
    };
    report(&files(".rs").iter().filter(sleeps).map(|file| file.display().to_string()).collect::<Vec<_>>());
}

#[test]
fn documents_name_only_files_and_tests_that_exist() {
    let sources: String = files(".rs").iter().map(|file| read(file)).collect();
    let mut broken = Vec::new();
    for document in files(".md") {
        let text = read(&document);
        for name in code_spans(&text) {
            let is_path = name.contains('/')
                && [".rs", ".md", ".json", ".sql", ".lua", ".toml"].iter().any(|e| name.ends_with(e));
            let is_script = name.starts_with("scripts/") && !name.contains(char::is_whitespace);
            if (is_path || is_script) && !name.contains('*') && !root().join(name).exists() {
                broken.push(format!("{}: {name} does not exist", document.display()));
            }
            if let Some(test) = name.strip_prefix("test:")
                && !sources.contains(&format!("fn {test}("))
            {
                broken.push(format!("{}: test {test} does not exist", document.display()));
            }
        }
        for target in links(&text) {
            let path = document.parent().unwrap().join(target.split('#').next().unwrap());
            if !target.starts_with("http") && !target.starts_with('#') && !root().join(&path).exists() {
                broken.push(format!("{}: broken link to {target}", document.display()));
            }
        }
    }
    report(&broken);
}

/// The text between single backticks.
fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The targets of Markdown links.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}
