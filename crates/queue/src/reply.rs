//! Reads a reply of Redis out of the bytes that came so far: what the enqueue script and `SCRIPT LOAD` answer. Anything
//! else is an error, after which the connection is of no use. The wording of errors is left to redis-rs.

use redis::{RedisError, Value};

/// Arrays in arrays; ours has one level.
const DEPTH_MAX: usize = 4;
/// No reply to us is longer.
const LENGTH_MAX: usize = 1024 * 1024;

/// The first reply in `bytes` and how long it is, or `None` when it is not here as a whole.
///
/// # Errors
/// When it is no reply to what we send.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<(Value, usize)>, RedisError> {
    let mut reader = Reader { bytes, at: 0 };
    Ok(reader.value(DEPTH_MAX)?.map(|value| (value, reader.at)))
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    fn value(&mut self, depth: usize) -> Result<Option<Value>, RedisError> {
        let start = self.at;
        let Some(line) = self.line() else {
            return Ok(None);
        };
        let Some((&kind, text)) = line.split_first() else {
            return Err(unreadable());
        };
        match kind {
            b'$' => match length(text)? {
                Some(length) => Ok(self.exactly(length)?.map(|bytes| Value::BulkString(bytes.to_vec()))),
                None => Ok(Some(Value::Nil)),
            },
            b'*' => match length(text)? {
                Some(length) if depth > 0 => self.array(length, depth - 1),
                Some(_) => Err(unreadable()),
                None => Ok(Some(Value::Nil)),
            },
            b'_' => Ok(Some(Value::Nil)),
            b'-' | b'+' | b':' => redis::parse_redis_value(&self.bytes[start..self.at]).map(Some),
            _ => Err(unreadable()),
        }
    }

    fn array(&mut self, length: usize, depth: usize) -> Result<Option<Value>, RedisError> {
        // An element is three bytes or more: nobody makes us reserve what has not come.
        let mut values = Vec::with_capacity(length.min((self.bytes.len() - self.at) / 3));
        for _ in 0..length {
            match self.value(depth)? {
                Some(value) => values.push(value),
                None => return Ok(None),
            }
        }
        Ok(Some(Value::Array(values)))
    }

    /// Up to the next line break, which is passed over.
    fn line(&mut self) -> Option<&'b [u8]> {
        let rest = &self.bytes[self.at..];
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        self.at += end + 2;
        Some(&rest[..end])
    }

    fn exactly(&mut self, length: usize) -> Result<Option<&'b [u8]>, RedisError> {
        let rest = &self.bytes[self.at..];
        if rest.len() < length + 2 {
            return Ok(None);
        }
        if &rest[length..length + 2] != b"\r\n" {
            return Err(unreadable());
        }
        self.at += length + 2;
        Ok(Some(&rest[..length]))
    }
}

/// `None` for what RESP2 writes where there is nothing.
fn length(text: &[u8]) -> Result<Option<usize>, RedisError> {
    let number: Option<i64> = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    match number {
        Some(-1) => Ok(None),
        Some(number) => match usize::try_from(number) {
            Ok(length) if length <= LENGTH_MAX => Ok(Some(length)),
            _ => Err(unreadable()),
        },
        None => Err(unreadable()),
    }
}

/// As a lost connection, because that is what has to follow.
fn unreadable() -> RedisError {
    std::io::Error::new(std::io::ErrorKind::InvalidData, "not a reply of Redis to an enqueue").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLY: &[u8] = b"*4\r\n$3\r\n1-0\r\n$-1\r\n_\r\n-QUEUEFULL the stream is at its limit\r\n+OK\r\n";

    #[test]
    fn a_reply_is_read_only_when_it_is_here_as_a_whole() {
        let whole = REPLY.len() - 5;
        for cut in 0..whole {
            assert_eq!(read(&REPLY[..cut]).unwrap(), None, "{cut}");
        }
        let (value, length) = read(REPLY).unwrap().unwrap();
        assert_eq!(length, whole);
        assert_eq!(value, redis::parse_redis_value(&REPLY[..whole]).unwrap());
        assert_eq!(read(&REPLY[whole..]).unwrap(), Some((Value::Okay, 5)));
    }

    #[test]
    fn what_is_no_reply_is_an_error_and_never_a_panic() {
        for bytes in [
            &b"HTTP/1.1 400\r\n"[..],
            b"\r\n",
            b"$-2\r\n",
            b"$x\r\n",
            b"$99999999999999999999\r\n",
            b"*9999999999\r\n",
            b"$1\r\nabcd",
            b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
        ] {
            assert!(read(bytes).is_err_and(|error| error.is_io_error()), "{bytes:?}");
        }
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let mut bytes = REPLY.to_vec();
            let at = rng.usize(..bytes.len());
            bytes[at] = rng.choice(*b"\r\n$*-_+:0129 \0").unwrap();
            read(&bytes).ok();
        }
    }
}
