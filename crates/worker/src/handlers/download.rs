//! Brings one file home: its raw bytes go to the file store as they come, and get their name when they are whole. A long
//! download says every few seconds in the log how far it is.

use std::time::Instant;

use bytes::Bytes;
use openai_client::{ApiError, Client, FileObject};
use store::{FileRecord, FileWriter};

use crate::context::Context;
use crate::handlers::HandlerError;
use crate::handlers::pace::Pace;
use crate::watchdog::Progress;
use crate::work::Work;

/// Result files of fine-tunes are read whole up to here; a row a step, they stay far below.
const SMALL_FILE_BYTES_MAX: usize = 64 << 20;
/// Others write to the disk as well, and not every file says how long it is: looked at again after so many bytes.
const SPACE_CHECK_BYTES: u64 = 64 << 20;

/// Keeps a file, and gives its content if it is small.
pub(super) async fn keep_small(
    context: &Context,
    work: &Work<'_>,
    client: &Client,
    file_id: &str,
) -> Result<Option<Vec<u8>>, HandlerError> {
    let object_id = work.object_id().unwrap_or_default();
    let place = Place { project: &work.entry.project, object_id, file_id, progress: &work.progress };
    let mut download = Download::begin(context, client, place).await?;
    let mut content = Some(Vec::new());
    loop {
        match download.next(context).await {
            Ok(Some(bytes)) => {
                content = content.filter(|content| content.len() + bytes.len() <= SMALL_FILE_BYTES_MAX);
                if let Some(content) = &mut content {
                    content.extend_from_slice(&bytes);
                }
            }
            Ok(None) => break,
            Err(error) => return Err(download.discard(error).await),
        }
    }
    download.keep(context).await?;
    Ok(content)
}

/// Where a raw file lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) project: &'a str,
    pub(super) object_id: &'a str,
    pub(super) file_id: &'a str,
    pub(super) progress: &'a Progress,
}

/// A file on its way into the file store. Nothing of it is seen there before [`Download::keep`].
pub(super) struct Download<'a> {
    place: Place<'a>,
    meta: FileObject,
    content: openai_client::Download,
    writer: FileWriter,
    received_bytes: u64,
    pace: Pace,
}

impl<'a> Download<'a> {
    pub(super) async fn begin(
        context: &Context,
        client: &Client,
        place: Place<'a>,
    ) -> Result<Self, HandlerError> {
        let api = |source: ApiError| HandlerError::Api { what: "file", source };
        let meta = client.file(place.file_id).await.map_err(api)?.object;
        place.progress.file_expires(meta.expires_at);
        check_space(context, meta.bytes.and_then(|bytes| u64::try_from(bytes).ok())).await?;
        let content = client.file_content(place.file_id).await.map_err(api)?;
        let writer = context.store.files().create(place.project, place.object_id, place.file_id).await?;
        Ok(Self { place, meta, content, writer, received_bytes: 0, pace: Pace::new(Instant::now()) })
    }

    /// The next bytes, which are written already. `None` only when the file is as long as OpenAI announced.
    pub(super) async fn next(&mut self, context: &Context) -> Result<Option<Bytes>, HandlerError> {
        let resumes = self.content.resumes();
        let next = self.content.next_chunk().await;
        if self.content.resumes() > resumes {
            tracing::warn!(
                object.id = self.place.object_id,
                file.id = self.place.file_id,
                bytes = self.received_bytes,
                resumes = self.content.resumes(),
                "a download was cut; the rest was asked for"
            );
        }
        let Some(bytes) = next.map_err(|source| HandlerError::Api { what: "file content", source })? else {
            return self.check_length().map(|()| None);
        };
        self.place.progress.step();
        let checked = self.received_bytes / SPACE_CHECK_BYTES;
        self.received_bytes += bytes.len() as u64;
        if self.received_bytes / SPACE_CHECK_BYTES > checked {
            check_space(context, None).await?;
        }
        self.writer.write(bytes.clone()).await?;
        self.tell();
        Ok(Some(bytes))
    }

    /// How far it is, if it is time to say so.
    fn tell(&mut self) {
        let total_bytes = self.announced_bytes().or(self.content.content_length);
        let Some(speed) = self.pace.due(Instant::now(), self.received_bytes, total_bytes) else { return };
        tracing::info!(
            object.id = self.place.object_id,
            file.id = self.place.file_id,
            bytes = self.received_bytes,
            bytes_total = total_bytes,
            rows = self.place.progress.rows(),
            bytes_per_sec = speed.bytes_per_sec,
            left_secs = speed.left_secs,
            "a download goes on"
        );
    }

    /// How long the file is by its own object.
    fn announced_bytes(&self) -> Option<u64> {
        self.meta.bytes.and_then(|bytes| u64::try_from(bytes).ok())
    }

    /// The one check left when the answer had no Content-Length.
    fn check_length(&self) -> Result<(), HandlerError> {
        match self.announced_bytes() {
            Some(announced_bytes) if announced_bytes != self.received_bytes => {
                Err(HandlerError::WrongLength {
                    file_id: self.place.file_id.to_owned(),
                    received_bytes: self.received_bytes,
                    announced_bytes,
                })
            }
            _ => Ok(()),
        }
    }

    /// Gives the file its name, and its row.
    pub(super) async fn keep(self, context: &Context) -> Result<(), HandlerError> {
        let stored = self.writer.finish().await?;
        let record = FileRecord {
            project: self.place.project.to_owned(),
            file_id: self.place.file_id.to_owned(),
            object_id: self.place.object_id.to_owned(),
            purpose: self.meta.purpose,
            filename: self.meta.filename,
            bytes: stored.bytes,
            sha256: stored.sha256,
            location: stored.location,
            created_at: self.meta.created_at,
            expires_at: self.meta.expires_at,
        };
        Ok(context.store.save_file(&record).await?)
    }

    /// Leaves nothing behind, and hands the error on.
    pub(super) async fn discard(self, error: HandlerError) -> HandlerError {
        self.writer.abort().await;
        error
    }
}

/// A file that is begun in a folder must fit, and leave `MIN_FREE_BYTES`: a full disk would stop Redis and the database as well.
async fn check_space(context: &Context, file_bytes: Option<u64>) -> Result<(), HandlerError> {
    let needed_bytes = context.min_free_bytes.saturating_add(file_bytes.unwrap_or(0));
    let Some(free_bytes) = context.store.files().free_bytes().await? else { return Ok(()) };
    if free_bytes < needed_bytes {
        return Err(HandlerError::DiskLow { free_bytes, needed_bytes });
    }
    Ok(())
}
