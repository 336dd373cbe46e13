//! Errors in `landfall.toml`: line, setting, and fix.

use std::ops::Range;

use crate::allow_list::AllowListError;
use crate::endpoint::EndpointError;
use crate::signing::KeyError;

/// Why the file is invalid. Never contains a secret.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {setting}: {problem}")]
pub struct ConfigError {
    /// Starts at 1.
    pub line: usize,
    /// Such as `targets.timeout_secs`, or `target app: url` with the name of the target.
    pub setting: String,
    pub problem: Problem,
}

/// The problem with one setting.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Invalid TOML, an unknown key, or a value of the wrong type.
    #[error("{0}")]
    Syntax(String),
    /// An invalid value. The message says what to write.
    #[error("{0}")]
    Value(String),
    #[error("{0}")]
    Allow(AllowListError),
    #[error("{0}")]
    Header(EndpointError),
    /// A secret whose variable or file cannot be read.
    #[error("{0}")]
    NoSecret(String),
    #[error("{name} {error}{}", source_of(*error))]
    Key { name: String, error: KeyError },
}

fn source_of(error: KeyError) -> String {
    std::error::Error::source(&error).map_or_else(String::new, |source| format!(": it {source}"))
}

/// Position in the text, setting, and problem.
pub(super) type At = (Range<usize>, String, Problem);

/// Keys that people try to set to the secret itself.
const SECRET_WORDS: [&str; 5] = ["secret", "secrets", "token", "password", "key"];

impl ConfigError {
    pub(super) fn at(text: &str, (span, setting, problem): At) -> Self {
        Self { line: line_of(text, span.start), setting, problem }
    }

    pub(super) fn from_toml(text: &str, error: &toml::de::Error) -> Self {
        let start = error.span().map_or(0, |span| span.start);
        let line = line_of(text, start);
        let source = text.lines().nth(line - 1).unwrap_or_default();
        let key = source.split(['=', '#']).next().unwrap_or_default().trim();
        let mut message = error.message().trim().replace('\n', ", ");
        if let Some(unknown) = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next())
            && SECRET_WORDS.contains(&unknown)
        {
            message.push_str(
                "; secrets do not belong in this file: name the variable (secret_env, token_env) or the file \
                 (secret_file, token_file) that holds it",
            );
        }
        let setting = if key.is_empty() { "the file" } else { key };
        Self { line, setting: setting.to_owned(), problem: Problem::Syntax(message) }
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}
