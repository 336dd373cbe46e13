//! Brings one file home: its raw bytes go to the file store as they come, and get their name when they are whole. A long
//! download says every few seconds in the log how far it is.

use std::time::Instant;

use bytes::Bytes;
use openai_client::{BodyReservation, Client, ErrorKind, FileObject};
use service::excerpt;
use service::telemetry::chain;
use store::{FileRecord, FileWriter, Files};

use crate::context::Context;
use crate::failure::HandlerError;
use crate::handlers::progress_log::ProgressLog;
use crate::job::Job;
use crate::watchdog::Progress;

/// Result files of fine-tunes are read whole up to here; a row a step, they stay far below.
const SMALL_FILE_BYTES_MAX: usize = 64 << 20;
/// Others write to the disk as well, and not every file says how long it is: looked at again after so many bytes.
const SPACE_CHECK_BYTES: u64 = 64 << 20;
/// No file of OpenAI's is near this long (uploads end at 8 GiB): a larger size is a mistake, not a reason to wait for room.
const PLAUSIBLE_BYTES_MAX: u64 = 1 << 40;

/// The content of a small file.
pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    /// Held as long as the bytes.
    reservation: BodyReservation,
}

/// Keeps a file, and gives its content if it is small.
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

/// A file of OpenAI's, and the object it belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct RemoteFile<'a> {
    pub(super) project: &'a str,
    pub(super) object_id: &'a str,
    pub(super) file_id: &'a str,
    pub(super) progress: &'a Progress,
}

/// A file on its way into the file store. Nothing of it is seen there before [`Download::commit`].
pub(super) struct Download<'a> {
    file: RemoteFile<'a>,
    client: &'a Client,
    /// What OpenAI says about the file: a check, and no condition. `None` when it could not be read.
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
        let announced_bytes = plausible(content.content_length).or_else(|| announced_bytes(meta.as_ref()));
        check_space(context, announced_bytes).await?;
        let writer = context.store.files().create_at(location).await?;
        let progress_log = ProgressLog::new(Instant::now());
        Ok(Self { file, client, meta, content, writer, received_bytes: 0, progress_log })
    }

    /// The next bytes, which are written already. `None` only when the file is at least as long as OpenAI announced.
    pub(super) async fn next(&mut self, context: &Context) -> Result<Option<Bytes>, HandlerError> {
        let resumes = self.content.resumes();
        let next = self.content.next_chunk().await;
        if self.content.resumes() > resumes {
            tracing::warn!(
                object.id = excerpt(self.file.object_id).as_ref(),
                file.id = excerpt(self.file.file_id).as_ref(),
                bytes = self.received_bytes,
                resumes = self.content.resumes(),
                "a download was cut; the rest was asked for"
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

    /// How far it is, if it is time to say so.
    fn log_progress(&mut self) {
        let total_bytes = self.content.content_length.or_else(|| announced_bytes(self.meta.as_ref()));
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
            "a download goes on"
        );
    }

    /// A file that is shorter than its object says was cut, whatever its `Content-Length` was. One that is longer is
    /// whole by all that its answer says: then it is the object that is wrong.
    async fn check_end(&mut self) -> Result<(), HandlerError> {
        if self.meta.is_none() {
            // It may have had a bad moment only.
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
                "a file is longer than its object says; it is kept whole"
            );
        }
        Ok(())
    }

    /// Gives the file its name, and its row.
    pub(super) async fn commit(self, context: &Context) -> Result<(), HandlerError> {
        let record = self.finish().await?;
        Ok(context.store.save_file(&record).await?)
    }

    /// Gives the file its name; its row is left to the caller.
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

    /// Leaves nothing behind, and hands the error on.
    pub(super) async fn abort(self, error: HandlerError) -> HandlerError {
        self.writer.abort().await;
        error
    }
}

/// The file's object. That it is missing, wrong or out of order is no reason not to ask for the content; only a key that
/// is refused, and a rate that is reached, are the same for both.
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
                "the file's object could not be read; its content is asked for all the same"
            );
            Ok(None)
        }
    }
}

/// How long the file is by its own object.
fn announced_bytes(meta: Option<&FileObject>) -> Option<u64> {
    plausible(meta?.bytes.and_then(|bytes| u64::try_from(bytes).ok()))
}

/// The announced size, unless no file can have it.
fn plausible(bytes: Option<u64>) -> Option<u64> {
    bytes.filter(|bytes| *bytes <= PLAUSIBLE_BYTES_MAX)
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
