//! Which addresses may be spoken to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::failure::Failure;

/// Which addresses may be spoken to. Looked at once a name is resolved, and again at every redirect.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AddressPolicy {
    /// All but those where no service of anybody's is: link-local, metadata of clouds, unspecified, multicast and
    /// broadcast, however an IPv4 address is wrapped in one of IPv6. Loopback and private networks are fine.
    #[default]
    Services,
    /// All.
    Any,
}

/// Where clouds tell machines their secrets, beyond the link-local addresses.
const METADATA: [IpAddr; 5] = [
    // Alibaba.
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    // Azure.
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    // Oracle.
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    // Amazon.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
    // Google.
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254)),
];

impl AddressPolicy {
    /// Those of a host's addresses that may be spoken to, one at least.
    pub(crate) fn permitted(
        self,
        host: &str,
        mut found: Vec<SocketAddr>,
    ) -> Result<Vec<SocketAddr>, Failure> {
        if self == AddressPolicy::Any {
            return Ok(found);
        }
        let mut refused = None;
        found.retain(|address| match refusal(address.ip()) {
            None => true,
            Some(why) => {
                refused.get_or_insert((address.ip(), why));
                false
            }
        });
        match refused {
            Some((ip, why)) if found.is_empty() => {
                Err(Failure::failed(format!("`{host}` is not asked: its address {ip} is {why}")))
            }
            _ => Ok(found),
        }
    }
}

/// Why nothing is sent to an address.
fn refusal(ip: IpAddr) -> Option<&'static str> {
    let ip = match ip {
        IpAddr::V6(v6) => wrapped(v6).map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    };
    if METADATA.contains(&ip) {
        return Some("one for metadata of a cloud");
    }
    match ip {
        // "This network" of RFC 1122 §3.2.1.3: the system may take any of it for itself.
        IpAddr::V4(v4) if v4.octets()[0] == 0 => Some("unspecified"),
        IpAddr::V4(v4) if v4.is_link_local() => Some("link-local, where clouds keep their metadata"),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("one for broadcast"),
        IpAddr::V6(v6) if v6.is_unspecified() => Some("unspecified"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("link-local"),
        ip if ip.is_multicast() => Some("one for multicast"),
        _ => None,
    }
}

/// The IPv4 address in one of IPv6 through which it is reached: mapped and compatible (RFC 4291 §2.5.5), NAT64
/// (RFC 6052, RFC 8215), 6to4 (RFC 3056).
fn wrapped(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_where_no_service_is() {
        let check = |text: &str, expected: Option<&str>| {
            let ip: IpAddr = text.parse().unwrap();
            match (refusal(ip), expected) {
                (None, None) => {}
                (Some(why), Some(words)) if why.contains(words) => {}
                (found, _) => panic!("{text}: {found:?}"),
            }
        };
        for fine in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "192.0.2.1",
            "255.255.255.254",
            "::1",
            "::ffff:127.0.0.1",
            "fd00::1",
            "2001:db8::1",
            "64:ff9b::192.0.2.1",
            "2002:c000:0201::1",
        ] {
            check(fine, None);
        }
        for (refused, why) in [
            ("169.254.169.254", "link-local"),
            ("169.254.170.2", "link-local"),
            ("::ffff:169.254.169.254", "link-local"),
            ("::169.254.169.254", "link-local"),
            ("64:ff9b::a9fe:a9fe", "link-local"),
            ("64:ff9b:1::a9fe:a9fe", "link-local"),
            ("2002:a9fe:a9fe::1", "link-local"),
            ("fe80::1", "link-local"),
            ("100.100.100.200", "metadata"),
            ("168.63.129.16", "metadata"),
            ("::ffff:100.100.100.200", "metadata"),
            ("fd00:ec2::254", "metadata"),
            ("fd20:ce::254", "metadata"),
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("::", "unspecified"),
            ("::ffff:0.0.0.0", "unspecified"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("ff02::1", "multicast"),
            ("255.255.255.255", "broadcast"),
        ] {
            check(refused, Some(why));
        }
    }

    #[test]
    fn what_is_left_of_a_names_addresses_is_asked() {
        let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 80)).collect()
        };
        let mixed = addresses(&["fe80::1", "192.168.0.7", "169.254.169.254"]);
        let left = AddressPolicy::Services.permitted("printer", mixed.clone()).unwrap();
        assert_eq!(left, addresses(&["192.168.0.7"]));
        assert_eq!(AddressPolicy::Any.permitted("printer", mixed.clone()).unwrap(), mixed);
        let refused = AddressPolicy::Services.permitted("lure", addresses(&["169.254.169.254"])).unwrap_err();
        assert!(
            refused.message.starts_with("`lure` is not asked: its address 169.254.169.254 is link-local")
        );
        assert!(!refused.is_own);
    }
}
