//! Images in base64 within a response or a line of a batch: each becomes a file, and the column refers to it.

use error_text::chain;
use openai_client::EmbeddedImage;
use service::excerpt;
use store::{FileRecord, Files};

use crate::context::Context;
use crate::failure::HandlerError;
use crate::handlers::download;
use crate::watchdog::Progress;

const PURPOSE: &str = "generated_image";

/// Where the images of one response, or of one line of a batch, are stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct ImageOwner<'a> {
    pub(super) project: &'a str,
    pub(super) object_id: &'a str,
    /// Within the object, such as `output-7`: the file and the line.
    pub(super) line: Option<&'a str>,
    pub(super) progress: &'a Progress,
}

impl ImageOwner<'_> {
    /// The file's id, which begins with that of the object, and its location.
    fn names(&self, item_id: &str) -> (String, String) {
        let Self { project, object_id, line, .. } = *self;
        match line {
            None => (format!("{object_id}/{item_id}"), Files::location(project, object_id, item_id)),
            Some(line) => (
                format!("{object_id}/{line}/{item_id}"),
                Files::location(project, object_id, &format!("{line}-{item_id}")),
            ),
        }
    }
}

/// Stores the images, and returns the JSON with references such as `landfall-file:<sha256>` in place of their base64.
/// `None` if it contains no image. Storing the same images again changes nothing.
pub(super) async fn store(
    context: &Context,
    owner: ImageOwner<'_>,
    (images, raw): (&[EmbeddedImage], &[u8]),
) -> Result<Option<Vec<u8>>, HandlerError> {
    let mut hashes = Vec::new();
    for image in images {
        hashes.push(store_one(context, owner, (image, raw)).await?);
    }
    Ok(with_references(images, &hashes, raw))
}

/// The same for images that are stored already.
pub(super) async fn refer(
    context: &Context,
    owner: ImageOwner<'_>,
    (images, raw): (&[EmbeddedImage], &[u8]),
) -> Result<Option<Vec<u8>>, HandlerError> {
    let mut hashes = Vec::new();
    for image in images {
        let (file_id, _) = owner.names(&image.item_id);
        let file = context.store.file_of(owner.project, owner.object_id, &file_id).await?;
        hashes.push(file.map(|file| file.sha256));
    }
    Ok(with_references(images, &hashes, raw))
}

/// Images without a hash stay where they are.
fn with_references(images: &[EmbeddedImage], hashes: &[Option<String>], raw: &[u8]) -> Option<Vec<u8>> {
    let (mut column, mut copied) = (Vec::new(), 0);
    for (image, hash) in images.iter().zip(hashes) {
        let Some(sha256) = hash else { continue };
        column.extend_from_slice(&raw[copied..image.string.start]);
        column.extend_from_slice(format!("\"landfall-file:{sha256}\"").as_bytes());
        copied = image.string.end;
    }
    (copied > 0).then(|| {
        column.extend_from_slice(&raw[copied..]);
        column
    })
}

/// Returns the hash of the stored image; `None` if it is not valid.
async fn store_one(
    context: &Context,
    owner: ImageOwner<'_>,
    (image, raw): (&EmbeddedImage, &[u8]),
) -> Result<Option<String>, HandlerError> {
    download::check_space(context, None).await?;
    let (file_id, location) = owner.names(&image.item_id);
    let mut writer = context.store.files().create_at(&location).await?;
    for piece in image.pieces(raw) {
        owner.progress.step();
        let written = match piece {
            Ok(piece) => writer.write(piece).await,
            Err(error) => {
                writer.abort().await;
                tracing::warn!(
                    object.id = excerpt(owner.object_id).as_ref(),
                    file.id = excerpt(&file_id).as_ref(),
                    error = chain(&error),
                    "an image cannot be decoded; it stays in the object"
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
        project: owner.project.to_owned(),
        file_id,
        object_id: owner.object_id.to_owned(),
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
