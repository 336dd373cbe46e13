//! Each fault, as a client observes it.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use fake_openai::{ContentCoding, Fault, FaultKind};
use serde_json::json;

use crate::client::{Client, parse, read_until};

const PATH: &str = "/batches/batch_demo_completed";
const CONTENT: &str = "/files/file-DemoTicketsOutput/content";

async fn once(kind: FaultKind, path: &str) -> (Client, crate::client::Wire) {
    let client = Client::new().await;
    client.fake.inject(Fault::times(kind, "", 1));
    let met = client.wire(path).await;
    // The fault applies to this request only.
    let after = client.wire(path).await;
    assert_eq!((after.status, after.content_length()), (200, after.body.len()), "{after:?}");
    (client, met)
}

#[tokio::test]
async fn any_status_has_openais_error_body() {
    for status in [400, 401, 403, 404, 408, 409, 422, 429, 500, 503, 504] {
        let (client, met) = once(FaultKind::Status(status), PATH).await;
        assert_eq!(met.status, status);
        assert!(met.json()["error"]["message"].is_string());
        assert!(met.header("x-request-id").is_some());
        let log = client.fake.requests();
        assert_eq!((log[0].status, log[0].fault), (Some(status), Some("status")));
        assert_eq!((log[1].status, log[1].fault), (Some(200), None));
    }
}

#[tokio::test]
async fn a_502_comes_from_the_proxy_as_html() {
    let (_, met) = once(FaultKind::Status(502), PATH).await;
    assert_eq!((met.status, met.header("content-type")), (502, Some("text/html")));
    assert!(met.body.starts_with(b"<html>"));
}

#[tokio::test]
async fn a_403_can_be_a_verdict_on_the_content() {
    let (_, met) = once(FaultKind::PolicyViolation, PATH).await;
    assert_eq!(met.status, 403);
    assert_eq!(met.json()["error"]["code"], "misalignment_policy_violation");
    let (_, plain) = once(FaultKind::Status(403), PATH).await;
    assert_ne!(plain.json()["error"]["code"], "misalignment_policy_violation");
}

#[tokio::test]
async fn a_429_says_in_every_known_way_how_long_to_wait() {
    let rate_limited = |retry_after_secs| FaultKind::RateLimited { retry_after_secs };
    let (_, without) = once(rate_limited(None), PATH).await;
    assert_eq!((without.status, without.header("retry-after")), (429, None));
    assert_eq!(without.json()["error"]["code"], "rate_limit_exceeded");
    let (_, seconds) = once(rate_limited(Some(7)), PATH).await;
    assert_eq!(seconds.header("retry-after"), Some("7"));
    assert_eq!(seconds.header("x-ratelimit-remaining-requests"), Some("0"));
    let (_, absurd) = once(rate_limited(Some(u64::MAX)), PATH).await;
    assert_eq!(absurd.header("retry-after"), Some("18446744073709551615"));
    let (_, date) = once(FaultKind::RateLimitedUntil { in_secs: 60 }, PATH).await;
    assert!(date.header("retry-after").unwrap().ends_with(" GMT"), "{}", date.headers);
    let (_, millis) = once(FaultKind::RateLimitedMs { retry_after_ms: 1500 }, PATH).await;
    assert_eq!((millis.header("retry-after-ms"), millis.header("retry-after")), (Some("1500"), None));
    let (_, quota) = once(FaultKind::InsufficientQuota, PATH).await;
    assert_eq!((quota.status, quota.header("retry-after")), (429, None));
    assert_eq!(quota.json()["error"]["code"], "insufficient_quota");
}

#[tokio::test]
async fn x_should_retry_overrides_the_status() {
    for (status, should_retry) in [(500, false), (400, true)] {
        let kind = FaultKind::ShouldRetry { status, should_retry };
        let (_, met) = once(kind, PATH).await;
        let expected = should_retry.to_string();
        assert_eq!((met.status, met.header("x-should-retry")), (status, Some(expected.as_str())));
    }
}

#[tokio::test]
async fn an_object_can_be_missing_twice_and_then_be_found() {
    let client = Client::new().await;
    let fault = Fault::times(FaultKind::Status(404), "/responses/resp_demo_research", 2);
    client.fake.inject(fault);
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(client.status("/responses/resp_demo_research").await);
        assert_eq!(client.status(PATH).await, 200, "another object is not affected");
    }
    assert_eq!(seen, [404, 404, 200]);
}

