//! What gRPC asks of a proxy: answers of our own that its clients understand.

use std::fmt::Write;

/// Whether a request with this content type is a gRPC call: `application/grpc`, alone or with a format behind it.
pub(super) fn is_call(content_type: &[u8]) -> bool {
    const NAME: &[u8] = b"application/grpc";
    let named = content_type.get(..NAME.len()).is_some_and(|start| start.eq_ignore_ascii_case(NAME));
    named && matches!(content_type.get(NAME.len()), None | Some(b'+' | b';' | b' '))
}

/// The gRPC status that stands for an HTTP status, as gRPC maps what a proxy answers
/// (grpc/doc/http-grpc-status-mapping.md).
pub(super) fn status_for(http: u16) -> u8 {
    match http {
        400 | 431 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

/// A `grpc-message`: what is not printable ASCII, and `%`, is percent-encoded.
pub(super) fn message(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

/// A `grpc-status` as it stands in a head or in trailers.
pub(super) fn parse_status(value: &[u8]) -> Option<u8> {
    str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_by_their_content_type() {
        for (content_type, call) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/gRPC; charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/grp", false),
            ("application/json", false),
            ("", false),
        ] {
            assert_eq!(is_call(content_type.as_bytes()), call, "{content_type}");
        }
    }

    #[test]
    fn http_statuses_become_those_that_grpc_gives_them() {
        for (http, grpc) in
            [(400, 13), (401, 16), (403, 7), (404, 12), (429, 14), (502, 14), (503, 14), (504, 14), (405, 2)]
        {
            assert_eq!(status_for(http), grpc, "{http}");
        }
    }

    #[test]
    fn a_message_stays_on_its_line() {
        assert_eq!(message("no route: 100% é\r\n"), "no route: 100%25 %C3%A9%0D%0A");
    }
}
