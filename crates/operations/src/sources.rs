//! The sources of a response: what its citations point to.

use serde::Deserialize;

/// The fields of a citation that identify its source.
#[derive(Deserialize)]
struct Citation {
    url: Option<String>,
    title: Option<String>,
    filename: Option<String>,
    file_id: Option<String>,
}

/// A page or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub title: Option<String>,
    pub location: SourceLocation,
}

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceLocation {
    /// As the model wrote it: anything.
    Url(String),
    FileId(String),
}

/// The distinct sources, in order of their first citation; `citations` is the column `responses.citations`.
pub fn sources(citations: Option<&str>) -> Vec<Source> {
    let citations: Vec<Citation> =
        citations.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    let mut sources = Vec::new();
    for citation in citations {
        let url = citation.url.map(SourceLocation::Url);
        let Some(location) = url.or(citation.file_id.map(SourceLocation::FileId)) else { continue };
        let title = citation.title.or(citation.filename).filter(|title| !title.is_empty());
        let source = Source { title, location };
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    sources
}
