//! `landfall send`: the requests that arrive, and the output about the responses.

use std::collections::HashSet;
use std::fs;

use serde_json::Value;
use test_support::redis::free_port;
use test_support::signed_webhook::SECRET;
use webhook::EventKind;

use crate::command::{Ended, landfall};
use crate::fake_ingest::{FakeIngest, Received};

fn send(ingest: &FakeIngest, arguments: &[&str]) -> Ended {
    let mut all = vec!["send", "--url", &ingest.url];
    all.extend(arguments);
    landfall(&[("OPENAI_WEBHOOK_SECRET", SECRET)], &all)
}

fn json_body(received: &Received) -> Value {
    serde_json::from_slice(&received.body).unwrap()
}

#[test]
fn several_events_are_sent_in_order_and_each_gets_a_line() {
    let ingest = FakeIngest::start();
    let ended = send(
        &ingest,
        &["response.completed=resp_1", "live.transport.connected", "something.openai.invents.tomorrow"],
    )
    .with_code(0);
    ended.fits_80_columns();
    let received = ingest.received();
    assert_eq!(received.len(), 3);
    assert_eq!(json_body(&received[0])["data"]["id"], "resp_1");
    assert_eq!(json_body(&received[1])["data"]["session_id"], "sess_abc123");
    assert_eq!(json_body(&received[2])["type"], "something.openai.invents.tomorrow");
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{}", ended.stdout);
    for (line, received) in lines.iter().zip(&received) {
        let type_name = json_body(received)["type"].as_str().unwrap().to_owned();
        assert!(line.starts_with(&type_name) && line.contains(received.webhook_id()));
        assert!(line.contains(" 200 ") && line.ends_with(" ms"), "{line}");
    }
    assert!(lines[3].starts_with("3 deliveries: 3 × 200"), "{}", lines[3]);
}

