//! Applies faults to responses.

mod replaced;

use std::time::{Duration, SystemTime};

use actix_web::HttpResponse;
use actix_web::body::{BoxBody, SizedStream, to_bytes};
use actix_web::http::header::HttpDate;
use bytes::Bytes;

use crate::api_error::ApiError;
use crate::faults::{FaultKind, Faults};
use crate::http_response::with_header;
use crate::scripted_body::{BodyWriter, length, next_chunk, scripted};

/// Size of the chunks of a huge body.
const PADDING_CHUNK_BYTES: u64 = 64 * 1024;

/// The error page of a proxy that cannot reach the API.
const BAD_GATEWAY: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
    <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n";

/// The response to a request that the fault `kind` applies to; `answer` makes the one without faults.
pub(crate) async fn respond_with_fault(
    kind: FaultKind,
    faults: &Faults,
    answer: impl FnOnce() -> HttpResponse,
) -> HttpResponse {
    match kind {
        FaultKind::Status(502) => HttpResponse::BadGateway().content_type("text/html").body(BAD_GATEWAY),
        FaultKind::Status(status) => ApiError::of_status(status).into_response(),
        FaultKind::PolicyViolation => ApiError::policy_violation().into_response(),
        FaultKind::MissingScopes(scopes) => ApiError::missing_scopes(&scopes).into_response(),
        FaultKind::InsufficientQuota => ApiError::insufficient_quota().into_response(),
        FaultKind::RateLimited { retry_after_secs } => {
            rate_limited("retry-after", retry_after_secs.map(|secs| secs.to_string()))
        }
        FaultKind::RateLimitedUntil { in_secs } => {
            let until = SystemTime::now().checked_add(Duration::from_secs(in_secs));
            rate_limited("retry-after", until.map(|until| HttpDate::from(until).to_string()))
        }
        FaultKind::RateLimitedMs { retry_after_ms } => {
            rate_limited("retry-after-ms", Some(retry_after_ms.to_string()))
        }
        FaultKind::ShouldRetry { status, should_retry } => with_header(
            ApiError::of_status(status).into_response(),
            "x-should-retry",
            &should_retry.to_string(),
        ),
        FaultKind::Delay { ms } => {
            delay(Duration::from_millis(ms), faults).await;
            answer()
        }
        FaultKind::StallBeforeBody => stalled(answer(), |_| 0, faults),
        FaultKind::StallInBody => stalled(answer(), |length| length / 2, faults),
        FaultKind::CutBody => cut(answer(), |length| length / 2),
        FaultKind::CutBodyAfter { bytes } => cut(answer(), |_| bytes),
        FaultKind::WrongContentLength { off_by } => wrong_length(answer(), off_by),
        FaultKind::SlowDrip { bytes, every_ms } => dripping(answer(), bytes.max(1), every_ms),
        FaultKind::InvalidJson => broken_off(answer()).await,
        FaultKind::HugeJson { bytes } => padded(answer(), bytes).await,
        FaultKind::Fields(fields) => replaced::with_fields(answer(), &fields).await,
        FaultKind::Body(body) => HttpResponse::Ok().content_type("application/octet-stream").body(body),
        FaultKind::Encoded(coding) => replaced::encoded(answer(), coding).await,
        FaultKind::Redirect { to } => {
            let moved = HttpResponse::TemporaryRedirect().finish();
            with_header(moved, "location", &to)
        }
    }
}

/// Waits until the time has passed or the faults are cleared.
pub(crate) async fn delay(how_long: Duration, faults: &Faults) {
    tokio::select! {
        () = tokio::time::sleep(how_long) => {}
        () = faults.cleared() => {}
    }
}

fn rate_limited(name: &'static str, wait: Option<String>) -> HttpResponse {
    let mut response = ApiError::of_status(429).into_response();
    if let Some(wait) = wait {
        response = with_header(response, name, &wait);
    }
    with_header(response, "x-ratelimit-remaining-requests", "0")
}

