//! All requests of a run, built and signed before the measurement starts.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use fastrand::Rng;
use webhook::SigningSecret;

/// The mix of requests.
#[derive(Debug, Clone)]
pub(crate) struct Mix {
    pub(crate) requests: usize,
    pub(crate) body_bytes: usize,
    /// Percentage that repeats an earlier webhook byte for byte.
    pub(crate) duplicates: f64,
    /// Percentage with a wrong signature.
    pub(crate) forgeries: f64,
}

/// The kind of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Fresh,
    /// Repeats the request with this number.
    Duplicate(usize),
    Forged,
}

struct Request {
    start: usize,
    bytes: usize,
    kind: Kind,
}

pub(crate) struct Plan {
    text: Vec<u8>,
    requests: Vec<Request>,
}

impl Plan {
    /// # Errors
    /// If the clock is before 1970, or the secret is not valid.
    pub(crate) fn new(mix: &Mix, secret: &str, path: &str, seed: u64) -> Result<Self> {
        let secret = SigningSecret::parse(secret)?;
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let mut rng = Rng::with_seed(seed);
        let text = Vec::with_capacity(mix.requests * (mix.body_bytes + 420));
        let mut plan = Self { text, requests: Vec::with_capacity(mix.requests) };
        let mut fresh = Vec::with_capacity(mix.requests);
        for number in 0..mix.requests {
            let roll = rng.f64() * 100.0;
            if roll < mix.duplicates && !fresh.is_empty() {
                let first = fresh[rng.usize(..fresh.len())];
                let Request { start, bytes, .. } = plan.requests[first];
                plan.requests.push(Request { start, bytes, kind: Kind::Duplicate(first) });
                continue;
            }
            let forged = roll >= 100.0 - mix.forgeries;
            let start = plan.text.len();
            plan.write(&mut rng, mix.body_bytes, (&secret, timestamp, path), forged);
            let kind = if forged { Kind::Forged } else { Kind::Fresh };
            if kind == Kind::Fresh {
                fresh.push(number);
            }
            plan.requests.push(Request { start, bytes: plan.text.len() - start, kind });
        }
        Ok(plan)
    }

    fn write(&mut self, rng: &mut Rng, body_bytes: usize, with: (&SigningSecret, u64, &str), forged: bool) {
        let (secret, timestamp, path) = with;
        let body = body(rng, timestamp, body_bytes);
        let id = format!("wh_{:032x}", rng.u128(..));
        let mut signature = secret.sign(&id, &timestamp.to_string(), body.as_bytes()).into_bytes();
        if forged {
            let at = signature.len() / 2;
            signature[at] = if signature[at] == b'A' { b'B' } else { b'A' };
        }
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\
             user-agent: OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nwebhook-timestamp: {timestamp}\r\n\
             webhook-id: {id}\r\nwebhook-signature: ",
            body.len()
        );
        for part in [head.as_bytes(), &signature, b"\r\n\r\n", body.as_bytes()] {
            self.text.extend_from_slice(part);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(crate) fn bytes(&self, number: usize) -> &[u8] {
        let request = &self.requests[number];
        &self.text[request.start..request.start + request.bytes]
    }

    pub(crate) fn kind(&self, number: usize) -> Kind {
        self.requests[number].kind
    }
}

/// An event in OpenAI's format, padded with an additional field.
fn body(rng: &mut Rng, created_at: u64, bytes: usize) -> String {
    let mut body = format!(
        r#"{{"id":"evt_{:032x}","object":"event","created_at":{created_at},"type":"batch.completed","data":{{"id":"batch_{:032x}""#,
        rng.u128(..),
        rng.u128(..)
    );
    let note = r#","note":""#;
    if bytes > body.len() + note.len() + 3 {
        body.push_str(note);
        body.extend(std::iter::repeat_n('x', bytes - body.len() - 3));
        body.push('"');
    }
    body.push_str("}}");
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_the_requested_mix() {
        let secret = SigningSecret::encode(&[7; 32]);
        let mix = Mix { requests: 4000, body_bytes: 500, duplicates: 10.0, forgeries: 5.0 };
        let plan = Plan::new(&mix, &secret, "/x", 1).unwrap();
        let count = |wanted: fn(Kind) -> bool| (0..plan.len()).filter(|&n| wanted(plan.kind(n))).count();
        let duplicates = count(|kind| matches!(kind, Kind::Duplicate(_)));
        let forgeries = count(|kind| kind == Kind::Forged);
        assert!((300..500).contains(&duplicates) && (120..280).contains(&forgeries));
        let text = std::str::from_utf8(plan.bytes(0)).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /x HTTP/1.1\r\n") && head.contains("content-length: 500"), "{head}");
        assert_eq!(webhook::Event::parse(body.as_bytes()).unwrap().kind.as_str(), "batch.completed");
    }
}
