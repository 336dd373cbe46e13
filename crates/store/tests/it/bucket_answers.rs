//! Responses of a bucket other than files: bounded, and without our credentials.

use std::error::Error;

use store::{S3Config, Store, StoreConfig};
use test_support::receiver::{Receiver, Reply};

const TOKEN: &str = "FwoGZXIvYXdzEHUaDhunter2hunter2";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/hunter2";

/// What `landfall doctor` shows for a service that responds like this.
async fn refusal(status: &'static str, body: impl Fn() -> String + Send + Sync + 'static) -> String {
    rustls::crypto::ring::default_provider().install_default().ok();
    let server =
        Receiver::start(move |_| Reply::Answer { status, headers: String::new(), body: body() }).await;
    let folder = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        database_url: format!("sqlite://{}/landfall.db", folder.path().display()).into(),
        files_url: "s3://bucket/raw".to_owned(),
        s3: S3Config {
            endpoint: Some(format!("http://{}", server.address())),
            region: None,
            access_key_id: Some("AKIATEST".to_owned()),
            secret_access_key: Some(SECRET.into()),
            session_token: Some(TOKEN.into()),
        },
    };
    let store = Store::open(&config).await.unwrap();
    // A multipart upload starts with a POST.
    let mut error: &dyn Error = &match store.files().create("p", "batch_1", "file-1").await {
        Err(error) => error,
        Ok(_) => panic!("the service refuses"),
    };
    let mut text = error.to_string();
    while let Some(source) = error.source() {
        error = source;
        text.push_str(&format!(": {error}"));
    }
    text
}

#[tokio::test]
async fn a_bucket_error_shows_code_and_message_without_the_quoted_token() {
    let error = refusal("403 Forbidden", || {
        format!(
            "<?xml version=\"1.0\"?>\n<Error><Code>InvalidToken</Code><Message>The provided token {TOKEN} is \
             malformed.</Message><Token-0>{TOKEN}</Token-0><StringToSign>{SECRET}</StringToSign></Error>"
        )
    })
    .await;
    assert!(error.contains("InvalidToken: The provided token [redacted] is malformed."), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn bucket_responses_are_read_up_to_a_limit() {
    let error = refusal("404 Not Found", || "<html>gone".repeat(1 << 20)).await;
    assert!(error.contains("<html>gone") && error.len() < 4000, "{}", error.len());
    let error = refusal("200 OK", || " ".repeat(3 << 20)).await;
    assert!(error.contains("larger than 1048576 bytes"), "{error}");
}
