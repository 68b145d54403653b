//! A request head together with its bytes, as routing and bridging read it.
//!
//! What is not forwarded is not seen here either, so nobody can match on a header and then have it taken away, or
//! forge one that we vouch for.

use std::borrow::Cow;

use spillway_core::table;

use super::fields::Kind;
use super::request::RequestHead;
use super::text::Span;

/// A head and the buffer it was parsed from.
#[derive(Clone, Copy, Debug)]
pub struct HeadView<'a> {
    /// The head.
    pub head: &'a RequestHead,
    /// The bytes it was parsed from.
    pub buf: &'a [u8],
}

impl<'a> HeadView<'a> {
    /// The head as the table decides on it, with the path as received.
    pub fn table_head(&'a self) -> table::RequestHead<'a> {
        table::RequestHead {
            method: self.head.method(self.buf),
            path: self.head.path(self.buf),
            query: self.head.query(self.buf),
            headers: self,
        }
    }

    /// The first value of a header that travels on, by name in any case.
    pub fn first(&self, name: &str) -> Option<&'a [u8]> {
        self.end_to_end().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The headers that travel from one side to the other, in order, names as received: for writing them in another
    /// protocol. Host, framing and all that is generated are left out.
    pub fn end_to_end(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let buf = self.buf;
        let lines = self.head.fields.lines.iter().filter(|line| line.kind.is_end_to_end());
        lines.map(move |line| (line.name.text(buf), line.value.bytes(buf)))
    }
}

impl table::Headers for HeadView<'_> {
    /// Also answers for the pseudo-header names that Envoy's rules may use.
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        match name {
            "host" | ":authority" => return self.head.host(self.buf).map(|host| host.as_bytes().into()),
            ":method" => return Some(self.head.method(self.buf).as_bytes().into()),
            ":path" => return Some(self.head.path_and_query(self.buf)),
            _ => {}
        }
        let same = |line: &Span| line.bytes(self.buf).eq_ignore_ascii_case(name.as_bytes());
        let lines = self.head.fields.lines.iter().filter(|line| is_seen(line.kind));
        let mut lines = lines.filter(|line| same(&line.name));
        let first = lines.next()?.value.bytes(self.buf);
        let mut joined = Cow::Borrowed(first);
        for line in lines {
            let joined = joined.to_mut();
            joined.push(b',');
            joined.extend_from_slice(line.value.bytes(self.buf));
        }
        Some(joined)
    }

    fn each_name(&self, see: &mut dyn FnMut(&str)) -> bool {
        let lines = self.head.fields.lines.iter().filter(|line| is_seen(line.kind));
        lines.for_each(|line| see(line.name.text(self.buf)));
        true
    }
}

/// Whether rules may ask for a header of this kind.
fn is_seen(kind: Kind) -> bool {
    !matches!(kind, Kind::Connection | Kind::ForwardedCert | Kind::Dropped)
}
