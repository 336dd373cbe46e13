//! Responses that are compressed although `identity` was requested.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use openai_client::{ApiError, ErrorKind, Phase};

use crate::downloads::read;
use crate::server::{Server, Step, response};
use crate::{chain, client};

const GZIP: &str = "content-encoding: gzip\r\n";
const STRONG: &str = "etag: \"v1\"\r\naccept-ranges: bytes\r\n";

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_compressed_response_is_decoded() {
    let body = r#"{"id":"batch_1","status":"completed","metadata":{"note":"é"}}"#;
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(body.as_bytes()).unwrap();
    let mut raw = DeflateEncoder::new(Vec::new(), Compression::fast());
    raw.write_all(body.as_bytes()).unwrap();
    for (coding, encoded) in [
        ("gzip", gzip(body.as_bytes())),
        ("deflate", zlib.finish().unwrap()),
        ("deflate", raw.finish().unwrap()),
        ("Identity", body.as_bytes().to_vec()),
    ] {
        let head = format!("content-encoding: {coding}\r\n");
        let server = Server::responding(response("200 OK", &head, encoded)).await;
        let fetched = client(&server).batch("batch_1").await.unwrap();
        assert_eq!(
            (fetched.raw.as_ref(), fetched.object.phase()),
            (body.as_bytes(), Phase::Ended),
            "{coding}"
        );
    }
}

#[tokio::test]
async fn an_unknown_or_corrupt_encoding_is_an_error() {
    let server = Server::responding(response("200 OK", "content-encoding: br\r\n", "{}")).await;
    let error = client(&server).model("m").await.unwrap_err();
    assert!(matches!(&error, ApiError::Compressed { coding, .. } if coding == "br"), "{error:?}");
    assert!(error.kind() == ErrorKind::BadAnswer && chain(&error).contains("encoded as br"));
    let whole = gzip(br#"{"id":"m"}"#);
    for broken in [&b"{}"[..], &whole[..whole.len() - 3]] {
        let server = Server::responding(response("200 OK", GZIP, broken)).await;
        let error = client(&server).model("m").await.unwrap_err();
        assert!(matches!(error, ApiError::Unavailable { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn the_size_limit_applies_to_decoded_bytes() {
    // The limit for a batch is 8 MiB; this is 64 MiB in 64 KiB.
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    let server = Server::responding(response("200 OK", GZIP, bomb)).await;
    let error = client(&server).batch("batch_1").await.unwrap_err();
    assert!(matches!(error, ApiError::TooLarge { bytes_max, .. } if bytes_max == 8 << 20), "{error:?}");
}

#[tokio::test]
async fn a_compressed_error_is_decoded() {
    let body = gzip(br#"{"error":{"code":"insufficient_quota","message":"m"}}"#);
    let server = Server::responding(response("429 Too Many Requests", GZIP, body)).await;
    let error = client(&server).model("m").await.unwrap_err();
    assert!(chain(&error).contains("insufficient_quota"));
}

#[tokio::test]
async fn a_compressed_file_is_complete_and_has_no_announced_length() {
    let content: Vec<u8> = (0..3_000_000_u32).flat_map(|n| (n / 5).to_le_bytes()).collect();
    let server = Server::responding(response("200 OK", GZIP, gzip(&content))).await;
    let mut download = client(&server).file_content("f").await.unwrap();
    assert_eq!(download.content_length, None, "the length of the archive differs");
    let (received, end) = read(&mut download).await;
    assert!(end.is_ok() && received == content, "{end:?}");
}

#[tokio::test]
async fn an_interrupted_compressed_file_is_never_resumed() {
    let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let whole = response("200 OK", &format!("{GZIP}{STRONG}"), gzip(&content));
    let server = Server::responding(whole[..whole.len() / 2].to_vec()).await;
    let mut download = client(&server).file_content("f").await.unwrap();
    let (_, end) = read(&mut download).await;
    assert!(matches!(end, Err(ApiError::IncompleteDownload { .. })), "{end:?}");
    assert_eq!(server.heads().len(), 1, "ranges would refer to the archive");
}

#[tokio::test]
async fn a_compressed_rest_is_not_used() {
    let whole = [b'x'; 100];
    let server = Server::start(move |head| {
        if head.contains("range: bytes=30-") {
            let range = format!("{GZIP}{STRONG}content-range: bytes 30-99/100\r\n");
            return vec![Step::Send(response("206 Partial Content", &range, gzip(&whole[30..])))];
        }
        let head = format!("HTTP/1.1 200 OK\r\n{STRONG}content-length: 100\r\n\r\n");
        vec![Step::Send([head.as_bytes(), &whole[..30]].concat())]
    })
    .await;
    let mut download = client(&server).file_content("f").await.unwrap();
    let (received, end) = read(&mut download).await;
    assert!(matches!(end, Err(ApiError::IncompleteDownload { received_bytes: 30, .. })), "{end:?}");
    assert_eq!(received.len(), 30);
}
