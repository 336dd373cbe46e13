//! Parses `multipart/form-data` (RFC 7578), as the official clients and curl send it.

use bytes::Bytes;

/// One field of a form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: String,
    /// Files have one.
    pub(super) filename: Option<String>,
    pub(super) content: Bytes,
}

/// The fields in order; `None` if the body is not such a form.
pub(super) fn parse(content_type: &str, body: &Bytes) -> Option<Vec<Part>> {
    let mut attributes = content_type.split(';').map(str::trim);
    if !attributes.next()?.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = attributes.find_map(|attribute| value_of(attribute, "boundary"))?;
    let (first, next) = (format!("--{boundary}"), format!("\r\n--{boundary}"));
    let mut at = find(body, first.as_bytes(), 0)? + first.len();
    let mut parts = Vec::new();
    // The last boundary ends with two dashes.
    while !body[at..].starts_with(b"--") {
        let head = find(body, b"\r\n", at)?;
        let content = find(body, b"\r\n\r\n", head)? + 4;
        let end = find(body, next.as_bytes(), content)?;
        parts.push(part(&body[head..content], body.slice(content..end))?);
        at = end + next.len();
    }
    Some(parts)
}

fn part(head: &[u8], content: Bytes) -> Option<Part> {
    let head = std::str::from_utf8(head).ok()?;
    let disposition = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let value = |name: &str| disposition.split(';').find_map(|attribute| value_of(attribute.trim(), name));
    Some(Part { name: value("name")?, filename: value("filename"), content })
}

/// The value in `name="value"` or `name=value`.
fn value_of(attribute: &str, name: &str) -> Option<String> {
    let (found, value) = attribute.split_once('=')?;
    found.eq_ignore_ascii_case(name).then(|| value.trim_matches('"').to_owned())
}

fn find(body: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let found = body.get(from..)?.windows(wanted.len()).position(|window| window == wanted)?;
    Some(from + found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(body: &str) -> Option<Vec<Part>> {
        parse("multipart/form-data; boundary=\"b1\"", &Bytes::from(body.to_owned()))
    }

    #[test]
    fn fields_and_files_are_read_byte_for_byte() {
        let body = "--b1\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b1\r\n\
            content-type: application/octet-stream\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n\
            {}\r\n\r\n--b\n\r\n--b1--\r\n";
        let expected = [
            Part { name: "purpose".into(), filename: None, content: Bytes::from("batch") },
            Part {
                name: "file".into(),
                filename: Some("a.jsonl".into()),
                content: Bytes::from("{}\r\n\r\n--b\n"),
            },
        ];
        assert_eq!(parts(body).unwrap(), expected);
        assert_eq!(parts("--b1--\r\n").unwrap(), []);
    }

    #[test]
    fn another_body_is_no_form() {
        for body in ["", "{}", "--b1", "--b1\r\n", "--b1\r\nx: y\r\n\r\nz\r\n--b1--", "--b1\r\n\r\nz"] {
            assert_eq!(parts(body), None, "{body:?}");
        }
        let body = Bytes::from("--b1--\r\n");
        for content_type in ["application/json", "multipart/form-data", "multipart/form-data; boundary"] {
            assert_eq!(parse(content_type, &body), None, "{content_type}");
        }
    }
}
