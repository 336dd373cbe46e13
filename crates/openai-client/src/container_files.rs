//! Files that the code interpreter made: where a response names them, and their content. A container expires 20 minutes
//! after its last use, and its files with it.

use serde_json::value::RawValue;

use crate::client::{Client, segment};
use crate::download::Download;
use crate::endpoint::Endpoint;
use crate::error::ApiError;
use crate::lenient::{each_element, inner, text};

/// Further files of a response are only named in the raw object.
const FILES_MAX: usize = 1000;

/// A file in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerFile {
    pub container_id: String,
    pub file_id: String,
    pub filename: Option<String>,
}

impl Client {
    /// `GET /containers/{id}/files/{id}/content`.
    ///
    /// # Errors
    /// [`ApiError`] if the download cannot start.
    pub async fn container_file_content(
        &self,
        container_id: &str,
        file_id: &str,
    ) -> Result<Download, ApiError> {
        let path = format!("/containers/{}/files/{}/content", segment(container_id)?, segment(file_id)?);
        self.download(Endpoint::ContainerFileContent, path, None).await
    }
}

/// The distinct files that a response names, in order.
#[derive(Debug, Default)]
pub(crate) struct ContainerFiles {
    pub(crate) found: Vec<ContainerFile>,
}

impl ContainerFiles {
    /// Adds a cited file; without both ids it cannot be fetched.
    pub(crate) fn add(
        &mut self,
        container_id: Option<&String>,
        file_id: Option<&String>,
        filename: Option<&String>,
    ) {
        let (Some(container_id), Some(file_id)) = (container_id, file_id) else { return };
        let is_same =
            |file: &&mut ContainerFile| file.file_id == *file_id && file.container_id == *container_id;
        if let Some(known) = self.found.iter_mut().find(is_same) {
            known.filename = known.filename.take().or_else(|| filename.cloned());
        } else if self.found.len() < FILES_MAX {
            self.found.push(ContainerFile {
                container_id: container_id.clone(),
                file_id: file_id.clone(),
                filename: filename.cloned(),
            });
        }
    }

    /// Adds the outputs of a `code_interpreter_call` item: they name a file by its id, or by its URL.
    pub(crate) fn add_outputs(&mut self, call: &RawValue) {
        let [container_id, outputs] = inner(Some(call), ["container_id", "outputs"]);
        each_element(outputs, |output| {
            let [file_id, filename, url] = inner(Some(output), ["file_id", "filename", "url"]);
            let filename = text(filename);
            if let Some(file_id) = text(file_id) {
                self.add(text(container_id).as_ref(), Some(&file_id), filename.as_ref());
            } else if let Some((container_id, file_id)) = url.and_then(ids_in_url) {
                self.add(Some(&container_id), Some(&file_id), filename.as_ref());
            }
        });
    }
}

/// The ids in a URL such as `https://api.openai.com/v1/containers/{id}/files/{id}/content`.
fn ids_in_url(url: &RawValue) -> Option<(String, String)> {
    // An image in base64 may have megabytes.
    if url.get().starts_with("\"data:") {
        return None;
    }
    let url = text(Some(url))?;
    let (_, rest) = url.split_once("/containers/")?;
    let mut parts = rest.split(['/', '?', '#']);
    let ids = (parts.next()?, parts.next()?, parts.next()?);
    let is_file = ids.1 == "files" && !ids.0.is_empty() && !ids.2.is_empty();
    is_file.then(|| (ids.0.to_owned(), ids.2.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::responses::Response;

    fn files(output: &str) -> Vec<(String, String, Option<String>)> {
        let response = Response::parse(format!(r#"{{"id":"resp_1","output":{output}}}"#).as_bytes()).unwrap();
        let names = |file: ContainerFile| (file.container_id, file.file_id, file.filename);
        response.container_files.into_iter().map(names).collect()
    }

    fn file(container_id: &str, file_id: &str, filename: Option<&str>) -> (String, String, Option<String>) {
        (container_id.to_owned(), file_id.to_owned(), filename.map(str::to_owned))
    }

    #[test]
    fn cited_files_and_outputs_are_found_once_each() {
        let output = r#"[
            {"type":"code_interpreter_call","id":"ci_1","container_id":"cntr_1","outputs":[
                {"type":"logs","logs":"14300"},
                {"type":"image","url":"https://api.openai.com/v1/containers/cntr_1/files/cfile_plot/content"},
                {"type":"file","file_id":"cfile_table"}]},
            {"type":"message","content":[{"type":"output_text","text":"See p.png.","annotations":[
                {"type":"container_file_citation","container_id":"cntr_1","file_id":"cfile_plot","filename":"p.png"},
                {"type":"container_file_citation","container_id":"cntr_2","file_id":"cfile_3","filename":"c.csv"},
                {"type":"container_file_citation","container_id":"cntr_2","file_id":"cfile_3","filename":"c.csv"},
                {"type":"file_citation","file_id":"file-1","filename":"b.pdf"}]}]}]"#;
        let expected = [
            file("cntr_1", "cfile_plot", Some("p.png")),
            file("cntr_1", "cfile_table", None),
            file("cntr_2", "cfile_3", Some("c.csv")),
        ];
        assert_eq!(files(output), expected);
    }

    #[test]
    fn files_without_both_ids_are_not_found() {
        let output = r#"[
            {"type":"code_interpreter_call","container_id":null,"outputs":null},
            {"type":"code_interpreter_call","container_id":7,"outputs":[{"file_id":"cfile_1"},7,null,
                {"url":"data:image/png;base64,AA/containers/a/files/b"},{"url":"https://x/containers/a"},
                {"url":"https://x/containers//files/b"},{"url":["/containers/a/files/b"]}]},
            {"type":"message","content":[{"type":"output_text","annotations":[
                {"type":"container_file_citation","container_id":"cntr_1"},
                {"type":"container_file_citation","container_id":"","file_id":"cfile_2"}]}]}]"#;
        assert_eq!(files(output), []);
    }

    #[test]
    fn the_number_of_files_is_limited() {
        let output: Vec<String> =
            (0..FILES_MAX + 5).map(|number| format!(r#"{{"file_id":"cfile_{number}"}}"#)).collect();
        let call = format!(
            r#"[{{"type":"code_interpreter_call","container_id":"c","outputs":[{}]}}]"#,
            output.join(",")
        );
        assert_eq!(files(&call).len(), FILES_MAX);
    }
}
