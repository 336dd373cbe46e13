//! The binary: serves and sends according to its flags, and exits cleanly.

use std::process::Stdio;

use serde_json::{Value, json};
use test_support::signed_webhook::SECRET;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{ChildStderr, Command};

use crate::client::http;
use crate::sending::{Receiver, verify};

async fn line_with(log: &mut Lines<BufReader<ChildStderr>>, text: &str) -> Value {
    loop {
        let line = log.next_line().await.unwrap();
        let line = line.unwrap_or_else(|| panic!("the program exited before it logged {text:?}"));
        if line.contains(text) {
            return serde_json::from_str(&line).unwrap();
        }
    }
}

#[tokio::test]
async fn the_binary_serves_and_sends_according_to_its_flags() {
    let receiver = Receiver::answering(&["500 Oh", "200 OK"]).await;
    let fault = json!({"kind": {"status": 418}, "path_contains": "/batches", "times": 1}).to_string();
    let secret_file = std::env::temp_dir().join(format!("fake-openai-secret-{}", std::process::id()));
    std::fs::write(&secret_file, format!("{SECRET}\n")).unwrap();
    let mut binary = Command::new(env!("CARGO_BIN_EXE_fake-openai"))
        .args(["--addr", "127.0.0.1:0", "--api-key", "sk-flag", "--fault", &fault, "--log-format", "json"])
        .args(["--batch", "id=batch_flag,lines=7", "--send-to", &receiver.url, "--every-type-once"])
        .args(["--duplicates", "1", "--secret-file"])
        .arg(&secret_file)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut log = BufReader::new(binary.stderr.take().unwrap()).lines();
    let listening = line_with(&mut log, "openai.addr").await;
    let sent = line_with(&mut log, "given_up").await;
    std::fs::remove_file(&secret_file).unwrap();
    let deliveries = 2 * webhook::EventKind::KNOWN.len();
    assert_eq!((&sent["delivered"], &sent["given_up"]), (&json!(deliveries), &json!(0)));
    assert_eq!(sent["attempts"], deliveries + 1);
    receiver.received().iter().for_each(verify);

    let addr = listening["openai.addr"].as_str().unwrap();
    assert!(healthcheck(addr).await);
    let base = format!("http://{addr}/v1");
    let get = async |key: &str| {
        let request = http().get(format!("{base}/batches/batch_flag")).bearer_auth(key);
        request.send().await.unwrap()
    };
    assert_eq!(get("sk-flag").await.status(), 418);
    assert_eq!(get("sk-other").await.status(), 401);
    let batch: Value = get("sk-flag").await.json().await.unwrap();
    assert_eq!(batch["request_counts"]["total"], 7);
    binary.kill().await.unwrap();
    assert!(!healthcheck(addr).await);
}

async fn healthcheck(addr: &str) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fake-openai"));
    command.args(["--healthcheck", "--addr", addr]).stderr(Stdio::null()).status().await.unwrap().success()
}
