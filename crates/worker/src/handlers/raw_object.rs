//! Large objects. A response may contain inline images, so one JSON object may have tens of megabytes: the whole object
//! is then stored as a file, and the column `raw` gets the object without its long strings.

use bytes::Bytes;
use store::FileRecord;

use crate::context::Context;
use crate::failure::HandlerError;
use crate::handlers::fetch::Found;
use crate::job::Job;

/// Objects up to this size are stored in the column `raw` unchanged.
const RAW_COLUMN_BYTES_MAX: usize = 1 << 20;
/// In larger objects, strings from this length on are omitted from the column. A response's text has its own column.
const STRING_BYTES_MAX: usize = 16 << 10;

/// The value for the column `raw`. A large object that was fetched is first stored as the file `<object id>.json`.
pub(super) async fn for_column<T>(
    context: &Context,
    job: &Job<'_>,
    object_id: &str,
    found: &Found<T>,
) -> Result<Option<Bytes>, HandlerError> {
    let Some(raw) = &found.raw else {
        return Ok(None);
    };
    // An embedded object is already in `events.body`, and must not replace a fetched one.
    if raw.len() <= RAW_COLUMN_BYTES_MAX || found.fetched_at.is_none() {
        return Ok(Some(raw.clone()));
    }
    // Boxed: it is rare and large, and would be copied with every response.
    let file_id = Box::pin(store_whole(context, job, object_id, raw)).await?;
    Ok(Some(without_long_strings(raw, &file_id).into()))
}

/// The value for the column `raw` of an object whose images were replaced by references: the whole object is stored as a
/// file, whatever its size.
pub(super) async fn with_references<T>(
    context: &Context,
    job: &Job<'_>,
    object_id: &str,
    (found, column): (&Found<T>, Bytes),
) -> Result<Bytes, HandlerError> {
    let Some(raw) = &found.raw else { return Ok(column) };
    let file_id = store_whole(context, job, object_id, raw).await?;
    Ok(if column.len() <= RAW_COLUMN_BYTES_MAX {
        column
    } else {
        without_long_strings(&column, &file_id).into()
    })
}

/// Stores an object as the file `<object id>.json`. Returns the file's id.
async fn store_whole(
    context: &Context,
    job: &Job<'_>,
    object_id: &str,
    raw: &Bytes,
) -> Result<String, HandlerError> {
    let file_id = format!("{object_id}.json");
    let mut writer = context.store.files().create(&job.entry.project, object_id, &file_id).await?;
    if let Err(error) = writer.write(raw.clone()).await {
        writer.abort().await;
        return Err(error.into());
    }
    let stored = writer.finish().await?;
    let record = FileRecord {
        project: job.entry.project.clone(),
        object_id: object_id.to_owned(),
        purpose: Some("raw_object".to_owned()),
        filename: Some(file_id.clone()),
        file_id: file_id.clone(),
        bytes: stored.bytes,
        sha256: stored.sha256,
        location: stored.location,
        created_at: None,
        expires_at: None,
    };
    context.store.save_file(&record).await?;
    Ok(file_id)
}

/// Replaces every long string in the JSON with a note. Works on bytes: quotes and backslashes are never part of another
/// character, even where the rest is not UTF-8.
fn without_long_strings(json: &[u8], file_id: &str) -> Vec<u8> {
    let mut shortened = Vec::new();
    let mut rest = json;
    while let Some(start) = rest.iter().position(|byte| *byte == b'"') {
        let string_bytes = string_bytes(&rest[start..]);
        let (before, string) = (&rest[..start], &rest[start..start + string_bytes]);
        shortened.extend_from_slice(before);
        if string_bytes < STRING_BYTES_MAX {
            shortened.extend_from_slice(string);
        } else {
            let note = format!("[{string_bytes} bytes left out; see file {file_id}]");
            shortened.extend_from_slice(serde_json::Value::String(note).to_string().as_bytes());
        }
        rest = &rest[start + string_bytes..];
    }
    shortened.extend_from_slice(rest);
    shortened
}

/// The length of the string at the start of `json`, including quotes.
fn string_bytes(json: &[u8]) -> usize {
    let mut escaped = false;
    let end = json.iter().skip(1).position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.map_or(json.len(), |end| end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_strings_are_left_out_and_nothing_else() {
        let image = "A".repeat(STRING_BYTES_MAX);
        let json = format!(
            r#"{{"a":"\\","b":"x\"{image}\"\\","c":[1e400000,"\ud800","{image}",{{"d":"\""}}],"e":""}}"#
        );
        let shortened = String::from_utf8(without_long_strings(json.as_bytes(), "a\"b.json")).unwrap();
        let (one, two) = (STRING_BYTES_MAX + 9, STRING_BYTES_MAX + 2);
        assert_eq!(
            shortened,
            format!(
                r#"{{"a":"\\","b":"[{one} bytes left out; see file a\"b.json]","c":[1e400000,"\ud800","[{two} bytes left out; see file a\"b.json]",{{"d":"\""}}],"e":""}}"#
            )
        );
    }

    #[test]
    fn invalid_json_is_unchanged() {
        for json in [&b""[..], b"{", b"\"", b"{\"a\":\"\xff\\", b"{\"a\":\"\xff\"}\"", b"[1,2]"] {
            assert_eq!(without_long_strings(json, "f"), json);
        }
    }
}
