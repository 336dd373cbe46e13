//! Parsers for the values of settings. Errors say what to write, and never contain text that may be secret.

use std::time::Duration;

use secrecy::SecretString;
use tracing_subscriber::filter::Targets;
use url::Url;

/// Ten years: longer than any useful time-out, and far from overflows in time arithmetic.
const SECONDS_MAX: f64 = 315_360_000.0;
const KEY_PREFIX_CHARS_MAX: usize = 64;

/// An invalid value; the message says what to write.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ValueError {
    #[error("write a number of bytes, such as 1048576, or with a unit: 64KiB, 1MiB, 2GiB")]
    SizeBytes,
    #[error("write a number of seconds above 0, such as 60 or 0.5")]
    Seconds,
    #[error(
        "write 1 to {KEY_PREFIX_CHARS_MAX} letters, digits, dots, colons, dashes or underscores, such as landfall"
    )]
    KeyPrefix,
    #[error("write a URL that starts with {schemes}")]
    Url { schemes: &'static str },
    /// `variable` accepts the password unencoded.
    #[error(
        "the user name or password seems to contain / ? or #: encode them as %2F %3F %23, or set the unencoded password \
         in {variable}"
    )]
    Unencoded { variable: &'static str },
    #[error("write it as shown in the OpenAI dashboard, without quotes and spaces")]
    HeaderId,
    #[error("write true or false")]
    YesOrNo,
    #[error("write error, warn, info, debug or trace, or levels per module as in info,queue=debug")]
    LogFilter,
}

/// A size in bytes, above 0: `1048576`, `1MiB`, `64 KiB`, `2GB`.
pub fn size_bytes(text: &str) -> Result<u64, ValueError> {
    let text = trimmed(text);
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(ValueError::SizeBytes),
    };
    let number: u64 = digits.parse().map_err(|_| ValueError::SizeBytes)?;
    number.checked_mul(factor).filter(|bytes| *bytes > 0).ok_or(ValueError::SizeBytes)
}

/// Seconds above 0, decimals allowed.
pub fn seconds(text: &str) -> Result<Duration, ValueError> {
    let secs: f64 = text.trim().parse().map_err(|_| ValueError::Seconds)?;
    // Written so that NaN is rejected too.
    if secs > 0.0 && secs <= SECONDS_MAX {
        Ok(Duration::from_secs_f64(secs))
    } else {
        Err(ValueError::Seconds)
    }
}

/// The prefix of Redis keys. No braces (they are added), no spaces, and nothing that `redis-cli` would require quotes
/// for.
pub fn key_prefix(text: &str) -> Result<String, ValueError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '_');
    if text.is_empty() || text.len() > KEY_PREFIX_CHARS_MAX || !text.chars().all(allowed) {
        return Err(ValueError::KeyPrefix);
    }
    Ok(text.to_owned())
}

/// An `http://` or `https://` URL without a query; trailing slashes are removed.
pub fn http_url(text: &str) -> Result<String, ValueError> {
    const WRONG: ValueError = ValueError::Url { schemes: "http:// or https:// and contains no ? or #" };
    let url = Url::parse(text.trim()).map_err(|_| WRONG)?;
    let complete = url.host_str().is_some_and(|host| !host.is_empty());
    if !matches!(url.scheme(), "http" | "https")
        || !complete
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err(WRONG);
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// `true` or `false`, or a synonym.
pub fn yes_or_no(text: &str) -> Result<bool, ValueError> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(ValueError::YesOrNo),
    }
}

/// Trims white space and byte order marks, which are often copied or saved along with a text.
pub fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
}

/// An id that is sent in a header.
pub(super) fn header_id(text: &str) -> Result<String, ValueError> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'`');
    let text = trimmed(text);
    if text.bytes().all(plain) { Ok(text.to_owned()) } else { Err(ValueError::HeaderId) }
}

