//! `landfall verify` and `landfall secret`: the shared vectors, messages, exit codes, and that secrets are never printed.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use test_support::signed_webhook::{SECRET, SignedWebhook};

use crate::command::{Ended, landfall};

const VECTORS: &str = include_str!("../../../../tests/fixtures/openai/signature-vectors.json");

fn verify(folder: &Path, settings: &[(&str, &str)], more: &[&str]) -> Ended {
    let (headers, body) = (folder.join("headers"), folder.join("body"));
    let mut arguments = vec!["verify", "--headers-file", headers.to_str().unwrap()];
    arguments.extend(["--body-file", body.to_str().unwrap()]);
    arguments.extend(more);
    landfall(settings, &arguments)
}

fn write(folder: &Path, headers: &[u8], body: &[u8]) {
    fs::write(folder.join("headers"), headers).unwrap();
    fs::write(folder.join("body"), body).unwrap();
}

fn capture(folder: &Path, webhook: &SignedWebhook) {
    let lines: Vec<String> =
        webhook.headers().iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write(
        folder,
        format!("POST /openai/webhook HTTP/1.1\r\n{}\r\n", lines.concat()).as_bytes(),
        &webhook.body,
    );
}

#[test]
fn every_shared_vector_gets_its_verdict() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 71);
    let folder = tempfile::tempdir().unwrap();
    for case in cases {
        let mut headers = Vec::new();
        for header in case["headers"].as_array().unwrap() {
            headers.extend_from_slice(header[0].as_str().unwrap().as_bytes());
            headers.extend_from_slice(b": ");
            // The vectors write header bytes as the characters of the same numbers.
            headers.extend(header[1].as_str().unwrap().chars().map(|c| c as u8));
            headers.push(b'\n');
        }
        let body = STANDARD.decode(case["body_b64"].as_str().unwrap()).unwrap();
        write(folder.path(), &headers, &body);
        let now = case["now"].to_string();
        let mut arguments = vec!["--json", "--now", &now];
        for secret in case["secrets"].as_array().unwrap() {
            arguments.extend(["--secret", secret.as_str().unwrap()]);
        }
        let ended = verify(folder.path(), &[], &arguments);
        let accepted = case["expect"] == "accept";
        assert_eq!(ended.code == 0, accepted, "{}: {ended:#?}", case["name"]);
        match ended.code {
            0 | 1 => assert_eq!(ended.json()["verified"], accepted, "{}", case["name"]),
            code => assert_eq!((code, ended.stdout.as_str()), (2, ""), "{}: {ended:#?}", case["name"]),
        }
    }
}

#[test]
fn a_genuine_request_is_shown_with_its_event() {
    let folder = tempfile::tempdir().unwrap();
    let webhook = SignedWebhook::new("batch.completed", "batch_1");
    capture(folder.path(), &webhook);
    let ended = verify(folder.path(), &[("OPENAI_WEBHOOK_SECRET", SECRET)], &[]).with_code(0);
    for words in ["genuine", &webhook.webhook_id, "batch.completed (family batch)", "batch_1"] {
        assert!(ended.stdout.contains(words), "{words} is missing:\n{}", ended.stdout);
    }
    ended.fits_80_columns();

    let json = verify(folder.path(), &[("OPENAI_WEBHOOK_SECRET", SECRET)], &["--json"]).with_code(0).json();
    assert_eq!(json["webhook_id"], webhook.webhook_id);
    assert_eq!(json["family"], "batch");
    assert_eq!(json["event"]["data"]["id"], "batch_1");
}

#[test]
fn a_body_that_spans_lines_is_still_one_line_of_json() {
    let folder = tempfile::tempdir().unwrap();
    let body = b"{\n  \"type\": \"video.failed\",\r\n  \"data\": {\"note\": \"a\\nb\"}\n}".to_vec();
    capture(folder.path(), &SignedWebhook::with_body("wh_lines", body));
    let json = verify(folder.path(), &[], &["--json", "--secret", SECRET]).with_code(0).json();
    assert_eq!(json["event"]["data"]["note"], "a\nb");
}

