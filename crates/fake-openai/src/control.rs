//! The control API under `/_control`, which OpenAI does not have: inspect requests, inject faults, list and add objects,
//! send webhooks. It needs no API key.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use error_text::chain;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use webhook::{SecretError, SigningSecret};

use crate::content::FileContent;
use crate::event::{OutgoingEvent, Payload};
use crate::faults::Fault;
use crate::fixtures::PutError;
use crate::generated_lines::LINE_BYTES_DEFAULT;
use crate::sender::{Pattern, SendError, Sender, SenderConfig};
use crate::state::State;

/// Errors of the control API.
#[derive(Debug, thiserror::Error)]
enum ControlError {
    #[error("the request body does not have the format of this endpoint")]
    Body(#[source] serde_json::Error),
    #[error("cannot store the object")]
    Put(#[from] PutError),
    #[error("content_base64 is not valid base64")]
    Content(#[source] base64::DecodeError),
    #[error("no object with id {0}")]
    NoObject(String),
    #[error("no signing secret: set `secret` in the request or start the server with --secret")]
    NoSecret,
    #[error("the signing secret is not valid")]
    Secret(#[from] SecretError),
    #[error("cannot send webhooks")]
    Send(#[from] SendError),
    #[error("not found: {0}")]
    NotFound(String),
}

/// `PUT /_control/objects`: `object` is served unchanged. With `content` or `content_base64` it is a file, and missing
/// fields are filled in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutObject {
    object: Box<RawValue>,
    /// The fine-tuning job that a job event belongs to.
    parent: Option<String>,
    content: Option<String>,
    content_base64: Option<String>,
}

/// `POST /_control/batches`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PostBatch {
    id: String,
    lines: u64,
    line_bytes: Option<usize>,
}

/// `PUT /_control/containers`: adds files to a container of the code interpreter, or lets it expire.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutContainer {
    id: String,
    /// From now; without it the container does not expire.
    expires_in_secs: Option<u64>,
    #[serde(default)]
    files: Vec<PutContainerFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutContainerFile {
    id: String,
    filename: String,
    content: String,
}

/// `PUT /_control/settings`: fields that are absent keep their value.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutSettings {
    api_key: Option<String>,
    foreign_api_key: Option<String>,
    ranges: Option<bool>,
    weak_etags: Option<bool>,
    /// The receiver of the webhooks of created jobs; needs the secret that the server was started with.
    send_to: Option<String>,
    /// How long created jobs take.
    end_after_ms: Option<u64>,
}

/// `POST /_control/send`: responds once the delivery has succeeded or has been given up.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PostSend {
    url: String,
    r#type: String,
    /// Defaults to the demo object of the event type.
    id: Option<String>,
    /// Defaults to the secret that the server was started with.
    secret: Option<String>,
    /// Puts the whole object in `data`, not only its id.
    #[serde(default)]
    embed: bool,
    /// Set to repeat an earlier delivery.
    webhook_id: Option<String>,
    attempts_max: Option<u32>,
    #[serde(default)]
    duplicates: u32,
}

/// Handles one request. `path` is the part after `/_control/`.
pub(crate) async fn respond(state: &State, request: &HttpRequest, path: &str, body: &[u8]) -> HttpResponse {
    match dispatch(state, request.method().as_str(), path, body).await {
        Ok(value) => HttpResponse::Ok().json(value),
        Err(error) => {
            let answer = json!({"error": chain(&error)});
            match error {
                ControlError::NotFound(_) | ControlError::NoObject(_) => {
                    HttpResponse::NotFound().json(answer)
                }
                _ => HttpResponse::BadRequest().json(answer),
            }
        }
    }
}

async fn dispatch(state: &State, method: &str, path: &str, body: &[u8]) -> Result<Value, ControlError> {
    let done = json!({"done": true});
    match (method, path) {
        ("GET", "objects") => return Ok(json!(state.fixtures().entries())),
        ("GET", "requests") => return Ok(json!(state.log.all())),
        ("DELETE", "requests") => state.log.clear(),
        ("GET", "faults") => return Ok(json!(state.faults.all())),
        ("POST", "faults") => state.faults.inject(read::<Fault>(body)?),
        ("DELETE", "faults") => state.faults.clear(),
        ("PUT", "objects") => put_object(state, read(body)?)?,
        ("POST", "batches") => {
            let batch: PostBatch = read(body)?;
            let line_bytes = batch.line_bytes.unwrap_or(LINE_BYTES_DEFAULT);
            let mut fixtures = state.fixtures_mut();
            fixtures.put_generated_batch(&batch.id, batch.lines, line_bytes);
        }
        ("PUT", "containers") => put_container(state, read(body)?)?,
        ("PUT", "settings") => put_settings(state, read(body)?)?,
        ("POST", "send") => return send(state, read(body)?).await,
        ("POST", "reset") => state.reset(),
        ("DELETE", path) => {
            let id = path.strip_prefix("objects/").unwrap_or_default();
            if !state.fixtures_mut().remove(id) {
                return Err(ControlError::NotFound(path.to_owned()));
            }
        }
        _ => return Err(ControlError::NotFound(path.to_owned())),
    }
    Ok(done)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ControlError> {
    serde_json::from_slice(body).map_err(ControlError::Body)
}

fn put_object(state: &State, put: PutObject) -> Result<(), ControlError> {
    let content = match (put.content, put.content_base64) {
        (Some(text), _) => Bytes::from(text),
        (None, Some(encoded)) => STANDARD.decode(encoded).map_err(ControlError::Content)?.into(),
        (None, None) => {
            state.fixtures_mut().put(put.object, put.parent.as_deref())?;
            return Ok(());
        }
    };
    let object: Value = serde_json::from_str(put.object.get()).map_err(ControlError::Body)?;
    let id = object["id"].as_str().ok_or(PutError::NoId)?;
    state.fixtures_mut().put_file(id, &object, FileContent::InMemory(content))?;
    Ok(())
}

fn put_container(state: &State, put: PutContainer) -> Result<(), ControlError> {
    let mut fixtures = state.fixtures_mut();
    for file in put.files {
        fixtures.put_container_file(&put.id, &file.id, &file.filename, file.content.into())?;
    }
    if let Some(secs) = put.expires_in_secs {
        fixtures.expire_container(&put.id, Duration::from_secs(secs));
    }
    Ok(())
}

fn put_settings(state: &State, settings: PutSettings) -> Result<(), ControlError> {
    if settings.send_to.is_some() && state.webhook_secret.is_none() {
        return Err(ControlError::NoSecret);
    }
    state.change_created_jobs(|jobs| {
        if settings.send_to.is_some() {
            jobs.send_to = settings.send_to;
        }
        jobs.end_after = settings.end_after_ms.map_or(jobs.end_after, Duration::from_millis);
    });
    state.change_access(|access| {
        if settings.api_key.is_some() {
            access.api_key = settings.api_key;
        }
        if settings.foreign_api_key.is_some() {
            access.foreign_api_key = settings.foreign_api_key;
        }
        access.ranges = settings.ranges.unwrap_or(access.ranges);
        access.weak_etags = settings.weak_etags.unwrap_or(access.weak_etags);
    });
    Ok(())
}

async fn send(state: &State, request: PostSend) -> Result<Value, ControlError> {
    let secret = match request.secret.as_deref() {
        Some(text) => SigningSecret::parse(text)?,
        None => state.webhook_secret.clone().ok_or(ControlError::NoSecret)?,
    };
    let payload = if request.embed { Payload::Embedded } else { Payload::Thin };
    let event = event(state, &request.r#type, request.id.as_deref(), payload);
    let mut event = event.ok_or_else(|| ControlError::NoObject(request.id.unwrap_or_default()))?;
    if let Some(webhook_id) = request.webhook_id {
        event.webhook_id = webhook_id;
    }
    let mut config = SenderConfig::new(&request.url, secret);
    config.attempts_max = request.attempts_max.unwrap_or(config.attempts_max);
    let pattern = Pattern { duplicates: request.duplicates, ..Pattern::default() };
    let reports = Sender::new(config)?.send_all(vec![event], pattern).await;
    Ok(json!(reports))
}

/// An event about an object; `None` if the object to embed does not exist.
pub(crate) fn event(
    state: &State,
    event_type: &str,
    id: Option<&str>,
    payload: Payload,
) -> Option<OutgoingEvent> {
    match payload {
        Payload::Thin => Some(OutgoingEvent::thin(event_type, id)),
        Payload::Embedded => {
            let id = id.or_else(|| crate::demo_object_id(event_type))?;
            let object: Value = serde_json::from_str(state.fixtures().find(id)?.get()).ok()?;
            Some(OutgoingEvent::embedded(event_type, &object))
        }
    }
}
