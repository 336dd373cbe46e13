//! Verification against the shared vectors (71 cases, annotated with the results of nine real verifiers), and property
//! tests.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

use base64::Engine as _;
use proptest::prelude::*;
use serde_json::Value;
use webhook::{Event, SignatureError, SigningSecret, Verifier};

const VECTORS: &str = include_str!("../../../tests/fixtures/openai/signature-vectors.json");

fn verdict(case: &Value) -> Result<(), String> {
    let secrets = case["secrets"].as_array().unwrap();
    let secrets =
        secrets.iter().map(|s| SigningSecret::parse(s.as_str().unwrap())).collect::<Result<Vec<_>, _>>();
    let verifier = secrets.and_then(Verifier::new).map_err(|e| e.to_string())?;
    let headers: Vec<(String, Vec<u8>)> = (case["headers"].as_array().unwrap().iter())
        // The vectors encode header bytes as the characters with the same code points.
        .map(|h| (h[0].as_str().unwrap().into(), h[1].as_str().unwrap().chars().map(|c| c as u8).collect()))
        .collect();
    let body = base64::engine::general_purpose::STANDARD.decode(case["body_b64"].as_str().unwrap()).unwrap();
    let borrowed = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
    verifier.verify(borrowed, &body, case["now"].as_i64().unwrap()).map(|_| ()).map_err(|e| e.to_string())
}

#[test]
fn every_shared_vector_gets_its_verdict() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 71);
    for case in cases {
        let verdict = verdict(case);
        assert_eq!(verdict.is_ok(), case["expect"] == "accept", "{}: {verdict:?}", case["name"]);
    }
}

fn secret(fill: u8) -> SigningSecret {
    SigningSecret::from_key(&[fill; 32]).unwrap()
}

fn verify(token: &str, id: &str, timestamp: &str, body: &[u8], now: i64) -> Result<(), SignatureError> {
    let headers: [(&str, &[u8]); 3] = [
        ("webhook-id", id.as_bytes()),
        ("webhook-timestamp", timestamp.as_bytes()),
        ("Webhook-Signature", token.as_bytes()),
    ];
    Verifier::new(vec![secret(1), secret(2)]).unwrap().verify(headers, body, now).map(|_| ())
}

#[test]
fn the_tolerance_is_300_seconds_both_ways_inclusive() {
    let token = secret(1).sign("wh_1", "1000000", b"{}");
    for now in [999_700, 1_000_000, 1_000_300] {
        assert_eq!(verify(&token, "wh_1", "1000000", b"{}", now), Ok(()));
    }
    for (now, skew_secs) in [(999_699, -301), (1_000_301, 301), (i64::MAX, i64::MAX - 1_000_000)] {
        let stale = SignatureError::StaleTimestamp { skew_secs, genuine: true };
        assert_eq!(verify(&token, "wh_1", "1000000", b"{}", now), Err(stale));
    }
}

#[test]
fn a_stale_forgery_is_not_called_genuine() {
    let error = verify("v1,AAAA", "wh_1", "1000000", b"{}", 2_000_000).unwrap_err();
    assert_eq!(error, SignatureError::StaleTimestamp { skew_secs: 1_000_000, genuine: false });
}

#[test]
fn an_id_with_a_dot_is_refused() {
    let token = secret(1).sign("wh_1.5", "1000000", b"{}");
    assert_eq!(verify(&token, "wh_1.5", "1000000", b"{}", 1_000_000), Err(SignatureError::MalformedId));
}

#[test]
fn only_64_signatures_are_tried() {
    let good = secret(2).sign("wh_1", "1000000", b"{}");
    let header = |before: usize| format!("{}{good}", "v1,AAAA ".repeat(before));
    assert_eq!(verify(&header(63), "wh_1", "1000000", b"{}", 1_000_000), Ok(()));
    assert_eq!(verify(&header(64), "wh_1", "1000000", b"{}", 1_000_000), Err(SignatureError::Mismatch));
}

proptest! {
    #[test]
    fn a_signed_request_verifies(id in "[a-zA-Z0-9_]{1,80}", timestamp in 0_i64..999_999_999_999_999, skew in -300_i64..=300,
                               body in prop::collection::vec(any::<u8>(), 0..2000), second in any::<bool>()) {
        let token = secret(if second { 2 } else { 1 }).sign(&id, &timestamp.to_string(), &body);
        prop_assert_eq!(verify(&token, &id, &timestamp.to_string(), &body, timestamp + skew), Ok(()));
    }

    #[test]
    fn any_flipped_bit_fails(body in prop::collection::vec(any::<u8>(), 1..500), at in any::<prop::sample::Index>(), bit in 0..8) {
        let token = secret(1).sign("wh_abc", "1750000000", &body);
        // One bit of everything the request consists of: id, timestamp, signature, body.
        let mut parts = [b"wh_abc".to_vec(), b"1750000000".to_vec(), token.into_bytes(), body];
        let total: usize = parts.iter().map(Vec::len).sum();
        let (mut index, mut part) = (at.index(total), 0);
        while index >= parts[part].len() { index -= parts[part].len(); part += 1; }
        parts[part][index] ^= 1_u8 << bit;
        let headers: [(&str, &[u8]); 3] =
            [("webhook-id", &parts[0]), ("webhook-timestamp", &parts[1]), ("webhook-signature", &parts[2])];
        let verifier = Verifier::new(vec![secret(1)]).unwrap();
        prop_assert!(verifier.verify(headers, &parts[3], 1_750_000_000).is_err());
    }

    #[test]
    fn arbitrary_requests_never_panic_nor_pass(
        headers in prop::collection::vec((prop_oneof!["webhook-id", "webhook-timestamp", "webhook-signature", "[a-z-]{1,12}"],
                                          prop::collection::vec(any::<u8>(), 0..100)), 0..6),
        body in prop::collection::vec(any::<u8>(), 0..300),
        now in prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX)],
    ) {
        let borrowed = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        prop_assert!(Verifier::new(vec![secret(1)]).unwrap().verify(borrowed, &body, now).is_err());
        let _ = Event::parse(&body);
    }

    #[test]
    fn extreme_timestamps_never_panic(timestamp in "[+-]?[0-9]{1,30}", now in prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX)]) {
        let token = secret(1).sign("wh_1", &timestamp, b"{}");
        let passed = verify(&token, "wh_1", &timestamp, b"{}", now).is_ok();
        prop_assert!(!passed || timestamp.parse::<i64>().is_ok_and(|t| now.abs_diff(t) <= 300));
    }

    #[test]
    fn arbitrary_json_never_panics(body in r#"\{("type":"[a-z.]{0,20}",?|"data":\{?[^}]{0,30}\}?,?|"id":[0-9"x]{0,5},?){0,5}\}?"#) {
        let _ = Event::parse(body.as_bytes());
    }
}
