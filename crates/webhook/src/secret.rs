//! A webhook signing secret: parsed strictly, keyed once, never printed.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

const PREFIX: &str = "whsec_";
/// Standard Webhooks requires 24 to 64 bytes. Longer keys are secure HMAC keys, shorter ones are not.
const KEY_BYTES_MIN: usize = 24;

/// A signing secret. Stores the keyed HMAC state, so that requests do not repeat the key setup.
#[derive(Clone)]
pub struct SigningSecret {
    keyed: Hmac<Sha256>,
}

/// Why a text is not a signing secret. The messages never contain the text.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub enum SecretError {
    #[error(
        "is empty: copy the signing secret from the webhook's page in the OpenAI dashboard (it starts with whsec_)"
    )]
    Empty,
    #[error("does not start with whsec_: copy the whole secret, without quotes")]
    NoPrefix,
    #[error("is not valid base64 after whsec_: copy the whole secret again")]
    NotBase64,
    #[error(
        "has a key of {bytes} bytes, but at least {KEY_BYTES_MIN} are required: copy the whole secret again"
    )]
    TooShort { bytes: usize },
    #[error("holds {count} secrets, but the maximum is {max}: remove secrets that are no longer in use")]
    TooMany { count: usize, max: usize },
}

impl SigningSecret {
    /// Parses `whsec_` followed by canonical, padded standard base64 of at least 24 bytes.
    ///
    /// Stricter than the OpenAI SDKs on purpose: several of them accept an empty key, with which anyone can sign.
    ///
    /// # Errors
    /// [`SecretError`] describes the problem without repeating the text.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        if text.trim().is_empty() {
            return Err(SecretError::Empty);
        }
        let encoded = text.strip_prefix(PREFIX).ok_or(SecretError::NoPrefix)?;
        // STANDARD rejects missing padding, URL-safe characters and non-zero trailing bits.
        let key = STANDARD.decode(encoded).map_err(|_| SecretError::NotBase64)?;
        Self::from_key(&key)
    }

    /// A secret from its raw key.
    ///
    /// # Errors
    /// [`SecretError::TooShort`] for less than 24 bytes.
    pub fn from_key(key: &[u8]) -> Result<Self, SecretError> {
        if key.len() < KEY_BYTES_MIN {
            return Err(SecretError::TooShort { bytes: key.len() });
        }
        let keyed = Hmac::<Sha256>::new_from_slice(key).expect("HMAC accepts keys of any length");
        Ok(Self { keyed })
    }

    /// The text form of a raw key, as OpenAI shows it.
    pub fn encode(key: &[u8]) -> String {
        format!("{PREFIX}{}", STANDARD.encode(key))
    }

    /// Returns the signature token (`v1,<base64>`) of a delivery. `timestamp` is the value of the `webhook-timestamp`
    /// header, in Unix seconds.
    pub fn sign(&self, webhook_id: &str, timestamp: &str, body: &[u8]) -> String {
        let mac = self.mac(webhook_id, timestamp.as_bytes(), body);
        format!("v1,{}", std::str::from_utf8(&mac).expect("base64 is ASCII"))
    }

    /// Checks whether `token` is the signature that [`sign`](Self::sign) returns for the same arguments. The comparison
    /// takes constant time.
    pub fn is_signature(&self, webhook_id: &str, timestamp: &str, body: &[u8], token: &str) -> bool {
        let mac = self.mac(webhook_id, timestamp.as_bytes(), body);
        token.strip_prefix("v1,").is_some_and(|token| token.as_bytes().ct_eq(&mac).into())
    }

    /// The HMAC in base64: 32 bytes become 44 characters.
    pub(crate) fn mac(&self, webhook_id: &str, timestamp: &[u8], body: &[u8]) -> [u8; 44] {
        let mut hmac = self.keyed.clone();
        hmac.update(webhook_id.as_bytes());
        hmac.update(b".");
        hmac.update(timestamp);
        hmac.update(b".");
        hmac.update(body);
        let mut text = [0; 44];
        STANDARD.encode_slice(hmac.finalize().into_bytes(), &mut text).expect("44 characters fit");
        text
    }
}

/// Splits a setting that may hold several secrets, separated by spaces or commas. Does not check their format.
pub fn split_secrets(setting: &str) -> impl Iterator<Item = &str> {
    setting.split(|c: char| c.is_whitespace() || c == ',').filter(|secret| !secret.is_empty())
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_describes_the_problem_without_repeating_the_secret() {
        let cases = [
            ("", SecretError::Empty),
            ("  ", SecretError::Empty),
            ("sk-proj-abc", SecretError::NoPrefix),
            ("\"whsec_ZmFrZS10ZXN0LWtleS1ubzEtMDEyMzQ1Njc4OWFiY2Q=\"", SecretError::NoPrefix),
            ("whsec_", SecretError::TooShort { bytes: 0 }),
            ("whsec_====", SecretError::NotBase64),
            ("whsec_c2hvcnQ=", SecretError::TooShort { bytes: 5 }),
            ("whsec_--__--__--__--__--__--__--__--__", SecretError::NotBase64),
        ];
        for (text, expected) in cases {
            let error = SigningSecret::parse(text).map(|_| ()).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(text.trim().len() < 7 || !error.to_string().contains(text.trim()));
        }
    }

    #[test]
    fn debug_prints_nothing_of_the_key() {
        let secret = SigningSecret::from_key(&[7; 32]).unwrap();
        assert_eq!(format!("{secret:?}"), "SigningSecret(redacted)");
    }
}
