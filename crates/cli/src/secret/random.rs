//! Random keys from the TLS provider's generator.

use rustls::crypto::CryptoProvider;
use secrecy::SecretString;
use webhook::SigningSecret;

use crate::exit::CliError;

/// The length of OpenAI's keys.
const KEY_BYTES: usize = 32;

/// A new signing secret.
pub(crate) fn new() -> Result<SecretString, CliError> {
    Ok(SigningSecret::encode(&key()?).into())
}

/// The bytes of a new key.
pub(crate) fn key() -> Result<[u8; KEY_BYTES], CliError> {
    let provider = CryptoProvider::get_default().expect("main installs it first");
    let mut key = [0; KEY_BYTES];
    let no_random =
        |_| CliError::unreachable("cannot generate a key", "the operating system returned no random bytes");
    provider.secure_random.fill(&mut key).map_err(no_random)?;
    Ok(key)
}
