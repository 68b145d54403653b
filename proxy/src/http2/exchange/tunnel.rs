//! Upgrades across versions of HTTP: Upgrade in HTTP/1.1 is extended CONNECT in HTTP/2 (RFC 8441), and back.
//!
//! Within, a tunnel is asked for and granted in HTTP/1.1's words whichever way it came: a GET with Upgrade, and 101.
//! `head` translates at the edges. Nothing is taken from the caller before the tunnel is granted, so that bytes sent
//! early are never read as a request by an upstream that grants none. An HTTP/2 upstream that does not announce
//! extended CONNECT is asked over an HTTP/1.1 connection of its own.
//!
//! - RFC 8441 §5: a WebSocket's key and its acceptance are HTTP/1.1's alone. Both pass where they are there, as Envoy
//!   passes them, and are made where the other side needs one.
//! - RFC 9110 §7.8: without 101 there is no switch. A 2xx from HTTP/1.1 must not become the 2xx that grants a CONNECT.
//!
//! Kept out: HTTP/1.1 to HTTP/1.1, whose tunnel is [`crate::relay`].

use std::rc::Rc;
use std::task::{Context, Poll};

use http::Response;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use spillway_core::pick::Pick;

use super::{Bridge, Up};
use crate::body::Broken;
use crate::conn::Conn;
use crate::connect::overflow;
use crate::deadline::Deadline;
use crate::dial::{dial_http1, until};
use crate::forward::Failure;
use crate::http1::{Framing, HeadView};
use crate::http2::pump::{FromConn, Pump};
use crate::http2::received::Received;
use crate::http2::upstream::Opened;
use crate::pool::Upstream;
use crate::relay;
use crate::slot::Slot;
use crate::worker::Worker;

/// What an HTTP/1.1 WebSocket is asked for with.
pub(super) const KEY: &str = "sec-websocket-key";
const ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");

/// The protocol that a request asks to switch to. One with a body asks in vain: over HTTP/2 nothing would tell the
/// body from what the tunnel carries.
pub(super) fn asked_for<'a>(view: &HeadView<'a>) -> Option<&'a str> {
    let bodyless = matches!(view.head.framing(), Framing::None | Framing::Length(0));
    view.head.upgrade_to(view.buf).filter(|_| bodyless)
}

/// The `sec-websocket-key` that an HTTP/1.1 upstream needs and the caller did not send.
pub(super) fn new_key(worker: &Worker, view: &HeadView<'_>) -> Option<String> {
    let websocket = asked_for(view)?.eq_ignore_ascii_case("websocket") && view.first(KEY).is_none();
    let random = || (u128::from(worker.draw().0) << 64 | u128::from(worker.draw().0)).to_be_bytes();
    websocket.then(|| spillway_certs::websocket_key(random()))
}

/// Puts the answer that grants a tunnel over HTTP/2 into HTTP/1.1's terms; whether it is one.
pub(super) fn is_granted(view: &HeadView<'_>, response: &mut Response<()>) -> bool {
    if !response.status().is_success() {
        return false;
    }
    // RFC 9110 §9.3.6: such an answer has no body, so this is to be ignored.
    response.headers_mut().remove(CONTENT_LENGTH);
    if let Some(key) = view.first(KEY).filter(|_| !response.headers().contains_key(ACCEPT)) {
        // Base64 is valid in a value.
        let accept = HeaderValue::from_str(&spillway_certs::websocket_accept(key));
        drop(accept.map(|accept| response.headers_mut().insert(ACCEPT, accept)));
    }
    true
}

impl Opened {
    /// Whether extended CONNECT may be sent, as the other side's SETTINGS say, which come first; false when the
    /// deadline comes before them.
    pub(super) async fn tunnels(&self, worker: &Worker, deadline: &Deadline) -> bool {
        let spoken = std::future::poll_fn(|cx| self.place.poll_spoken(cx));
        until(worker, deadline, spoken).await.is_some() && self.sender.is_extended_connect_protocol_enabled()
    }
}

/// An HTTP/1.1 connection to an endpoint that otherwise speaks HTTP/2. A tunnel holds it for as long as it likes, so
/// nobody waits for it to be over where there may not be another.
pub(super) async fn dial_lines(
    worker: &Rc<Worker>,
    pick: &Pick<'_>,
    deadline: &Deadline,
) -> Result<Upstream, Failure> {
    let over = |limit| overflow(pick, limit);
    let slot = Slot::take(worker, pick.target).map_err(over)?;
    let stream = dial_http1(worker, pick.target, pick.endpoint, deadline).await?;
    let counters = worker.pools.counters(pick.endpoint, &worker.shared.stats);
    let mut upstream = Upstream::new(Conn::new(stream, &worker.buffers), counters, slot);
    upstream.begin_request(pick.target.breaker.thresholds).map_err(over)?;
    Ok(upstream)
}

/// How far each way of a tunnel has come.
#[derive(Default)]
struct Tunnel {
    download: Pump,
    up_ended: bool,
    down_ended: bool,
}

impl<R: Received> Bridge<'_, R> {
    /// Passes bytes both ways until both sides have ended, or nothing has moved for long.
    pub(super) async fn tunnel(&mut self, up: &mut Up) -> Result<(), Failure> {
        self.upload = Pump::default();
        self.received.begin_tunnel();
        if let Up::Http1 { left, .. } = up {
            *left = None;
        }
        let mut tunnel = Tunnel::default();
        let ended = std::future::poll_fn(|cx| {
            if self.late() || self.worker.drain_is_over() {
                return Poll::Ready(Err(Failure::Abandoned));
            }
            self.received.deadline().set_at(self.worker.deadline_tick(relay::IDLE));
            let passed = self.poll_tunnel(cx, up, &mut tunnel);
            if passed.is_pending() && self.received.poll_gone(cx) {
                return Poll::Ready(Err(Failure::Abandoned));
            }
            // Whichever side failed, both end; there is no answer left to give.
            passed.map_err(|_| Failure::Abandoned)
        })
        .await;
        self.download = tunnel.download;
        ended
    }

    fn poll_tunnel(
        &mut self,
        cx: &mut Context<'_>,
        up: &mut Up,
        tunnel: &mut Tunnel,
    ) -> Poll<Result<(), Broken>> {
        if !tunnel.up_ended {
            let moved = self.poll_upload(cx, up)?;
            tunnel.up_ended = moved.is_ready() && up.poll_shut(cx)?.is_ready();
        }
        if !tunnel.down_ended {
            let moved = match up {
                Up::Http1 { upstream, reader, .. } => {
                    let mut source = FromConn { conn: &mut upstream.conn, reader };
                    self.received.poll_download(cx, &mut tunnel.download, &mut source)?
                }
                Up::Http2 { body: Some(body), .. } => {
                    self.received.poll_download(cx, &mut tunnel.download, &mut &mut *body)?
                }
                Up::Http2 { body: None, .. } => return Poll::Ready(Err(Broken::Source)),
            };
            tunnel.down_ended = moved.is_ready() && self.received.poll_shut(cx)?.is_ready();
        }
        if tunnel.up_ended && tunnel.down_ended { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl Up {
    /// Says that nothing more will be sent. A stream has said so with its last frame.
    fn poll_shut(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        match self {
            Self::Http1 { upstream, .. } => upstream.conn.poll_shutdown(cx).map_err(|_| Broken::Sink),
            Self::Http2 { .. } => Poll::Ready(Ok(())),
        }
    }
}
