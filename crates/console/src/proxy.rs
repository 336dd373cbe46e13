//! The proxy in front of the console: what its headers say about a client counts only if the proxy itself sent the request.

use std::net::IpAddr;
use std::str::FromStr;

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, HeaderName};
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";
/// Characters of a user's name.
const USER_CHARS_MAX: usize = 200;

/// The setting `CONSOLE_TRUSTED_PROXY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyNetwork(IpNet);

/// The setting `CONSOLE_USER_HEADER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserHeader(HeaderName);

/// Why a setting is not valid.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum ProxySettingError {
    #[error("write an address or a network, such as 10.0.0.5 or 10.0.0.0/8")]
    Network,
    #[error("write the name of a header, such as X-Forwarded-User")]
    Header,
}

impl FromStr for ProxyNetwork {
    type Err = ProxySettingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        let network = address.or_else(|_| text.parse()).map_err(|_| ProxySettingError::Network)?;
        Ok(Self(network))
    }
}

impl FromStr for UserHeader {
    type Err = ProxySettingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| ProxySettingError::Header)
    }
}

/// The proxy that both settings describe; without them, no proxy is trusted.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrustedProxy {
    pub(crate) network: Option<ProxyNetwork>,
    pub(crate) user_header: Option<UserHeader>,
}

impl TrustedProxy {
    /// Whether the proxy logs users in.
    pub(crate) fn names_users(&self) -> bool {
        self.user_header.is_some()
    }

    /// The client's address: the last one in `X-Forwarded-For` that is not a proxy's.
    pub(crate) fn client(&self, request: &HttpRequest) -> Option<IpAddr> {
        let peer = peer(request)?;
        let mut client = peer;
        let forwarded = values(request.headers(), FORWARDED_FOR);
        let mut addresses = forwarded.iter().rev().map(|text| text.parse::<IpAddr>());
        while self.trusts(client) {
            // Anything but an address ends the chain: what is before it may be forged.
            let Some(Ok(next)) = addresses.next() else { break };
            client = next.to_canonical();
        }
        Some(client)
    }

    /// Whether the browser came by HTTPS.
    pub(crate) fn is_https(&self, request: &HttpRequest) -> bool {
        let last = values(request.headers(), FORWARDED_PROTO).pop();
        self.sent(request) && last.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
    }

    /// The user whom the proxy has logged in.
    pub(crate) fn user(&self, request: &HttpRequest) -> Option<String> {
        let UserHeader(name) = self.user_header.as_ref().filter(|_| self.sent(request))?;
        let mut values = request.headers().get_all(name);
        // A second value would be one that the client sent and the proxy did not replace.
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        let user = value.to_str().ok()?.trim();
        let is_name = !user.is_empty() && user.chars().count() <= USER_CHARS_MAX;
        is_name.then(|| user.to_owned())
    }

    fn sent(&self, request: &HttpRequest) -> bool {
        peer(request).is_some_and(|peer| self.trusts(peer))
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.network.is_some_and(|ProxyNetwork(network)| network.contains(&address))
    }
}

/// The address at the other end of the connection.
fn peer(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|address| address.ip().to_canonical())
}

/// The values of a header that may be a list, in order.
fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    let texts = headers.get_all(name).filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(|text| text.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn proxy() -> TrustedProxy {
        TrustedProxy {
            network: Some("10.0.0.0/8".parse().unwrap()),
            user_header: Some("X-Forwarded-User".parse().unwrap()),
        }
    }

    fn request(peer: &str, headers: &[(&str, &str)]) -> HttpRequest {
        let mut request = TestRequest::default().peer_addr(format!("{peer}:1234").parse().unwrap());
        for (name, value) in headers {
            request = request.append_header((*name, *value));
        }
        request.to_http_request()
    }

    #[test]
    fn only_the_proxy_names_client_scheme_and_user() {
        let headers = [
            ("X-Forwarded-For", "1.1.1.1, 203.0.113.9, 10.0.0.7"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-User", " anna "),
        ];
        let from_proxy = request("10.0.0.5", &headers);
        let of = |request: &HttpRequest| {
            (proxy().client(request).unwrap().to_string(), proxy().is_https(request), proxy().user(request))
        };
        assert_eq!(of(&from_proxy), ("203.0.113.9".to_owned(), true, Some("anna".to_owned())));
        let forged = request("203.0.113.8", &headers);
        assert_eq!(of(&forged), ("203.0.113.8".to_owned(), false, None));
        let nothing = TrustedProxy::default();
        assert_eq!((nothing.user(&from_proxy), nothing.is_https(&from_proxy)), (None, false));
        assert_eq!(nothing.client(&from_proxy).unwrap().to_string(), "10.0.0.5");
    }

    #[test]
    fn odd_headers_of_the_proxy_are_not_believed() {
        let client = |list: &str| {
            proxy().client(&request("10.0.0.5", &[("X-Forwarded-For", list)])).unwrap().to_string()
        };
        assert_eq!(client("unknown"), "10.0.0.5");
        assert_eq!(client("1.1.1.1, x, 10.0.0.6"), "10.0.0.6");
        assert_eq!(client("10.0.0.8, 10.0.0.6"), "10.0.0.8");
        let twice = [("X-Forwarded-User", "anna"), ("X-Forwarded-User", "root")];
        assert_eq!(proxy().user(&request("10.0.0.5", &twice)), None);
        assert_eq!(proxy().user(&request("10.0.0.5", &[("X-Forwarded-User", " ")])), None);
    }

    #[test]
    fn a_network_may_be_one_address() {
        let one: ProxyNetwork = "127.0.0.1".parse().unwrap();
        assert_eq!(one, "127.0.0.1/32".parse().unwrap());
        assert_eq!("proxy".parse::<ProxyNetwork>(), Err(ProxySettingError::Network));
        assert_eq!("a b".parse::<UserHeader>(), Err(ProxySettingError::Header));
    }
}
