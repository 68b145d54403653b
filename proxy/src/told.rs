//! What header edits with command operators (`%DOWNSTREAM_REMOTE_ADDRESS%`) are told of the exchange under way.
//!
//! The words are those of the access log, whose formats these are; what only the end of a request can tell is not
//! there yet, and neither is what was not received: it stands for nothing, and a header of nothing is left out, as
//! with Envoy. Costs what its operators ask for, and without any nothing.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::SystemTime;

use spillway_core::access_log::{Fact, Format, PathForm, Tells, Told};
use spillway_core::pick::Pick;
use spillway_core::table::Headers;

use crate::downstream::Facts;
use crate::http1::{HeadView, ResponseHead, Teller, Version};

/// A request on its way to an endpoint, and its answer's head once there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchanged<'a> {
    view: &'a HeadView<'a>,
    facts: &'a Facts,
    pick: &'a Pick<'a>,
    answer: Option<(&'a ResponseHead, &'a [u8])>,
    /// The downstream speaks HTTP/2: its requests are read in HTTP/1.1's words.
    http2: bool,
}

impl<'a> Exchanged<'a> {
    /// A request that came over HTTP/1.x.
    pub(crate) fn lines(view: &'a HeadView<'a>, facts: &'a Facts, pick: &'a Pick<'a>) -> Self {
        Self { view, facts, pick, answer: None, http2: false }
    }

    /// The same, whichever version it came over.
    pub(crate) fn over(http2: bool, view: &'a HeadView<'a>, facts: &'a Facts, pick: &'a Pick<'a>) -> Self {
        Self { http2, ..Self::lines(view, facts, pick) }
    }

    /// The same once its answer's head is there; `bytes` is what that was parsed from.
    pub(crate) fn answered(self, head: &'a ResponseHead, bytes: &'a [u8]) -> Self {
        Self { answer: Some((head, bytes)), ..self }
    }
}

impl Teller for Exchanged<'_> {
    fn write(&self, format: &Format, out: &mut Vec<u8>) {
        format.write(&Of { exchanged: self, format }, out);
    }
}

/// What one format is told: it names answers' headers by their places in it.
struct Of<'a> {
    exchanged: &'a Exchanged<'a>,
    format: &'a Format,
}

impl Tells for Of<'_> {
    fn fact(&self, fact: Fact) -> Told<'_> {
        let Exchanged { view, facts, pick, answer, http2 } = self.exchanged;
        let ends = facts.known_ends();
        match fact {
            Fact::Protocol => Told::Text(Cow::Borrowed(match (http2, view.head.version()) {
                (true, _) => b"HTTP/2",
                (false, Version::Http11) => b"HTTP/1.1",
                (false, Version::Http10) => b"HTTP/1.0",
            })),
            Fact::ResponseCode => Told::number(answer.map(|(head, _)| head.status())),
            Fact::DownstreamRemoteAddress | Fact::DownstreamDirectRemoteAddress => {
                Told::shown(ends.remote.as_ref())
            }
            Fact::DownstreamRemoteAddressWithoutPort | Fact::DownstreamDirectRemoteAddressWithoutPort => {
                Told::shown(facts.address.as_ref())
            }
            Fact::DownstreamRemotePort | Fact::DownstreamDirectRemotePort => {
                Told::number(ends.remote.as_ref().map(SocketAddr::port))
            }
            Fact::DownstreamLocalAddress => Told::shown(ends.local.as_ref()),
            Fact::DownstreamLocalPort => Told::number(ends.local.as_ref().map(SocketAddr::port)),
            Fact::RequestedServerName => Told::text(ends.name.as_deref()),
            Fact::DownstreamPeerUriSan => Told::text(facts.identity.as_deref()),
            Fact::UpstreamHost | Fact::UpstreamRemoteAddress => Told::Shown(&pick.endpoint.address),
            Fact::UpstreamCluster | Fact::UpstreamClusterRaw => Told::text(Some(&*pick.target.cluster)),
            Fact::Service => Told::text(Some(pick.target.id.service.as_str())),
            Fact::Target => Told::Shown(&pick.target.id),
            _ => Told::Nothing,
        }
    }

    fn request_header(&self, name: &str) -> Told<'_> {
        self.exchanged.view.value(name).map_or(Told::Nothing, Told::Text)
    }

    fn response_header(&self, index: usize) -> Told<'_> {
        let name = self.format.response_headers().get(index);
        let value = self.exchanged.answer.zip(name).and_then(|((head, bytes), name)| head.value(bytes, name));
        Told::text(value)
    }

    fn trailer(&self, _: usize) -> Told<'_> {
        Told::Nothing
    }

    fn query_parameter(&self, name: &str) -> Told<'_> {
        let HeadView { head, buf } = *self.exchanged.view;
        let pairs = head.query(buf).unwrap_or_default().split('&');
        let mut named = pairs.filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        Told::text(named.next())
    }

    fn path(&self, form: PathForm) -> Told<'_> {
        let HeadView { head, buf } = *self.exchanged.view;
        if form.query { Told::Text(head.path_and_query(buf)) } else { Told::text(Some(head.path(buf))) }
    }

    fn started(&self) -> SystemTime {
        SystemTime::now()
    }

    fn ended(&self) -> SystemTime {
        SystemTime::now()
    }
}
