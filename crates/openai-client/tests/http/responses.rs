//! JSON responses: requests, successes, refusals, and corrupt responses.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use openai_client::{Advice, ApiError, Client, ClientConfig, Endpoint, ErrorKind, Observed, Phase};

use crate::server::{Server, Step, json, response};
use crate::{KEY, chain, client, config, impatient_client, within_a_minute};

const RETRY: Advice = Advice::Retry { after: None };

fn retry_after(millis: u64) -> Advice {
    Advice::Retry { after: Some(Duration::from_millis(millis)) }
}

/// The error for a response.
async fn refused(response: Vec<u8>) -> ApiError {
    let server = Server::responding(response).await;
    let error = client(&server).model("m").await.unwrap_err();
    chain(&error);
    error
}

#[tokio::test]
async fn a_request_has_the_right_path_and_headers() {
    let server = Server::responding(json("{}")).await;
    let config = ClientConfig {
        organization: Some("org-1".into()),
        project: Some("proj_1".into()),
        base_url: format!("{}/", server.base_url()),
        ..config(String::new())
    };
    let client = Client::new(config).unwrap();
    client.response("resp_a/../b?c").await.unwrap();
    let head = server.heads().remove(0);
    let expected = "GET /v1/responses/resp_a%2F..%2Fb%3Fc?include[]=web_search_call.action.sources\
        &include[]=file_search_call.results&include[]=code_interpreter_call.outputs HTTP/1.1\r\n";
    assert!(head.starts_with(expected), "{head}");
    for line in [
        &format!("authorization: Bearer {KEY}"),
        "openai-organization: org-1",
        "openai-project: proj_1",
        "accept: application/json",
        "accept-encoding: identity",
        concat!("user-agent: landfall/", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(head.lines().any(|sent| sent == line), "{line} is not in {head}");
    }
}

#[tokio::test]
async fn web_search_results_are_requested_on_request() {
    let server = Server::responding(json("{}")).await;
    let config = ClientConfig { web_search_results: true, ..config(server.base_url()) };
    Client::new(config).unwrap().response("resp_1").await.unwrap();
    let head = server.heads().remove(0);
    let end = "&include[]=code_interpreter_call.outputs&include[]=web_search_call.results HTTP/1.1";
    assert!(head.lines().next().unwrap().ends_with(end), "{head}");
}

#[tokio::test]
async fn a_server_that_refuses_newer_includes_is_asked_without_them() {
    let refuses_outputs = |head: &str| {
        let is_refused = head.contains("code_interpreter_call.outputs");
        let refusal = response("400 Bad Request", "", r#"{"error":{"code":"invalid_value"}}"#);
        vec![Step::Send(if is_refused { refusal } else { json(r#"{"id":"resp_1"}"#) })]
    };
    let server = Server::start(refuses_outputs).await;
    let fetched = client(&server).response("resp_1").await.unwrap();
    assert_eq!((fetched.object.id.as_deref(), server.heads().len()), (Some("resp_1"), 2));
    // Once: a request that is refused for another reason stays refused.
    let server = Server::responding(response("400 Bad Request", "", "{}")).await;
    let error = client(&server).response("resp_1").await.unwrap_err();
    assert_eq!((error.kind(), server.heads().len()), (ErrorKind::Rejected, 2));
}

#[tokio::test]
async fn every_object_has_its_path() {
    let server = Server::responding(json("{}")).await;
    let client = client(&server);
    client.batch("batch_1").await.unwrap();
    client.file("file-1").await.unwrap();
    client.fine_tuning_job("ftjob-1").await.unwrap();
    client.model("ft:gpt-6-luna:acme::1").await.unwrap();
    let paths: Vec<String> =
        server.heads().iter().map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect();
    let expected = [
        "/v1/batches/batch_1",
        "/v1/files/file-1",
        "/v1/fine_tuning/jobs/ftjob-1",
        "/v1/models/ft:gpt-6-luna:acme::1",
    ];
    assert_eq!(paths, expected);
}

#[tokio::test]
async fn an_unusable_id_is_never_requested() {
    let server = Server::responding(json("{}")).await;
    for id in ["", "..", &"x".repeat(20_000)] {
        let error = client(&server).batch(id).await.unwrap_err();
        assert_eq!((error.kind(), error.advice()), (ErrorKind::NotFound, Advice::NotFound));
    }
    assert!(server.heads().is_empty());
}

#[tokio::test]
async fn an_object_comes_with_its_raw_bytes_and_request_id() {
    let body =
        " {\"id\" : \"batch_1\", \"n\":1e400000, \"s\":\"\\ud800\\u0000\", \"status\":\"completed\"}\n";
    let server = Server::responding(json(body)).await;
    let fetched = client(&server).batch("batch_1").await.unwrap();
    assert_eq!(fetched.raw, body);
    assert_eq!(fetched.request_id.as_deref(), Some("req_1"));
    assert_eq!(fetched.object.id.as_deref(), Some("batch_1"));
    assert_eq!(fetched.object.phase(), Phase::Ended);
}

#[tokio::test]
async fn statuses_lead_to_their_advice() {
    let cases = [
        ("400 Bad Request", ErrorKind::Rejected, Advice::Final),
        ("401 Unauthorized", ErrorKind::Unauthorized, Advice::RetryAtMax),
        ("403 Forbidden", ErrorKind::Forbidden, Advice::RetryAtMax),
        ("404 Not Found", ErrorKind::NotFound, Advice::NotFound),
        ("408 Request Timeout", ErrorKind::Unavailable, RETRY),
        ("409 Conflict", ErrorKind::Unavailable, RETRY),
        ("429 Too Many Requests", ErrorKind::RateLimited, RETRY),
        ("500 Internal Server Error", ErrorKind::Unavailable, RETRY),
        ("503 Service Unavailable", ErrorKind::Unavailable, RETRY),
        ("204 No Content", ErrorKind::BadAnswer, RETRY),
    ];
    for (status, kind, advice) in cases {
        let error = refused(response(status, "x-request-id: req_9\r\n", "")).await;
        assert_eq!((error.kind(), error.advice()), (kind, advice), "{status}");
        assert_eq!(error.status().unwrap().to_string(), status[..3]);
        assert_eq!(error.request_id(), Some("req_9"));
    }
}

#[tokio::test]
async fn retry_delays_of_openai_are_passed_on() {
    let date = "date: Mon, 23 Nov 2026 12:00:00 GMT\r\nretry-after: Mon, 23 Nov 2026 12:00:45 GMT\r\n";
    let cases = [
        ("429 Too Many Requests", "retry-after: 7\r\n", retry_after(7_000)),
        ("429 Too Many Requests", "Retry-After-Ms: 1250\r\nRetry-After: 2\r\n", retry_after(1_250)),
        ("503 Service Unavailable", date, retry_after(45_000)),
        ("429 Too Many Requests", "retry-after: 3600\r\n", retry_after(3_600_000)),
        ("429 Too Many Requests", "retry-after: 999999999\r\n", retry_after(86_400_000)),
        ("400 Bad Request", "x-should-retry: true\r\n", RETRY),
        ("500 Internal Server Error", "x-should-retry: false\r\n", Advice::Final),
    ];
    for (status, headers, advice) in cases {
        assert_eq!(refused(response(status, headers, "{}")).await.advice(), advice, "{status} {headers}");
    }
}

#[tokio::test]
async fn codes_in_the_body_count() {
    let error =
        |code: &str| format!(r#"{{"error":{{"message":"m","type":"t","param":null,"code":"{code}"}}}}"#);
    let policy = refused(response("403 Forbidden", "", error("misalignment_policy_violation"))).await;
    assert_eq!((policy.kind(), policy.advice()), (ErrorKind::PolicyViolation, Advice::Final));
    let quota = refused(response("429 Too Many Requests", "", error("insufficient_quota"))).await;
    assert_eq!((quota.kind(), quota.advice()), (ErrorKind::RateLimited, Advice::RetryAtMax));
    let text = chain(&quota);
    assert!(text.contains("the request for models failed with status 429 (insufficient_quota): m"), "{text}");
}

#[tokio::test]
async fn no_error_contains_the_key_even_if_the_response_does() {
    let said = format!(r#"{{"error":{{"message":"Incorrect API key provided: {KEY}.","code":"{KEY}"}}}}"#);
    for status in ["400 Bad Request", "401 Unauthorized", "500 Internal Server Error"] {
        let text = chain(&refused(response(status, "", &said)).await);
        assert_eq!(text.contains("Incorrect API key"), !status.starts_with("401"), "{text}");
    }
    // A proxy page that shows the request, instead of JSON.
    for body in [format!("\"{KEY}\""), format!("Authorization: Bearer {KEY}"), format!("{{\"{KEY}\":{KEY}}}")]
    {
        assert!(matches!(refused(json(&body)).await, ApiError::NotJson { .. }));
        refused(response("502 Bad Gateway", "", &body)).await;
    }
}

#[tokio::test]
async fn a_refusal_without_its_body_is_still_reported() {
    let head = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 3\r\ncontent-length: 100\r\n\r\n{\"err";
    let server = Server::start(|_| vec![Step::Send(head.to_vec()), Step::Stall]).await;
    let error = impatient_client(&server, Duration::from_millis(500)).model("m").await.unwrap_err();
    assert_eq!((error.status(), error.advice()), (Some(429), retry_after(3_000)));
}

#[tokio::test]
async fn invalid_json_is_a_bad_answer() {
    for body in ["", "<html>captive portal</html>", "[]", "null", "{\"id\":", "{} trailing"] {
        let error = refused(json(body)).await;
        assert!(matches!(error, ApiError::NotJson { endpoint: Endpoint::Models, .. }), "{body}");
        assert_eq!((error.kind(), error.request_id()), (ErrorKind::BadAnswer, Some("req_1")));
    }
}

#[tokio::test]
async fn a_response_with_another_object_is_a_bad_answer() {
    let server = Server::responding(json(r#"{"id":"x_other","status":"completed"}"#)).await;
    let client = client(&server);
    let errors = [
        client.response("x_1").await.unwrap_err(),
        client.batch("x_1").await.unwrap_err(),
        client.fine_tuning_job("x_1").await.unwrap_err(),
        client.file("x_1").await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(&error, ApiError::OtherObject { found, .. } if found == "x_other"), "{error:?}");
        assert_eq!((error.kind(), error.advice()), (ErrorKind::BadAnswer, RETRY));
        assert!(chain(&error).contains("is a different object, \"x_other\""), "{}", chain(&error));
    }
    let key = Server::responding(json(&format!(r#"{{"id":"{KEY}"}}"#))).await;
    chain(&crate::client(&key).batch("x_1").await.unwrap_err());
    let without = Server::responding(json(r#"{"status":"completed"}"#)).await;
    assert!(crate::client(&without).batch("x_1").await.is_ok(), "an object without an id is accepted");
}

#[tokio::test]
async fn a_long_id_is_requested_unchanged() {
    let server = Server::responding(json("{}")).await;
    let id = format!("file-{}", "a/+=".repeat(2_000));
    client(&server).file(&id).await.unwrap();
    let asked = format!("GET /v1/files/file-{} HTTP/1.1", "a%2F%2B%3D".repeat(2_000));
    assert!(server.heads()[0].starts_with(&asked));
}

#[tokio::test]
async fn a_huge_response_is_refused_with_or_without_content_length() {
    let announced = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n{".to_vec();
    let endless = Server::start(move |head| match head {
        head if head.contains("announced") => vec![Step::Send(announced.clone()), Step::Stall],
        _ => vec![
            Step::Send(b"HTTP/1.1 200 OK\r\n\r\n{\"id\":\"".to_vec()),
            Step::Send(vec![b'x'; 2 << 20]),
            Step::Stall,
        ],
    })
    .await;
    for id in ["announced", "sent"] {
        let error = client(&endless).model(id).await.unwrap_err();
        chain(&error);
        assert!(matches!(error, ApiError::TooLarge { endpoint: Endpoint::Models, .. }), "{id}: {error}");
        assert_eq!((error.kind(), error.advice()), (ErrorKind::BadAnswer, Advice::Final));
    }
}

#[tokio::test]
async fn a_response_may_be_20_megabytes() {
    let image = "A".repeat(20 << 20);
    let body = format!(
        r#"{{"output":[{{"type":"image_generation_call","result":"{image}"}},{{"type":"message","content":"x"}}]}}"#
    );
    let server = Server::responding(json(&body)).await;
    let fetched = client(&server).response("resp_1").await.unwrap();
    assert_eq!((fetched.raw.len(), fetched.object.output_text.as_str()), (body.len(), "x"));
}

#[tokio::test]
async fn a_truncated_response_is_unavailable() {
    for cut in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"id\":\"x\"}"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\n{\"id\":\"x\"}\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ] {
        let error = refused(cut.to_vec()).await;
        assert!(matches!(error, ApiError::Unavailable { .. }), "{error:?}");
        assert_eq!((error.kind(), error.advice()), (ErrorKind::Unavailable, RETRY));
    }
}

#[tokio::test]
async fn silence_ends_after_the_idle_timeout() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{\"id\"".to_vec();
    let server = Server::start(move |head| match head {
        head if head.contains("mute") => vec![Step::Stall],
        _ => vec![Step::Send(half.clone()), Step::Stall],
    })
    .await;
    let client = impatient_client(&server, Duration::from_millis(100));
    for id in ["mute", "half"] {
        let error = within_a_minute(client.model(id)).await.unwrap_err();
        assert!(matches!(error, ApiError::Unavailable { .. }), "{id}: {error:?}");
        assert!(chain(&error).contains("timed out"), "{}", chain(&error));
    }
}

#[tokio::test]
async fn a_slow_drip_cannot_hold_a_response_open_forever() {
    let server = Server::start(|_| {
        let head = Step::Send(b"HTTP/1.1 200 OK\r\n\r\n{\"id\":\"".to_vec());
        let drip = [Step::Send(b"x".to_vec()), Step::Pause(Duration::from_millis(20))];
        std::iter::once(head).chain(drip.into_iter().cycle().take(100_000)).collect()
    })
    .await;
    let client = impatient_client(&server, Duration::from_millis(100));
    let error = within_a_minute(client.model("m")).await.unwrap_err();
    assert!(matches!(error, ApiError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn no_connection_is_unavailable() {
    let client = Client::new(config("http://127.0.0.1:1/v1".into())).unwrap();
    let error = client.model("m").await.unwrap_err();
    chain(&error);
    assert_eq!((error.kind(), error.advice(), error.status()), (ErrorKind::Unavailable, RETRY, None));
}

#[tokio::test]
async fn the_observer_is_called_once_for_every_request() {
    let server = Server::start(|head| {
        vec![Step::Send(match head {
            head if head.contains("/models/") => json(r#"{"id":"m"}"#),
            head if head.contains("/content") => response("200 OK", "", "0123456789"),
            head if head.contains("/files/") => response("404 Not Found", "", "{}"),
            _ => Vec::new(),
        })]
    })
    .await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let observer_seen = seen.clone();
    let observer = Arc::new(move |observed: &Observed| observer_seen.lock().unwrap().push(*observed));
    let client = Client::new(ClientConfig { observer: Some(observer), ..config(server.base_url()) }).unwrap();
    client.model("m").await.unwrap();
    client.file("f").await.unwrap_err();
    client.batch("b").await.unwrap_err();
    let mut download = client.file_content("f").await.unwrap();
    while download.next_chunk().await.unwrap().is_some() {}
    assert_eq!(seen.lock().unwrap().len(), 3, "a download is reported when it ends");
    drop(download);
    let observed = |endpoint, status, bytes| Observed { endpoint, status, bytes };
    let expected = [
        observed(Endpoint::Models, Some(200), 10),
        observed(Endpoint::Files, Some(404), 2),
        observed(Endpoint::Batches, None, 0),
        observed(Endpoint::FileContent, Some(200), 10),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}
