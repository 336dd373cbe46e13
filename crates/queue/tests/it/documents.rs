//! The commands for `redis-cli` in the documents, run against a queue that has something of everything.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use webhook::Reason;

use crate::harness::{LONG, TestQueue};

/// Lines of code blocks that begin with `redis-cli`, of all documents.
fn commands() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folders = [root.clone(), root.join("docs")];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let files =
        files.map(|file| file.unwrap().path()).filter(|file| file.extension().is_some_and(|e| e == "md"));
    let texts: Vec<String> = files.map(|file| fs::read_to_string(file).unwrap()).collect();
    let lines = texts.iter().flat_map(|text| text.lines().filter(|line| line.starts_with("redis-cli ")));
    lines.map(str::to_owned).collect()
}

#[tokio::test]
async fn documented_commands_of_redis_cli_show_the_queue() {
    let queue = TestQueue::start();
    queue.producer.create_groups().await.unwrap();
    for name in ["wh_waiting", "wh_dead", "wh_delayed", "wh_running"] {
        queue.add(name).await;
    }
    let mut consumer = queue.consumer("a", LONG).await;
    let mut deliveries = consumer.receive(3).await.unwrap().into_iter();
    deliveries.next().unwrap().dead_letter(Reason::Rejected, "no", None).await.unwrap();
    let retried = deliveries.next().unwrap();
    retried.pause(Duration::from_secs(600), Reason::RateLimited).await.unwrap();
    retried.retry_after(LONG, Reason::OpenaiUnavailable, "down").await.unwrap();
    let running = deliveries.next().unwrap();

    let commands = commands();
    assert!(commands.len() >= 9, "{commands:?}");
    // Neither redrives nor running programs.
    let may_be_empty = [":records'", ":instances'"];
    for line in commands {
        let at_port = line.replacen("redis-cli", &format!("redis-cli -e -p {}", queue.server.port()), 1);
        let output = Command::new("sh").args(["-c", &at_port]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{line}: {output:?}");
        let is_empty = said.trim().is_empty() || said.trim() == "0" || said.trim().starts_with('-');
        assert!(!is_empty || may_be_empty.iter().any(|key| line.contains(key)), "{line}: {said:?}");
    }
    running.ack().await.unwrap();
}
