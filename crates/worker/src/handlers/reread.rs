//! Downloads the files of a batch again, when an operator requests a batch whose rows are in doubt: the API may have
//! returned half a file, or an error page. The new file is first downloaded whole and checked; then it replaces the old
//! one in one step. A failure leaves rows and file unchanged.

use error_text::chain;
use futures_util::TryStreamExt as _;
use openai_client::Client;
use service::excerpt;
use store::{FileRecord, Files, NewContent, Replaced, ResultSource, StoreError};

use crate::context::Context;
use crate::failure::HandlerError;
use crate::handlers::batch_file::BatchFile;
use crate::handlers::batch_images;
use crate::handlers::batch_lines::{BatchLines, RowChunk};
use crate::handlers::download::{Download, RemoteFile};

/// The result of reading a file again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reread {
    /// Identical to the stored file.
    Same,
    Replaced,
}

/// Reads one of a batch's files again. `old` is the stored file; `is_complete` means that all its lines are stored.
pub(super) async fn file(
    context: &Context,
    client: &Client,
    file: BatchFile<'_>,
    old: Option<&FileRecord>,
    is_complete: bool,
) -> Result<Reread, HandlerError> {
    let RemoteFile { project, object_id, file_id, .. } = file.remote;
    let (new, readable_lines) = download(context, client, file.remote).await?;
    if is_complete && old.is_some_and(|old| old.sha256 == new.sha256) {
        remove(context, &new).await;
        return Ok(Reread::Same);
    }
    let content = NewContent {
        project: project.to_owned(),
        batch_id: object_id.to_owned(),
        source: file.source,
        file_id: file_id.to_owned(),
        readable_lines,
    };
    let replaced = replace(context, client, file.remote, content, &new).await;
    let problem = match replaced {
        Ok(Replaced::Done) => {
            let old = old.map(|old| old.location.as_str());
            if let Err(error) = context.store.move_to_final_location(&new, old).await {
                let error = chain(&error);
                tracing::warn!(
                    file.id = excerpt(file_id).as_ref(),
                    error,
                    "could not clean up the replaced file"
                );
            }
            tracing::info!(
                object.id = excerpt(object_id).as_ref(),
                file.id = excerpt(file_id).as_ref(),
                bytes = new.bytes,
                lines = readable_lines,
                "the file was downloaded again and has replaced the stored one"
            );
            return Ok(Reread::Replaced);
        }
        Ok(Replaced::Fewer { stored }) => {
            let file_id = file_id.to_owned();
            HandlerError::FewerLines { file_id, readable: readable_lines, stored }
        }
        Ok(Replaced::Superseded | Replaced::GivenUp) => {
            let batch_id = object_id.to_owned();
            StoreError::OutOfStep { batch_id, next_line: None, first_line: 1 }.into()
        }
        Err(error) => error,
    };
    remove(context, &new).await;
    Err(problem)
}

/// Downloads the file next to the old one. Returns the number of result lines.
async fn download(
    context: &Context,
    client: &Client,
    file: RemoteFile<'_>,
) -> Result<(FileRecord, i64), HandlerError> {
    let location = Files::replacement_location(file.project, file.object_id, file.file_id);
    let mut download = Download::begin_at(context, client, file, &location).await?;
    let (mut lines, mut reservation) = (BatchLines::from(1), client.body_reservation());
    loop {
        match download.next(context).await {
            Ok(Some(bytes)) => {
                lines.push_within(&mut reservation, bytes, file.progress).await;
                while lines.next_row().is_some() {
                    reservation.free();
                }
            }
            Ok(None) => break,
            Err(error) => return Err(download.abort(error).await),
        }
    }
    while lines.rest_row().is_some() {}
    lines.log_quarantine(file);
    Ok((download.finish().await?, lines.readable))
}

/// Reads the new file from the file store, and writes its rows in one transaction.
async fn replace(
    context: &Context,
    client: &Client,
    file: RemoteFile<'_>,
    content: NewContent,
    new: &FileRecord,
) -> Result<Replaced, HandlerError> {
    let file_and_source = (file, content.source);
    if context.batches.images && context.store.replace_file(content.clone()).check().await? {
        store_images(context, client, file_and_source, new).await?;
    }
    let mut replacement = context.store.replace_file(content);
    let mut pieces = context.store.files().open(&new.location).await?;
    let (mut lines, mut chunk, mut reservation) =
        (BatchLines::from(1), RowChunk::default(), client.body_reservation());
    let mut wanted = true;
    while wanted && let Some(bytes) = pieces.try_next().await? {
        lines.push_within(&mut reservation, bytes, file.progress).await;
        while let Some(row) = lines.next_row() {
            if chunk.push(batch_images::refer(context, file_and_source, row).await?) {
                wanted &= file.progress.waiting(replacement.add(chunk.take())).await;
                reservation.free();
            }
        }
    }
    while let Some(row) = lines.rest_row() {
        chunk.push(batch_images::refer(context, file_and_source, row).await?);
    }
    if wanted {
        file.progress.waiting(replacement.add(chunk.take())).await;
    }
    Ok(file.progress.waiting(replacement.commit(new.clone())).await?)
}

/// Stores the images of the new file. Before the replacement: during it, SQLite accepts no other write.
async fn store_images(
    context: &Context,
    client: &Client,
    file: (RemoteFile<'_>, ResultSource),
    new: &FileRecord,
) -> Result<(), HandlerError> {
    let mut pieces = context.store.files().open(&new.location).await?;
    let (mut lines, mut reservation) = (BatchLines::from(1), client.body_reservation());
    while let Some(bytes) = pieces.try_next().await? {
        lines.push_within(&mut reservation, bytes, file.0.progress).await;
        while let Some(row) = lines.next_row() {
            batch_images::store(context, file, row).await?;
            reservation.free();
        }
    }
    while let Some(row) = lines.rest_row() {
        batch_images::store(context, file, row).await?;
    }
    Ok(())
}

/// Removes a new file that does not replace the old one.
async fn remove(context: &Context, new: &FileRecord) {
    if let Err(error) = context.store.files().remove(&new.location).await {
        tracing::warn!(file = new.location, error = chain(&error), "could not remove the file");
    }
}
