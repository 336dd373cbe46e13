//! `landfall verify`: verifies a captured request exactly as ingest does, and explains why it is rejected.

use std::io::Write;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::value::RawValue;
use service::settings::{SettingError, WebhookSecretSettings};
use webhook::{Event, Family, SignatureError, SigningSecret, Verified, Verifier};

use crate::exit::{CliError, ExitStatus};
use crate::{input, json, output, time_format};

const EXAMPLES: &str = "\
Examples:
  landfall verify --headers-file h.txt --body-file body.json
  landfall verify --headers-file h.txt --body-file body.json --now 1750861210
  landfall verify --headers-file h.txt --body-file - < body.json

h.txt contains one `name: value` per line; a leading request line is skipped.
The output of `curl -v` works too: only its lines with `>` are read.
The body must contain exactly the signed bytes, without a newline added by an
editor. Other users of this machine can see a secret on the command line;
OPENAI_WEBHOOK_SECRET is safer.

Exit codes: 0 genuine, 1 not genuine (stderr gives the reason), 2 usage error or
invalid secret.";

/// Verify the signature of a captured webhook request
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Verify {
    /// File with the request's headers, one `name: value` per line
    #[arg(long, value_name = "PATH")]
    headers_file: PathBuf,
    /// File with the exact bytes of the request's body; - reads stdin
    #[arg(long, value_name = "PATH")]
    body_file: PathBuf,
    /// Signing secret, whsec_..., instead of OPENAI_WEBHOOK_SECRET; may be repeated
    #[arg(long = "secret", value_name = "SECRET")]
    secrets: Vec<SecretString>,
    /// Time of receipt in Unix seconds, for a request captured earlier; default: now
    #[arg(long, value_name = "UNIX_SECS", allow_negative_numbers = true)]
    now: Option<i64>,
    /// Print one JSON object: verified, and the event or the reason
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    setting: WebhookSecretSettings,
}

/// `--json` for a genuine request.
#[derive(Serialize)]
struct Genuine<'a> {
    verified: bool,
    webhook_id: &'a str,
    timestamp_secs: i64,
    r#type: Option<&'a str>,
    family: Family,
    event_id: Option<&'a str>,
    object_id: Option<&'a str>,
    created_at_secs: Option<i64>,
    /// The body, if it is JSON.
    event: Option<&'a RawValue>,
}

/// `--json` for any other request.
#[derive(Serialize)]
struct NotGenuine {
    verified: bool,
    reason: &'static str,
    message: String,
}

/// Verifies the captured request and prints the result.
pub(crate) fn run(args: &Verify, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let verifier = verifier(args)?;
    let headers = parse_headers(&input::read_or_stdin(&args.headers_file)?)?;
    let body = input::read_or_stdin(&args.body_file)?;
    let now_secs = args.now.unwrap_or_else(|| Utc::now().timestamp());
    let borrowed = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
    match verifier.verify(borrowed, &body, now_secs) {
        Ok(verified) => {
            if args.json {
                write_json(out, &verified, &body)?;
            } else {
                write_text(out, &verified, &body)?;
            }
            Ok(ExitStatus::Success)
        }
        Err(error) => {
            write_refusal(out, error, args.json)?;
            Ok(ExitStatus::Negative)
        }
    }
}

fn verifier(args: &Verify) -> Result<Verifier, CliError> {
    if args.secrets.is_empty() {
        let text = args.setting.secret()?;
        return Verifier::from_setting(text.expose_secret())
            .map_err(|error| SettingError::wrong(WebhookSecretSettings::NAME, error).into());
    }
    let wrong = |error| CliError::Usage(format!("--secret {error}"));
    let secrets = args.secrets.iter().map(|secret| SigningSecret::parse(secret.expose_secret()));
    let secrets = secrets.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    Verifier::new(secrets).map_err(wrong)
}

fn write_json(out: &mut dyn Write, verified: &Verified<'_>, body: &[u8]) -> Result<(), CliError> {
    let event = Event::parse(body).ok();
    let event = event.as_ref();
    let object_id = event.and_then(Event::object_id);
    let genuine = Genuine {
        verified: true,
        webhook_id: verified.webhook_id,
        timestamp_secs: verified.timestamp_secs,
        r#type: event.map(|event| event.kind.as_str()),
        family: event.map_or(Family::Other, |event| event.kind.family()),
        event_id: event.and_then(|event| event.event_id.as_deref()),
        object_id: object_id.as_deref(),
        created_at_secs: event.and_then(|event| event.created_at_secs),
        event: serde_json::from_slice(body).ok(),
    };
    Ok(json::write_line(out, &genuine)?)
}

