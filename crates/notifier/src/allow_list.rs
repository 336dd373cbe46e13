//! The operator's exceptions to the address guard: networks, and single hosts with a port.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use url::{Host, Url};

/// Destinations that are allowed although their address is not public. Empty by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList {
    networks: Vec<IpNet>,
    /// Host (as in a URL) and port, whatever the addresses of the host. The field names are part of `Config::digest`.
    places: Vec<(String, u16)>,
}

/// An entry that is neither a network nor a host with a port.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{0:?} is not a valid exception: write a network such as 10.1.0.0/16, or a host with a port such as localhost:3000"
)]
pub struct AllowListError(String);

impl AllowList {
    /// Parses networks (`10.1.0.0/16`, `fd12::/32`, a single address) and hosts with a port (`localhost:3000`,
    /// `[::1]:8080`).
    ///
    /// # Errors
    /// [`AllowListError`] contains the first invalid entry.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, AllowListError> {
        let mut list = Self::default();
        for entry in entries {
            let entry = entry.trim();
            if let Ok(network) = IpNet::from_str(entry) {
                list.networks.push(network.trunc());
            } else if let Ok(address) = IpAddr::from_str(entry) {
                list.networks.push(IpNet::from(address));
            } else {
                list.places.push(host_and_port(entry).ok_or_else(|| AllowListError(entry.to_owned()))?);
            }
        }
        Ok(list)
    }

    /// Adds an exception for the host and port of this URL.
    pub fn with_url(mut self, url: &Url) -> Self {
        if let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) {
            self.places.push((host.to_owned(), port));
        }
        self
    }

    pub(crate) fn has_networks(&self) -> bool {
        !self.networks.is_empty()
    }

    pub(crate) fn contains_address(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    pub(crate) fn contains_url(&self, url: &Url) -> bool {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return false;
        };
        self.places.iter().any(|(known_host, known_port)| known_host == host && *known_port == port)
    }
}

/// Parses `host:port` the way a URL does, so that both compare equal.
fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let host = Host::parse(host).ok()?;
    Some((host.to_string(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_hosts_with_ports_are_distinguished() {
        let list =
            AllowList::parse(["10.1.2.3/16", "::1", "LocalHost:3000", "[::1]:80", "127.0.0.1:9"]).unwrap();
        assert!(list.contains_address("10.1.255.1".parse().unwrap()));
        assert!(list.contains_address("::1".parse().unwrap()));
        assert!(!list.contains_address("10.2.0.1".parse().unwrap()));
        for (url, contained) in [
            ("http://localhost:3000/x", true),
            ("http://localhost:3001/x", false),
            ("http://[::1]/", true),
            ("https://[::1]/", false),
            ("http://0x7f.1:9/", true),
        ] {
            assert_eq!(list.contains_url(&url.parse().unwrap()), contained, "{url}");
        }
    }

    #[test]
    fn invalid_entries_are_refused() {
        for text in ["", "localhost", "10.0.0.0/33", "http://localhost:3000", "host:0", "host:99999", "a b:1"]
        {
            assert!(AllowList::parse([text]).is_err(), "{text}");
        }
    }
}
