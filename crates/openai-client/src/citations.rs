//! The citations of a response: positions in its text, and their sources.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::lenient::{inner, integer, text};

/// Further citations are only in the raw object; a deep-research result has a few hundred.
pub(crate) const CITATIONS_MAX: usize = 10_000;

/// A position in the text and its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Citation {
    pub kind: CitationKind,
    /// The index of the message in `output`, starting at 0.
    pub output_index: usize,
    /// The index of the text in the `content` of its message, starting at 0. Other indexes are relative to that text.
    pub content_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    /// The first cited character.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_index: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_index: Option<i64>,
    /// For files: the only position that OpenAI provides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<i64>,
}

/// The four types of annotations that OpenAI documents. Others are only in the raw object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CitationKind {
    UrlCitation,
    FileCitation,
    ContainerFileCitation,
    FilePath,
}

impl CitationKind {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "url_citation" => Some(Self::UrlCitation),
            "file_citation" => Some(Self::FileCitation),
            "container_file_citation" => Some(Self::ContainerFileCitation),
            "file_path" => Some(Self::FilePath),
            _ => None,
        }
    }
}

pub(crate) fn citation(annotation: &RawValue, output_index: usize, content_index: usize) -> Option<Citation> {
    let annotation = Some(annotation);
    let [kind, url, title, file_id, filename] =
        inner(annotation, ["type", "url", "title", "file_id", "filename"]);
    let [container_id, start_index, end_index, index] =
        inner(annotation, ["container_id", "start_index", "end_index", "index"]);
    Some(Citation {
        kind: CitationKind::from_name(&text(kind)?)?,
        output_index,
        content_index,
        url: text(url),
        title: text(title),
        file_id: text(file_id),
        filename: text(filename),
        container_id: text(container_id),
        start_index: integer(start_index),
        end_index: integer(end_index),
        index: integer(index),
    })
}
