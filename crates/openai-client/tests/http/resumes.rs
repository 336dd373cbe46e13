//! Interrupted downloads that continue with the rest of the same bytes, and responses that are not that rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use openai_client::{ApiError, ErrorKind};

use crate::downloads::{read, send};
use crate::server::{Server, Step, response};
use crate::{client, impatient_client, within_a_minute};

const STRONG: &str = "etag: \"v1\"\r\naccept-ranges: bytes\r\n";

/// Content in which neighbouring bytes differ.
fn content(len: usize) -> Vec<u8> {
    (0..=250_u8).cycle().take(len).collect()
}

/// The start of the requested range, and its ETag.
fn asked(head: &str) -> Option<(usize, &str)> {
    let value = |name: &str| {
        head.lines().find_map(|line| line.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")))
    };
    let first = value("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().unwrap();
    Some((first, value("if-range").unwrap_or("none")))
}

/// A 206 with the bytes from `first` on, truncated.
fn part(content: &[u8], first: usize, cut_after: usize) -> Vec<u8> {
    let (last, total) = (content.len() - 1, content.len());
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\n{STRONG}content-range: bytes {first}-{last}/{total}\r\n\
         content-length: {}\r\n\r\n",
        total - first
    );
    let rest = &content[first..];
    [head.as_bytes(), &rest[..cut_after.min(rest.len())]].concat()
}

/// A 200 that announces all of the content, truncated; `headers` may allow resuming.
fn beginning(content: &[u8], headers: &str, cut_after: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\n\r\n", content.len());
    [head.as_bytes(), &content[..cut_after]].concat()
}

/// Serves a file of 100 bytes that is cut after 30, and then `second`.
async fn then(second: Vec<u8>) -> Server {
    let first = beginning(&content(100), STRONG, 30);
    Server::start(move |head| {
        vec![Step::Send(if asked(head).is_some() { second.clone() } else { first.clone() })]
    })
    .await
}

#[tokio::test]
async fn a_download_interrupted_repeatedly_continues_where_it_stopped() {
    let whole = Arc::new(content(1000));
    let file = whole.clone();
    let server = Server::start(move |head| {
        vec![Step::Send(match asked(head) {
            Some((first, "\"v1\"")) => part(&file, first, 100),
            Some(_) | None => beginning(&file, STRONG, 100),
        })]
    })
    .await;
    let mut download = client(&server).file_content("f").await.unwrap();
    let (received, end) = read(&mut download).await;
    assert!(end.is_ok() && received == *whole, "{end:?}");
    assert!(download.next_chunk().await.unwrap().is_none(), "the end is final");
    assert_eq!((download.resumes(), download.content_length), (9, Some(1000)));
    let heads = server.heads();
    let from: Vec<_> = heads.iter().filter_map(|head| asked(head)).map(|(first, _)| first).collect();
    assert_eq!(from, [100, 200, 300, 400, 500, 600, 700, 800, 900]);
    assert!(heads.iter().all(|head| head.contains("accept-encoding: identity")));
}

#[tokio::test]
async fn a_stalled_download_is_resumed() {
    let whole = Arc::new(content(100));
    let file = whole.clone();
    let server = Server::start(move |head| match asked(head) {
        Some((first, _)) => vec![Step::Send(part(&file, first, 100))],
        None => vec![Step::Send(beginning(&file, STRONG, 30)), Step::Stall],
    })
    .await;
    let mut download = impatient_client(&server, Duration::from_millis(500)).file_content("f").await.unwrap();
    let (received, end) = within_a_minute(read(&mut download)).await;
    assert!(end.is_ok() && received == *whole, "{end:?}");
}

#[tokio::test]
async fn the_rest_is_not_requested_without_a_strong_etag_and_ranges() {
    for headers in
        ["", "etag: \"v1\"\r\n", "accept-ranges: bytes\r\n", "etag: W/\"v1\"\r\naccept-ranges: bytes\r\n"]
    {
        let server = Server::responding(beginning(&content(100), headers, 30)).await;
        let mut download = client(&server).file_content("f").await.unwrap();
        let (received, end) = read(&mut download).await;
        assert!(matches!(end, Err(ApiError::IncompleteDownload { received_bytes: 30, .. })), "{end:?}");
        assert_eq!((received.len(), server.heads().len()), (30, 1), "{headers}");
    }
}

#[tokio::test]
async fn a_response_that_is_not_the_rest_is_not_used() {
    let whole = content(100);
    let with_range = |range: &str, more: &str, length: usize| {
        let headers = format!("accept-ranges: bytes\r\n{more}content-range: {range}\r\n");
        response("206 Partial Content", &headers, "x".repeat(length))
    };
    let cases = [
        ("another file, sent whole", beginning(&whole, STRONG, 100)),
        ("another place", with_range("bytes 20-99/100", "", 80)),
        ("another total", with_range("bytes 30-99/101", "", 70)),
        ("another length", with_range("bytes 30-99/100", "", 69)),
        ("another etag", with_range("bytes 30-99/100", "etag: \"v2\"\r\n", 70)),
        ("no range", response("206 Partial Content", STRONG, "x".repeat(70))),
        ("nothing more, but of another total", with_range("bytes */100", "", 0)),
        ("an end elsewhere", response("416 Range Not Satisfiable", "content-range: bytes */31\r\n", "")),
    ];
    for (what, second) in cases {
        let server = then(second).await;
        let mut download = client(&server).file_content("f").await.unwrap();
        let (received, end) = read(&mut download).await;
        assert!(
            matches!(end, Err(ApiError::IncompleteDownload { received_bytes: 30, .. })),
            "{what}: {end:?}"
        );
        assert_eq!((received, server.heads().len()), (whole[..30].to_vec(), 2), "{what}");
    }
}

#[tokio::test]
async fn a_416_with_the_received_total_is_the_end() {
    // Chunked: the cut is detected, but not that nothing is missing.
    let cut = format!("HTTP/1.1 200 OK\r\n{STRONG}transfer-encoding: chunked\r\n\r\na\r\n0123456789\r\n");
    let done = response("416 Range Not Satisfiable", "content-range: bytes */10\r\n", "");
    let server = Server::start(move |head| {
        vec![if asked(head).is_some() { Step::Send(done.clone()) } else { send(cut.as_bytes()) }]
    })
    .await;
    let mut download = client(&server).file_content("f").await.unwrap();
    let (received, end) = read(&mut download).await;
    assert!(end.is_ok() && received == b"0123456789", "{end:?}");
    assert!(download.next_chunk().await.unwrap().is_none());
}

#[tokio::test]
async fn fruitless_resumes_are_limited() {
    let server = then(response("503 Service Unavailable", "", "{}")).await;
    let mut download = client(&server).file_content("f").await.unwrap();
    let (_, end) = within_a_minute(read(&mut download)).await;
    assert!(matches!(end, Err(ApiError::IncompleteDownload { received_bytes: 30, .. })), "{end:?}");
    assert_eq!(server.heads().len(), 1 + 3);
}

#[tokio::test]
async fn a_temporary_api_failure_does_not_end_a_download() {
    let whole = Arc::new(content(100));
    let (file, requests) = (whole.clone(), AtomicUsize::new(0));
    let server = Server::start(move |head| {
        vec![Step::Send(match (asked(head), requests.fetch_add(1, Ordering::Relaxed)) {
            (None, _) => beginning(&file, STRONG, 30),
            (Some(_), 1) => response("502 Bad Gateway", "", "<html>"),
            (Some((first, _)), _) => part(&file, first, 100),
        })]
    })
    .await;
    let mut download = client(&server).file_content("f").await.unwrap();
    let (received, end) = within_a_minute(read(&mut download)).await;
    assert!(end.is_ok() && received == *whole, "{end:?}");
}

#[tokio::test]
async fn a_refusal_of_a_resume_is_returned_unchanged() {
    for (status, kind) in [
        ("404 Not Found", ErrorKind::NotFound),
        ("401 Unauthorized", ErrorKind::Unauthorized),
        ("429 Too Many Requests", ErrorKind::RateLimited),
    ] {
        let server = then(response(status, "", "{}")).await;
        let mut download = client(&server).file_content("f").await.unwrap();
        let (_, end) = read(&mut download).await;
        assert_eq!((end.unwrap_err().kind(), server.heads().len()), (kind, 2));
        assert!(download.next_chunk().await.is_err(), "the error is final");
    }
}

#[tokio::test]
async fn a_file_that_arrives_byte_by_byte_is_given_up_eventually() {
    let file = content(1000);
    let server = Server::start(move |head| {
        vec![Step::Send(match asked(head) {
            Some((first, _)) => part(&file, first, 1),
            None => beginning(&file, STRONG, 1),
        })]
    })
    .await;
    let mut download = client(&server).file_content("f").await.unwrap();
    let (received, end) = within_a_minute(read(&mut download)).await;
    assert!(matches!(end, Err(ApiError::IncompleteDownload { .. })), "{end:?}");
    assert_eq!((received.len(), download.resumes()), (101, 100));
}
