//! A worker's memory does not depend on the size of a batch. Takes minutes, so it runs on demand, with a release build:
//! `cargo build --release --workspace --all-targets && cargo test --release --workspace --test e2e -- --ignored memory`

use test_support::s3::S3Server;
use test_support::wait;

use crate::harness::Landfall;

/// Limit of a worker's peak memory, and of its growth with a larger batch.
const PEAK_KIB_MAX: u64 = 48 << 10;
const GROWTH_MAX: f64 = 1.15;
const LINE_BYTES: usize = 2048;
const LINES: u64 = 50_000;

/// Imports a batch of this many lines with a new worker. Returns the worker's peak memory.
async fn peak_kib(lines: u64, settings: &[(&str, &str)]) -> u64 {
    let landfall = Landfall::start_with(1, settings).await;
    landfall.fake.add_generated_batch_of("batch_large", lines, LINE_BYTES);
    landfall.send("batch.completed", "batch_large").await;
    let mut rows = 0;
    while rows < lines {
        // Each step has its own timeout, so that the test only fails if there is no progress.
        let more = async || {
            let shown = landfall.landfall(&["show", "batch_large", "--json"]).stdout;
            let batch: serde_json::Value = serde_json::from_slice(&shown).ok()?;
            let stored = batch["rows_stored"].as_u64()?;
            (stored >= (rows + 10_000).min(lines)).then_some(stored)
        };
        rows = wait::until("more rows", more).await;
    }
    landfall.settled().await;
    assert_eq!(landfall.show("batch_large")["results_state"], "complete");
    let status = std::fs::read_to_string(format!("/proc/{}/status", landfall.workers[0].pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

#[expect(clippy::print_stdout, reason = "a test on demand that prints its measurements")]
fn judge(what: &str, small: u64, large: u64) {
    println!("{what}: peak {small} KiB for {LINES} lines, {large} KiB for the large batch");
    assert!(large <= PEAK_KIB_MAX, "{large} KiB");
    assert!(large as f64 <= small as f64 * GROWTH_MAX, "{small} KiB grew to {large} KiB");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes long: see above"]
async fn two_gigabytes_in_the_same_memory() {
    let small = peak_kib(LINES, &[]).await;
    let large = peak_kib((2 << 30) / LINE_BYTES as u64, &[]).await;
    judge("folder", small, large);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a minute long: see above"]
async fn a_large_batch_into_a_bucket_in_the_same_memory() {
    let server = S3Server::start();
    let settings = server.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let small = peak_kib(LINES, &settings).await;
    let large = peak_kib(4 * LINES, &settings).await;
    judge("bucket", small, large);
}
