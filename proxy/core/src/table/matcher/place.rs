//! Where in a request's head the value stands that a criterion speaks of.

use std::borrow::Cow;

use super::super::RequestHead;

/// A part of a request's head. Envoy's pseudo-headers can be asked for too, whatever version of HTTP a request came
/// in.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(in crate::table) enum Place {
    Path,
    Method,
    Authority,
    /// `:path`, which has the query.
    PathAndQuery,
    /// By lower-case name.
    Header(Box<str>),
    Query(Box<str>),
}

impl Place {
    /// Of a header by its name in any case.
    pub(super) fn header(written: &str) -> Self {
        match written.to_ascii_lowercase().as_str() {
            ":authority" | "host" => Self::Authority,
            ":method" => Self::Method,
            ":path" => Self::PathAndQuery,
            plain => Self::Header(plain.into()),
        }
    }

    /// What stands there; None when nothing does. Allocates only for repeated headers and for `:path` with a query.
    pub(in crate::table) fn value<'a>(&self, head: &RequestHead<'a>) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Path => Some(head.path.as_bytes().into()),
            Self::Method => Some(head.method.as_bytes().into()),
            Self::Authority => head.headers.value(":authority").or_else(|| head.headers.value("host")),
            Self::PathAndQuery => Some(match head.query {
                None => head.path.as_bytes().into(),
                Some(query) => format!("{}?{query}", head.path).into_bytes().into(),
            }),
            Self::Header(name) => head.headers.value(name),
            Self::Query(name) => head.query_value(name).map(|value| value.as_bytes().into()),
        }
    }
}