/// Replaces the body by a scripted one with this `Content-Length`.
fn with_script<F>(
    response: HttpResponse,
    declared: u64,
    script: impl FnOnce(BoxBody, BodyWriter) -> F,
) -> HttpResponse
where
    F: Future<Output = ()> + 'static,
{
    let (response, body) = response.into_parts();
    let stream = scripted(|writer| script(body, writer));
    response.set_body(BoxBody::new(SizedStream::new(declared, stream)))
}

/// Sends `count` bytes of the body. Returns the rest of the last chunk, or `None` if the client has disconnected.
async fn write_first(body: &mut BoxBody, writer: &BodyWriter, count: u64) -> Option<Bytes> {
    let mut left = count;
    while left > 0 {
        let Some(mut chunk) = next_chunk(body).await else { break };
        let now = usize::try_from(left).map_or(chunk.len(), |left| left.min(chunk.len()));
        left -= now as u64;
        let rest = chunk.split_off(now);
        if !writer.write(chunk).await {
            return None;
        }
        if left == 0 {
            return Some(rest);
        }
    }
    Some(Bytes::new())
}

async fn write_rest(mut body: BoxBody, writer: &BodyWriter) {
    while let Some(chunk) = next_chunk(&mut body).await {
        if !writer.write(chunk).await {
            return;
        }
    }
}

fn stalled(response: HttpResponse, after: impl FnOnce(u64) -> u64, faults: &Faults) -> HttpResponse {
    let cleared = faults.cleared();
    let declared = length(response.body());
    let after = after(declared);
    with_script(response, declared, move |mut body, writer| async move {
        let Some(rest) = write_first(&mut body, &writer, after).await else { return };
        cleared.await;
        if rest.is_empty() || writer.write(rest).await {
            write_rest(body, &writer).await;
        }
    })
}

fn cut(response: HttpResponse, after: impl FnOnce(u64) -> u64) -> HttpResponse {
    let declared = length(response.body());
    let after = after(declared);
    with_script(response, declared, move |mut body, writer| async move {
        if write_first(&mut body, &writer, after).await.is_some() {
            writer.cut().await;
        }
    })
}

fn wrong_length(response: HttpResponse, off_by: i64) -> HttpResponse {
    let declared = length(response.body()).saturating_add_signed(off_by);
    with_script(response, declared, |body, writer| async move {
        write_rest(body, &writer).await;
    })
}

fn dripping(response: HttpResponse, bytes: usize, every_ms: u64) -> HttpResponse {
    let declared = length(response.body());
    with_script(response, declared, move |mut body, writer| async move {
        while let Some(mut chunk) = next_chunk(&mut body).await {
            while !chunk.is_empty() {
                let drop = chunk.split_to(bytes.min(chunk.len()));
                if !writer.write(drop).await {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(every_ms)).await;
            }
        }
    })
}

async fn broken_off(response: HttpResponse) -> HttpResponse {
    let (response, body) = response.into_parts();
    let mut bytes = to_bytes(body).await.unwrap_or_default();
    bytes.truncate(bytes.len() / 2);
    response.set_body(BoxBody::new(bytes))
}

/// Inserts `"padding":"xxx…",` as the first field. A body that is not a JSON object is left unchanged.
async fn padded(response: HttpResponse, padding: u64) -> HttpResponse {
    const HEAD: &[u8] = b"{\"padding\":\"";
    const TAIL: &[u8] = b"\",";
    let (response, body) = response.into_parts();
    let bytes = to_bytes(body).await.unwrap_or_default();
    let Some(rest) = bytes.strip_prefix(b"{") else { return response.set_body(BoxBody::new(bytes)) };
    let rest = bytes.slice_ref(rest);
    let declared = (HEAD.len() + TAIL.len() + rest.len()) as u64 + padding;
    let stream = scripted(move |writer| async move {
        let mut open = writer.write(Bytes::from_static(HEAD)).await;
        let mut left = padding;
        while open && left > 0 {
            let now = left.min(PADDING_CHUNK_BYTES);
            left -= now;
            open = writer.write(vec![b'x'; now as usize].into()).await;
        }
        if open && writer.write(Bytes::from_static(TAIL)).await {
            writer.write(rest).await;
        }
    });
    response.set_body(BoxBody::new(SizedStream::new(declared, stream)))
}