pub(super) fn redis_url(text: &str) -> Result<SecretString, ValueError> {
    let known = ["redis", "rediss", "valkey", "valkeys", "redis+unix", "unix"];
    let url = with_scheme(text, &known, "redis://, rediss:// (TLS) or unix:// (socket)")?;
    if !is_socket(url) && hides_password(url) {
        return Err(ValueError::Unencoded { variable: "REDIS_PASSWORD" });
    }
    Ok(SecretString::from(url))
}

/// Whether the URL is a Unix socket.
pub(super) fn is_socket(redis_url: &str) -> bool {
    redis_url.starts_with("unix:") || redis_url.starts_with("redis+unix:")
}

pub(super) fn database_url(text: &str) -> Result<SecretString, ValueError> {
    let known = ["sqlite", "postgres", "postgresql"];
    let url = with_scheme(text, &known, "sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE")?;
    if url.starts_with("sqlite:") {
        return Ok(SecretString::from(url));
    }
    if hides_password(url) {
        return Err(ValueError::Unencoded { variable: "DATABASE_PASSWORD" });
    }
    Ok(with_host(url))
}

/// Detects a user name or password with an unencoded `/`, `?` or `#`, which ends the authority too early.
fn hides_password(url: &str) -> bool {
    let (authority, rest) = authority(url);
    if rest.contains('#') {
        return true;
    }
    // `host:5432/database?user=me@server` is fine.
    let before_at = rest.split_once('@').map(|(before, _)| before);
    !authority.contains('@') && before_at.is_some_and(|before| !before.contains('='))
}

/// Google Cloud SQL uses `USER:PASSWORD@/DATABASE?host=/DIRECTORY`, which is not a URL without a host.
fn with_host(url: &str) -> SecretString {
    let (authority, rest) = authority(url);
    let Some((userinfo, host)) = authority.rsplit_once('@') else { return SecretString::from(url) };
    if !host.is_empty() && !host.starts_with(':') {
        return SecretString::from(url);
    }
    SecretString::from(format!("{userinfo}@localhost{host}{rest}"))
}

/// Splits a URL into scheme and authority, and the rest.
fn authority(url: &str) -> (&str, &str) {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    url.split_at(end)
}

/// Encodes a password for `Url::set_password`, which does not encode `%`.
pub(super) fn userinfo(password: &str) -> String {
    password.replace('%', "%25")
}

pub(super) fn log_filter(text: &str) -> Result<String, ValueError> {
    text.parse::<Targets>().map(|_| text.to_owned()).map_err(|_| ValueError::LogFilter)
}

