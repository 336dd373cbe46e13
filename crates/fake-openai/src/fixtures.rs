//! The objects the fake serves, by kind and id, as JSON text, and the content of files. Objects can be added, replaced
//! and removed at run time; `demo` holds the initial ones.

mod containers;
mod demo;
mod fine_tuning;
mod objects;
mod research;
mod results;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::content::FileContent;
use crate::generated_lines::GeneratedLines;
use crate::kind::Kind;
use crate::page::Item;

pub(crate) use demo::demo_fixtures;
pub use demo::demo_object_id;
pub(crate) use objects::{batch_usage, chat_completion_body, embedding_body, generated_batch, response_body};

/// Why an object cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    #[error("not a JSON object")]
    NotAnObject(#[source] serde_json::Error),
    #[error("the field `id` is missing")]
    NoId,
    #[error("the field `object` is missing: it names the kind of the object")]
    NoKind,
    #[error("the field `object` names an unknown kind")]
    UnknownKind(#[source] webhook::states::UnknownName),
    #[error("a {0} needs a parent: the eval, job, container, session or turn it belongs to")]
    NoParent(Kind),
}

/// All objects and file contents.
#[derive(Debug, Default)]
pub(crate) struct Fixtures {
    objects: HashMap<(Kind, String), Stored>,
    contents: HashMap<String, FileContent>,
    /// When containers expire; those without a time do not.
    expiries: HashMap<String, Instant>,
    /// Counts additions, to break ties between objects created in the same second.
    added: u64,
}

/// An object in the list of `GET /_control/objects`.
#[derive(Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    object: &'static str,
    id: String,
    parent: Option<String>,
}

#[derive(Debug)]
struct Stored {
    raw: Arc<RawValue>,
    /// The job of an event or checkpoint, the eval of a run, the session or turn of a part of a session.
    parent: Option<String>,
    sort_key: (i64, u64),
}

/// The fields that are indexed. They are raw JSON, so that unusual values in other fields do not matter.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    created_at: Option<&'a RawValue>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
    #[serde(borrow)]
    eval_id: Option<&'a RawValue>,
    #[serde(borrow)]
    container_id: Option<&'a RawValue>,
    #[serde(borrow)]
    fine_tuning_job_id: Option<&'a RawValue>,
    #[serde(borrow)]
    session_id: Option<&'a RawValue>,
    #[serde(borrow)]
    turn_id: Option<&'a RawValue>,
}

impl Fixtures {
    /// Adds or replaces an object, which is served byte for byte. Its fields name its kind and its parent, except for a
    /// job event, which needs `parent`.
    pub(crate) fn put(&mut self, raw: Box<RawValue>, parent: Option<&str>) -> Result<(), PutError> {
        let head: Head<'_> = serde_json::from_str(raw.get()).map_err(PutError::NotAnObject)?;
        let id = head.id.and_then(text).ok_or(PutError::NoId)?;
        let kind: Kind = match head.object.and_then(text) {
            Some(kind) => kind.parse().map_err(PutError::UnknownKind)?,
            None if head.turn_id.is_some() => Kind::AgentItem,
            None => return Err(PutError::NoKind),
        };
        let parent = match kind {
            Kind::EvalRun => head.eval_id.and_then(text),
            Kind::ContainerFile => head.container_id.and_then(text),
            Kind::Checkpoint => head.fine_tuning_job_id.and_then(text),
            Kind::JobEvent => parent.map(str::to_owned),
            Kind::AgentTurn | Kind::AgentArtifact => head.session_id.and_then(text),
            Kind::AgentItem => head.turn_id.and_then(text),
            Kind::Response
            | Kind::Batch
            | Kind::File
            | Kind::Container
            | Kind::FineTuningJob
            | Kind::Model
            | Kind::Eval
            | Kind::AgentSession
            | Kind::SafetyAlert => None,
        };
        if needs_parent(kind) && parent.is_none() {
            return Err(PutError::NoParent(kind));
        }
        let created = head.created_at.or(head.created);
        let created = created.and_then(|raw| serde_json::from_str::<f64>(raw.get()).ok());
        self.added += 1;
        let stored =
            Stored { sort_key: (created.unwrap_or_default() as i64, self.added), parent, raw: raw.into() };
        self.objects.insert((kind, id), stored);
        Ok(())
    }

    /// The same for a JSON value.
    pub(crate) fn put_value(&mut self, object: &Value, parent: Option<&str>) -> Result<(), PutError> {
        let raw = RawValue::from_string(format!("{object:#}")).map_err(PutError::NotAnObject)?;
        self.put(raw, parent)
    }

