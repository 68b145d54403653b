//! What gRPC asks of a proxy: answers of our own that its clients understand, and the deadlines that they state.

use std::fmt::Write;
use std::time::Duration;

use http::HeaderMap;

use crate::http1::HeadView;

/// Whether a request with this content type is a gRPC call: `application/grpc`, alone or with a format behind it.
pub(super) fn is_call(content_type: &[u8]) -> bool {
    const NAME: &[u8] = b"application/grpc";
    let named = content_type.get(..NAME.len()).is_some_and(|start| start.eq_ignore_ascii_case(NAME));
    named && matches!(content_type.get(NAME.len()), None | Some(b'+' | b';' | b' '))
}

/// Whether a request is a gRPC call.
pub(super) fn is_call_of(view: &HeadView<'_>) -> bool {
    view.first("content-type").is_some_and(is_call)
}

/// How long a call may take, as its client says in `grpc-timeout`: up to eight digits and a unit
/// (grpc/doc/PROTOCOL-HTTP2.md). None when it says nothing that means anything.
pub(super) fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// The gRPC status that stands for the status of an answer of ours, as gRPC maps what a proxy answers
/// (grpc/doc/http-grpc-status-mapping.md), but for a timeout: 504 from us means that, and gRPC has a word for it.
pub(super) fn status_for(http: u16) -> u8 {
    match http {
        400 | 431 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 => 14,
        504 => 4,
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

/// `grpc-status` of an answer's trailers.
pub(super) fn status_of(trailers: &HeaderMap) -> Option<u8> {
    str::from_utf8(trailers.get("grpc-status")?.as_bytes()).ok()?.parse().ok()
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
            [(400, 13), (401, 16), (403, 7), (404, 12), (429, 14), (502, 14), (503, 14), (504, 4), (405, 2)]
        {
            assert_eq!(status_for(http), grpc, "{http}");
        }
    }

    #[test]
    fn a_timeout_is_up_to_eight_digits_and_a_unit() {
        for (value, timeout) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("100m", Some(Duration::from_millis(100))),
            ("5u", Some(Duration::from_micros(5))),
            ("0n", Some(Duration::ZERO)),
            ("100000000S", None),
            ("S", None),
            ("+1S", None),
            ("1", None),
            ("1 S", None),
            ("1s", None),
            ("", None),
        ] {
            assert_eq!(super::timeout(value.as_bytes()), timeout, "{value}");
        }
    }

    #[test]
    fn a_message_stays_on_its_line() {
        assert_eq!(message("no route: 100% é\r\n"), "no route: 100%25 %C3%A9%0D%0A");
    }
}
