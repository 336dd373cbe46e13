//! A response: its fields, the first lines of its text, and its sources.

use operations::SourceLocation;
use store::{ResponseFile, ResponseRecord, Store};

use super::layout::{Layout, error_text, or_empty, usage_text};
use crate::exit::CliError;
use crate::{output, printable};

/// Longer texts are truncated; `--json` prints them in full.
const TEXT_LINES_MAX: usize = 16;
const SOURCES_MAX: usize = 10;
const FILES_MAX: usize = 20;

pub(super) async fn text(
    store: &Store,
    response: &ResponseRecord,
    layout: Layout,
) -> Result<String, CliError> {
    let fields = [
        ("status", or_empty(response.status.as_deref())),
        ("model", or_empty(response.model.as_deref())),
        ("incomplete", or_empty(response.incomplete_reason.as_deref())),
        ("error", error_text(response.error.as_deref())),
        ("usage", usage_text(response.usage.as_deref())),
        ("completed", layout.time(response.completed_at)),
        ("received", layout.time(Some(response.received_at))),
        ("fetched", layout.origin(&response.fetch_state, response.fetched_at)),
    ];
    let mut text = layout.section("response", &response.response_id, &fields);
    if let Some(output) = response.output_text.as_deref().filter(|output| !output.is_empty()) {
        push_output(&mut text, output, layout);
    }
    let sources = sources(response.citations.as_deref());
    if !sources.is_empty() {
        text.push_str(&format!("\nsources ({})\n", sources.len()));
    }
    for (number, source) in (1..).zip(&sources).take(SOURCES_MAX) {
        text.push_str(&format!("  [{number}] {source}\n"));
    }
    if sources.len() > SOURCES_MAX {
        text.push_str(&format!("  … {} more: --json\n", sources.len() - SOURCES_MAX));
    }
    let files = store.response_files(&response.project, &response.response_id).await?;
    push_files(&mut text, &files);
    Ok(text)
}

/// The files that the code interpreter made, each with the id to show it by, or why it is missing.
fn push_files(text: &mut String, files: &[ResponseFile]) {
    if !files.is_empty() {
        text.push_str(&format!("\nfiles ({})\n", files.len()));
    }
    for file in files.iter().take(FILES_MAX) {
        let name = printable::one_line(file.filename.as_deref().unwrap_or(&file.file_id));
        let id = printable::one_line(file.stored_file_id.as_deref().unwrap_or(&file.file_id));
        text.push_str(&format!("  {:<9} {name}\n            {id}\n", file.state.as_str()));
    }
    if files.len() > FILES_MAX {
        text.push_str(&format!("  … {} more: --json\n", files.len() - FILES_MAX));
    }
}

fn push_output(text: &mut String, output: &str, layout: Layout) {
    let characters = output.chars().count();
    text.push_str(&format!("\ntext ({} characters)\n", output::count(characters as u64)));
    let lines = output::wrapped(output, layout.width);
    for line in lines.iter().take(TEXT_LINES_MAX) {
        text.push_str(line);
        text.push('\n');
    }
    if lines.len() > TEXT_LINES_MAX {
        text.push_str(&format!(
            "  … {} more lines: --json | jq -r .output_text\n",
            lines.len() - TEXT_LINES_MAX
        ));
    }
}

/// The distinct sources, in order of their first citation.
fn sources(citations: Option<&str>) -> Vec<String> {
    let text = |source: operations::Source| {
        let (SourceLocation::Url(location) | SourceLocation::FileId(location)) = source.location;
        match source.title {
            Some(title) => {
                let title = output::shortened(&printable::sentence(&title), 72);
                format!("{title}\n      {}", printable::one_line(&location))
            }
            None => printable::one_line(&location),
        }
    };
    operations::sources(citations).into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_listed_once() {
        let citations = r#"[
            {"kind":"url_citation","url":"https://a.example/","title":"A"},
            {"kind":"file_citation","file_id":"file-1","filename":"b.pdf"},
            {"kind":"url_citation","url":"https://a.example/","title":"A","start_index":7},
            {"kind":"file_path","file_id":"file-2"}]"#;
        assert_eq!(
            sources(Some(citations)),
            ["A\n      https://a.example/", "b.pdf\n      file-1", "file-2"]
        );
        assert!(sources(Some("{}")).is_empty() && sources(None).is_empty());
    }
}