#[test]
fn a_forged_request_is_rejected_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let mut webhook = SignedWebhook::new("batch.completed", "batch_1");
    webhook.body.push(b'\n');
    capture(folder.path(), &webhook);
    let ended = verify(folder.path(), &[], &["--secret", SECRET]).with_code(1);
    assert_eq!(ended.stdout, "");
    assert!(
        ended.stderr.contains("not genuine: no signature in webhook-signature matches"),
        "{}",
        ended.stderr
    );
    let json = verify(folder.path(), &[], &["--secret", SECRET, "--json"]).with_code(1).json();
    assert_eq!(json["reason"], "wrong_signature");

    capture(folder.path(), &SignedWebhook::signed_at("wh_old", b"{}".to_vec(), 1_750_000_000));
    let json = verify(folder.path(), &[], &["--secret", SECRET, "--json"]).with_code(1).json();
    assert_eq!(json["reason"], "stale_timestamp_genuine");
    verify(folder.path(), &[], &["--secret", SECRET, "--now", "1750000300"]).with_code(0);
}

#[test]
fn a_missing_or_malformed_secret_is_reported_and_never_printed() {
    let folder = tempfile::tempdir().unwrap();
    capture(folder.path(), &SignedWebhook::new("batch.completed", "batch_1"));
    let mistakes = [
        ("", "is not set"),
        ("   ", "is not set"),
        ("Zm9yYmlkZGVuLWtleS1mb3JiaWRkZW4=", "does not start with whsec_"),
        ("whsec_Zm9yYmlkZGVuLWtleS1mb3JiaWRkZW4", "is not valid base64"),
        ("whsec_Zm9yYmlkZGVu", "at least 24 are required"),
        ("whsec_--Zm9yYmlkZGVu--", "is not valid base64"),
    ];
    for (secret, words) in mistakes {
        let verbs: [&dyn Fn() -> Ended; 2] =
            [&|| verify(folder.path(), &[("OPENAI_WEBHOOK_SECRET", secret)], &[]), &|| {
                landfall(&[("OPENAI_WEBHOOK_SECRET", secret)], &["send", "batch.completed"])
            }];
        for verb in verbs {
            let ended = verb().with_code(2);
            assert!(ended.stderr.contains("OPENAI_WEBHOOK_SECRET"), "{ended:#?}");
            assert!(ended.stderr.contains(words), "{secret:?}: {ended:#?}");
            assert!(!ended.stderr.contains("Zm9y"), "the secret is shown: {ended:#?}");
            assert_eq!(ended.stdout, "");
        }
        if !secret.trim().is_empty() {
            let ended = verify(folder.path(), &[], &["--secret", secret]).with_code(2);
            assert!(ended.stderr.contains("--secret") && ended.stderr.contains(words), "{ended:#?}");
            assert!(!ended.stderr.contains("Zm9y"), "the secret is shown: {ended:#?}");
        }
    }
}

#[test]
fn a_secret_is_read_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    capture(folder.path(), &SignedWebhook::new("batch.completed", "batch_1"));
    let file = folder.path().join("secret");
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    let path = file.to_str().unwrap();
    verify(folder.path(), &[("OPENAI_WEBHOOK_SECRET_FILE", path)], &[]).with_code(0);
    fs::remove_file(&file).unwrap();
    let ended = verify(folder.path(), &[("OPENAI_WEBHOOK_SECRET_FILE", path)], &[]).with_code(2);
    assert!(ended.stderr.contains("cannot read"), "{ended:#?}");
}

#[test]
fn a_missing_file_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    let ended = verify(folder.path(), &[], &["--secret", SECRET]).with_code(2);
    assert!(ended.stderr.contains("cannot read"), "{ended:#?}");
    assert!(ended.stderr.contains("headers"), "{ended:#?}");
}

#[test]
fn a_new_secret_is_well_formed_and_unique() {
    let new = || landfall(&[], &["secret", "new"]).with_code(0).stdout;
    let (first, second) = (new(), new());
    assert_ne!(first, second);
    let check = |secret: &str| landfall(&[("OPENAI_WEBHOOK_SECRET", secret)], &["secret", "check"]);
    check(first.trim()).with_code(0);
    check(&format!("{} {SECRET}", second.trim())).with_code(0);

    let ended = check("whsec_Zm9yYmlkZGVu").with_code(1);
    assert!(
        ended.stderr.contains("9 bytes, but at least 24") && !ended.stderr.contains("Zm9y"),
        "{ended:#?}"
    );
    check("").with_code(2);
}
