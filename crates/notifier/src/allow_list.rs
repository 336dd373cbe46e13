//! The operator's exceptions to the address guard: networks, and single places by host and port.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use url::{Host, Url};

/// What may be reached although it is no public address. Empty by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList {
    networks: Vec<IpNet>,
    /// Host as a URL has it, and port: whatever the host's addresses are.
    places: Vec<(String, u16)>,
}

/// A text that is no exception.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is neither a network such as 10.1.0.0/16 nor a host with its port such as localhost:3000")]
pub struct WrongException(String);

impl AllowList {
    /// Reads networks (`10.1.0.0/16`, `fd12::/32`, a single address) and places (`localhost:3000`, `[::1]:8080`).
    ///
    /// # Errors
    /// [`WrongException`] repeats the first entry that is neither.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, WrongException> {
        let mut list = Self::default();
        for entry in entries {
            let entry = entry.trim();
            if let Ok(network) = IpNet::from_str(entry) {
                list.networks.push(network.trunc());
            } else if let Ok(address) = IpAddr::from_str(entry) {
                list.networks.push(IpNet::from(address));
            } else {
                list.places.push(place(entry).ok_or_else(|| WrongException(entry.to_owned()))?);
            }
        }
        Ok(list)
    }

    /// An exception for exactly where this URL points.
    pub fn with_place_of(mut self, url: &Url) -> Self {
        if let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) {
            self.places.push((host.to_owned(), port));
        }
        self
    }

    pub(crate) fn has_networks(&self) -> bool {
        !self.networks.is_empty()
    }

    pub(crate) fn holds_address(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    pub(crate) fn holds_place_of(&self, url: &Url) -> bool {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return false;
        };
        self.places.iter().any(|(known, its_port)| known == host && *its_port == port)
    }
}

/// Reads `host:port` as a URL would, so that both compare equal.
fn place(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let host = Host::parse(host).ok()?;
    Some((host.to_string(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_places_are_told_apart() {
        let list =
            AllowList::parse(["10.1.2.3/16", "::1", "LocalHost:3000", "[::1]:80", "127.0.0.1:9"]).unwrap();
        assert!(list.holds_address("10.1.255.1".parse().unwrap()));
        assert!(list.holds_address("::1".parse().unwrap()));
        assert!(!list.holds_address("10.2.0.1".parse().unwrap()));
        for (url, held) in [
            ("http://localhost:3000/x", true),
            ("http://localhost:3001/x", false),
            ("http://[::1]/", true),
            ("https://[::1]/", false),
            ("http://0x7f.1:9/", true),
        ] {
            assert_eq!(list.holds_place_of(&url.parse().unwrap()), held, "{url}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "localhost", "10.0.0.0/33", "http://localhost:3000", "host:0", "host:99999", "a b:1"]
        {
            assert!(AllowList::parse([text]).is_err(), "{text}");
        }
    }
}
