//! `landfall.toml`: the notification targets and their filters. Parsing is strict, so that a typo is an error and not
//! silently ignored. The file never contains secrets, only the names of the variables or files that do.

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
pub use read_secret::{ReadSecret, SecretRef};
pub use targets::{Destination, HttpDestination, Payload, Target};

use table::FileTable;

/// A generous limit; each target is a metric label and a loop in every worker.
const TARGETS_MAX: usize = 64;
/// The default size limit of a `full` notification.
const FULL_MAX_BYTES_DEFAULT: u64 = 256 << 10;
/// The largest body that popular automation tools accept is 16 MB (n8n).
const FULL_MAX_BYTES_MAX: u64 = 16 << 20;

/// The validated file, with the secrets it refers to.
#[derive(Debug, Clone, Default)]
pub struct Config {
    pub targets: Vec<Arc<Target>>,
    /// Exceptions to the address guard, for all targets.
    pub allow: AllowList,
    /// The largest `full` body, in bytes; in a larger one the result is omitted.
    pub full_max_bytes: u64,
}

impl Config {
    /// Parses and validates the text of the file.
    ///
    /// # Errors
    /// The first [`ConfigError`], in the order of the file.
    pub fn parse(text: &str, read_secret: ReadSecret<'_>) -> Result<Self, ConfigError> {
        let file: FileTable = toml::from_str(text).map_err(|error| ConfigError::from_toml(text, &error))?;
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
                let text = format!("must be 1 to {FULL_MAX_BYTES_MAX} bytes; the default is 262144");
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
                "another target already has this name: names must be unique"
            } else if names.len() > TARGETS_MAX {
                "too many targets: the maximum is 64"
            } else {
                targets.push(Arc::new(target));
                continue;
            };
            return Err((name, "targets.name".to_owned(), Problem::Value(wrong.to_owned())));
        }
        Ok(Self { targets, allow, full_max_bytes })
    }

    /// Valid but probably unintended settings, each with the fix.
    pub fn warnings(&self) -> Vec<String> {
        self.targets.iter().flat_map(|target| warnings::of(target, &self.allow)).collect()
    }
}
