//! Which host names a request may be for. A web page that points a name of its own at this machine (DNS rebinding) would
//! otherwise read the console with the rights of everybody on it.

use std::convert::Infallible;
use std::net::IpAddr;
use std::str::FromStr;

use actix_web::dev::ServiceRequest;
use actix_web::http::header;

/// The setting `CONSOLE_HOSTS`. Loopback names are always allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedHosts(Vec<String>);

impl FromStr for AllowedHosts {
    type Err = Infallible;

    fn from_str(list: &str) -> Result<Self, Infallible> {
        let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
        Ok(Self(names.map(str::to_ascii_lowercase).collect()))
    }
}

impl std::fmt::Display for AllowedHosts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

impl AllowedHosts {
    pub(crate) fn allow(&self, request: &ServiceRequest) -> bool {
        let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        // HTTP/1.0 has no host; then there is no name that a page could have chosen.
        named.is_none_or(|host| self.allow_name(host))
    }

    fn allow_name(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        let is_loopback = name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        is_loopback || name == "localhost" || self.0.contains(&name)
    }
}

/// The host of a `Host` header; an IPv6 address without its brackets.
fn without_port(host: &str) -> &str {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_listed_names_are_allowed() {
        let hosts: AllowedHosts = " Console.example.com, landfall ".parse().unwrap_or_default();
        for host in [
            "localhost",
            "LOCALHOST:8090",
            "127.0.0.1:8090",
            "127.5.5.5",
            "[::1]:8090",
            "console.example.com:443",
            "landfall",
        ] {
            assert!(hosts.allow_name(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "[::2]:1",
            "::1x",
        ] {
            assert!(!hosts.allow_name(host), "{host}");
        }
    }
}
