//! `landfall.toml`: which systems are told of what. Strict, so that a typo is an error and not a silent nothing; never
//! holds a secret, only the name of a variable or file that does.

mod check;
mod credentials;
mod digest;
mod file;
mod filter;
mod problem;
mod read_secret;
mod table;
mod targets;
mod warnings;

use std::collections::HashSet;
use std::sync::Arc;

use crate::allow_list::AllowList;

pub use file::{ConfigFile, ConfigFileError};
pub use filter::{Filter, Subject};
pub use problem::{ConfigError, Problem};
pub use read_secret::{ReadSecret, SecretPlace};
pub use targets::{Destination, HttpPlace, Payload, Target};

use table::FileTable;

/// More targets than anyone has; each is a label of metrics and a loop in every worker.
const TARGETS_MAX: usize = 64;
/// What a notification carries itself, by default.
const FULL_MAX_BYTES_DEFAULT: u64 = 256 << 10;
/// The largest body that the tools people connect take is 16 MB (n8n).
const FULL_MAX_BYTES_MAX: u64 = 16 << 20;

/// The file, checked, with the secrets it names.
#[derive(Debug, Clone, Default)]
pub struct Config {
    pub targets: Vec<Arc<Target>>,
    /// Exceptions to the address guard, for all targets.
    pub allow: AllowList,
    /// The largest `full` body, in bytes; beyond it the result is left out.
    pub full_max_bytes: u64,
}

impl Config {
    /// Reads and checks the text of the file.
    ///
    /// # Errors
    /// The first [`ConfigError`], in the order of the file.
    pub fn parse(text: &str, read_secret: ReadSecret<'_>) -> Result<Self, ConfigError> {
        let file: FileTable = toml::from_str(text).map_err(|error| ConfigError::of_toml(text, &error))?;
        Self::check(file, read_secret).map_err(|problem| ConfigError::at(text, problem))
    }

    fn check(file: FileTable, read_secret: ReadSecret<'_>) -> Result<Self, problem::At> {
        let shared = file.notifications;
        let allow = match &shared.allow {
            None => AllowList::default(),
            Some(entries) => AllowList::parse(entries.get_ref().iter().map(String::as_str))
                .map_err(|wrong| (entries.span(), "notifications.allow".to_owned(), Problem::Allow(wrong)))?,
        };
        let full_max_bytes = match &shared.full_max_bytes {
            None => FULL_MAX_BYTES_DEFAULT,
            Some(bytes) if (1..=FULL_MAX_BYTES_MAX).contains(bytes.get_ref()) => *bytes.get_ref(),
            Some(bytes) => {
                let text = format!("write 1 to {FULL_MAX_BYTES_MAX} bytes; 262144 is a good size");
                return Err((bytes.span(), "notifications.full_max_bytes".to_owned(), Problem::Value(text)));
            }
        };
        let mut targets: Vec<Arc<Target>> = Vec::new();
        let mut names = HashSet::new();
        for table in file.targets {
            let span = table.span();
            let name = table.get_ref().name.span();
            let target = check::check(table.into_inner(), span, read_secret)?;
            let wrong = if !names.insert(target.name.clone()) {
                "another target has this name"
            } else if names.len() > TARGETS_MAX {
                "there are more than 64 targets"
            } else {
                targets.push(Arc::new(target));
                continue;
            };
            return Err((name, "targets.name".to_owned(), Problem::Value(wrong.to_owned())));
        }
        Ok(Self { targets, allow, full_max_bytes })
    }

    /// What can be used, but is probably not meant so, with what to write.
    pub fn warnings(&self) -> Vec<String> {
        self.targets.iter().flat_map(|target| warnings::of(target, &self.allow)).collect()
    }
}
