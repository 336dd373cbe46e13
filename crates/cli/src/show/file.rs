//! A downloaded raw file.

use chrono::{DateTime, Utc};
use store::FileRecord;

use super::layout::{Layout, or_empty};
use crate::{output, time_format};

pub(super) fn text(file: &FileRecord, layout: Layout) -> String {
    let fields = [
        ("object", file.object_id.clone()),
        ("purpose", or_empty(file.purpose.as_deref())),
        ("name", or_empty(file.filename.as_deref())),
        ("bytes", output::count(file.bytes)),
        ("sha256", file.sha256.clone()),
        ("location", format!("{} (relative to FILES_URL)", file.location)),
        ("created", layout.time(file.created_at)),
        ("expires", file.expires_at.map(expires).unwrap_or_default()),
    ];
    layout.section("file", &file.file_id, &fields)
}

fn expires(at: DateTime<Utc>) -> String {
    format!("{} UTC, at OpenAI", time_format::utc(at))
}
