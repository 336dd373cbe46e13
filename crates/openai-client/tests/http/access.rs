//! The access check and the clock of the API.

use openai_client::{Access, ErrorKind};

use crate::server::{Server, response};
use crate::{chain, client};

async fn check(status: &str, body: &str) -> Access {
    let headers = "date: Mon, 23 Nov 2026 20:02:27 GMT\r\n";
    let server = Server::responding(response(status, headers, body)).await;
    let access = client(&server).check_access().await;
    assert!(server.heads()[0].starts_with("GET /v1/batches?limit=1 HTTP/1.1\r\n"));
    assert_eq!(access.server_time.unwrap().timestamp(), 1_795_464_147);
    access
}

#[tokio::test]
async fn an_accepted_key_returns_a_list_and_the_clock() {
    let access = check("200 OK", r#"{"object":"list","data":[],"has_more":false}"#).await;
    access.outcome.unwrap();
}

#[tokio::test]
async fn every_refusal_is_distinguished_and_has_the_clock() {
    let cases = [
        ("401 Unauthorized", ErrorKind::Unauthorized),
        ("403 Forbidden", ErrorKind::Forbidden),
        ("404 Not Found", ErrorKind::NotFound),
        ("503 Service Unavailable", ErrorKind::Unavailable),
    ];
    for (status, kind) in cases {
        let error = check(status, r#"{"error":{"message":"no"}}"#).await.outcome.unwrap_err();
        chain(&error);
        assert_eq!(error.kind(), kind, "{status}");
    }
}

#[tokio::test]
async fn a_response_unlike_openai_is_a_bad_answer() {
    for body in ["<html>Welcome to nginx!</html>", r#"{"models":[]}"#, ""] {
        let error = check("200 OK", body).await.outcome.unwrap_err();
        chain(&error);
        assert_eq!(error.kind(), ErrorKind::BadAnswer, "{body}");
    }
}

#[tokio::test]
async fn there_is_no_clock_without_a_response() {
    let server = Server::start(|_| Vec::new()).await;
    let access = client(&server).check_access().await;
    assert_eq!((access.server_time, access.outcome.unwrap_err().kind()), (None, ErrorKind::Unavailable));
}
