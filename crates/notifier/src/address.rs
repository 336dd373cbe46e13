//! Forbidden destination addresses: everything except plain, public unicast addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use ipnet::{Ipv4Net, Ipv6Net};

/// Why an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {kind}")]
pub struct ForbiddenAddress {
    pub address: IpAddr,
    pub kind: AddressKind,
}

/// The category of a forbidden address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressKind {
    Loopback,
    Private,
    LinkLocal,
    /// 100.64.0.0/10, carrier-grade NAT (RFC 6598).
    SharedNat,
    /// A cloud metadata service, which hands out credentials among other things.
    Metadata,
    Multicast,
    Unspecified,
    Documentation,
    /// An IPv6 address that embeds an IPv4 address: mapped, compatible, NAT64, 6to4, Teredo.
    EmbedsIpv4,
    /// Unassigned, or reserved for protocol use.
    Reserved,
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::LinkLocal => "a link-local address",
            Self::SharedNat => "a carrier-grade NAT address",
            Self::Metadata => "a cloud metadata service",
            Self::Multicast => "a multicast address",
            Self::Unspecified => "the unspecified address",
            Self::Documentation => "a documentation address",
            Self::EmbedsIpv4 => "an IPv6 form of an IPv4 address",
            Self::Reserved => "a reserved address",
        })
    }
}

/// From the IANA registry of special-purpose IPv4 addresses. The first matching block wins. The metadata addresses in
/// public or shared space belong to Azure, Alibaba and Oracle.
static IPV4: LazyLock<Vec<(Ipv4Net, AddressKind)>> = LazyLock::new(|| {
    use AddressKind::{
        Documentation, LinkLocal, Loopback, Metadata, Multicast, Private, Reserved, SharedNat, Unspecified,
    };
    let blocks = [
        ("169.254.169.254/32", Metadata),
        ("168.63.129.16/32", Metadata),
        ("100.100.100.200/32", Metadata),
        ("192.0.0.192/32", Metadata),
        ("0.0.0.0/32", Unspecified),
        ("0.0.0.0/8", Reserved),
        ("10.0.0.0/8", Private),
        ("100.64.0.0/10", SharedNat),
        ("127.0.0.0/8", Loopback),
        ("169.254.0.0/16", LinkLocal),
        ("172.16.0.0/12", Private),
        ("192.0.0.0/24", Reserved),
        ("192.0.2.0/24", Documentation),
        ("192.88.99.0/24", Reserved),
        ("192.168.0.0/16", Private),
        ("198.18.0.0/15", Reserved),
        ("198.51.100.0/24", Documentation),
        ("203.0.113.0/24", Documentation),
        ("224.0.0.0/4", Multicast),
        ("240.0.0.0/4", Reserved),
    ];
    blocks.map(|(block, kind)| (block.parse().expect("the block is valid"), kind)).into()
});

/// From the IANA registry of special-purpose IPv6 addresses. Addresses outside these blocks and outside 2000::/3 are
/// reserved: only 2000::/3 is assigned for global unicast.
static IPV6: LazyLock<Vec<(Ipv6Net, AddressKind)>> = LazyLock::new(|| {
    use AddressKind::{
        Documentation, EmbedsIpv4, LinkLocal, Loopback, Metadata, Multicast, Private, Reserved, Unspecified,
    };
    let blocks = [
        ("fd00:ec2::254/128", Metadata),
        ("fd20:ce::254/128", Metadata),
        ("::/128", Unspecified),
        ("::1/128", Loopback),
        ("::/96", EmbedsIpv4),
        ("::ffff:0:0/96", EmbedsIpv4),
        // IPv4-translated (RFC 2765), still used by SIIT translators.
        ("::ffff:0:0:0/96", EmbedsIpv4),
        ("64:ff9b::/96", EmbedsIpv4),
        ("64:ff9b:1::/48", EmbedsIpv4),
        ("2001::/32", EmbedsIpv4),
        ("2002::/16", EmbedsIpv4),
        ("2001::/23", Reserved),
        ("2001:db8::/32", Documentation),
        ("3fff::/20", Documentation),
        ("fc00::/7", Private),
        ("fe80::/10", LinkLocal),
        ("fec0::/10", Private),
        ("ff00::/8", Multicast),
    ];
    blocks.map(|(block, kind)| (block.parse().expect("the block is valid"), kind)).into()
});

/// Checks one address.
///
/// # Errors
/// [`ForbiddenAddress`] unless it is a public unicast address.
pub(crate) fn check(address: IpAddr) -> Result<(), ForbiddenAddress> {
    let kind = match address {
        IpAddr::V4(v4) => ipv4(v4),
        IpAddr::V6(v6) => ipv6(v6),
    };
    kind.map_or(Ok(()), |kind| Err(ForbiddenAddress { address, kind }))
}

fn ipv4(address: Ipv4Addr) -> Option<AddressKind> {
    IPV4.iter().find(|(block, _)| block.contains(&address)).map(|(_, kind)| *kind)
}

