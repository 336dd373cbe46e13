//! Signs notifications: Standard Webhooks signatures (v1 HMAC, v1a ed25519), with several keys at once during a
//! rotation.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;
use secrecy::{ExposeSecret as _, SecretString};
use webhook::{SecretError, SigningSecret};

/// The prefix of a private ed25519 key in Standard Webhooks.
const PRIVATE_PREFIX: &str = "whsk_";
/// The prefix of the matching public key.
const PUBLIC_PREFIX: &str = "whpk_";
/// Two of each kind, for a rotation.
const KEYS_MAX: usize = 4;

/// A signing key.
#[derive(Clone)]
enum Key {
    /// `v1`
    Hmac(SigningSecret),
    /// `v1a`
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

/// Signs with all its keys: a receiver that knows one of them can verify.
#[derive(Clone)]
pub struct Signer {
    keys: Vec<Key>,
    /// The keys as configured.
    texts: Vec<SecretString>,
}

/// Why a text is not a signing key. The messages never contain the text.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub enum KeyError {
    #[error("is empty: set it to whsec_ followed by at least 24 random bytes in base64")]
    Empty,
    #[error("must start with whsec_ (a shared secret, v1) or whsk_ (a private ed25519 key, v1a)")]
    UnknownPrefix,
    #[error("is not a valid secret")]
    Secret(#[source] SecretError),
    #[error(
        "is not a private ed25519 key: whsk_ must be followed by 32 bytes (or 64, with the public key) in base64"
    )]
    NotEd25519,
    #[error("holds {0} keys, but the maximum is {KEYS_MAX}: remove keys that are no longer in use")]
    TooMany(usize),
}

impl Signer {
    /// Parses keys, one per text: `whsec_…` signs as `v1`, `whsk_…` as `v1a`.
    ///
    /// # Errors
    /// The first [`KeyError`]; [`KeyError::Empty`] when there is no key.
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, KeyError> {
        let texts: Vec<SecretString> = texts.into_iter().map(SecretString::from).collect();
        let keys = texts.iter().map(|text| Key::parse(text.expose_secret()));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        match keys.len() {
            0 => Err(KeyError::Empty),
            count if count > KEYS_MAX => Err(KeyError::TooMany(count)),
            _ => Ok(Self { keys, texts }),
        }
    }

    /// The keys as text, for redaction.
    pub(crate) fn texts(&self) -> &[SecretString] {
        &self.texts
    }

    /// The value of the `webhook-signature` header. `timestamp_secs` is the time of this attempt in Unix seconds.
    pub fn sign(&self, id: &str, timestamp_secs: i64, body: &[u8]) -> String {
        let timestamp = timestamp_secs.to_string();
        let tokens: Vec<String> = self.keys.iter().map(|key| key.sign(id, &timestamp, body)).collect();
        tokens.join(" ")
    }

    /// The public keys that verify the `v1a` signatures: `whpk_…`. Not secret.
    pub fn public_keys(&self) -> Vec<String> {
        let public = |key: &Key| match key {
            Key::Hmac(_) => None,
            Key::Ed25519(key) => {
                Some(format!("{PUBLIC_PREFIX}{}", STANDARD.encode(key.verifying_key().as_bytes())))
            }
        };
        self.keys.iter().filter_map(public).collect()
    }
}

impl Key {
    fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        if let Some(encoded) = text.strip_prefix(PRIVATE_PREFIX) {
            let bytes = STANDARD.decode(encoded).map_err(|_| KeyError::NotEd25519)?;
            return Self::ed25519(&bytes).ok_or(KeyError::NotEd25519);
        }
        match SigningSecret::parse(text) {
            Ok(secret) => Ok(Self::Hmac(secret)),
            Err(SecretError::NoPrefix) => Err(KeyError::UnknownPrefix),
            Err(error) => Err(KeyError::Secret(error)),
        }
    }

    fn ed25519(bytes: &[u8]) -> Option<Self> {
        let key = match bytes.len() {
            32 => ed25519_dalek::SigningKey::from_bytes(bytes.try_into().ok()?),
            // The libsodium format. Checks that both halves match.
            64 => ed25519_dalek::SigningKey::from_keypair_bytes(bytes.try_into().ok()?).ok()?,
            _ => return None,
        };
        Some(Self::Ed25519(Box::new(key)))
    }

    fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        match self {
            Self::Hmac(secret) => secret.sign(id, timestamp, body),
            Self::Ed25519(key) => {
                let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
                format!("v1a,{}", STANDARD.encode(key.sign(&signed).to_bytes()))
            }
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({} keys, redacted)", self.keys.len())
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};

    use super::*;

    const SECRET: &str = "whsec_dGVzdHMgb25seTogMzIgYnl0ZXMgb2Yga2V5ISEhISE=";

    fn private(bytes: &[u8]) -> String {
        format!("whsk_{}", STANDARD.encode(bytes))
    }

    #[test]
    fn each_key_signs_in_its_own_scheme() {
        let signer = Signer::new([SECRET, &private(&[9; 32])]).unwrap();
        let header = signer.sign("ntf_1", 1_700_000_000, b"{}");
        let (v1, v1a) = header.split_once(' ').unwrap();
        let verifier = webhook::Verifier::from_setting(SECRET).unwrap();
        let headers: [(&str, &[u8]); 3] = [
            (webhook::HEADER_ID, b"ntf_1"),
            (webhook::HEADER_TIMESTAMP, b"1700000000"),
            (webhook::HEADER_SIGNATURE, v1.as_bytes()),
        ];
        assert!(verifier.verify(headers, b"{}", 1_700_000_000).is_ok());

        let public = signer.public_keys();
        let public = STANDARD.decode(public[0].strip_prefix("whpk_").unwrap()).unwrap();
        let public = VerifyingKey::from_bytes(public.as_slice().try_into().unwrap()).unwrap();
        let signature = STANDARD.decode(v1a.strip_prefix("v1a,").unwrap()).unwrap();
        let signature = Signature::from_slice(&signature).unwrap();
        assert!(public.verify(b"ntf_1.1700000000.{}", &signature).is_ok());
        assert!(public.verify(b"ntf_1.1700000000.{ }", &signature).is_err());
    }

    #[test]
    fn a_private_key_may_include_its_public_key_if_they_match() {
        let key = ed25519_dalek::SigningKey::from_bytes(&[5; 32]);
        let mut pair = key.to_keypair_bytes();
        let sign = |text: &str| Signer::new([text]).map(|signer| signer.sign("a", 1, b"b"));
        assert_eq!(sign(&private(&pair)), sign(&private(&[5; 32])));
        pair[40] ^= 1;
        assert_eq!(sign(&private(&pair)), Err(KeyError::NotEd25519));
    }

    #[test]
    fn an_invalid_key_is_refused_without_repeating_it() {
        let cases = [
            ("", KeyError::Empty),
            ("hunter2hunter2", KeyError::UnknownPrefix),
            ("whsk_c2hvcnQ=", KeyError::NotEd25519),
            ("whsk_!", KeyError::NotEd25519),
            ("whsec_!", KeyError::Secret(SecretError::NotBase64)),
        ];
        for (text, expected) in cases {
            assert_eq!(Signer::new([text]).map(|_| ()), Err(expected), "{text}");
        }
        assert_eq!(Signer::new([SECRET; 5]).map(|_| ()), Err(KeyError::TooMany(5)));
        assert_eq!(Signer::new([]).map(|_| ()), Err(KeyError::Empty));
        assert!(!format!("{:?}", Signer::new([SECRET]).unwrap()).contains("dGVz"));
    }
}
