//! Downloads one file: raw bytes are written to the file store as they arrive, and the file gets its name when it is
//! complete. A long download logs its progress every few seconds.

use std::time::Instant;

use bytes::Bytes;
use error_text::chain;
use openai_client::{BodyReservation, Client, ErrorKind, FileObject};
use service::excerpt;
use store::{FileRecord, FileWriter, Files};

use crate::context::Context;
use crate::failure::HandlerError;
use crate::handlers::progress_log::ProgressLog;
use crate::job::Job;
use crate::watchdog::Progress;

/// Result files of fine-tuning jobs up to this size are read whole; with one row per step they are far smaller.
const SMALL_FILE_BYTES_MAX: usize = 64 << 20;
/// Free space is checked again after this many bytes: other programs use the disk too, and not every file announces its
/// size.
const SPACE_CHECK_BYTES: u64 = 64 << 20;
/// Files of OpenAI are far smaller (uploads are limited to 8 GiB): a larger size is an error, not a reason to wait for
/// space.
const PLAUSIBLE_BYTES_MAX: u64 = 1 << 40;

/// The content of a small file.
pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    /// Held as long as the bytes.
    reservation: BodyReservation,
}

/// Stores a file, and returns its content if it is small.
pub(super) async fn store_small(
    context: &Context,
    job: &Job<'_>,
    client: &Client,
    file_id: &str,
) -> Result<Option<Content>, HandlerError> {
    let object_id = job.object_id().unwrap_or_default();
    let file = RemoteFile { project: &job.entry.project, object_id, file_id, progress: &job.progress };
    let mut download = Download::begin(context, client, file).await?;
    let mut content = Some(Content { bytes: Vec::new(), reservation: client.body_reservation() });
    loop {
        match download.next(context).await {
            Ok(Some(bytes)) => {
                content = content.filter(|content| content.bytes.len() + bytes.len() <= SMALL_FILE_BYTES_MAX);
                if let Some(content) = &mut content {
                    let length = content.bytes.len() + bytes.len();
                    job.progress.waiting(content.reservation.cover(length, SMALL_FILE_BYTES_MAX)).await;
                    content.bytes.extend_from_slice(&bytes);
                }
            }
            Ok(None) => break,
            Err(error) => return Err(download.abort(error).await),
        }
    }
    download.commit(context).await?;
    Ok(content)
}

/// A file at OpenAI, and the object it belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct RemoteFile<'a> {
    pub(super) project: &'a str,
    pub(super) object_id: &'a str,
    pub(super) file_id: &'a str,
    pub(super) progress: &'a Progress,
}

/// A download into the file store. The file is not visible there before [`Download::commit`].
pub(super) struct Download<'a> {
    file: RemoteFile<'a>,
    client: &'a Client,
    /// The file's object at OpenAI, used as a check only. `None` when it could not be read.
    meta: Option<FileObject>,
    content: openai_client::Download,
    writer: FileWriter,
    received_bytes: u64,
    progress_log: ProgressLog,
}

impl<'a> Download<'a> {
    pub(super) async fn begin(
        context: &Context,
        client: &'a Client,
        file: RemoteFile<'a>,
    ) -> Result<Self, HandlerError> {
        let location = Files::location(file.project, file.object_id, file.file_id);
        Self::begin_at(context, client, file, &location).await
    }

    /// The same, written to another location than the file's own.
    pub(super) async fn begin_at(
        context: &Context,
        client: &'a Client,
        file: RemoteFile<'a>,
        location: &str,
    ) -> Result<Self, HandlerError> {
        let meta = file_object(client, file).await?;
        check_space(context, None).await?;
        let content = client.file_content(file.file_id).await;
        let content = content.map_err(|source| HandlerError::Api { what: "file content", source })?;
        check_space(context, total_bytes(&content, meta.as_ref())).await?;
        let writer = context.store.files().create_at(location).await?;
        let progress_log = ProgressLog::new(Instant::now());
        Ok(Self { file, client, meta, content, writer, received_bytes: 0, progress_log })
    }