fn ipv6(address: Ipv6Addr) -> Option<AddressKind> {
    let special = IPV6.iter().find(|(block, _)| block.contains(&address)).map(|(_, kind)| *kind);
    // ISATAP (RFC 5214) embeds an IPv4 address in the interface identifier, under any prefix.
    let [.., a, b, _, _] = address.segments();
    let is_isatap = a & !0x0200 == 0 && b == 0x5EFE;
    special
        .or_else(|| is_isatap.then_some(AddressKind::EmbedsIpv4))
        .or_else(|| (address.segments()[0] >> 13 != 0b001).then_some(AddressKind::Reserved))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind(address: &str) -> Option<AddressKind> {
        check(address.parse().unwrap()).err().map(|forbidden| forbidden.kind)
    }

    /// Every IPv6 form that some network stack translates back to this IPv4 address.
    fn disguises(v4: Ipv4Addr) -> Vec<Ipv6Addr> {
        let [a, b] = [0, 1].map(|half| {
            let octets = v4.octets();
            u16::from_be_bytes([octets[2 * half], octets[2 * half + 1]])
        });
        vec![
            v4.to_ipv6_mapped(),
            Ipv6Addr::new(0, 0, 0, 0, 0, 0, a, b),
            Ipv6Addr::new(0, 0, 0, 0, 0xFFFF, 0, a, b),
            Ipv6Addr::new(0x64, 0xFF9B, 0, 0, 0, 0, a, b),
            Ipv6Addr::new(0x64, 0xFF9B, 1, 0, 0, 0, a, b),
            Ipv6Addr::new(0x2002, a, b, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0x2001, 0, a, b, 0, 0, !a, !b),
            Ipv6Addr::new(0x2A00, 1, 2, 3, 0, 0x5EFE, a, b),
            Ipv6Addr::new(0x2A00, 1, 2, 3, 0x0200, 0x5EFE, a, b),
        ]
    }

    #[test]
    fn public_addresses_pass() {
        for address in ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "223.255.255.255", "2606:4700::1"]
        {
            assert_eq!(kind(address), None, "{address}");
        }
    }

    #[test]
    fn each_category_of_address_has_its_name() {
        let cases = [
            ("127.0.0.1", AddressKind::Loopback),
            ("127.255.255.254", AddressKind::Loopback),
            ("10.1.2.3", AddressKind::Private),
            ("172.31.255.255", AddressKind::Private),
            ("192.168.0.1", AddressKind::Private),
            ("169.254.0.1", AddressKind::LinkLocal),
            ("169.254.169.254", AddressKind::Metadata),
            ("168.63.129.16", AddressKind::Metadata),
            ("100.100.100.200", AddressKind::Metadata),
            ("100.64.0.1", AddressKind::SharedNat),
            ("0.0.0.0", AddressKind::Unspecified),
            ("0.1.2.3", AddressKind::Reserved),
            ("255.255.255.255", AddressKind::Reserved),
            ("224.0.0.1", AddressKind::Multicast),
            ("198.51.100.7", AddressKind::Documentation),
            ("::", AddressKind::Unspecified),
            ("::1", AddressKind::Loopback),
            ("fe80::1", AddressKind::LinkLocal),
            ("fd12::1", AddressKind::Private),
            ("fd00:ec2::254", AddressKind::Metadata),
            ("ff02::1", AddressKind::Multicast),
            ("2001:db8::1", AddressKind::Documentation),
            ("100::1", AddressKind::Reserved),
            ("5f00::1", AddressKind::Reserved),
        ];
        for (address, expected) in cases {
            assert_eq!(kind(address), Some(expected), "{address}");
        }
    }

    proptest! {
        #[test]
        fn addresses_that_std_knows_as_special_are_refused(bits: u32, wide: u128, pick in 0_u8..8) {
            let v4 = Ipv4Addr::from_bits(match pick {
                0 => bits & 0x00FF_FFFF | 0x7F00_0000,
                1 => bits & 0x00FF_FFFF | 0x0A00_0000,
                2 => bits & 0x000F_FFFF | 0xAC10_0000,
                3 => bits & 0x0000_FFFF | 0xC0A8_0000,
                4 => bits & 0x0000_FFFF | 0xA9FE_0000,
                _ => bits,
            });
            let special = v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_multicast()
                || v4.is_broadcast() || v4.is_documentation() || v4.is_unspecified();
            prop_assert!(!special || check(v4.into()).is_err(), "{v4}");
            let v6 = Ipv6Addr::from_bits(match pick {
                5 => wide >> 8 | 0xFC << 120,
                6 => wide >> 10 | 0xFE80 << 112,
                7 => wide >> 8 | 0xFF << 120,
                _ => wide,
            });
            let special = v6.is_loopback() || v6.is_multicast() || v6.is_unspecified()
                || v6.is_unique_local() || v6.is_unicast_link_local();
            prop_assert!(!special || check(v6.into()).is_err(), "{v6}");
        }

        #[test]
        fn no_ipv6_form_of_an_ipv4_address_passes(bits: u32) {
            for disguise in disguises(Ipv4Addr::from_bits(bits)) {
                prop_assert!(check(disguise.into()).is_err(), "{disguise}");
            }
        }

        #[test]
        fn only_global_unicast_passes(bits: u128) {
            let v6 = Ipv6Addr::from_bits(bits);
            prop_assert!(check(v6.into()).is_err() || v6.segments()[0] & 0xE000 == 0x2000, "{v6}");
        }
    }
}
