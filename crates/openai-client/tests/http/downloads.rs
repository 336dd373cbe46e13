//! Streamed file content: complete files, and every way to end early.

use std::time::Duration;

use openai_client::{Advice, ApiError, Download, ErrorKind};

use crate::server::{Server, Step, response};
use crate::{chain, client, impatient_client, within_a_minute};

/// The content before the end or the error.
pub(crate) async fn read(download: &mut Download) -> (Vec<u8>, Result<(), ApiError>) {
    let mut content = Vec::new();
    loop {
        match download.next_chunk().await {
            Ok(Some(chunk)) => content.extend_from_slice(&chunk),
            Ok(None) => return (content, Ok(())),
            Err(error) => return (content, Err(error)),
        }
    }
}

pub(crate) fn send(bytes: &[u8]) -> Step {
    Step::Send(bytes.to_vec())
}

#[tokio::test]
async fn a_file_is_downloaded_byte_for_byte() {
    let mut all = response("200 OK", "x-request-id: req_f\r\n", "");
    let content: Vec<u8> = (0..=255_u8).cycle().take(300_000).collect();
    all.truncate(all.len() - "content-length: 0\r\n\r\n".len());
    all.extend_from_slice(format!("content-length: {}\r\n\r\n", content.len()).as_bytes());
    all.extend_from_slice(&content);
    let server = Server::responding(all).await;
    let mut download = client(&server).file_content("file-1").await.unwrap();
    assert_eq!((download.content_length, download.request_id.as_deref()), (Some(300_000), Some("req_f")));
    let (received, end) = read(&mut download).await;
    assert!(end.is_ok() && received == content);
    assert!(download.next_chunk().await.unwrap().is_none(), "the end is final");
    let head = server.heads().remove(0);
    assert!(
        head.starts_with("GET /v1/files/file-1/content HTTP/1.1\r\n")
            && head.contains("accept-encoding: identity")
    );
}

#[tokio::test]
async fn empty_and_chunked_files_are_valid() {
    for (response, expected) in [
        (response("200 OK", "", ""), &b""[..]),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".to_vec(),
            b"abcde",
        ),
        // Nothing indicates where this one should end; the caller compares with the length of the file object.
        (b"HTTP/1.1 200 OK\r\n\r\nabc".to_vec(), b"abc"),
    ] {
        let server = Server::responding(response).await;
        let mut download = client(&server).file_content("f").await.unwrap();
        let (content, end) = read(&mut download).await;
        assert!(end.is_ok() && content == expected, "{end:?}");
    }
}

#[tokio::test]
async fn a_truncated_body_is_and_stays_an_incomplete_download() {
    for cut in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n0123456789"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\n0123456789\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n32\r\n0123456789",
    ] {
        let server = Server::responding(cut).await;
        let mut download = client(&server).file_content("f").await.unwrap();
        let (content, end) = read(&mut download).await;
        let error = end.unwrap_err();
        assert_eq!(content, b"0123456789");
        assert!(matches!(error, ApiError::IncompleteDownload { received_bytes: 10, .. }), "{error:?}");
        assert_eq!(
            (error.kind(), error.advice()),
            (ErrorKind::IncompleteDownload, Advice::Retry { after: None })
        );
        assert!(chain(&error).contains("download ended after 10 bytes"));
        assert!(download.next_chunk().await.is_err(), "the error is final");
    }
}

#[tokio::test]
async fn bytes_beyond_the_announced_length_are_not_content() {
    let server = Server::responding(*b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n0123456789").await;
    let mut download = client(&server).file_content("f").await.unwrap();
    let (content, end) = read(&mut download).await;
    assert!(end.is_ok() && content == b"0123");
}

#[tokio::test]
async fn a_stalled_download_ends_after_the_idle_timeout() {
    let server =
        Server::start(|_| vec![send(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n01234"), Step::Stall])
            .await;
    let mut download = impatient_client(&server, Duration::from_millis(500)).file_content("f").await.unwrap();
    let (content, end) = within_a_minute(read(&mut download)).await;
    let error = end.unwrap_err();
    assert_eq!(content, b"01234");
    assert!(matches!(error, ApiError::IncompleteDownload { content_length: Some(50), .. }), "{error:?}");
    assert!(chain(&error).contains("timed out"), "{}", chain(&error));
}

#[tokio::test]
async fn a_slow_download_may_take_far_longer_than_the_idle_timeout() {
    let server = Server::start(|_| {
        let drip = [Step::Pause(Duration::from_millis(25)), send(b"x")];
        let head = send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n");
        std::iter::once(head).chain(drip.into_iter().cycle().take(200)).collect()
    })
    .await;
    // Twenty times the pause between bytes, a fifth of the whole.
    let mut download = impatient_client(&server, Duration::from_millis(500)).file_content("f").await.unwrap();
    let (content, end) = read(&mut download).await;
    assert!(end.is_ok() && content.len() == 100, "{end:?}");
}

#[tokio::test]
async fn an_expired_file_is_not_found() {
    for status in ["404 Not Found", "410 Gone"] {
        let server = Server::responding(response(status, "", "{}")).await;
        let error = client(&server).file_content("f").await.map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
