//! Images that a response, or the body of a batch's result, contains in base64: where they are in its bytes, their types
//! and their content.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::value::RawValue;

use crate::lenient::{each_element, fields, inner, text};

/// Further images of a response stay in the raw object.
const IMAGES_MAX: usize = 100;
/// Four characters of base64 are three bytes.
const PIECE_CHARS: usize = 1 << 20;
/// Enough for the first bytes of every known type.
const MAGIC_CHARS: usize = 16;

/// The type of an image, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageType {
    Png,
    Jpeg,
    Webp,
    Gif,
}

/// Why a string is not the content of an image.
#[derive(Debug, thiserror::Error)]
#[error("the image is not valid base64")]
pub struct NotBase64(#[from] base64::DecodeError);

/// An image within the bytes of a response or body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedImage {
    /// The id of its output item, or `image_` and a number; unique within the response.
    pub item_id: String,
    pub image_type: ImageType,
    /// Its JSON string in the raw object, including quotes.
    pub string: Range<usize>,
}

impl ImageType {
    fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::Webp),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            _ => None,
        }
    }

    /// The extension of its file.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Webp => "webp",
            Self::Gif => "gif",
        }
    }
}

impl EmbeddedImage {
    /// Its content, decoded piece by piece.
    ///
    /// # Errors
    /// [`NotBase64`] in place of the first piece that is not valid.
    pub fn pieces<'a>(
        &self,
        raw: &'a [u8],
    ) -> impl Iterator<Item = Result<Bytes, NotBase64>> + Send + use<'a> {
        let quoted = raw.get(self.string.clone()).unwrap_or_default();
        let chars = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
        chars.chunks(PIECE_CHARS).map(|piece| Ok(STANDARD.decode(piece)?.into()))
    }
}

/// The images found in the items of a response.
#[derive(Debug, Default)]
pub(crate) struct Images {
    pub(crate) found: Vec<EmbeddedImage>,
}

impl Images {
    /// Adds the result of an `image_generation_call` item, if it is an image. `raw` are the bytes of the response, which
    /// contain the item unless they had to be mended.
    pub(crate) fn add(&mut self, item: &RawValue, raw: &[u8]) {
        let [id, result] = inner(Some(item), ["id", "result"]);
        self.add_string(text(id), result, raw);
    }

    /// Adds a string, if it is an image.
    fn add_string(&mut self, id: Option<String>, string: Option<&RawValue>, raw: &[u8]) {
        let Some((quoted, string)) = string.and_then(|string| Some((string.get(), position(raw, string)?)))
        else {
            return;
        };
        let Some(start) = quoted.strip_prefix('"').and_then(|chars| chars.get(..MAGIC_CHARS)) else { return };
        let Some(image_type) = STANDARD.decode(start).ok().as_deref().and_then(ImageType::of) else { return };
        if self.found.len() >= IMAGES_MAX {
            return;
        }
        let is_new = |id: &String| self.found.iter().all(|image| image.item_id != *id);
        let numbered = || (self.found.len()..).map(|number| format!("image_{number}")).find(is_new);
        let Some(item_id) = id.filter(is_new).or_else(numbered) else { return };
        self.found.push(EmbeddedImage { item_id, image_type, string });
    }
}

/// The images in the body of a batch's result: of `image_generation_call` items of a response, and in `b64_json` of
/// `/v1/images/generations`.
pub fn images_of_batch_body(body: &[u8]) -> Vec<EmbeddedImage> {
    // Most bodies have none, and searching is much cheaper than parsing.
    let may_have = ["image_generation_call", "b64_json"];
    if may_have.iter().all(|name| memchr::memmem::find(body, name.as_bytes()).is_none()) {
        return Vec::new();
    }
    let mut images = Images::default();
    let json = std::str::from_utf8(body).unwrap_or_default();
    let Ok([output, data]) = fields(json, ["output", "data"]) else { return Vec::new() };
    each_element(output, |item| {
        let [kind] = inner(Some(item), ["type"]);
        if text(kind).as_deref() == Some("image_generation_call") {
            images.add(item, body);
        }
    });
    each_element(data, |element| {
        let [content] = inner(Some(element), ["b64_json"]);
        images.add_string(None, content, body);
    });
    images.found
}

