//! Fetches the files that a response's code interpreter made. The response's row is stored first; its event counts as
//! stored once every file is fetched, expired or forbidden. A container exists for 20 minutes after its last use, so a
//! failure is retried soon, without fetching again what is there, and not for long.

use std::time::Duration;

use chrono::Utc;
use error_text::chain;
use openai_client::{Client, ContainerFile, ErrorKind, FileObject};
use service::excerpt;
use store::{FileRecord, ResponseFile, ResponseFileState, ResponseRecord};

use crate::context::Context;
use crate::failure::{HandlerError, RetryAdvice};
use crate::handlers::download::{self, Download, RemoteFile};
use crate::job::Job;

/// Longer than a container exists after its last use.
const FILES_TIMEOUT: Duration = Duration::from_secs(25 * 60);
/// Longest delay before a file is requested again.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(30);
const PURPOSE: &str = "container_file";

/// The files that a response names, all still to be fetched.
pub(super) fn named(job: &Job<'_>, response_id: &str, files: Vec<ContainerFile>) -> Vec<ResponseFile> {
    let now = Utc::now();
    let file = |file: ContainerFile| ResponseFile {
        project: job.entry.project.clone(),
        response_id: response_id.to_owned(),
        container_id: file.container_id,
        file_id: file.file_id,
        filename: file.filename,
        state: ResponseFileState::Pending.into(),
        stored_file_id: None,
        first_attempt_at: now,
    };
    files.into_iter().map(file).collect()
}

/// The stored response whose files an earlier attempt could not all fetch: it need not be fetched again.
pub(super) async fn begun(
    context: &Context,
    job: &Job<'_>,
    id: &str,
) -> Result<Option<(ResponseRecord, Vec<ResponseFile>)>, HandlerError> {
    if job.attempt == 1 {
        return Ok(None);
    }
    let project = &job.entry.project;
    let files = context.store.response_files(project, id).await?;
    if !files.iter().any(|file| file.state == ResponseFileState::Pending) {
        return Ok(None);
    }
    Ok(context.store.response(project, id).await?.map(|response| (response, files)))
}

/// Stores the response, and returns its files. When an operator requests it, those that could not be fetched are
/// pending again.
pub(super) async fn begin(
    context: &Context,
    job: &Job<'_>,
    response: &ResponseRecord,
    files: &[ResponseFile],
) -> Result<Vec<ResponseFile>, HandlerError> {
    if job.is_forced() {
        context.store.reopen_response_files(&response.project, &response.response_id, Utc::now()).await?;
    }
    Ok(context.store.begin_response(response, files).await?)
}

/// Fetches all pending files. An error means that some are still pending.
pub(super) async fn fetch(
    context: &Context,
    job: &Job<'_>,
    client: &Client,
    files: &mut [ResponseFile],
) -> Result<(), HandlerError> {
    let mut failure = None;
    for file in files.iter_mut().filter(|file| file.state == ResponseFileState::Pending) {
        let (state, stored) = match store(context, job, client, file).await {
            Ok(stored) => (ResponseFileState::Fetched, Some(stored)),
            Err(error) => match final_state(&error) {
                Some(state) => {
                    log(file, state, &error);
                    (state, None)
                }
                None if is_over(context, job, file).await => {
                    log(file, ResponseFileState::Expired, &error);
                    (ResponseFileState::Expired, None)
                }
                None => {
                    // All requests would be refused.
                    let is_refused = is_of_kind(&error, ErrorKind::RateLimited);
                    failure.get_or_insert(error);
                    if is_refused {
                        break;
                    }
                    continue;
                }
            },
        };
        file.state = state.into();
        file.stored_file_id = stored.as_ref().map(|stored| stored.file_id.clone());
        context.store.settle_response_file(file, stored.as_ref()).await?;
    }
    match failure {
        None => Ok(()),
        Some(source) => {
            let retry_after = match source.classify() {
                (_, RetryAdvice::RetryAfter(asked)) => asked,
                _ => context.retry.delay(job.attempt),
            };
            let retry_after = retry_after.min(RETRY_DELAY_MAX);
            Err(HandlerError::ResponseFile { retry_after, source: Box::new(source) })
        }
    }
}

/// The state of a file that OpenAI will never return.
fn final_state(error: &HandlerError) -> Option<ResponseFileState> {
    let HandlerError::Api { source, .. } = error else { return None };
    match source.kind() {
        ErrorKind::NotFound => Some(ResponseFileState::Expired),
        // Only this file needs the permission: the response itself was read with the same key.
        ErrorKind::Unauthorized | ErrorKind::Forbidden | ErrorKind::PolicyViolation => {
            Some(ResponseFileState::Forbidden)
        }
        ErrorKind::RateLimited
        | ErrorKind::Unavailable
        | ErrorKind::Rejected
        | ErrorKind::BadAnswer
        | ErrorKind::IncompleteDownload => None,
    }
}

fn is_of_kind(error: &HandlerError, kind: ErrorKind) -> bool {
    matches!(error, HandlerError::Api { source, .. } if source.kind() == kind)
}

/// Whether the file was tried for as long as its container can exist.
async fn is_over(context: &Context, job: &Job<'_>, file: &ResponseFile) -> bool {
    context.retry.is_settled(file.first_attempt_at, FILES_TIMEOUT, Utc::now())
        || context.was_tried_long_enough(job).await
}

fn log(file: &ResponseFile, state: ResponseFileState, error: &HandlerError) {
    tracing::warn!(
        object.id = excerpt(&file.response_id).as_ref(),
        file.id = excerpt(&file.file_id).as_ref(),
        state = state.as_str(),
        error = chain(error),
        "a file of the response cannot be fetched; the response is stored without it"
    );
}

/// Downloads one file. Its row is not stored yet.
async fn store(
    context: &Context,
    job: &Job<'_>,
    client: &Client,
    file: &ResponseFile,
) -> Result<FileRecord, HandlerError> {
    download::check_space(context, None).await?;
    let content = client.container_file_content(&file.container_id, &file.file_id).await;
    let content = content.map_err(|source| HandlerError::Api { what: "container file", source })?;
    let remote = RemoteFile {
        project: &file.project,
        object_id: &file.response_id,
        file_id: &file.file_id,
        progress: &job.progress,
    };
    let described = FileObject {
        id: Some(file.file_id.clone()),
        bytes: None,
        purpose: Some(PURPOSE.to_owned()),
        filename: file.filename.clone(),
        created_at: None,
        expires_at: None,
    };
    let download = Download::begin_described(context, client, (remote, described), content).await?;
    let stored = download.read_whole(context).await?;
    // Several responses may name the same file.
    Ok(FileRecord { file_id: format!("{}/{}", file.response_id, file.file_id), ..stored })
}
