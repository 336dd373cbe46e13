//! How often passwords can be tried.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const TRIES_MAX: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered. While there are more, others have to wait, so that many addresses have no more tries.
const ADDRESSES_MAX: usize = 10_000;
/// A client usually has a whole IPv6 network of this prefix length.
const IPV6_PREFIX: u32 = 64;

/// The tries of each address within the last minute.
#[derive(Debug, Default)]
pub(crate) struct LoginLimit(Mutex<HashMap<IpAddr, VecDeque<Instant>>>);

impl LoginLimit {
    /// Counts a try. Returns whether it is allowed.
    pub(crate) fn admit(&self, client: IpAddr, now: Instant) -> bool {
        let mut tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = |at: &Instant| now.saturating_duration_since(*at) >= WINDOW;
        if tries.len() >= ADDRESSES_MAX {
            tries.retain(|_, times| !times.back().is_none_or(is_old));
        }
        let client = network(client);
        if tries.len() >= ADDRESSES_MAX && !tries.contains_key(&client) {
            return false;
        }
        let times = tries.entry(client).or_default();
        times.retain(|at| !is_old(at));
        if times.len() >= TRIES_MAX {
            return false;
        }
        times.push_back(now);
        true
    }

    /// Forgets the tries of someone who knew the password.
    pub(crate) fn forget(&self, client: IpAddr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&network(client));
    }
}

fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => {
            let mask = u128::MAX << (128 - IPV6_PREFIX);
            Ipv6Addr::from(u128::from(address) & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_five_tries_a_minute() {
        let limit = LoginLimit::default();
        let start = Instant::now();
        let one = address("203.0.113.9");
        let at = |secs| start + Duration::from_secs(secs);
        let admitted = [0, 10, 20, 30, 40, 50, 59, 60, 61].map(|secs| limit.admit(one, at(secs)));
        assert_eq!(admitted, [true, true, true, true, true, false, false, true, false]);
        assert!(limit.admit(address("203.0.113.10"), at(61)), "others have tries of their own");
        limit.forget(one);
        assert!(limit.admit(one, at(61)));
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let limit = LoginLimit::default();
        let now = Instant::now();
        let admitted = (0..10).filter(|n| limit.admit(address(&format!("2001:db8::{n:x}")), now)).count();
        assert_eq!(admitted, 5);
        assert!(limit.admit(address("2001:db8:0:1::1"), now));
    }

    #[test]
    fn many_addresses_have_a_limit_together() {
        let limit = LoginLimit::default();
        let now = Instant::now();
        let of = |n: usize| IpAddr::from(u32::try_from(n).unwrap().to_be_bytes());
        let admitted = (0..ADDRESSES_MAX + 5).filter(|n| limit.admit(of(*n), now)).count();
        assert_eq!(admitted, ADDRESSES_MAX);
        assert!(limit.admit(of(ADDRESSES_MAX + 1), now + WINDOW), "old tries are forgotten");
    }
}