fn write_text(out: &mut dyn Write, verified: &Verified<'_>, body: &[u8]) -> Result<(), CliError> {
    let now = Utc::now();
    let time = |secs: i64| match DateTime::from_timestamp(secs, 0) {
        Some(time) => time_format::utc_and_age(time, now),
        None => format!("{secs} Unix seconds"),
    };
    writeln!(out, "genuine")?;
    let mut fields =
        vec![("webhook-id", verified.webhook_id.to_owned()), ("sent", time(verified.timestamp_secs))];
    match Event::parse(body) {
        Ok(event) => {
            let family = format!("{} (family {})", event.kind, event.kind.family());
            fields.push(("type", family));
            let object_id = event.object_id().unwrap_or_default().into_owned();
            fields.push(("event", event.event_id.unwrap_or_default().into_owned()));
            fields.push(("object", object_id));
            fields.push(("created", event.created_at_secs.map(time).unwrap_or_default()));
            fields.push(("data", event.data.map(|data| data.get().to_owned()).unwrap_or_default()));
        }
        Err(error) => fields.push(("event", format!("none: the {error}; stored in family other"))),
    }
    Ok(write!(out, "{}", output::fields(&fields, output::width()))?)
}

fn write_refusal(out: &mut dyn Write, error: SignatureError, json: bool) -> Result<(), CliError> {
    if json {
        let not_genuine = NotGenuine { verified: false, reason: error.label(), message: error.to_string() };
        json::write_line(out, &not_genuine)?;
    } else {
        eprintln!("not genuine: {error}");
    }
    Ok(())
}

/// Parses headers up to an empty line. Names and values are unchanged, except that HTTP allows optional white space around
/// a value.
fn parse_headers(text: &[u8]) -> Result<Vec<(String, Vec<u8>)>, CliError> {
    let mut headers = Vec::new();
    let lines = || text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let is_of_curl = lines().any(|line| line.strip_prefix(b"> ").is_some_and(is_request_line));
    for (index, mut line) in lines().enumerate() {
        if is_of_curl {
            // The others are remarks, and the answer.
            let Some(sent) = line.strip_prefix(b">") else { continue };
            line = sent.strip_prefix(b" ").unwrap_or(sent);
        }
        if line.is_empty() {
            break;
        }
        if headers.is_empty() && is_request_line(line) {
            continue;
        }
        // Skips the first byte, because HTTP/2 tools print pseudo-headers such as `:path`.
        let Some(colon) = line.iter().skip(1).position(|byte| *byte == b':') else {
            let message = format!("line {} of --headers-file is not `name: value`", index + 1);
            return Err(CliError::Usage(message));
        };
        let (name, value) = line.split_at(colon + 1);
        headers.push((String::from_utf8_lossy(name).into_owned(), trim_blanks(&value[1..]).to_vec()));
    }
    Ok(headers)
}

/// `POST /openai/webhook HTTP/1.1`
fn is_request_line(line: &[u8]) -> bool {
    let last_word = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    last_word.len() < line.len() && last_word.starts_with(b"HTTP/")
}

fn trim_blanks(value: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_kept_as_they_were_received() {
        let text = b"POST http://x/openai/webhook HTTP/1.1\r\nWebhook-Id: wh_1\r\n:path: /x\r\nwebhook-signature:\t v1,\xe9==  \r\nx:\r\n\r\n{\"a\": 1}";
        let headers = parse_headers(text).unwrap();
        let expected: [(&str, &[u8]); 4] =
            [("Webhook-Id", b"wh_1"), (":path", b"/x"), ("webhook-signature", b"v1,\xe9=="), ("x", b"")];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        assert_eq!(headers, expected);
    }

    #[test]
    fn the_headers_in_the_output_of_curl_are_those_it_sent() {
        let text = b"*   Trying 127.0.0.1:80...\n* Connected\n> POST /openai/webhook HTTP/1.1\r\n> Host: x\r\n> webhook-id: wh_1\r\n> x: POST / HTTP/1.1\r\n> \r\n} [12 bytes data]\n< HTTP/1.1 200 OK\r\n< webhook-id: wh_2\r\n< \r\n";
        let headers = parse_headers(text).unwrap();
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Host", "webhook-id", "x"]);
        assert_eq!(headers[1].1, b"wh_1");
    }

    #[test]
    fn an_invalid_header_is_rejected_with_its_line() {
        let error = parse_headers(b"webhook-id: wh_1\nnonsense\n").unwrap_err();
        assert_eq!(error.to_string(), "line 2 of --headers-file is not `name: value`");
    }
}
