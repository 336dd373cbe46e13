//! The verifier: it never panics on raw headers and bodies, rejects webhooks that are not signed with the key, and accepts
//! signed ones if and only if they are unchanged.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use webhook::{HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, SigningSecret, Verifier};

const OURS: &str = "whsec_dGVzdHMgb25seTogMzIgYnl0ZXMgb2Yga2V5ISEhISE=";
const ROTATED: &str = "whsec_YW5vdGhlciBrZXkgb2YgMzIgYnl0ZXMgZm9yIHRlc3Q=";
const NAMES: [&str; 5] = [HEADER_ID, HEADER_TIMESTAMP, HEADER_SIGNATURE, "Webhook-Id", "svix-id"];

#[derive(Debug, Arbitrary)]
struct Request {
    now_secs: i64,
    body: Vec<u8>,
    /// Index of the header name, and its raw value.
    headers: Vec<(u8, Vec<u8>)>,
    /// If set, the headers above are ignored, and the webhook is signed with our key.
    signed: Option<Signed>,
}

#[derive(Debug, Arbitrary)]
struct Signed {
    id_number: u64,
    skew_secs: i16,
    /// The byte of the body that is changed after signing, and how.
    tampered: Option<(u16, u8)>,
}

fuzz_target!(|request: Request| {
    let verifier =
        Verifier::from_setting(&format!("{ROTATED} {OURS}")).expect("both secrets are well-formed");
    match request.signed {
        Some(signed) => genuine(&verifier, request.now_secs, request.body, &signed),
        None => {
            let headers = request.headers.iter();
            let headers =
                headers.map(|(name, value)| (NAMES[usize::from(*name) % NAMES.len()], value.as_slice()));
            let answer = verifier.verify(headers, &request.body, request.now_secs);
            assert!(answer.is_err(), "an HMAC cannot be guessed");
        }
    }
});

fn genuine(verifier: &Verifier, now_secs: i64, mut body: Vec<u8>, signed: &Signed) {
    let timestamp = now_secs.saturating_add(i64::from(signed.skew_secs));
    let (id, timestamp_text) = (format!("wh_{}", signed.id_number), timestamp.to_string());
    let secret = SigningSecret::parse(OURS).expect("it is well-formed");
    let signature = secret.sign(&id, &timestamp_text, &body);
    let mut intact = true;
    if let Some((at, with)) = signed.tampered
        && !body.is_empty()
    {
        let at = usize::from(at) % body.len();
        intact = with == 0;
        body[at] ^= with;
    }
    let headers = [
        (HEADER_ID, id.as_bytes()),
        (HEADER_TIMESTAMP, timestamp_text.as_bytes()),
        (HEADER_SIGNATURE, signature.as_bytes()),
    ];
    let in_time = now_secs.abs_diff(timestamp) <= 300;
    let well_formed = (0..1_000_000_000_000_000).contains(&timestamp);
    let answer = verifier.verify(headers.into_iter(), &body, now_secs);
    assert_eq!(answer.is_ok(), intact && in_time && well_formed, "{answer:?}");
}
