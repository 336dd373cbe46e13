//! Which notifications a target wants: by type, project, model and metadata, each by globs.

use std::collections::BTreeMap;

use globset::{GlobBuilder, GlobMatcher};
use webhook::NotificationType;

/// What a notification is about, as far as filters look at it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub project: &'a str,
    pub kind: NotificationType,
    pub model: Option<&'a str>,
    /// The object's metadata: texts by name.
    pub metadata: Option<&'a BTreeMap<String, String>>,
}

/// A target's filters. All of them must match; of several globs for one thing, one.
#[derive(Debug, Clone)]
pub struct Filter {
    pub(super) kinds: Vec<NotificationType>,
    /// Empty: all.
    pub(super) projects: Vec<GlobMatcher>,
    /// Empty: all, also what has no model.
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

    /// The types the target is told of.
    pub fn kinds(&self) -> &[NotificationType] {
        &self.kinds
    }
}

fn matches(globs: &[GlobMatcher], value: Option<&str>) -> bool {
    globs.is_empty() || value.is_some_and(|value| globs.iter().any(|glob| glob.is_match(value)))
}

/// `*` stands for any text, `?` for one character, `{a,b}` for either.
pub(super) fn glob(text: &str) -> Result<GlobMatcher, globset::Error> {
    Ok(GlobBuilder::new(text).literal_separator(false).backslash_escape(true).build()?.compile_matcher())
}
