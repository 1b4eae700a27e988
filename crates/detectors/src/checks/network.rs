//! Addresses of machines and mailboxes.

use std::net::{Ipv4Addr, Ipv6Addr};

pub(super) fn is_public_ip(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok_and(|ip| {
        let [a, b, c, d] = ip.octets();
        let reserved = ip.is_private()
            || ip.is_loopback()
            || ip.is_link_local()
            || ip.is_broadcast()
            || ip.is_documentation()
            || ip.is_multicast()
            || ip.is_unspecified();
        // Small numbers throughout are versions, and the same four are the resolvers that everybody names.
        let version = a < 16 && b < 32 && c < 32 && d < 32;
        let resolver =
            matches!((a, b, c, d), (8, 8, 8, 8) | (8, 8, 4, 4) | (1, 1, 1, 1) | (1, 0, 0, 1) | (9, 9, 9, 9));
        let shared = a == 100 && (64..128).contains(&b);
        !(reserved || version || resolver || shared || a == 0 || a >= 240)
    })
}

/// Whether a command names a public address; private ones are examples and laboratories.
pub(super) fn has_public_ip(command: &str) -> bool {
    command
        .split(|c: char| !(c.is_ascii_digit() || c == '.'))
        .filter_map(|part| part.trim_matches('.').parse::<Ipv4Addr>().ok())
        .any(|ip| !(ip.is_private() || ip.is_loopback() || ip.is_documentation() || ip.is_unspecified()))
}

/// An address that is given to somebody: not one of a link, a site, a group, documentation or a resolver.
pub(super) fn is_public_ipv6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok_and(|ip| {
        let [first, second, ..] = ip.segments();
        let documentation = first == 0x2001 && second == 0xdb8 || first == 0x3fff && second < 0x1000;
        let local = ip.is_loopback()
            || ip.is_unspecified()
            || ip.is_multicast()
            || first & 0xff80 == 0xfe80
            || first & 0xfe00 == 0xfc00;
        let resolver = matches!((first, second), (0x2001, 0x4860) | (0x2606, 0x4700) | (0x2620, 0xfe));
        !(documentation || local || resolver || first == 0 || first == 0x64)
    })
}

/// A hardware address that one device has: not that of everybody, of nobody, or counted up as in manuals.
pub(super) fn is_mac(text: &str) -> bool {
    let hex: String = text.chars().filter(char::is_ascii_hexdigit).map(|c| c.to_ascii_lowercase()).collect();
    let distinct: std::collections::BTreeSet<_> = hex.chars().collect();
    hex.len() == 12
        && distinct.len() > 2
        && !matches!(&*hex, "001122334455" | "010203040506" | "123456789abc" | "deadbeefcafe")
}

/// Not an image named `logo@2x.png`, a remote of git, or an address inside a URL.
pub(super) fn is_mailbox(text: &str) -> bool {
    const FILES: [&str; 12] =
        ["png", "jpg", "jpeg", "gif", "svg", "webp", "js", "ts", "css", "json", "md", "py"];
    let lower = text.to_ascii_lowercase();
    let Some((local, domain)) = lower.split_once('@') else { return false };
    let Some((_, top)) = domain.rsplit_once('.') else { return false };
    let machine = matches!(local, "git" | "hg" | "svn" | "ssh" | "root");
    !machine
        && !FILES.contains(&top)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !lower.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_documentation_and_of_no_one_are_left_alone() {
        for ip in ["185.22.174.69", "91.198.174.192"] {
            assert!(is_public_ip(ip), "{ip}");
        }
        for ip in [
            "192.0.2.1",
            "198.51.100.7",
            "203.0.113.9",
            "10.1.2.3",
            "127.0.0.1",
            "1.2.3.4",
            "8.8.8.8",
            "255.1.1.1",
        ] {
            assert!(!is_public_ip(ip), "{ip}");
        }
        for ip in ["2a02:8109:9c40:1e3c::17", "2345:425:2ca1::567:5673:23b5"] {
            assert!(is_public_ipv6(ip), "{ip}");
        }
        for ip in ["::1", "::", "fe80::1", "2001:db8::1", "ff02::1", "fd12:3456::1", "2001:4860:4860::8888"] {
            assert!(!is_public_ipv6(ip), "{ip}");
        }
    }

    #[test]
    fn a_hardware_address_is_one_device() {
        assert!(is_mac("0a:23:f5:67:89:ac") && is_mac("aabb.ccdd.ee12"));
        assert!(!is_mac("ff:ff:ff:ff:ff:ff") && !is_mac("00:00:00:00:00:00") && !is_mac("00:11:22:33:44:55"));
    }

    #[test]
    fn a_file_name_is_no_mailbox() {
        assert!(is_mailbox("ann.lee@north-harbour.org"));
        for other in ["logo@2x.png", "git@github.com", "a..b@c.org"] {
            assert!(!is_mailbox(other), "{other}");
        }
    }
}