fn with_scheme<'t>(text: &'t str, known: &[&str], schemes: &'static str) -> Result<&'t str, ValueError> {
    let text = trimmed(text);
    match text.split_once("://") {
        Some((scheme, rest)) if known.contains(&scheme) && !rest.is_empty() => Ok(text),
        _ => Err(ValueError::Url { schemes }),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_units() {
        for (text, bytes) in [
            ("1", 1),
            ("1048576", 1_048_576),
            ("1MiB", 1_048_576),
            ("64 kib", 65_536),
            ("2GB", 2_000_000_000),
        ] {
            assert_eq!(size_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "-1", "1M", "1.5MiB", "MiB", "18446744073709551615KiB", "10 apples"] {
            assert_eq!(size_bytes(text), Err(ValueError::SizeBytes), "{text}");
        }
    }

    #[test]
    fn seconds_may_have_decimals_but_are_above_zero() {
        assert_eq!(seconds("60"), Ok(Duration::from_secs(60)));
        assert_eq!(seconds(" 0.25 "), Ok(Duration::from_millis(250)));
        for text in ["", "0", "-1", "NaN", "inf", "1e300", "1m", "five"] {
            assert_eq!(seconds(text), Err(ValueError::Seconds), "{text}");
        }
    }

    #[test]
    fn a_key_prefix_has_no_braces_or_blanks() {
        assert_eq!(key_prefix("landfall:eu-1"), Ok("landfall:eu-1".to_owned()));
        for text in ["", "a b", "{a}", "ä", &"x".repeat(65)] {
            assert_eq!(key_prefix(text), Err(ValueError::KeyPrefix), "{text}");
        }
    }

    #[test]
    fn a_url_loses_its_trailing_slashes() {
        assert_eq!(http_url("https://api.openai.com/v1/").as_deref(), Ok("https://api.openai.com/v1"));
        assert_eq!(http_url("http://127.0.0.1:4010").as_deref(), Ok("http://127.0.0.1:4010"));
        for text in ["", "api.openai.com/v1", "ftp://x/y", "https://", "https://x/?a=1", "https://x/#a"] {
            assert!(http_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn other_schemes_are_refused_and_the_text_is_not_repeated() {
        assert!(redis_url("rediss://:secret@redis.internal:6380/2").is_ok());
        assert!(redis_url("unix:///run/redis.sock").is_ok());
        for text in ["", "redis://", "127.0.0.1:6379", "http://:secret@x"] {
            let error = redis_url(text).map(|_| ()).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert!(database_url("mysql://x").is_err());
        assert!(database_url("sqlite://data/landfall.db").is_ok());
    }

    #[test]
    fn an_unencoded_password_is_refused_with_a_hint_and_not_repeated() {
        for password in
            ["hunter2/x", "hunter2?x", "hunter2#x", "x/hunter2", "1?hunter2", "1#hunter2", "a@b#hunter2"]
        {
            let refusals = [
                redis_url(&format!("redis://:{password}@redis.internal:6379/0")),
                redis_url(&format!("rediss://user:{password}@redis.internal")),
                database_url(&format!("postgres://me:{password}@db.internal:5432/landfall?sslmode=require")),
            ];
            for refusal in refusals {
                let error = refusal.map(|_| ()).unwrap_err().to_string();
                assert!(error.contains("%2F %3F %23") && error.contains("_PASSWORD"), "{error}");
                assert!(!error.contains("hunter2"), "{error}");
            }
        }
        for fine in [
            "redis://:p%2Fw%23@redis:6379/0",
            "redis://user:p@ss@redis",
            "rediss://redis?protocol=resp3",
            "unix:///run/redis@home/redis.sock?pass=p#1",
        ] {
            assert!(redis_url(fine).is_ok(), "{fine}");
        }
        for fine in ["postgres://db:5432/landfall?user=me@server", "postgres:///x?host=/run&user=me@server"] {
            assert_eq!(database_url(fine).unwrap().expose_secret(), fine);
        }
        assert!(database_url("sqlite:///srv/a#b@c/landfall.db").is_ok());
    }

    #[test]
    fn a_database_url_may_name_a_socket_as_in_google_cloud() {
        for (url, complete) in [
            (
                "postgresql://U:P@/DB?host=/cloudsql/project:region:instance",
                "postgresql://U:P@localhost/DB?host=/cloudsql/project:region:instance",
            ),
            ("postgres://u@:5433/db?host=/run", "postgres://u@localhost:5433/db?host=/run"),
            ("postgres://u:p@[::1]:5432/db", "postgres://u:p@[::1]:5432/db"),
        ] {
            assert_eq!(database_url(url).unwrap().expose_secret(), complete);
        }
    }

    #[test]
    fn an_id_for_a_header_has_no_quotes_or_spaces() {
        assert_eq!(header_id(" org-Abc_1\n").as_deref(), Ok("org-Abc_1"));
        for text in ["\"org-1\"", "org 1", "'org-1'", "org-\u{e4}"] {
            assert_eq!(header_id(text), Err(ValueError::HeaderId), "{text}");
        }
    }

    #[test]
    fn log_filters_are_checked() {
        for text in ["info", "warn,queue=debug", "off"] {
            assert_eq!(log_filter(text).as_deref(), Ok(text));
        }
        assert_eq!(log_filter("info,queue=loud"), Err(ValueError::LogFilter));
    }

    #[test]
    fn yes_and_no_have_several_spellings() {
        for (text, value) in [("true", true), ("YES", true), ("1", true), ("off", false), ("0", false)] {
            assert_eq!(yes_or_no(text), Ok(value));
        }
        assert_eq!(yes_or_no("maybe"), Err(ValueError::YesOrNo));
    }
}