    /// Adds a file: its content and a matching object. Fields of `object` take precedence.
    pub(crate) fn put_file(
        &mut self,
        id: &str,
        object: &Value,
        content: FileContent,
    ) -> Result<(), PutError> {
        let mut file = json!({
            "id": id, "object": "file", "bytes": content.len_bytes(), "created_at": 1_795_305_600, "expires_at": null,
            "filename": format!("{id}.jsonl"), "purpose": "batch_output", "status": "processed", "status_details": null,
        });
        for (name, value) in object.as_object().into_iter().flatten() {
            file[name] = value.clone();
        }
        self.put_value(&file, None)?;
        self.contents.insert(id.to_owned(), content);
        Ok(())
    }

    /// Adds the artifact of an agent session and its content.
    pub(crate) fn put_artifact(&mut self, artifact: &Value, content: Bytes) -> Result<(), PutError> {
        self.put_value(artifact, None)?;
        let id = artifact["id"].as_str().unwrap_or_default().to_owned();
        self.contents.insert(id, FileContent::InMemory(content));
        Ok(())
    }

    /// Adds a completed batch whose output is generated while it is sent.
    pub(crate) fn put_generated_batch(&mut self, id: &str, lines: u64, line_bytes: usize) {
        let output_id = format!("file-{id}-output");
        let content = FileContent::Generated(GeneratedLines::new(id, lines, line_bytes));
        let batch = generated_batch(id, &output_id, lines);
        let filename = json!({"filename": format!("{id}_output.jsonl")});
        self.put_value(&batch, None)
            .and_then(|()| self.put_file(&output_id, &filename, content))
            .expect("both objects have an id and a kind");
    }

    /// Removes the objects and content with this id. Returns whether there were any.
    pub(crate) fn remove(&mut self, id: &str) -> bool {
        let before = self.objects.len();
        self.objects.retain(|(_, known), _| known != id);
        self.contents.remove(id).is_some() || self.objects.len() < before
    }

    pub(crate) fn get(&self, kind: Kind, id: &str) -> Option<&RawValue> {
        self.objects.get(&(kind, id.to_owned())).map(|stored| &*stored.raw)
    }

    /// An object that belongs to this parent.
    pub(crate) fn get_of(&self, kind: Kind, parent: &str, id: &str) -> Option<&RawValue> {
        let stored = self.objects.get(&(kind, id.to_owned()))?;
        (stored.parent.as_deref() == Some(parent)).then_some(&*stored.raw)
    }

    /// An object of any kind, to embed in an event.
    pub(crate) fn find(&self, id: &str) -> Option<&RawValue> {
        Kind::ALL.iter().find_map(|kind| self.get(*kind, id))
    }

    /// All objects of a kind, or only those of `parent`; unordered.
    pub(crate) fn list(&self, kind: Kind, parent: Option<&str>) -> Vec<Item> {
        let wanted = |stored: &Stored| parent.is_none() || stored.parent.as_deref() == parent;
        let of_kind = self.objects.iter().filter(|((known, _), stored)| *known == kind && wanted(stored));
        of_kind
            .map(|((_, id), stored)| Item {
                id: id.clone(),
                raw: Arc::clone(&stored.raw),
                sort_key: stored.sort_key,
            })
            .collect()
    }

    /// All objects, sorted.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = self
            .objects
            .iter()
            .map(|((kind, id), stored)| Entry {
                object: kind.as_str(),
                id: id.clone(),
                parent: stored.parent.clone(),
            })
            .collect();
        entries.sort_unstable();
        entries
    }

    pub(crate) fn content(&self, file_id: &str) -> Option<&FileContent> {
        self.contents.get(file_id)
    }

    pub(crate) fn file_bytes(&self, file_id: &str) -> Option<Bytes> {
        self.contents.get(file_id).map(FileContent::to_bytes)
    }
}

fn needs_parent(kind: Kind) -> bool {
    match kind {
        Kind::EvalRun | Kind::Checkpoint | Kind::JobEvent | Kind::ContainerFile => true,
        Kind::AgentTurn | Kind::AgentItem | Kind::AgentArtifact => true,
        Kind::Response
        | Kind::Batch
        | Kind::File
        | Kind::Container
        | Kind::FineTuningJob
        | Kind::Model
        | Kind::Eval
        | Kind::AgentSession
        | Kind::SafetyAlert => false,
    }
}

/// A non-empty JSON string.
fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str::<String>(raw.get()).ok().filter(|text| !text.is_empty())
}