    /// A file that has no file object: `meta` is what its owner says about it.
    pub(super) async fn begin_described(
        context: &Context,
        client: &'a Client,
        (file, meta): (RemoteFile<'a>, FileObject),
        content: openai_client::Download,
    ) -> Result<Self, HandlerError> {
        check_space(context, total_bytes(&content, Some(&meta))).await?;
        let location = Files::location(file.project, file.object_id, file.file_id);
        let writer = context.store.files().create_at(&location).await?;
        let progress_log = ProgressLog::new(Instant::now());
        Ok(Self { file, client, meta: Some(meta), content, writer, received_bytes: 0, progress_log })
    }

    pub(super) fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// The next bytes, which are already written. `None` only when the file is at least as long as OpenAI announced.
    pub(super) async fn next(&mut self, context: &Context) -> Result<Option<Bytes>, HandlerError> {
        let resumes = self.content.resumes();
        let next = self.content.next_chunk().await;
        if self.content.resumes() > resumes {
            tracing::warn!(
                object.id = excerpt(self.file.object_id).as_ref(),
                file.id = excerpt(self.file.file_id).as_ref(),
                bytes = self.received_bytes,
                resumes = self.content.resumes(),
                "the download was interrupted and has been resumed"
            );
        }
        let Some(bytes) = next.map_err(|source| HandlerError::Api { what: "file content", source })? else {
            return self.check_end().await.map(|()| None);
        };
        self.file.progress.step();
        let checked = self.received_bytes / SPACE_CHECK_BYTES;
        self.received_bytes += bytes.len() as u64;
        if self.received_bytes / SPACE_CHECK_BYTES > checked {
            check_space(context, None).await?;
        }
        self.writer.write(bytes.clone()).await?;
        self.log_progress();
        Ok(Some(bytes))
    }

    /// Logs the progress when it is due.
    fn log_progress(&mut self) {
        let total_bytes = total_bytes(&self.content, self.meta.as_ref());
        let Some(speed) = self.progress_log.due(Instant::now(), self.received_bytes, total_bytes) else {
            return;
        };
        tracing::info!(
            object.id = excerpt(self.file.object_id).as_ref(),
            file.id = excerpt(self.file.file_id).as_ref(),
            bytes = self.received_bytes,
            bytes_total = total_bytes,
            rows = self.file.progress.rows(),
            bytes_per_sec = speed.bytes_per_sec,
            left_secs = speed.left_secs,
            "download in progress"
        );
    }

    /// A file shorter than its object says is truncated, whatever its `Content-Length` was. A longer file is complete
    /// by its own response; then the object is wrong.
    async fn check_end(&mut self) -> Result<(), HandlerError> {
        if self.meta.is_none() {
            // The first failure may have been temporary.
            self.meta = self.client.file(self.file.file_id).await.ok().map(|fetched| fetched.object);
        }
        let Some(announced_bytes) = announced_bytes(self.meta.as_ref()) else { return Ok(()) };
        let received_bytes = self.received_bytes;
        if announced_bytes > received_bytes {
            let file_id = self.file.file_id.to_owned();
            return Err(HandlerError::WrongLength { file_id, received_bytes, announced_bytes });
        }
        if announced_bytes < received_bytes {
            tracing::warn!(
                object.id = excerpt(self.file.object_id).as_ref(),
                file.id = excerpt(self.file.file_id).as_ref(),
                bytes = received_bytes,
                bytes_announced = announced_bytes,
                "the file is longer than its object says; it is stored whole"
            );
        }
        Ok(())
    }

    /// Reads the file to its end, and gives it its name; the caller saves its row. Nothing is left of it after an error.
    pub(super) async fn read_whole(mut self, context: &Context) -> Result<FileRecord, HandlerError> {
        loop {
            match self.next(context).await {
                Ok(Some(_)) => {}
                Ok(None) => return self.finish().await,
                Err(error) => return Err(self.abort(error).await),
            }
        }
    }

    /// Gives the file its name, and saves its row.
    pub(super) async fn commit(self, context: &Context) -> Result<(), HandlerError> {
        let record = self.finish().await?;
        Ok(context.store.save_file(&record).await?)
    }

    /// Gives the file its name; the caller saves its row.
    pub(super) async fn finish(self) -> Result<FileRecord, HandlerError> {
        let stored = self.writer.finish().await?;
        let meta = self.meta;
        let of_meta = |text: fn(&FileObject) -> &Option<String>| meta.as_ref().and_then(|m| text(m).clone());
        Ok(FileRecord {
            project: self.file.project.to_owned(),
            file_id: self.file.file_id.to_owned(),
            object_id: self.file.object_id.to_owned(),
            purpose: of_meta(|meta| &meta.purpose),
            filename: of_meta(|meta| &meta.filename),
            bytes: stored.bytes,
            sha256: stored.sha256,
            location: stored.location,
            created_at: meta.as_ref().and_then(|meta| meta.created_at),
            expires_at: meta.as_ref().and_then(|meta| meta.expires_at),
        })
    }

    /// Removes the partial file, and returns the error.
    pub(super) async fn abort(self, error: HandlerError) -> HandlerError {
        self.discard().await;
        error
    }

    /// Removes the partial file.
    pub(super) async fn discard(self) {
        self.writer.abort().await;
    }
}

/// Fetches the file's object. If it is missing or invalid, the content may still be available; only a rejected key and
/// a rate limit affect both.
async fn file_object(client: &Client, file: RemoteFile<'_>) -> Result<Option<FileObject>, HandlerError> {
    match client.file(file.file_id).await {
        Ok(fetched) => {
            file.progress.file_expires(fetched.object.expires_at);
            Ok(Some(fetched.object))
        }
        Err(source) if matches!(source.kind(), ErrorKind::Unauthorized | ErrorKind::RateLimited) => {
            Err(HandlerError::Api { what: "file", source })
        }
        Err(source) => {
            tracing::warn!(
                object.id = excerpt(file.object_id).as_ref(),
                file.id = excerpt(file.file_id).as_ref(),
                error = chain(&source),
                "could not read the file's object; downloading its content anyway"
            );
            Ok(None)
        }
    }
}

/// The file's size according to its object.
fn announced_bytes(meta: Option<&FileObject>) -> Option<u64> {
    plausible(meta?.bytes.and_then(|bytes| u64::try_from(bytes).ok()))
}

/// The size according to the response or, without a plausible one, to the file object.
fn total_bytes(content: &openai_client::Download, meta: Option<&FileObject>) -> Option<u64> {
    plausible(content.content_length).or_else(|| announced_bytes(meta))
}

/// The announced size, unless it is implausible.
fn plausible(bytes: Option<u64>) -> Option<u64> {
    bytes.filter(|bytes| *bytes <= PLAUSIBLE_BYTES_MAX)
}

/// A file must fit, and leave `MIN_FREE_BYTES`: a full disk would stop Redis and the database as well.
pub(super) async fn check_space(context: &Context, file_bytes: Option<u64>) -> Result<(), HandlerError> {
    let needed_bytes = context.min_free_bytes.saturating_add(file_bytes.unwrap_or(0));
    let Some(free_bytes) = context.store.files().free_bytes().await? else { return Ok(()) };
    if free_bytes < needed_bytes {
        return Err(HandlerError::DiskLow { free_bytes, needed_bytes });
    }
    Ok(())
}
