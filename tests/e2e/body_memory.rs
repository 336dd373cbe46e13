//! Many large responses at once: they wait for free memory, and the worker does not run out of memory.

use serde_json::json;
use test_support::wait;

use crate::harness::Landfall;

const RESPONSE_BYTES: usize = 20 << 20;
const BUDGET: &str = "200MiB";
/// The memory budget plus the worker itself, with a large margin.
const PEAK_MIB_MAX: u64 = 600;

fn peak_memory_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// Processes this many responses of 20 MiB at once. Returns the worker's peak memory.
async fn peak_of(responses: usize) -> u64 {
    let landfall = Landfall::start_with(1, &[("BODY_MEMORY_BYTES", BUDGET)]).await;
    let text = "All work and no play. ".repeat(RESPONSE_BYTES / 22);
    let content = json!([{"type": "output_text", "text": text, "annotations": []}]);
    let output = json!([{"type": "message", "content": content}]);
    landfall.fake.add_response(json!({"id": "resp_large", "status": "completed", "output": output}));
    for _ in 0..responses {
        landfall.send("response.completed", "resp_large").await;
    }
    let mut stored = 0;
    while stored < responses {
        // Each step has its own timeout, so that the test only fails if there is no progress.
        let more = async || {
            let log = landfall.workers[0].log();
            assert!(!log.iter().any(|line| line.contains("delivery failed")), "{log:#?}");
            let now = log.iter().filter(|line| line.contains("\"outcome\":\"stored\"")).count();
            (now > stored).then_some(now)
        };
        stored = wait::until("the next response to be stored", more).await;
    }
    assert_eq!(landfall.show("resp_large")["output_text"].as_str().map(str::len), Some(text.len()));
    assert_eq!(landfall.fake.requests().len(), responses, "a response was fetched twice");
    peak_memory_mib(landfall.workers[0].pid())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_large_answers_at_once_stay_within_the_budget() {
    let peak = peak_of(12).await;
    // All of them at once would be 240 MiB of bytes, and several times that when parsed.
    assert!(peak < PEAK_MIB_MAX, "{peak} MiB");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: the maximum concurrency of a worker"]
async fn the_most_concurrent_large_responses_stay_within_the_budget() {
    let peak = peak_of(32).await;
    println!("32 answers of 20 MiB within {BUDGET}: peak {peak} MiB");
    assert!(peak < PEAK_MIB_MAX, "{peak} MiB");
}
