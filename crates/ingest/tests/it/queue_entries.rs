//! The content of queue entries: exactly the bytes that were signed.

use test_support::signed_webhook::{SignedWebhook, now_secs};
use webhook::{EventKind, Family};

use crate::harness::{PATH, RECEIVED, TestIngest, head};

#[tokio::test]
async fn an_entry_holds_the_raw_bytes_and_the_header_values() {
    let ingest = TestIngest::start().await;
    let body = b"{ \"data\" :{\"id\": \"batch_1\"},\r\n\t\"type\":\"batch\\u002ecompleted\" }  \n".to_vec();
    let webhook = SignedWebhook::with_body("wh_odd", body.clone());
    ingest.post(&webhook).await.expect(200, RECEIVED);

    let entries = ingest.take_queued(Family::Batch).await;
    assert_eq!(entries.len(), 1);
    let entry = &entries[0];
    assert_eq!(entry.body, body);
    assert_eq!((entry.webhook_id.as_str(), entry.project.as_str()), ("wh_odd", "default"));
    assert_eq!(
        (entry.event_type.as_str(), entry.timestamp_secs),
        ("batch.completed", webhook.timestamp_secs)
    );
    assert!((entry.received_ms / 1000 - now_secs()).abs() <= 60, "{}", entry.received_ms);
    assert_eq!((&entry.traceparent, &entry.replay_of), (&None, &None));
}

#[tokio::test]
async fn every_known_type_goes_to_the_queue_of_its_family() {
    let ingest = TestIngest::start().await;
    for name in EventKind::KNOWN {
        ingest.post(&SignedWebhook::new(name, "obj_1")).await.expect(200, RECEIVED);
    }
    let mut queued = 0;
    for family in Family::ALL {
        for entry in ingest.take_queued(*family).await {
            assert_eq!(EventKind::from_name(&entry.event_type).family(), *family, "{}", entry.event_type);
            queued += 1;
        }
    }
    assert_eq!(queued, EventKind::KNOWN.len());
}

#[tokio::test]
async fn an_unknown_type_is_queued_under_its_name() {
    let ingest = TestIngest::start().await;
    ingest.post(&SignedWebhook::new("response.reticulated", "resp_1")).await.expect(200, RECEIVED);
    let entries = ingest.take_queued(Family::Other).await;
    assert_eq!(entries[0].event_type, "response.reticulated");
}

#[tokio::test]
async fn a_body_that_is_not_an_event_is_queued_as_unknown() {
    let ingest = TestIngest::start().await;
    let bodies = [
        &b""[..],
        b"hello",
        b"[1,2]",
        b"{}",
        b"{\"type\":7}",
        b"\xff\x00\xfe",
        b"{\"type\":\"batch.failed\"",
    ];
    for (n, body) in bodies.iter().enumerate() {
        let webhook = SignedWebhook::with_body(&format!("wh_{n}"), body.to_vec());
        ingest.post(&webhook).await.expect(200, RECEIVED);
    }
    let entries = ingest.take_queued(Family::Other).await;
    let queued: Vec<&[u8]> = entries.iter().map(|entry| entry.body.as_slice()).collect();
    assert_eq!(queued, bodies);
    assert!(entries.iter().all(|entry| entry.event_type == "unknown"));
}

#[tokio::test]
async fn a_chunked_body_is_reassembled() {
    let ingest = TestIngest::start().await;
    let webhook = SignedWebhook::new("batch.completed", "batch_1");
    let mut bytes = head(PATH, &webhook.headers(), "Transfer-Encoding: chunked");
    for chunk in webhook.body.chunks(7) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    ingest.ask(&bytes).await.expect(200, RECEIVED);
    assert_eq!(ingest.take_queued(Family::Batch).await[0].body, webhook.body);
}

#[tokio::test]
async fn a_well_formed_trace_is_passed_on() {
    let ingest = TestIngest::start().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (text, passed_on) in
        [(trace, Some(trace)), ("00-xyz", None), (&trace.to_uppercase(), None), (&format!("{trace}-1"), None)]
    {
        let webhook = SignedWebhook::new("batch.completed", "batch_1");
        let mut headers = webhook.headers().to_vec();
        headers.push(("traceparent", text.to_owned()));
        let mut bytes = head(PATH, &headers, &format!("Content-Length: {}", webhook.body.len()));
        bytes.extend_from_slice(&webhook.body);
        ingest.ask(&bytes).await.expect(200, RECEIVED);
        assert_eq!(ingest.take_queued(Family::Batch).await[0].traceparent.as_deref(), passed_on, "{text}");
    }
}
