//! Redirects: followed within the same origin; the key and the request never go anywhere else.

use openai_client::{Advice, ErrorKind};

use crate::server::{Server, Step, json, response};
use crate::{KEY, chain, client};

fn redirect(to: &str) -> Vec<u8> {
    response("307 Temporary Redirect", &format!("location: {to}\r\n"), "")
}

#[tokio::test]
async fn a_redirect_within_the_host_is_followed_with_the_key() {
    let server = Server::start(|head| {
        let moved = head.starts_with("GET /v1/models/old ");
        vec![Step::Send(if moved { redirect("/v1/models/new") } else { json(r#"{"id":"new"}"#) })]
    })
    .await;
    let fetched = client(&server).model("old").await.unwrap();
    assert_eq!(fetched.object.id.as_deref(), Some("new"));
    let heads = server.heads();
    assert_eq!(heads.len(), 2);
    assert!(heads[1].contains(&format!("authorization: Bearer {KEY}")));
}

#[tokio::test]
async fn another_host_gets_no_request() {
    let elsewhere = Server::responding(json(r#"{"id":"m"}"#)).await;
    let location = format!("{}/models/m?sig=abc", elsewhere.base_url());
    let server = Server::responding(redirect(&location)).await;
    let error = client(&server).model("m").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.advice(), error.status()),
        (ErrorKind::Rejected, Advice::RetryAtMax, Some(307))
    );
    let content = client(&server).file_content("f").await.map(|_| ()).unwrap_err();
    for error in [error, content] {
        let host = elsewhere.addr().to_string();
        assert_eq!(error.redirect_host(), Some(host.as_str()));
        let text = chain(&error);
        assert!(text.contains(&format!("redirects to {host} are not followed")), "{text}");
        assert!(!text.contains("sig="), "a URL may be signed: {text}");
    }
    assert!(elsewhere.heads().is_empty());
}

#[tokio::test]
async fn another_host_gets_no_request_after_a_redirect_within_the_host() {
    let elsewhere = Server::responding(json(r#"{"id":"m"}"#)).await;
    let location = format!("{}/models/m", elsewhere.base_url());
    let server = Server::start(move |head| {
        let first = head.starts_with("GET /v1/models/old ");
        vec![Step::Send(redirect(if first { "/v1/models/new" } else { &location }))]
    })
    .await;
    assert_eq!(client(&server).model("old").await.unwrap_err().status(), Some(307));
    assert!(elsewhere.heads().is_empty());
}

#[tokio::test]
async fn a_redirect_loop_ends() {
    let server = Server::responding(redirect("/v1/models/m")).await;
    let error = client(&server).model("m").await.unwrap_err();
    assert_eq!(error.advice(), Advice::RetryAtMax);
    assert!(server.heads().len() < 10);
}
