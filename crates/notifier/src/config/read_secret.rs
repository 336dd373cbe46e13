//! Reads the secrets that the file refers to. The caller provides the environment and the file system.

use std::path::Path;

use secrecy::SecretString;

/// A reference to a secret, as written in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretRef<'a> {
    Variable(&'a str),
    File(&'a Path),
}

/// Reads a secret. The error describes the problem and never contains the secret.
pub type ReadSecret<'a> = &'a dyn Fn(SecretRef<'_>) -> Result<SecretString, String>;
