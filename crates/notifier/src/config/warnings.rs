//! Warnings about valid but probably unintended settings. Opens no connections and resolves no names.

use std::net::{IpAddr, Ipv4Addr};

use url::{Host, Url};

use super::targets::{Destination, HttpDestination, Target};
use crate::address;
use crate::allow_list::AllowList;

/// Top-level domains that never resolve to public addresses.
const PRIVATE_NAMES: [&str; 5] = [".local", ".internal", ".lan", ".home.arpa", ".test"];

/// The warnings for one target.
pub(super) fn of(target: &Target, allow: &AllowList) -> Vec<String> {
    let Some(http) = target.destination.http() else { return Vec::new() };
    let about = |text: String| format!("target {}: {text}", target.name);
    [wrong_kind(&target.destination, &http.url), out_of_reach(http, allow)]
        .into_iter()
        .flatten()
        .map(about)
        .collect()
}

/// Slack and Discord reject every body that is not in their own format.
fn wrong_kind(destination: &Destination, url: &Url) -> Option<String> {
    let Destination::Webhook(_) = destination else { return None };
    let host = url.host_str()?;
    let kind = if host == "hooks.slack.com" && url.path().starts_with("/services/") {
        "slack"
    } else if ["discord.com", "discordapp.com"].iter().any(|name| is_at(host, name))
        && url.path().starts_with("/api/webhooks/")
    {
        "discord"
    } else {
        return None;
    };
    Some(format!("kind: {host} only accepts messages in its own format: set kind = \"{kind}\""))
}

/// The address guard refuses private addresses.
fn out_of_reach(http: &HttpDestination, allow: &AllowList) -> Option<String> {
    let url = &http.url;
    if allow.contains_url(url) {
        return None;
    }
    let (host, port) = (url.host_str()?, url.port_or_known_default()?);
    let kind = match url.host()? {
        Host::Ipv4(address) => refused(address.into(), allow)?,
        Host::Ipv6(address) => refused(address.into(), allow)?,
        Host::Domain(name) if is_at(name, "localhost") => refused(Ipv4Addr::LOCALHOST.into(), allow)?,
        // A network in `allow` may contain the address that the name resolves to.
        Host::Domain(name) if is_private(name) && !allow.has_networks() => {
            "probably a private address".to_owned()
        }
        Host::Domain(_) => return None,
    };
    Some(format!(
        "url: {host} is {kind}, so nothing is sent to it: add allow = [\"{host}:{port}\"] under [notifications]"
    ))
}

fn refused(address: IpAddr, allow: &AllowList) -> Option<String> {
    if allow.contains_address(address) {
        return None;
    }
    address::check(address).err().map(|forbidden| forbidden.kind.to_string())
}

fn is_at(host: &str, name: &str) -> bool {
    host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))
}

/// A name without a dot belongs to a container or to the local network.
fn is_private(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    !name.contains('.') || PRIVATE_NAMES.iter().any(|end| name.ends_with(end))
}
