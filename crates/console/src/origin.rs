//! Other web sites cannot act with the rights of someone who has logged in (CSRF): a request that may change something must
//! come from a page of the console, or have a token, which no other site knows.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, ResponseError as _};
use url::Url;

use crate::api::API;
use crate::authorize::{bearer, has_method};
use crate::pages::PageError;
use crate::problem::ApiError;

const FETCH_SITE: &str = "sec-fetch-site";

/// Refuses what another site has sent, whatever its route.
pub(crate) async fn refuse_other_sites<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let refusal = if request.method().is_safe() { None } else { refusal(request.request()) };
    let Some(error) = refusal else {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    };
    let response = if request.path().starts_with(API) {
        error.error_response()
    } else {
        PageError::from(error).error_response()
    };
    Ok(request.into_response(response).map_into_right_body())
}

/// Browsers send `Sec-Fetch-Site` over HTTPS and to loopback addresses, and `Origin` everywhere.
fn refusal(request: &HttpRequest) -> Option<ApiError> {
    let text = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    // A method that no call has is not mistaken for a missing token.
    if let Err(error) = has_method(request) {
        return Some(error);
    }
    match (text(FETCH_SITE), text(header::ORIGIN.as_str())) {
        (Some("same-origin"), _) => None,
        (Some(_), _) => Some(ApiError::OtherSite),
        (None, Some(origin)) => {
            let is_ours = text(header::HOST.as_str()).is_some_and(|host| is_of_host(origin, host));
            (!is_ours).then_some(ApiError::OtherSite)
        }
        (None, None) => bearer(request).is_none().then_some(ApiError::NoOperatorToken),
    }
}

/// The scheme may differ: a proxy ends HTTPS.
fn is_of_host(origin: &str, host: &str) -> bool {
    let Ok(origin) = Url::parse(origin) else { return false };
    let Ok(asked) = Url::parse(&format!("{}://{host}", origin.scheme())) else { return false };
    origin.host_str().is_some()
        && origin.host_str() == asked.host_str()
        && origin.port_or_known_default() == asked.port_or_known_default()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn is_allowed(headers: &[(&str, &str)]) -> bool {
        let mut request = TestRequest::post().uri("/dead/redrive");
        for (name, value) in headers {
            request = request.insert_header((*name, *value));
        }
        refusal(&request.to_http_request()).is_none()
    }

    #[test]
    fn only_requests_from_the_same_origin_or_with_a_token_are_allowed() {
        let host = ("Host", "console.example.com");
        for allowed in [
            vec![("Sec-Fetch-Site", "same-origin")],
            vec![("Sec-Fetch-Site", "same-origin"), host, ("Origin", "https://console.example.com")],
            vec![host, ("Origin", "https://console.example.com")],
            vec![host, ("Origin", "http://CONSOLE.example.com:80")],
            vec![("Host", "[::1]:8090"), ("Origin", "http://[::1]:8090")],
            vec![("Authorization", "Bearer landfall_x")],
        ] {
            assert!(is_allowed(&allowed), "{allowed:?}");
        }
        for refused in [
            vec![],
            vec![("Sec-Fetch-Site", "cross-site")],
            vec![("Sec-Fetch-Site", "same-site"), host, ("Origin", "https://console.example.com")],
            vec![("Sec-Fetch-Site", "none")],
            vec![("Sec-Fetch-Site", "Same-Origin")],
            vec![("Sec-Fetch-Site", "cross-site"), ("Authorization", "Bearer landfall_x")],
            vec![host, ("Origin", "https://console.example.com.evil.example")],
            vec![host, ("Origin", "https://console.example.com:8443")],
            vec![host, ("Origin", "null")],
            vec![host, ("Origin", "")],
            vec![host, ("Origin", "file://")],
            vec![("Origin", "https://console.example.com")],
            vec![("Authorization", "Basic eDp5")],
        ] {
            assert!(!is_allowed(&refused), "{refused:?}");
        }
    }
}
