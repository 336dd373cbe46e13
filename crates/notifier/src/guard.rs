//! Keeps one target's requests away from forbidden addresses. It is the target's name resolver: the connection is made
//! to exactly the addresses it lets through, never to a second look-up's, so a name that changes its answer gains
//! nothing. A URL that holds an address is checked before each request, because no name is resolved for it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::address::{self, ForbiddenAddress};
use crate::allow_list::AllowList;

/// Looks a host's addresses up.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// The operating system's resolver.
pub fn system_lookup() -> Lookup {
    Arc::new(|host| {
        async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        }
        .boxed()
    })
}

/// Why no request to a target could be sent, whatever it would answer.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    #[error("its address is not allowed")]
    Forbidden(#[from] ForbiddenAddress),
    #[error("its name {host} cannot be looked up")]
    Lookup { host: String, source: Box<dyn std::error::Error + Send + Sync> },
}

/// The guard of one URL.
#[derive(Clone)]
pub(crate) struct Guard {
    allow: AllowList,
    /// The operator named this very host and port.
    exempt: bool,
    lookup: Lookup,
}

impl Guard {
    pub(crate) fn new(url: &Url, allow: &AllowList, lookup: Lookup) -> Self {
        Self { exempt: allow.holds_place_of(url), allow: allow.clone(), lookup }
    }

    /// Refuses a URL whose host is a forbidden address. Names are checked when they are resolved.
    pub(crate) fn check_host(&self, url: &Url) -> Result<(), ForbiddenAddress> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.check(address.into()),
            Some(Host::Ipv6(address)) => self.check(address.into()),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    /// Whether a request to the URL could be sent, by what its name resolves to now.
    pub(crate) async fn check_address(&self, url: &Url) -> Result<(), AddressError> {
        self.check_host(url)?;
        let Some(Host::Domain(host)) = url.host() else { return Ok(()) };
        match self.permitted(host.to_owned()).await {
            Ok(_) => Ok(()),
            Err(source) => Err(match source.downcast::<ForbiddenAddress>() {
                Ok(forbidden) => AddressError::Forbidden(*forbidden),
                Err(source) => AddressError::Lookup { host: host.to_owned(), source },
            }),
        }
    }

    fn check(&self, address: IpAddr) -> Result<(), ForbiddenAddress> {
        if self.exempt || self.allow.holds_address(address) { Ok(()) } else { address::check(address) }
    }

    /// The addresses of a host that may be reached; the first refusal when there is none.
    async fn permitted(&self, host: String) -> Result<Vec<IpAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let mut refused = None;
        let mut permitted = Vec::new();
        for address in (self.lookup)(host).await? {
            match self.check(address) {
                Ok(()) => permitted.push(address),
                Err(forbidden) => refused = refused.or(Some(forbidden)),
            }
        }
        match refused {
            Some(forbidden) if permitted.is_empty() => Err(forbidden.into()),
            _ => Ok(permitted),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        async move {
            let permitted = guard.permitted(name.as_str().to_owned()).await?;
            let addresses: Addrs = Box::new(permitted.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        }
        .boxed()
    }
}
