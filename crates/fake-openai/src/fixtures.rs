//! What the fake knows: objects by kind and id, as the JSON text they are served with, and the content of files. Any
//! object can be added, replaced or removed while it runs; `demo` is what is there from the start.

mod demo;
mod fine_tuning;
mod objects;
mod research;
mod results;

use std::collections::HashMap;
use std::sync::Arc;

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
pub(crate) use objects::generated_batch;

/// Why something cannot be put into the fixtures.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    #[error("it is not a JSON object")]
    NotAnObject(#[source] serde_json::Error),
    #[error("it needs an `id`")]
    NoId,
    #[error("its `object` does not say what it is")]
    NoKind,
    #[error("its `object` is none the fixtures knows")]
    UnknownKind(#[source] webhook::states::UnknownName),
    #[error("a {0} needs to say what it belongs to")]
    NoParent(Kind),
}

/// All objects and contents.
#[derive(Debug, Default)]
pub(crate) struct Fixtures {
    objects: HashMap<(Kind, String), Stored>,
    contents: HashMap<String, FileContent>,
    /// Counts what was ever added, to break ties between objects of one second.
    added: u64,
}

/// What `GET /_control/objects` says of an object.
#[derive(Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    object: &'static str,
    id: String,
    parent: Option<String>,
}

#[derive(Debug)]
struct Stored {
    raw: Arc<RawValue>,
    /// The job of an event or checkpoint, the eval of a run.
    parent: Option<String>,
    sort_key: (i64, u64),
}

/// The fields the fixtures itself looks at. As raw JSON, so that odd values elsewhere do no harm.
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
    fine_tuning_job_id: Option<&'a RawValue>,
}

impl Fixtures {
    /// Adds or replaces an object, which is served byte for byte as it is given. What it is and what it belongs to, it
    /// says itself; only a job's event does not name its job, so that `parent` must.
    pub(crate) fn put(&mut self, raw: Box<RawValue>, parent: Option<&str>) -> Result<(), PutError> {
        let head: Head<'_> = serde_json::from_str(raw.get()).map_err(PutError::NotAnObject)?;
        let id = head.id.and_then(text).ok_or(PutError::NoId)?;
        let kind = head.object.and_then(text).ok_or(PutError::NoKind)?;
        let kind: Kind = kind.parse().map_err(PutError::UnknownKind)?;
        let parent = match kind {
            Kind::EvalRun => head.eval_id.and_then(text),
            Kind::Checkpoint => head.fine_tuning_job_id.and_then(text),
            Kind::JobEvent => parent.map(str::to_owned),
            Kind::Response | Kind::Batch | Kind::File | Kind::FineTuningJob | Kind::Model | Kind::Eval => {
                None
            }
        };
        let needs_parent = matches!(kind, Kind::EvalRun | Kind::Checkpoint | Kind::JobEvent);
        if needs_parent && parent.is_none() {
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

    /// The same for a value.
    pub(crate) fn put_value(&mut self, object: &Value, parent: Option<&str>) -> Result<(), PutError> {
        let raw = RawValue::from_string(format!("{object:#}")).map_err(PutError::NotAnObject)?;
        self.put(raw, parent)
    }

    /// Gives a file its content, and an object that fits it; the fields of `object` win.
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

    /// Adds a finished batch whose output is made while it is sent.
    pub(crate) fn put_generated_batch(&mut self, id: &str, lines: u64, line_bytes: usize) {
        let output_id = format!("file-{id}-output");
        let content = FileContent::Generated(GeneratedLines::new(id, lines, line_bytes));
        let batch = generated_batch(id, &output_id, lines);
        let filename = json!({"filename": format!("{id}_output.jsonl")});
        self.put_value(&batch, None)
            .and_then(|()| self.put_file(&output_id, &filename, content))
            .expect("both objects have an id and say what they are");
    }

    /// Forgets every object and content of this id; whether there was one.
    pub(crate) fn remove(&mut self, id: &str) -> bool {
        let before = self.objects.len();
        self.objects.retain(|(_, known), _| known != id);
        self.contents.remove(id).is_some() || self.objects.len() < before
    }

    pub(crate) fn get(&self, kind: Kind, id: &str) -> Option<&RawValue> {
        self.objects.get(&(kind, id.to_owned())).map(|stored| &*stored.raw)
    }

    /// An object of a parent: a run under another eval is not found.
    pub(crate) fn get_of(&self, kind: Kind, parent: &str, id: &str) -> Option<&RawValue> {
        let stored = self.objects.get(&(kind, id.to_owned()))?;
        (stored.parent.as_deref() == Some(parent)).then_some(&*stored.raw)
    }

    /// An object whatever it is, to be embedded in an event.
    pub(crate) fn find(&self, id: &str) -> Option<&RawValue> {
        Kind::ALL.iter().find_map(|kind| self.get(*kind, id))
    }

    /// All objects of a kind, with `parent` only those of it; in no order.
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

    /// Every object there is, sorted.
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

/// A non-empty JSON string.
fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str::<String>(raw.get()).ok().filter(|text| !text.is_empty())
}
