//! Redacts a target's credentials in its responses, which are stored, logged and shown: many services echo what they
//! received. Parts of a credential are redacted too, because responses truncate, mask and escape what they echo.

use std::collections::HashSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// A shorter part reveals too little, and may be an ordinary word.
const PART_BYTES: usize = 8;
/// Shorter values are not credentials.
const CREDENTIAL_BYTES_MIN: usize = 4;
const REDACTED: &str = "[redacted]";

/// The credentials to redact.
#[derive(Clone, Default)]
pub(crate) struct Redaction {
    credentials: Arc<Vec<SecretString>>,
}

impl Redaction {
    pub(crate) fn of(credentials: impl IntoIterator<Item = SecretString>) -> Self {
        // The comparison ignores case.
        let lower = |text: SecretString| SecretString::from(text.expose_secret().to_ascii_lowercase());
        let kept = credentials.into_iter().filter(|text| text.expose_secret().len() >= CREDENTIAL_BYTES_MIN);
        Self { credentials: Arc::new(kept.map(lower).collect()) }
    }

    /// The bytes as text, without any credential or part of one.
    pub(crate) fn apply(&self, bytes: &[u8]) -> String {
        let lower = bytes.to_ascii_lowercase();
        let mut redacted = vec![false; bytes.len()];
        let credentials = || self.credentials.iter().map(|text| text.expose_secret().as_bytes());
        let parts: HashSet<&[u8]> = credentials().flat_map(|text| text.windows(PART_BYTES)).collect();
        let short: HashSet<&[u8]> = credentials().filter(|text| text.len() < PART_BYTES).collect();
        for (len, wanted) in
            (CREDENTIAL_BYTES_MIN..PART_BYTES).map(|len| (len, &short)).chain([(PART_BYTES, &parts)])
        {
            if !wanted.iter().any(|part| part.len() == len) {
                continue;
            }
            for (at, window) in lower.windows(len).enumerate() {
                if wanted.contains(window) {
                    redacted[at..at + len].fill(true);
                }
            }
        }
        let mut text = String::new();
        let mut at = 0;
        for run in redacted.chunk_by(|before, after| before == after) {
            match run[0] {
                true => text.push_str(REDACTED),
                false => text.push_str(&String::from_utf8_lossy(&bytes[at..at + run.len()])),
            }
            at += run.len();
        }
        text
    }
}

/// The secrets in a header value: `Bearer KEY`, `Basic` with a base64 password, or a bare key.
pub(crate) fn secrets_in_header(value: &str) -> Vec<SecretString> {
    let mut words: Vec<String> = value.split_whitespace().map(str::to_owned).collect();
    let decoded = words
        .last()
        .and_then(|word| STANDARD.decode(word).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    if let Some((_, password)) = decoded.as_deref().and_then(|text| text.split_once(':')) {
        words.push(password.to_owned());
    }
    // The scheme is not secret.
    let is_scheme = |word: &str| ["bearer", "basic", "token"].contains(&word.to_ascii_lowercase().as_str());
    words.into_iter().filter(|word| !is_scheme(word)).map(SecretString::from).collect()
}

/// The secrets in a URL: the values of its query and, if the whole URL is a secret, its path.
pub(crate) fn secrets_in_url(url: &Url, is_secret: bool) -> Vec<SecretString> {
    let encoded = url
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| Some(pair.split_once('=')?.1.to_owned()));
    let decoded = url.query_pairs().map(|(_, value)| value.into_owned());
    let path = url.path_segments().into_iter().flatten().filter(|_| is_secret).map(str::to_owned);
    encoded.chain(decoded).chain(path).map(SecretString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(credentials: &[&str], response: &str) -> String {
        Redaction::of(credentials.iter().map(|text| SecretString::from(*text))).apply(response.as_bytes())
    }

    #[test]
    fn a_credential_is_redacted_however_a_response_repeats_it() {
        let key = "Zx9-abc/DEF+ghi=klm";
        for (response, expected) in [
            ("no such key: Zx9-abc/DEF+ghi=klm!", "no such key: [redacted]!"),
            ("in another case: zx9-ABC/def+GHI=klm", "in another case: [redacted]"),
            ("cut: Zx9-abc/DEF", "cut: [redacted]"),
            ("cut before: DEF+ghi=klm", "cut before: [redacted]"),
            ("äöü Zx9-abc/DEF+ghi=klm ß", "äöü [redacted] ß"),
            ("nothing of it", "nothing of it"),
        ] {
            assert_eq!(redacted(&[key], response), expected);
        }
        let long = "0123456789abcdefghijklmnopqrstuvwxyz/+ABCDEFGHIJ";
        for escaped in [long.replace('/', "\\/"), long.replace('/', "%2F").replace('+', "%2B")] {
            let shown = redacted(&[long], &escaped);
            assert!(shown.len() < 2 * REDACTED.len() + 8, "{shown}");
        }
        assert_eq!(redacted(&["abcde", "x"], "abcde x abcd"), "[redacted] x abcd");
    }

    #[test]
    fn the_value_of_a_header_and_a_password_in_it_are_secret() {
        let texts = |value: &str| -> Vec<String> {
            secrets_in_header(value).iter().map(|text| text.expose_secret().to_owned()).collect()
        };
        assert_eq!(texts("Bearer hunter2"), ["hunter2"]);
        let basic = STANDARD.encode("me:hunter2");
        assert_eq!(texts(&format!("Basic {basic}")), [basic.as_str(), "hunter2"]);
        assert_eq!(texts("hunter2"), ["hunter2"]);
    }

    #[test]
    fn the_path_of_a_secret_url_is_redacted_too() {
        let url: Url = "https://hooks.example.com/services/T0000/secret?token=hunter%2B2&b".parse().unwrap();
        let response = "no hook at /services/T0000/secret with hunter%2B2 or hunter+2";
        let plain = Redaction::of(secrets_in_url(&url, false)).apply(response.as_bytes());
        assert_eq!(plain, "no hook at /services/T0000/secret with [redacted] or [redacted]");
        let secret = Redaction::of(secrets_in_url(&url, true)).apply(response.as_bytes());
        assert_eq!(secret, "no hook at /[redacted]/[redacted]/[redacted] with [redacted] or [redacted]");
    }
}