#[tokio::test]
async fn a_cut_body_ends_in_the_middle_and_clients_notice() {
    for path in [PATH, CONTENT] {
        let (client, met) = once(FaultKind::CutBody, path).await;
        assert_eq!(met.status, 200);
        assert_eq!(met.body.len(), met.content_length() / 2);
        client.fake.inject(Fault::times(FaultKind::CutBody, "", 1));
        client.get(path).await.bytes().await.unwrap_err();
    }
}

#[tokio::test]
async fn a_large_body_can_be_cut_anywhere() {
    let client = Client::new().await;
    client.fake.add_generated_batch("batch_large", 2000);
    let kind = FaultKind::CutBodyAfter { bytes: 1_000_000 };
    client.fake.inject(Fault::times(kind, "/content", 1));
    let met = client.wire("/files/file-batch_large-output/content").await;
    assert_eq!(met.content_length(), 2000 * fake_openai::LINE_BYTES_DEFAULT);
    assert!((900_000..=1_000_000).contains(&met.body.len()), "{}", met.body.len());
    let whole = client.fake.file_bytes("file-batch_large-output").unwrap();
    assert!(whole.starts_with(&met.body));
}

#[tokio::test]
async fn a_wrong_content_length_is_more_or_less_than_is_sent() {
    let whole = Client::new().await.wire(CONTENT).await.body;
    let (_, more) = once(FaultKind::WrongContentLength { off_by: 100 }, CONTENT).await;
    assert_eq!(more.content_length(), whole.len() + 100);
    assert!(more.body == whole);
    let (_, less) = once(FaultKind::WrongContentLength { off_by: -100 }, CONTENT).await;
    assert_eq!(less.content_length(), whole.len() - 100);
    assert!(less.body == whole[..whole.len() - 100]);
}

#[tokio::test]
async fn a_stall_delays_the_body_until_the_faults_are_cleared() {
    let whole = Client::new().await.wire(CONTENT).await.body;
    for (kind, expected) in [(FaultKind::StallBeforeBody, 0), (FaultKind::StallInBody, whole.len() / 2)] {
        let client = Client::new().await;
        client.fake.inject(Fault::times(kind, "", 1));
        let mut socket = client.open(CONTENT).await;
        let arrived = |bytes: &[u8]| {
            let head = bytes.windows(4).position(|window| window == b"\r\n\r\n");
            head.is_some_and(|head| bytes.len() - head - 4 >= expected)
        };
        let mut bytes = read_until(&mut socket, arrived).await;
        assert_eq!(parse(&bytes).body.len(), expected);
        // A short time without a byte counts as a stall.
        let more = read_until(&mut socket, |bytes| !bytes.is_empty());
        tokio::time::timeout(Duration::from_millis(150), more).await.unwrap_err();
        client.fake.clear_faults();
        let rest = read_until(&mut socket, |rest| rest.len() >= whole.len() - expected).await;
        bytes.extend(rest);
        assert!(parse(&bytes).body == whole);
    }
}

#[tokio::test]
async fn a_slow_drip_arrives_in_small_chunks_and_is_complete() {
    let client = Client::new().await;
    let whole = client.wire("/models/gpt-5.6-sol").await.body;
    let kind = FaultKind::SlowDrip { bytes: 10, every_ms: 20 };
    client.fake.inject(Fault::times(kind, "", 1));
    let started = Instant::now();
    let mut answer = client.get("/models/gpt-5.6-sol").await;
    let mut pieces = Vec::new();
    while let Some(piece) = answer.chunk().await.unwrap() {
        pieces.push(piece);
    }
    let expected = whole.len().div_ceil(10);
    assert!(
        started.elapsed() >= Duration::from_millis(20 * (expected as u64 - 1)),
        "{:?}",
        started.elapsed()
    );
    assert!(pieces.len() > 2, "{pieces:?}");
    assert_eq!(pieces.concat(), whole);
}

#[tokio::test]
async fn invalid_json_is_a_complete_response_with_truncated_json() {
    let (_, met) = once(FaultKind::InvalidJson, PATH).await;
    assert_eq!((met.status, met.content_length()), (200, met.body.len()));
    serde_json::from_slice::<serde_json::Value>(&met.body).unwrap_err();
}

#[tokio::test]
async fn huge_json_is_the_same_object_with_a_huge_field() {
    const BYTES: u64 = 3_000_000;
    let (client, met) = once(FaultKind::HugeJson { bytes: BYTES }, PATH).await;
    assert_eq!((met.status, met.content_length()), (200, met.body.len()));
    let mut object = met.json();
    let padding = object.as_object_mut().unwrap().remove("padding").unwrap();
    assert_eq!(padding.as_str().unwrap().len() as u64, BYTES);
    assert_eq!(object, client.json(PATH).await);
}

