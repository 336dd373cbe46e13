//! Filters: the notifications that a target receives, by type, project, model and metadata globs.

use std::collections::BTreeMap;

use globset::{GlobBuilder, GlobMatcher};
use webhook::NotificationType;

/// The properties of a notification that filters match on.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub project: &'a str,
    pub kind: NotificationType,
    pub model: Option<&'a str>,
    /// The object's metadata: strings by key.
    pub metadata: Option<&'a BTreeMap<String, String>>,
}

/// A target's filters. Every filter must match; a filter matches when one of its globs does.
#[derive(Debug, Clone)]
pub struct Filter {
    pub(super) kinds: Vec<NotificationType>,
    /// Empty matches every project.
    pub(super) projects: Vec<GlobMatcher>,
    /// Empty matches every model, and objects without one.
    pub(super) models: Vec<GlobMatcher>,
    pub(super) metadata: Vec<(String, Vec<GlobMatcher>)>,
}

impl Filter {
    pub fn wants(&self, subject: &Subject<'_>) -> bool {
        let metadata =
            |key: &str| subject.metadata.and_then(|metadata| metadata.get(key)).map(String::as_str);
        self.kinds.contains(&subject.kind)
            && matches(&self.projects, Some(subject.project))
            && matches(&self.models, subject.model)
            && self.metadata.iter().all(|(key, globs)| matches(globs, metadata(key)))
    }

    /// The notification types that the target receives.
    pub fn kinds(&self) -> &[NotificationType] {
        &self.kinds
    }
}

fn matches(globs: &[GlobMatcher], value: Option<&str>) -> bool {
    globs.is_empty() || value.is_some_and(|value| globs.iter().any(|glob| glob.is_match(value)))
}

/// `*` matches any text, `?` one character, `{a,b}` either alternative.
pub(super) fn glob(text: &str) -> Result<GlobMatcher, globset::Error> {
    Ok(GlobBuilder::new(text).literal_separator(false).backslash_escape(true).build()?.compile_matcher())
}
