//! The README's first command, as a new user runs it.

use std::process::Command;

use test_support::programs;

#[test]
fn the_demo_shows_real_results_and_cleans_up() {
    let folder = tempfile::tempdir().unwrap();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    // `path` checks that each program is up to date.
    let paths = ["ingest", "worker", "console", "fake-openai", "landfall"].map(programs::path);
    let output = Command::new(format!("{root}/scripts/demo"))
        .env("DEMO_BIN", paths[0].parent().unwrap())
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let (printed, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}\n{complained}");
    for expected in ["resp_demo_research", "https://", "batch_demo_completed", "ft:gpt-6-luna", "fine_tuning"]
    {
        assert!(printed.contains(expected), "the demo does not show {expected}:\n{printed}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the demo left files behind");
}