#[test]
fn every_type_is_sent_once() {
    let ingest = FakeIngest::start();
    let ended = send(&ingest, &["--every-type", "--json"]).with_code(0);
    let types: Vec<String> = ingest
        .received()
        .iter()
        .map(|received| json_body(received)["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(types, EventKind::KNOWN);
    let lines = ended.json_lines();
    assert_eq!(lines.len(), EventKind::KNOWN.len());
    assert!(lines.iter().all(|line| line["status"] == 200 && line["expected"] == true));
}

#[test]
fn repeated_deliveries_share_id_and_body_and_counted_events_do_not() {
    let ingest = FakeIngest::start();
    send(&ingest, &["--count", "20", "--repeat", "3", "--concurrency", "7", "video.failed"]).with_code(0);
    let received = ingest.received();
    assert_eq!(received.len(), 60);
    let ids: HashSet<&str> = received.iter().map(Received::webhook_id).collect();
    assert_eq!(ids.len(), 20);
    let bodies: HashSet<(&str, &[u8])> =
        received.iter().map(|received| (received.webhook_id(), received.body.as_slice())).collect();
    assert_eq!(bodies.len(), 20, "one body for each webhook-id");
}

#[test]
fn many_deliveries_are_summarized() {
    let ingest =
        FakeIngest::answering(|number, received| if number == 7 { 503 } else { received.expected_status() });
    let ended = send(&ingest, &["--count", "150", "--concurrency", "8", "video.failed"]).with_code(1);
    assert_eq!(ended.stdout.lines().count(), 2, "the unexpected one and the summary: {ended:#?}");
    assert!(ended.stdout.contains("150 deliveries: 149 × 200, 1 × 503"), "{ended:#?}");
    assert!(ended.stderr.contains("1 of 150 deliveries") && ended.stderr.contains("Redis"), "{ended:#?}");
}

#[test]
fn a_forgery_is_expected_to_be_rejected() {
    let ingest = FakeIngest::start();
    send(&ingest, &["--forge", "video.failed"]).with_code(0);
    assert_eq!(ingest.received()[0].expected_status(), 400);
    // This works without ingest's secret, which a forger does not have.
    landfall(&[], &["send", "--url", &ingest.url, "--forge", "video.failed"]).with_code(0);

    let careless = FakeIngest::answering(|_, _| 200);
    let ended = send(&careless, &["--forge", "--json", "video.failed"]).with_code(1);
    assert_eq!(ended.json()["expected"], false);
}

#[test]
fn a_timestamp_out_of_tolerance_is_expected_to_be_rejected() {
    let ingest = FakeIngest::start();
    send(&ingest, &["--timestamp-offset-secs", "-250", "video.failed"]).with_code(0);
    send(&ingest, &["--timestamp-offset-secs", "-400", "video.failed"]).with_code(0);
    let statuses: Vec<u16> = ingest.received().iter().map(Received::expected_status).collect();
    assert_eq!(statuses, [200, 400]);
}

#[test]
fn webhook_id_data_and_body_are_sent_as_given() {
    let folder = tempfile::tempdir().unwrap();
    let (data, body) = (folder.path().join("data"), folder.path().join("body"));
    fs::write(&data, r#"{"id":"batch_2","n":1.0}"#).unwrap();
    fs::write(&body, b"\xff not JSON\n").unwrap();
    let ingest = FakeIngest::start();
    send(
        &ingest,
        &["--webhook-id", "wh_mine", "--data", r#"{"id": "resp_2",  "status":"completed"}"#, "a.b"],
    )
    .with_code(0);
    send(&ingest, &["--data-file", data.to_str().unwrap(), "batch.completed"]).with_code(0);
    send(&ingest, &["--body-file", body.to_str().unwrap()]).with_code(0);
    let received = ingest.received();
    assert_eq!(received[0].webhook_id(), "wh_mine");
    let text = String::from_utf8(received[0].body.clone()).unwrap();
    assert!(text.ends_with(r#""type":"a.b","data":{"id": "resp_2",  "status":"completed"}}"#), "{text}");
    assert!(received[1].body.ends_with(br#""data":{"id":"batch_2","n":1.0}}"#), "{:?}", received[1]);
    assert_eq!(received[2].body, b"\xff not JSON\n");
}

#[test]
fn a_redirect_is_not_followed() {
    let ingest = FakeIngest::answering(|_, _| 308);
    let ended = send(&ingest, &["video.failed"]).with_code(1);
    assert_eq!(ingest.received().len(), 1);
    assert!(ended.stderr.contains("OpenAI does not follow redirects"), "{ended:#?}");
}

#[test]
fn an_unreachable_url_is_exit_3() {
    let url = format!("http://127.0.0.1:{}/openai/webhook", free_port());
    let arguments = ["send", "--json", "--url", &url, "video.failed"];
    let ended = landfall(&[("OPENAI_WEBHOOK_SECRET", SECRET)], &arguments).with_code(3);
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.contains("cannot reach") && ended.stderr.contains(&url), "{ended:#?}");
}

#[test]
fn invalid_arguments_are_rejected_before_anything_is_sent() {
    let ingest = FakeIngest::start();
    for arguments in [
        &[][..],
        &["=resp_1"],
        &["response.completed="],
        &["--every-type", "video.failed"],
        &["--data", "{", "video.failed"],
        &["--data", "{}", "video.failed=video_1"],
        &["--data", "{}", "--data-file", "x", "video.failed"],
        &["--body-file", "x", "video.failed"],
        &["--count", "0", "video.failed"],
        &["--concurrency", "0", "video.failed"],
        &["--url", "example.com", "video.failed"],
        &["--url", "ftp://example.com/x", "video.failed"],
    ] {
        let ended = send(&ingest, arguments).with_code(2);
        assert!(!ended.stderr.is_empty() && ended.stdout.is_empty(), "{ended:#?}");
    }
    assert_eq!(ingest.received().len(), 0);
}

/// The server at the URL never ends its response.
#[test]
fn an_answer_without_an_end_is_not_read_for_ever() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/openai/webhook", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 64 << 10];
        std::io::Read::read(&mut stream, &mut request).unwrap();
        let write =
            |stream: &mut std::net::TcpStream, text: &str| std::io::Write::write_all(stream, text.as_bytes());
        write(&mut stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
        while write(&mut stream, &chunk).is_ok() {}
    });
    landfall(&[("OPENAI_WEBHOOK_SECRET", SECRET)], &["send", "--url", &url, "response.completed"])
        .with_code(0);
}
