//! What we vouch for in `x-forwarded-client-cert`: who the downstream proved to be.
//!
//! What a downstream says there itself is never passed on, with one exception: a mesh gateway of our own trust domain
//! terminated a peer's connection and is believed who it was. Its element stays first, ours is appended.

use std::borrow::Cow;
use std::rc::Rc;

use spillway_core::name::{SpiffeId, Workload};

use crate::http1::HeadView;
use crate::stream::Stream;

/// A connection's part of `x-forwarded-client-cert`.
#[derive(Clone, Debug)]
pub struct Vouched {
    element: Rc<[u8]>,
    /// The downstream is a gateway of ours, whose own element is believed.
    from_gateway: bool,
}

impl Vouched {
    /// What `by` vouches for about `client`, who proved its identity on `stream`. None without a certificate.
    pub fn new(by: &SpiffeId, stream: &Stream, client: &SpiffeId) -> Option<Self> {
        let certificate = stream.peer_certificates()?.first()?;
        let element = spillway_certs::xfcc(by, certificate, client).into_bytes().into();
        let is_gateway = matches!(client.workload, Workload::MeshGateway { .. });
        let ours = client.trust_domain == by.trust_domain && matches!(by.workload, Workload::Service { .. });
        Some(Self { element, from_gateway: is_gateway && ours })
    }

    #[cfg(test)]
    pub(crate) fn of(element: &str, from_gateway: bool) -> Self {
        Self { element: element.as_bytes().into(), from_gateway }
    }

    /// The header's value for a request. More than one line from a gateway is not what a gateway sends.
    pub fn line(&self, request: &HeadView<'_>) -> Cow<'_, [u8]> {
        let mut received = request.head.forwarded_certs(request.buf);
        match (self.from_gateway, received.next(), received.next()) {
            (true, Some(caller), None) => Cow::Owned([caller, b",", &self.element].concat()),
            _ => Cow::Borrowed(&self.element),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::{Limits, RequestHead, parse_request};

    #[track_caller]
    fn check(from_gateway: bool, lines: &str, expected: &str) {
        let bytes = format!("GET / HTTP/1.1\r\nhost: a\r\n{lines}\r\n");
        let mut head = RequestHead::default();
        assert!(parse_request(bytes.as_bytes(), &Limits::default(), &mut head).is_ok());
        let vouched = Vouched::of("URI=us", from_gateway);
        let view = HeadView { head: &head, buf: bytes.as_bytes() };
        assert_eq!(String::from_utf8_lossy(&vouched.line(&view)), expected);
    }

    #[test]
    fn only_our_own_gateway_is_believed_who_called_it() {
        let forged = "x-forwarded-client-cert: URI=caller\r\n";
        check(false, "", "URI=us");
        check(false, forged, "URI=us");
        check(true, "", "URI=us");
        check(true, forged, "URI=caller,URI=us");
        check(true, &forged.repeat(2), "URI=us");
    }
}
