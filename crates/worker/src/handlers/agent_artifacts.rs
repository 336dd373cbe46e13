//! The files that an agent's turns published. Each is stored once; what cannot be had is listed with its state.

use error_text::chain;
use openai_client::{AgentArtifact, Client, ErrorKind, FileObject};
use serde_json::json;
use service::excerpt;
use webhook::closed_set;

use crate::context::Context;
use crate::failure::HandlerError;
use crate::handlers::download::{Download, RemoteFile};
use crate::handlers::fetch;
use crate::job::Job;

/// The largest artifact that is stored: the limit that OpenAI has, too.
const ARTIFACT_BYTES_MAX: u64 = 200 << 20;

/// An artifact that cannot be downloaded does not keep the session out of the database for days: after this many
/// attempts the session is stored without it.
const ATTEMPTS_MAX: u32 = 8;

closed_set! {
    /// What became of an artifact: the field `state` in `agent_sessions.artifacts`.
    enum ArtifactState {
        Fetched => "fetched",
        TooLarge => "too_large",
        NotFound => "not_found",
        Forbidden => "forbidden",
        /// Its download failed several times.
        Failed => "failed",
    }
}

/// Stores the artifacts that are not stored yet. Returns the newest 100 as JSON text, newest first; `None` if their list
/// cannot be read.
pub(super) async fn store_new(
    context: &Context,
    job: &Job<'_>,
    client: &Client,
    session_id: &str,
) -> Result<Option<String>, HandlerError> {
    let page = match client.agent_artifacts(session_id).await {
        Ok(fetched) => fetched.object,
        Err(error) => {
            fetch::left_out(job, "artifacts of the session", error)?;
            return Ok(None);
        }
    };
    let mut listed = Vec::new();
    for artifact in page.elements {
        job.progress.step();
        let state = match store_one(context, job, client, (session_id, &artifact)).await {
            Err(error) if job.attempt >= ATTEMPTS_MAX && is_of_artifact(&error) => {
                tracing::warn!(
                    object.id = excerpt(session_id).as_ref(),
                    file.id = excerpt(&artifact.id).as_ref(),
                    error = chain(&error),
                    "could not download the artifact; the session is stored without it"
                );
                ArtifactState::Failed
            }
            stored => stored?,
        };
        listed.push(json!({
            "id": artifact.id,
            "path": artifact.path,
            "turn_id": artifact.turn_id,
            "size_bytes": artifact.size_bytes,
            "state": state.as_str(),
        }));
    }
    Ok(Some(serde_json::Value::from(listed).to_string()))
}

/// Whether the error is about the artifact alone: not a rate limit, a full disk or the database.
fn is_of_artifact(error: &HandlerError) -> bool {
    match error {
        HandlerError::Api { source, .. } => source.kind() != ErrorKind::RateLimited,
        HandlerError::WrongLength { .. } => true,
        _ => false,
    }
}

async fn store_one(
    context: &Context,
    job: &Job<'_>,
    client: &Client,
    (session_id, artifact): (&str, &AgentArtifact),
) -> Result<ArtifactState, HandlerError> {
    let file = RemoteFile {
        project: &job.entry.project,
        object_id: session_id,
        file_id: &artifact.id,
        progress: &job.progress,
    };
    // An artifact never changes.
    if context.store.file_of(file.project, session_id, file.file_id).await?.is_some() {
        return Ok(ArtifactState::Fetched);
    }
    if artifact.size_bytes.is_some_and(|bytes| u64::try_from(bytes).is_ok_and(|b| b > ARTIFACT_BYTES_MAX)) {
        return Ok(ArtifactState::TooLarge);
    }
    let content = match client.agent_artifact_content(session_id, file.file_id).await {
        Ok(content) => content,
        Err(error) if fetch::is_missing_right(&error) => return Ok(ArtifactState::Forbidden),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(ArtifactState::NotFound),
        Err(source) => return Err(HandlerError::Api { what: "artifact", source }),
    };
    let mut download =
        Download::begin_described(context, client, (file, described(artifact)), content).await?;
    loop {
        match download.next(context).await {
            Ok(Some(_)) if download.received_bytes() > ARTIFACT_BYTES_MAX => {
                download.discard().await;
                return Ok(ArtifactState::TooLarge);
            }
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) => return Err(download.abort(error).await),
        }
    }
    download.commit(context).await?;
    Ok(ArtifactState::Fetched)
}

/// The artifact's description in the form of a file object.
fn described(artifact: &AgentArtifact) -> FileObject {
    FileObject {
        id: Some(artifact.id.clone()),
        bytes: artifact.size_bytes,
        purpose: Some("agent_artifact".to_owned()),
        filename: artifact.path.clone(),
        created_at: artifact.created_at,
        expires_at: None,
    }
}
