//! Decodes `Content-Encoding`, which some proxies apply although we request `identity`. The decoding of reqwest is a
//! crate feature, which would apply to every client in the workspace.

use std::io::{self, Write as _};

use bytes::{Buf as _, Bytes};
use flate2::write::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use reqwest::header::{CONTENT_ENCODING, HeaderMap};

/// Compressed bytes decoded at a time. Deflate expands a byte to at most 1032: no network chunk can become more than 4
/// MiB at once, whatever the sender intends.
const PIECE_BYTES: usize = 4 << 10;
const INFLATED_BYTES: usize = 32 << 10;
const NAME_CHARS_MAX: usize = 40;

/// The encoding of a response body, from its headers.
pub(crate) enum ContentCoding {
    Identity,
    Compressed(Decoder),
    /// The name, truncated.
    Unknown(String),
}

impl ContentCoding {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let named = |name: &str| !name.is_empty() && !name.eq_ignore_ascii_case("identity");
        let names = headers.get_all(CONTENT_ENCODING).iter();
        let names = names.map(|name| String::from_utf8_lossy(name.as_bytes()).trim().to_owned());
        let names: Vec<String> = names.filter(|name| named(name)).collect();
        let Some(name) = names.first() else { return Self::Identity };
        if names.len() == 1 {
            match name.to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => return Self::Compressed(Decoder::new(Codec::Gzip(Box::default()))),
                "deflate" => return Self::Compressed(Decoder::new(Codec::Deflate(Inflate::default()))),
                _ => {}
            }
        }
        let names = names.join(", ");
        Self::Unknown(names.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect())
    }
}

/// A streaming decoder. Holds at most the last chunk and the decoded form of one piece of it.
pub(crate) struct Decoder {
    codec: Codec,
    encoded: Bytes,
    /// A response without a body is empty, not a corrupt archive.
    begun: bool,
}

enum Codec {
    /// Several consecutive members are one file.
    Gzip(Box<Gzip>),
    Deflate(Inflate),
}

struct Gzip(MultiGzDecoder<Vec<u8>>);

impl Default for Gzip {
    fn default() -> Self {
        Self(MultiGzDecoder::new(Vec::new()))
    }
}

/// According to RFC 9110 `deflate` is the zlib format; some servers send a raw deflate stream. The first byte
/// distinguishes them.
#[derive(Default)]
struct Inflate {
    state: Option<Decompress>,
    ended: bool,
}

impl Decoder {
    fn new(codec: Codec) -> Self {
        Self { codec, encoded: Bytes::new(), begun: false }
    }

    /// Pushes the next chunk. The previous one must have been consumed.
    pub(crate) fn push(&mut self, encoded: Bytes) {
        self.begun |= !encoded.is_empty();
        self.encoded = encoded;
    }

    /// Returns the next decoded bytes, or `None` if more input is needed.
    ///
    /// # Errors
    /// When the data is corrupt.
    pub(crate) fn next(&mut self) -> io::Result<Option<Bytes>> {
        while !self.encoded.is_empty() {
            let piece = &self.encoded[..self.encoded.len().min(PIECE_BYTES)];
            let length = piece.len();
            let plain = match &mut self.codec {
                Codec::Gzip(gzip) => {
                    gzip.0.write_all(piece)?;
                    std::mem::take(gzip.0.get_mut())
                }
                Codec::Deflate(inflate) => inflate.push(piece)?,
            };
            self.encoded.advance(length);
            if !plain.is_empty() {
                return Ok(Some(plain.into()));
            }
        }
        Ok(None)
    }

