//! Random keys, from the TLS provider's generator.

use rustls::crypto::CryptoProvider;
use secrecy::SecretString;
use webhook::SigningSecret;

use crate::exit::Failure;

/// As long as OpenAI's keys.
const KEY_BYTES: usize = 32;

/// A new signing secret.
pub(crate) fn new() -> Result<SecretString, Failure> {
    Ok(SigningSecret::encode(&key()?).into())
}

/// The bytes of a new key.
pub(super) fn key() -> Result<[u8; KEY_BYTES], Failure> {
    let provider = CryptoProvider::get_default().expect("main installs it first");
    let mut key = [0; KEY_BYTES];
    let no_random =
        |_| Failure::unreachable("cannot make a key", "the operating system gave no random bytes");
    provider.secure_random.fill(&mut key).map_err(no_random)?;
    Ok(key)
}
