//! The README's first command, as a new user runs it.

use std::path::Path;
use std::process::Command;

use test_support::{programs, wait};

fn demo(folder: &Path, arguments: &[&str]) -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    // `path` checks that each program is up to date.
    let paths = ["ingest", "worker", "console", "fake-openai", "landfall"].map(programs::path);
    let output = Command::new(format!("{root}/scripts/demo"))
        .args(arguments)
        .env("DEMO_BIN", paths[0].parent().unwrap())
        .env("TMPDIR", folder)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    printed
}

#[test]
fn the_demo_shows_real_results_and_cleans_up() {
    let folder = tempfile::tempdir().unwrap();
    let printed = demo(folder.path(), &[]);
    for expected in ["resp_demo_research", "https://", "batch_demo_completed", "ft:gpt-6-luna", "fine_tuning"]
    {
        assert!(printed.contains(expected), "the demo does not show {expected}:\n{printed}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the demo left files behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_that_is_kept_has_a_console_until_it_is_stopped() {
    // reqwest needs a TLS provider even for plain HTTP.
    rustls::crypto::ring::default_provider().install_default().ok();
    let folder = tempfile::tempdir().unwrap();
    let printed = demo(folder.path(), &["--keep"]);
    let line = |begins: &str| printed.lines().map(str::trim).find(|line| line.starts_with(begins)).unwrap();
    // Stops it also when an assertion fails.
    let stop = Stop(line("kill "));
    let url = line("http://127.0.0.1:");
    for (page, text) in [("events", "batch_demo_completed"), ("targets", ">app<")] {
        let html = reqwest::get(format!("{url}/{page}")).await.unwrap().text().await.unwrap();
        assert!(html.contains(text), "{html}");
    }
    drop(stop);
    let gone = async || reqwest::get(url).await.is_err().then_some(());
    wait::until("a stopped console", gone).await;
}

/// A command for the shell, run when this is dropped.
struct Stop<'a>(&'a str);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        Command::new("sh").args(["-c", self.0]).status().unwrap();
    }
}