    /// Returns the remaining bytes after all input was pushed.
    ///
    /// # Errors
    /// When the data is truncated.
    pub(crate) fn finish(&mut self) -> io::Result<Option<Bytes>> {
        if !self.begun {
            return Ok(None);
        }
        let rest = match &mut self.codec {
            Codec::Gzip(gzip) => {
                gzip.0.try_finish()?;
                std::mem::take(gzip.0.get_mut())
            }
            Codec::Deflate(inflate) if inflate.ended => Vec::new(),
            Codec::Deflate(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
        };
        self.begun = false;
        Ok((!rest.is_empty()).then(|| rest.into()))
    }
}

impl Inflate {
    fn push(&mut self, mut piece: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        while let (false, [first, ..]) = (self.ended, piece) {
            // The low four bits of the zlib header mean "deflate"; no raw stream from a compressor starts like that.
            let state = self.state.get_or_insert_with(|| Decompress::new(first & 0x0f == 8));
            let before = (state.total_in(), state.total_out());
            plain.reserve(INFLATED_BYTES);
            let status = state.decompress_vec(piece, &mut plain, FlushDecompress::None);
            let status = status.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let taken = state.total_in() - before.0;
            piece = &piece[usize::try_from(taken).unwrap_or(piece.len())..];
            self.ended = status == Status::StreamEnd;
            if !self.ended && before == (state.total_in(), state.total_out()) {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        self.drain(&mut plain)?;
        Ok(plain)
    }

    /// Decodes the rest of the consumed bytes.
    fn drain(&mut self, plain: &mut Vec<u8>) -> io::Result<()> {
        while let (false, Some(state)) = (self.ended, &mut self.state) {
            let before = state.total_out();
            plain.reserve(INFLATED_BYTES);
            let status = state.decompress_vec(&[], plain, FlushDecompress::None);
            let status = status.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            self.ended = status == Status::StreamEnd;
            if state.total_out() == before {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn plain() -> Vec<u8> {
        let words = [&b"one "[..], b"two ", b"three ", b"\n"];
        (0..60_000_usize).flat_map(|n| words[(n * n + n / 7) % 4]).copied().collect()
    }

    fn encoded(plain: &[u8]) -> [(&'static str, Vec<u8>); 4] {
        let level = Compression::fast();
        let mut gzip = GzEncoder::new(Vec::new(), level);
        gzip.write_all(plain).unwrap();
        let (first, second) = plain.split_at(plain.len() / 3);
        let mut members = Vec::new();
        for member in [first, second] {
            let mut gzip = GzEncoder::new(Vec::new(), level);
            gzip.write_all(member).unwrap();
            members.extend(gzip.finish().unwrap());
        }
        let mut zlib = ZlibEncoder::new(Vec::new(), level);
        zlib.write_all(plain).unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), level);
        raw.write_all(plain).unwrap();
        [
            ("gzip", gzip.finish().unwrap()),
            ("X-Gzip", members),
            ("deflate", zlib.finish().unwrap()),
            ("Deflate", raw.finish().unwrap()),
        ]
    }

    /// Decodes in chunks of this many bytes.
    fn decoded(name: &'static str, encoded: &[u8], chunk: usize) -> io::Result<Vec<u8>> {
        let headers = HeaderMap::from_iter([(CONTENT_ENCODING, name.parse().unwrap())]);
        let ContentCoding::Compressed(mut decoder) = ContentCoding::of(&headers) else {
            panic!("{name} is not known")
        };
        let mut plain = Vec::new();
        for chunk in encoded.chunks(chunk) {
            decoder.push(Bytes::copy_from_slice(chunk));
            while let Some(bytes) = decoder.next()? {
                assert!(bytes.len() <= 1032 * PIECE_BYTES + INFLATED_BYTES, "{}", bytes.len());
                plain.extend_from_slice(&bytes);
            }
        }
        while let Some(bytes) = decoder.finish()? {
            plain.extend_from_slice(&bytes);
        }
        Ok(plain)
    }

    #[test]
    fn gzip_and_both_deflate_formats_are_decoded_for_any_chunk_size() {
        for plain in [plain(), b"x".to_vec(), Vec::new()] {
            for (name, encoded) in encoded(&plain) {
                for chunk in [1, 7, 4096, 1 << 20] {
                    assert!(decoded(name, &encoded, chunk).unwrap() == plain, "{name} {chunk}");
                }
            }
        }
    }

    #[test]
    fn truncated_or_corrupt_data_is_an_error() {
        for (name, encoded) in encoded(&plain()) {
            for length in [1, 5, encoded.len() / 2, encoded.len() - 1] {
                assert!(decoded(name, &encoded[..length], 100).is_err(), "{name} {length}");
            }
            assert!(decoded(name, b"<html>no archive</html>", 100).is_err(), "{name}");
        }
    }

    #[test]
    fn a_response_without_a_body_is_empty() {
        for name in ["gzip", "deflate"] {
            assert_eq!(decoded(name, b"", 1).unwrap(), b"");
        }
    }

    #[test]
    fn other_encodings_are_named() {
        let of = |names: &[&'static str]| {
            let header = |name: &&'static str| (CONTENT_ENCODING, name.parse().unwrap());
            let mut headers = HeaderMap::new();
            headers.extend(names.iter().map(header));
            match ContentCoding::of(&headers) {
                ContentCoding::Identity => "identity".to_owned(),
                ContentCoding::Compressed(_) => "compressed".to_owned(),
                ContentCoding::Unknown(name) => name,
            }
        };
        assert_eq!(
            (of(&[]), of(&["Identity"]), of(&[""])),
            ("identity".into(), "identity".into(), "identity".into())
        );
        assert_eq!((of(&["identity", "GZIP"]), of(&["br"])), ("compressed".into(), "br".into()));
        assert_eq!(of(&["gzip, br"]), "gzip, br");
    }
}
