//! What can be used as it is, but is probably not meant so. Nothing is connected to, and no name is resolved.

use std::net::{IpAddr, Ipv4Addr};

use url::{Host, Url};

use super::targets::{Destination, HttpPlace, Target};
use crate::address;
use crate::allow_list::AllowList;

/// Top-level names that no public address has.
const PRIVATE_NAMES: [&str; 5] = [".local", ".internal", ".lan", ".home.arpa", ".test"];

/// What to change about a target, if anything.
pub(super) fn of(target: &Target, allow: &AllowList) -> Vec<String> {
    let Some(place) = target.destination.http() else { return Vec::new() };
    let about = |text: String| format!("target {}: {text}", target.name);
    [wrong_kind(&target.destination, &place.url), out_of_reach(place, allow)]
        .into_iter()
        .flatten()
        .map(about)
        .collect()
}

/// Slack and Discord refuse what they do not understand, each time.
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
    Some(format!("kind: {host} takes only messages of its own form: write kind = \"{kind}\""))
}

/// The address guard refuses private addresses.
fn out_of_reach(place: &HttpPlace, allow: &AllowList) -> Option<String> {
    let url = &place.url;
    if allow.holds_place_of(url) {
        return None;
    }
    let (host, port) = (url.host_str()?, url.port_or_known_default()?);
    let what = match url.host()? {
        Host::Ipv4(address) => refused(address.into(), allow)?,
        Host::Ipv6(address) => refused(address.into(), allow)?,
        Host::Domain(name) if is_at(name, "localhost") => refused(Ipv4Addr::LOCALHOST.into(), allow)?,
        // A network in `allow` may hold whatever address the name has.
        Host::Domain(name) if is_private(name) && !allow.has_networks() => {
            "probably a private address".to_owned()
        }
        Host::Domain(_) => return None,
    };
    Some(format!(
        "url: {host} is {what}, to which nothing is sent: write allow = [\"{host}:{port}\"] under [notifications]"
    ))
}

fn refused(address: IpAddr, allow: &AllowList) -> Option<String> {
    if allow.holds_address(address) {
        return None;
    }
    address::check(address).err().map(|forbidden| forbidden.kind.to_string())
}

fn is_at(host: &str, name: &str) -> bool {
    host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))
}

/// A name without a dot is one of a container or of the local network.
fn is_private(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    !name.contains('.') || PRIVATE_NAMES.iter().any(|end| name.ends_with(end))
}
