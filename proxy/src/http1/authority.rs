//! RFC 3986 §3.2 and RFC 9110 §7.2: whether a Host, or the authority of an absolute target, names a host.
//!
//! Stricter than the grammar in three places, none of which a name in a mesh needs and each of which two
//! programs have read differently: no userinfo (RFC 9110 §4.2.4), no percent-encoding, no comma.

use std::net::Ipv6Addr;

/// Whether `text` is `uri-host [":" port]` with a host that is not empty.
#[inline]
pub(super) fn is_authority(text: &[u8]) -> bool {
    if let [b'[', literal @ ..] = text {
        let close = literal.iter().position(|&b| b == b']');
        return close.is_some_and(|close| is_ipv6(&literal[..close]) && is_port(&literal[close + 1..]));
    }
    let name = text.iter().position(|&b| !NAME_BYTES[usize::from(b)]).unwrap_or(text.len());
    name > 0 && is_port(&text[name..])
}

/// `unreserved / sub-delims` without the comma, which makes a list of two hosts look like one. A table: this runs for
/// each byte of each request's Host.
const NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0_u8;
    while b < 0x80 {
        let mark = matches!(b, b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&'..=b'+' | b';' | b'=');
        table[b as usize] = b.is_ascii_alphanumeric() || mark;
        b += 1;
    }
    table
};

fn is_ipv6(address: &[u8]) -> bool {
    str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// Empty, or a colon and a port; the grammar allows a colon alone.
#[inline]
fn is_port(text: &[u8]) -> bool {
    match text {
        [] => true,
        [b':', digits @ ..] => {
            let number = digits.iter().try_fold(0_u32, |number, &b| match b {
                b'0'..=b'9' => Some(number * 10 + u32::from(b - b'0')).filter(|&n| n <= 65_535),
                _ => None,
            });
            digits.len() <= 5 && number.is_some()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_taken_and_everything_else_is_not() {
        for good in [
            "a",
            "a.example",
            "a.example.",
            "A.EXAMPLE:80",
            "a:",
            "a:0",
            "a:65535",
            "10.0.0.1:8080",
            "[::1]",
            "[::1]:443",
            "[2001:db8::192.0.2.1]:",
            "web_1.default.dc1",
            "xn--bcher-kva.example",
            "a~b",
            "s3!$&'()*+;=",
        ] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ":",
            ":80",
            "a:65536",
            "a:000080",
            "a:99999999999999999999",
            "a:b",
            "a:80:80",
            "a:-1",
            "a:+1",
            "a: 80",
            "a b",
            "a/b",
            "a/",
            "/",
            "u@a",
            "@a",
            "a?b",
            "a#b",
            "a\\b",
            "a,b",
            "a%2fb",
            "a%",
            "a\"b",
            "a<b",
            "a|b",
            "a^b",
            "a{b}",
            "a`b",
            "é",
            "a\x7f",
            "[",
            "[]",
            "[::1",
            "::1",
            "[::1]a",
            "[::1]80",
            "[a]",
            "[::1%25eth0]",
            "[v1.a]",
            "[::1]:x",
            "[::1][::1]",
            "a[::1]",
            "http://a",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }
}