#[tokio::test]
async fn a_delay_sends_the_correct_response_late() {
    let client = Client::new().await;
    client.fake.delay_ms("/batches/", 60);
    let started = Instant::now();
    assert_eq!(client.status(PATH).await, 200);
    assert!(started.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn a_request_is_logged_before_its_response_and_a_cleared_delay_ends() {
    let client = Client::new().await;
    client.fake.delay_ms("/batches/", 600_000);
    let requested = async {
        // The request is logged first; its fault is selected after that.
        let requested = async || client.fake.requests().pop().filter(|request| request.fault.is_some());
        let request = test_support::wait::until("the request to be delayed", requested).await;
        assert_eq!((request.status, request.fault), (None, Some("delay")));
        client.fake.clear_faults();
    };
    let (status, ()) = tokio::join!(client.status(PATH), requested);
    assert_eq!(status, 200);
    assert_eq!(client.fake.requests()[0].status, Some(200));
}

#[tokio::test]
async fn a_fault_at_a_rate_applies_to_some_requests() {
    let client = Client::new().await;
    client.fake.inject(Fault::at_rate(FaultKind::Status(500), "", 0.5));
    let mut failed = 0;
    for _ in 0..200 {
        failed += u32::from(client.status(PATH).await == 500);
    }
    // Eight standard deviations.
    assert!((43..157).contains(&failed), "{failed}");
}

#[tokio::test]
async fn requests_in_flight_end_when_the_fake_stops() {
    let client = Client::new().await;
    client.fake.add_file("file-only-here", &serde_json::json!({}), "some content");
    client.fake.inject(Fault::always(FaultKind::StallInBody, ""));
    let url = format!("{}/files/file-only-here/content", client.fake.base_url());
    let answer = client.http.get(&url).send().await.unwrap();
    client.fake.stop().await;
    // The response may be complete or cut, but it must end.
    answer.bytes().await.ok();
    // Another test's fake may use the port by now; it does not have the file.
    let again = client.http.get(&url).send().await;
    assert!(again.as_ref().map_or(true, |answer| answer.status() == 404), "{again:?}");
}

#[tokio::test]
async fn fields_of_an_object_can_be_replaced() {
    let fields = json!({"output_file_id": null, "status": "completed_with_errors"});
    let serde_json::Value::Object(fields) = fields else { panic!("an object") };
    let (client, met) = once(FaultKind::Fields(fields), PATH).await;
    let right = client.json(PATH).await;
    let mut expected = right.clone();
    (expected["output_file_id"], expected["status"]) = (json!(null), json!("completed_with_errors"));
    assert!(right["output_file_id"].is_string());
    assert_eq!((met.status, met.json()), (200, expected));
}

#[tokio::test]
async fn the_body_can_be_replaced_or_redirected() {
    let (_, page) = once(FaultKind::Body("<html>One moment</html>".to_owned()), CONTENT).await;
    assert_eq!((page.status, page.body.as_slice()), (200, &b"<html>One moment</html>"[..]));
    let to = "https://elsewhere.example/x".to_owned();
    let (_, moved) = once(FaultKind::Redirect { to: to.clone() }, CONTENT).await;
    assert_eq!((moved.status, moved.header("location")), (307, Some(to.as_str())));
}

#[tokio::test]
async fn a_body_can_be_compressed_without_being_requested() {
    for (coding, name) in [
        (ContentCoding::Gzip, "gzip"),
        (ContentCoding::Deflate, "deflate"),
        (ContentCoding::RawDeflate, "deflate"),
        (ContentCoding::Brotli, "br"),
    ] {
        let (client, met) = once(FaultKind::Encoded(coding), CONTENT).await;
        assert_eq!((met.header("content-encoding"), met.content_length()), (Some(name), met.body.len()));
        let (body, mut plain) = (met.body.as_slice(), Vec::new());
        match coding {
            ContentCoding::Gzip => flate2::read::GzDecoder::new(body).read_to_end(&mut plain).unwrap(),
            ContentCoding::Deflate => flate2::read::ZlibDecoder::new(body).read_to_end(&mut plain).unwrap(),
            ContentCoding::RawDeflate => {
                flate2::read::DeflateDecoder::new(body).read_to_end(&mut plain).unwrap()
            }
            ContentCoding::Brotli => plain.write(body).unwrap(),
        };
        assert_eq!(plain, client.fake.file_bytes("file-DemoTicketsOutput").unwrap());
    }
}
