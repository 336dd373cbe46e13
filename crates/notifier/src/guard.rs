//! Keeps the requests of one target away from forbidden addresses. The guard is the DNS resolver of the HTTP client:
//! the connection goes to exactly the addresses it approved, so DNS rebinding has no effect. A URL with an IP literal
//! needs no DNS and is checked before each request.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::address::{self, ForbiddenAddress};
use crate::allow_list::AllowList;

/// Resolves a host name to its addresses.
pub type Resolver = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// The resolver of the operating system.
pub fn system_resolver() -> Resolver {
    Arc::new(|host| {
        async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        }
        .boxed()
    })
}

/// Why a request to a target cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    #[error("its address is not allowed")]
    Forbidden(#[from] ForbiddenAddress),
    #[error("cannot resolve its host name {host}")]
    Unresolved { host: String, source: Box<dyn std::error::Error + Send + Sync> },
}

/// The guard of one URL.
#[derive(Clone)]
pub(crate) struct Guard {
    allow: AllowList,
    /// The allow list contains this host and port.
    exempt: bool,
    resolver: Resolver,
}

impl Guard {
    pub(crate) fn new(url: &Url, allow: &AllowList, resolver: Resolver) -> Self {
        Self { exempt: allow.contains_url(url), allow: allow.clone(), resolver }
    }

    /// Rejects a URL whose host is a forbidden IP literal. Names are checked when they are resolved.
    pub(crate) fn check_host(&self, url: &Url) -> Result<(), ForbiddenAddress> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.check(address.into()),
            Some(Host::Ipv6(address)) => self.check(address.into()),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    /// Checks whether a request to the URL could be sent, with the addresses that its name has now.
    pub(crate) async fn check_address(&self, url: &Url) -> Result<(), AddressError> {
        self.check_host(url)?;
        let Some(Host::Domain(host)) = url.host() else { return Ok(()) };
        match self.permitted(host.to_owned()).await {
            Ok(_) => Ok(()),
            Err(source) => Err(match source.downcast::<ForbiddenAddress>() {
                Ok(forbidden) => AddressError::Forbidden(*forbidden),
                Err(source) => AddressError::Unresolved { host: host.to_owned(), source },
            }),
        }
    }

    fn check(&self, address: IpAddr) -> Result<(), ForbiddenAddress> {
        if self.exempt || self.allow.contains_address(address) { Ok(()) } else { address::check(address) }
    }

    /// The allowed addresses of a host; if there are none, the error of the first forbidden one.
    async fn permitted(&self, host: String) -> Result<Vec<IpAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let mut refused = None;
        let mut permitted = Vec::new();
        for address in (self.resolver)(host).await? {
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
