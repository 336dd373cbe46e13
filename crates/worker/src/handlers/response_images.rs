//! Images that a response contains in base64: each becomes a file, and the column `raw` refers to it.

use bytes::Bytes;
use error_text::chain;
use openai_client::{EmbeddedImage, Response};
use service::excerpt;
use store::{FileRecord, Files};

use crate::context::Context;
use crate::failure::HandlerError;
use crate::handlers::download;
use crate::handlers::fetch::Found;
use crate::job::Job;

const PURPOSE: &str = "generated_image";

/// Stores the images, and returns the object with references such as `landfall-file:<sha256>` in place of their base64.
/// `None` if it contains no image.
pub(super) async fn store(
    context: &Context,
    job: &Job<'_>,
    response_id: &str,
    found: &Found<Response>,
) -> Result<Option<Bytes>, HandlerError> {
    // An embedded object is already in `events.body`.
    let Some(raw) = found.raw.as_ref().filter(|_| found.fetched_at.is_some()) else { return Ok(None) };
    let (mut column, mut copied) = (Vec::new(), 0);
    for image in &found.object.images {
        let Some(sha256) = store_one(context, job, response_id, (image, raw)).await? else { continue };
        column.extend_from_slice(&raw[copied..image.string.start]);
        column.extend_from_slice(format!("\"landfall-file:{sha256}\"").as_bytes());
        copied = image.string.end;
    }
    if copied == 0 {
        return Ok(None);
    }
    column.extend_from_slice(&raw[copied..]);
    Ok(Some(column.into()))
}

/// Returns the hash of the stored image; `None` if it is not valid.
async fn store_one(
    context: &Context,
    job: &Job<'_>,
    response_id: &str,
    (image, raw): (&EmbeddedImage, &Bytes),
) -> Result<Option<String>, HandlerError> {
    download::check_space(context, None).await?;
    let project = &job.entry.project;
    let location = Files::location(project, response_id, &image.item_id);
    let mut writer = context.store.files().create_at(&location).await?;
    for piece in image.pieces(raw) {
        job.progress.step();
        let written = match piece {
            Ok(piece) => writer.write(piece).await,
            Err(error) => {
                writer.abort().await;
                tracing::warn!(
                    object.id = excerpt(response_id).as_ref(),
                    file.id = excerpt(&image.item_id).as_ref(),
                    error = chain(&error),
                    "an image of the response cannot be decoded; it stays in the object"
                );
                return Ok(None);
            }
        };
        if let Err(error) = written {
            writer.abort().await;
            return Err(error.into());
        }
    }
    let stored = writer.finish().await?;
    let record = FileRecord {
        project: project.clone(),
        file_id: format!("{response_id}/{}", image.item_id),
        object_id: response_id.to_owned(),
        purpose: Some(PURPOSE.to_owned()),
        filename: Some(format!("{}.{}", image.item_id, image.image_type.extension())),
        bytes: stored.bytes,
        sha256: stored.sha256,
        location: stored.location,
        created_at: None,
        expires_at: None,
    };
    context.store.save_file(&record).await?;
    Ok(Some(record.sha256))
}
