//! What is wrong with `landfall.toml`, by line and setting, and what to write.

use std::ops::Range;

use crate::allow_list::WrongException;
use crate::endpoint::EndpointError;
use crate::signing::KeyError;

/// Why the file is refused. No secret is ever in it.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {setting}: {problem}")]
pub struct ConfigError {
    /// From 1.
    pub line: usize,
    /// Such as `targets.timeout_secs`, or `app: url`, with the target's name.
    pub setting: String,
    pub problem: Problem,
}

/// What is wrong with one setting.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Not TOML, a key that does not exist, or a value of another type.
    #[error("{0}")]
    Syntax(String),
    /// A value that makes no sense. Says what to write.
    #[error("{0}")]
    Value(String),
    #[error("{0}")]
    Allow(WrongException),
    #[error("{0}")]
    Header(EndpointError),
    /// A secret whose variable or file is not there.
    #[error("{0}")]
    NoSecret(String),
    #[error("what {place} holds {error}{}", source_of(*error))]
    Key { place: String, error: KeyError },
}

fn source_of(error: KeyError) -> String {
    std::error::Error::source(&error).map_or_else(String::new, |source| format!(": it {source}"))
}

/// A problem at its place in the text.
pub(super) type At = (Range<usize>, String, Problem);

/// Words people write where only a name may stand.
const SECRET_WORDS: [&str; 5] = ["secret", "secrets", "token", "password", "key"];

impl ConfigError {
    pub(super) fn at(text: &str, (span, setting, problem): At) -> Self {
        Self { line: line_of(text, span.start), setting, problem }
    }

    pub(super) fn of_toml(text: &str, error: &toml::de::Error) -> Self {
        let start = error.span().map_or(0, |span| span.start);
        let line = line_of(text, start);
        let source = text.lines().nth(line - 1).unwrap_or_default();
        let key = source.split(['=', '#']).next().unwrap_or_default().trim();
        let mut message = error.message().trim().replace('\n', ", ");
        if let Some(unknown) = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next())
            && SECRET_WORDS.contains(&unknown)
        {
            message.push_str(
                "; a secret never stands in this file: write the name of a variable (secret_env, token_env) or of a \
                 file (secret_file, token_file) that holds it",
            );
        }
        let setting = if key.is_empty() { "the file" } else { key };
        Self { line, setting: setting.to_owned(), problem: Problem::Syntax(message) }
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}
