//! Reads the secrets that the file names. The caller provides the environment and the file system.

use std::path::Path;

use secrecy::SecretString;

/// Where a secret is, as the file names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretPlace<'a> {
    Variable(&'a str),
    File(&'a Path),
}

/// Fetches a secret. The error says what is wrong with the place, and nothing of the secret.
pub type ReadSecret<'a> = &'a dyn Fn(SecretPlace<'_>) -> Result<SecretString, String>;
