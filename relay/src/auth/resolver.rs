//! Name resolution for JWKS fetches: addresses that only exist inside a network are refused, so that a name in the
//! allow-list cannot lead into the cluster or to a metadata service. One private address refuses the whole answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::broken::{self, Defect};

/// Refuses names with addresses that are not public, unless they are allowed.
#[derive(Clone)]
pub struct PublicResolver {
    /// Where names are looked up.
    pub names: Arc<dyn Resolve>,
    /// Takes every address.
    pub allow_private: bool,
}

/// The system's resolver.
#[derive(Clone, Copy, Debug)]
pub struct SystemNames;

impl Resolve for SystemNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

/// A name of the allow-list leads to an address that is not public.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} resolves to {address}, which is not public; set auth.allowPrivateJwks to true if it is meant")]
pub struct PrivateAddress {
    name: String,
    address: IpAddr,
}

impl PublicResolver {
    fn check(&self, name: &str, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, PrivateAddress> {
        match addresses.iter().map(SocketAddr::ip).find(|ip| !is_public(*ip)) {
            Some(address) if !self.allow_private && !broken::is(Defect::PrivateJwksAddress) => {
                Err(PrivateAddress { name: name.to_owned(), address })
            }
            _ => Ok(addresses),
        }
    }
}

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let text = name.as_str().to_owned();
            let found = resolver.names.resolve(name).await?.collect();
            let addresses: Addrs = Box::new(resolver.check(&text, found)?.into_iter());
            Ok(addresses)
        })
    }
}

/// IPv4 networks that the Internet does not route (IANA special-purpose registry, RFC 6890).
#[rustfmt::skip]
const SPECIAL_V4: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::UNSPECIFIED, 8),            // this host
    (Ipv4Addr::new(10, 0, 0, 0), 8),       // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),    // carrier-grade NAT; clouds put pods and metadata there
    (Ipv4Addr::new(127, 0, 0, 0), 8),      // loopback
    (Ipv4Addr::new(169, 254, 0, 0), 16),   // link-local, with the metadata services
    (Ipv4Addr::new(172, 16, 0, 0), 12),    // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),     // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),     // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),   // 6to4 relay
    (Ipv4Addr::new(192, 168, 0, 0), 16),   // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),    // benchmarking
    (Ipv4Addr::new(198, 51, 100, 0), 24),  // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),   // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 3),      // multicast and reserved
];

/// The part of IPv6 that is assigned for the Internet, and what is special in it.
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
#[rustfmt::skip]
const SPECIAL_V6: &[(Ipv6Addr, u32)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),      // protocol assignments, Teredo
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),  // documentation
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),      // documentation
];

/// IPv6 networks whose addresses lead to the IPv4 address that starts at this bit.
#[rustfmt::skip]
const V4_IN_V6: &[(Ipv6Addr, u32, u32)] = &[
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 96),        // mapped
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, 96),     // NAT64
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 16),        // 6to4
];

/// Whether an address is reached through the Internet.
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            !SPECIAL_V4.iter().any(|(network, bits)| (ip.to_bits() ^ network.to_bits()).leading_zeros() >= *bits)
        }
        IpAddr::V6(ip) => match V4_IN_V6.iter().find(|(network, bits, _)| lies_in(ip, *network, *bits)) {
            Some((_, _, start)) => {
                let [.., a, b, c, d] = (ip.to_bits() >> (96 - start)).to_be_bytes();
                is_public(Ipv4Addr::new(a, b, c, d).into())
            }
            None => {
                lies_in(ip, GLOBAL_V6.0, GLOBAL_V6.1)
                    && !SPECIAL_V6.iter().any(|(network, bits)| lies_in(ip, *network, *bits))
            }
        },
    }
}

fn lies_in(ip: Ipv6Addr, network: Ipv6Addr, bits: u32) -> bool {
    (ip.to_bits() ^ network.to_bits()).leading_zeros() >= bits
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    fn resolver(allow_private: bool) -> PublicResolver {
        PublicResolver { names: Arc::new(SystemNames), allow_private }
    }

    #[test]
    fn addresses_that_exist_only_inside_a_network_are_not_public() {
        let private = "0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.8.9.10 169.254.169.254 \
            172.16.0.1 172.31.255.255 192.0.0.8 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255 \
            198.51.100.7 203.0.113.9 224.0.0.1 240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 \
            ::ffff:10.1.2.3 64:ff9b::a00:1 64:ff9b:1::1 100::1 2001::1 2001:db8::1 2002:7f00:1::1 2002:a9fe:a9fe::1 \
            3fff::1 5f00::1 fc00::1 fd12:3456::1 fe80::1 fec0::1 ff02::1";
        for address in private.split_whitespace() {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn addresses_of_the_internet_are_public() {
        let public = "1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 192.0.1.1 192.167.1.1 198.17.0.1 \
            223.255.255.255 ::ffff:8.8.8.8 64:ff9b::808:808 2001:4860:4860::8888 2002:808:808::1 2606:4700::1111 \
            2a00:1450::1";
        for address in public.split_whitespace() {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn one_private_address_refuses_the_whole_answer() {
        let addresses = ["8.8.8.8:0", "10.0.0.1:0"].map(|address| address.parse().unwrap()).to_vec();
        let refused = resolver(false).check("jwks.example", addresses.clone()).unwrap_err();
        assert_eq!(refused, PrivateAddress { name: "jwks.example".to_owned(), address: [10, 0, 0, 1].into() });
        assert_eq!(resolver(true).check("jwks.example", addresses.clone()), Ok(addresses));
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_refused_before_a_connection() {
        let refused = resolver(false).resolve("localhost".parse().unwrap()).await;
        let text = refused.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(text.starts_with("localhost resolves to "), "{text}");
        assert!(resolver(true).resolve("localhost".parse().unwrap()).await.is_ok());
    }
}
