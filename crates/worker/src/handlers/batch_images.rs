//! Images in the results of a batch (`FETCH_BATCH_IMAGES`). Those of a line are stored before its row, under names that
//! depend only on the line: an import that begins again stores the same files.

use openai_client::{EmbeddedImage, images_of_batch_body};
use store::{BatchResult, ResultSource};

use crate::context::Context;
use crate::failure::HandlerError;
use crate::handlers::download::RemoteFile;
use crate::handlers::embedded_images::{self, ImageOwner};

/// Stores the images of a row, which then refers to them.
pub(super) async fn store(
    context: &Context,
    file: (RemoteFile<'_>, ResultSource),
    row: BatchResult,
) -> Result<BatchResult, HandlerError> {
    let Some((images, body, line)) = images(context, file.1, &row) else { return Ok(row) };
    // Boxed: it is rare and large, and would make the import of every row as large.
    let column = Box::pin(embedded_images::store(context, owner(file.0, &line), (&images, body))).await?;
    Ok(with_body(row, column))
}

/// The same for a row whose images are stored already.
pub(super) async fn refer(
    context: &Context,
    file: (RemoteFile<'_>, ResultSource),
    row: BatchResult,
) -> Result<BatchResult, HandlerError> {
    let Some((images, body, line)) = images(context, file.1, &row) else { return Ok(row) };
    let column = embedded_images::refer(context, owner(file.0, &line), (&images, body)).await?;
    Ok(with_body(row, column))
}

/// The images of a row, its body, and the name of its line; `None` if there are none to store.
fn images<'a>(
    context: &Context,
    source: ResultSource,
    row: &'a BatchResult,
) -> Option<(Vec<EmbeddedImage>, &'a [u8], String)> {
    let body = row.body.as_deref().filter(|_| context.batches.images && !row.quarantined)?;
    let images = images_of_batch_body(body);
    (!images.is_empty()).then(|| (images, body, format!("{source}-{}", row.line)))
}

fn owner<'a>(file: RemoteFile<'a>, line: &'a str) -> ImageOwner<'a> {
    let RemoteFile { project, object_id, progress, .. } = file;
    ImageOwner { project, object_id, line: Some(line), progress }
}

fn with_body(row: BatchResult, column: Option<Vec<u8>>) -> BatchResult {
    match column {
        Some(body) => BatchResult { body: Some(body), ..row },
        None => row,
    }
}