/// The position of a value within the bytes that it was parsed from.
fn position(raw: &[u8], value: &RawValue) -> Option<Range<usize>> {
    let start = value.get().as_ptr().addr().checked_sub(raw.as_ptr().addr())?;
    let end = start + value.get().len();
    (raw.get(start..end)? == value.get().as_bytes()).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::responses::Response;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and some pixels";

    fn item(id: &str, result: &str) -> String {
        format!(r#"{{"type":"image_generation_call","id":{id},"status":"completed","result":{result}}}"#)
    }

    fn response(items: &[String]) -> Vec<u8> {
        format!(r#" {{"id":"resp_1", "output":[{}]}}"#, items.join(",")).into_bytes()
    }

    #[test]
    fn images_are_found_in_place_with_their_type() {
        let webp = b"RIFF\x01\x02\x03\x04WEBPVP8 and so on";
        let quoted = |bytes: &[u8]| format!("\"{}\"", STANDARD.encode(bytes));
        let raw = response(&[
            item("\"ig_1\"", &quoted(PNG)),
            item("\"ig_1\"", &quoted(b"\xff\xd8\xff\xe0 a photograph")),
            item("null", &quoted(b"GIF89a and so on")),
            item("\"ig_4\"", &quoted(webp)),
        ]);
        let images = Response::parse(&raw).unwrap().images;
        let named: Vec<(&str, &str)> =
            images.iter().map(|image| (image.item_id.as_str(), image.image_type.extension())).collect();
        assert_eq!(named, [("ig_1", "png"), ("image_1", "jpg"), ("image_2", "gif"), ("ig_4", "webp")]);
        let content: Vec<u8> = images[0].pieces(&raw).flat_map(Result::unwrap).collect();
        assert_eq!(content, PNG);
        assert_eq!(raw[images[0].string.clone()], *quoted(PNG).as_bytes());
    }

    #[test]
    fn what_is_not_an_image_stays_where_it_is() {
        let raw = response(&[
            item("\"ig_1\"", "null"),
            item("\"ig_2\"", "\"\""),
            item("\"ig_3\"", "7"),
            item("\"ig_4\"", &format!("\"{}\"", "A".repeat(64))),
            item("\"ig_5\"", "\"not base64 at all, but long enough\""),
        ]);
        assert_eq!(Response::parse(&raw).unwrap().images, []);
        // Bytes that had to be mended are not where they were.
        let mut broken = response(&[item("\"ig_1\"", &format!("\"{}\"", STANDARD.encode(PNG)))]);
        broken.splice(2..2, b"\"x\":\"\xff\",".iter().copied());
        assert_eq!(Response::parse(&broken).unwrap().images, []);
    }

    #[test]
    fn images_of_a_batchs_bodies_are_found_in_both_forms() {
        let quoted = format!("\"{}\"", STANDARD.encode(PNG));
        let ids = |body: &[u8]| {
            images_of_batch_body(body).into_iter().map(|image| image.item_id).collect::<Vec<_>>()
        };
        let message = r#"{"type":"message","id":"msg_1","result":"#.to_owned() + &quoted + "}";
        assert_eq!(ids(&response(&[message, item("\"ig_1\"", &quoted)])), ["ig_1"]);
        let generated = format!(
            r#"{{"created":1,"data":[{{"b64_json":{quoted}}},{{"url":"x"}},7,{{"b64_json":{quoted}}}]}}"#
        );
        let images = images_of_batch_body(generated.as_bytes());
        assert_eq!((images[0].item_id.as_str(), images[1].item_id.as_str()), ("image_0", "image_1"));
        let content: Vec<u8> = images[1].pieces(generated.as_bytes()).flat_map(Result::unwrap).collect();
        assert_eq!((images.len(), &content[..]), (2, PNG));
        for odd in ["", "[\"b64_json\"]", r#"{"data":"b64_json"}"#, r#"{"data":[{"b64_json":"QUJD"}]}"#] {
            assert_eq!(ids(odd.as_bytes()), [""; 0], "{odd}");
        }
    }

    #[test]
    fn invalid_base64_ends_the_content() {
        let mut text = STANDARD.encode(PNG);
        text.push('*');
        let raw = response(&[item("\"ig_1\"", &format!("\"{text}\""))]);
        let images = Response::parse(&raw).unwrap().images;
        assert!(images[0].pieces(&raw).any(|piece| piece.is_err()));
    }
}
