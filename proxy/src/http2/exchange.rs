//! One request, from a downstream that speaks either version of HTTP to an upstream that speaks either.
//!
//! The twin of [`crate::attempt`], which is for HTTP/1.1 on both sides. One task drives the request's body up, the
//! answer's down and watches for a downstream that leaves; ending it ends the upstream's stream.

mod call;
mod tunnel;

use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, SendStream};
use http::{HeaderValue, Response};
use spillway_core::Tick;
use spillway_core::entry::Protocol;
use spillway_core::pick::Pick;
use spillway_core::table::{self, Decision};

use super::pump::{FromConn, Kept, Piece, Pump, StreamBody, ToConn, ToStream};
use super::received::Received;
use super::upstream::{self, Opened, Place};
use super::{grpc, head};
use crate::access_log::Record;
use crate::body::{self, Broken};
use crate::conn::Conn;
use crate::connect::connect;
use crate::forward::{Answer, Exchange, Failure, overdue};
use crate::generation::Role;
use crate::heads::{answer, as_decided, new_request_id, own_lines, retried_before};
use crate::http1::{
    self, BodyReader, Framing, HeadView, MOST_INFORMATIONAL, Malformed, Parse, RequestFacts, RequestOut,
    ResponseFraming, ResponseHead, ResponseOut, parse_response, write_request,
};
use crate::pool::Upstream;
use crate::refusal::Refusal;
use crate::retry::mark;
use crate::slot;
use crate::told::Exchanged;
use crate::worker::Worker;

/// One request on its way.
pub(super) struct Bridge<'w, R> {
    worker: &'w Rc<Worker>,
    /// The request.
    pub(super) received: R,
    upload: Pump,
    kept: Kept,
    /// There is no body to send.
    bodyless: bool,
    /// It asks for a tunnel, which begins when an upstream has granted it.
    upgrade: bool,
    /// `100 Continue` is still to be said.
    awaited: bool,
    response: ResponseHead,
    /// The words of the answer's head.
    text: Vec<u8>,
    /// Informational answers that came before the final one.
    informed: u32,
    /// The upstream whose answer's head is at hand.
    upstream: Option<Up>,
    /// The first piece of the answer's body, where that had to be known first.
    first: Option<Piece>,
    /// When the request's time is up; known once the whole request has been read.
    expires: Option<Tick>,
    /// When it is up by a gRPC call's own word.
    due: Option<Tick>,
    /// The id that was made for the request.
    id: Option<[u8; 36]>,
    /// The answer's body.
    download: Pump,
    /// Whether we send it once more.
    retried: bool,
}

/// An upstream that has the request's head.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one a request, and a box would be an allocation each"
)]
enum Up {
    Http1 { upstream: Upstream, sink: body::Sink, left: Option<u64>, reader: BodyReader },
    Http2 { place: Place, request: SendStream<Bytes>, response: ResponseFuture, body: Option<StreamBody> },
}

impl Up {
    fn reused(&self) -> bool {
        match self {
            // Bytes of an answer mean that it was not being closed.
            Self::Http1 { upstream, .. } => upstream.reused && upstream.conn.input.is_empty(),
            Self::Http2 { place, .. } => place.reused,
        }
    }
}

impl<'w, R: Received> Bridge<'w, R> {
    /// A request of which nothing but the head has been read.
    pub(super) fn new(worker: &'w Rc<Worker>, received: R) -> Self {
        let awaited = received.view().head.expect_continue();
        let bodyless = !received.has_body();
        let due = call::due(worker, received.view());
        let upgrade = tunnel::asked_for(received.view()).is_some();
        Self {
            worker,
            received,
            upload: Pump::new(bodyless || upgrade),
            kept: Kept::default(),
            bodyless,
            upgrade,
            awaited,
            response: ResponseHead::default(),
            text: Vec::new(),
            informed: 0,
            upstream: None,
            first: None,
            expires: None,
            due,
            id: None,
            download: Pump::default(),
            retried: false,
        }
    }

    /// Starts the request's clock once it has been read, and keeps the deadline up to date.
    fn wind_clock(&mut self, timeout: Option<Duration>, idle: Duration) {
        if self.expires.is_none() && self.upload.done() {
            self.expires = Some(timeout.map_or(Tick(u32::MAX), |timeout| self.worker.deadline_tick(timeout)));
        }
        let silent = self.worker.deadline_tick(idle);
        self.received.deadline().set_at(self.expiry().map_or(silent, |expires| expires.min(silent)));
    }

    /// When the request's time is up, as far as that is known.
    fn expiry(&self) -> Option<Tick> {
        self.expires.into_iter().chain(self.due).min()
    }

    /// Whether the deadline has come.
    fn late(&self) -> bool {
        self.received.deadline().expired(self.worker.now())
    }

    /// Whose fault it is that nothing has moved: a body that stops coming says nothing of the upstream.
    fn blame(&self, late: Failure) -> Failure {
        match late {
            Failure::TimedOut { .. } if self.expires.is_none() && self.upload.is_starved() => {
                Failure::Request { reason: http1::Reason::SlowBody }
            }
            late => late,
        }
    }

    /// Gets a connection and puts the request's head on it.
    async fn send_head(
        &mut self,
        pick: &Pick<'_>,
        decision: &Decision<'_>,
        fresh: bool,
    ) -> Result<Up, Failure> {
        let multiplexed = match pick.target.protocol {
            Protocol::Http2 | Protocol::Grpc => {
                let opened = upstream::open(self.worker, pick, self.received.deadline(), fresh).await?;
                let fits = !self.upgrade || opened.tunnels(self.worker, self.received.deadline()).await;
                fits.then_some(opened)
            }
            Protocol::Tcp | Protocol::Http => None,
        };
        let view = self.received.view();
        let id = self.id.or_else(|| new_request_id(self.worker, view.head, self.received.facts().role));
        self.id = id;
        let vouched = self.received.facts().vouched.as_ref().map(|vouched| vouched.line(view));
        let told = Exchanged::over(self.received.is_http2(), view, self.received.facts(), pick);
        let out = RequestOut {
            teller: Some(&told),
            xfcc: vouched.as_deref(),
            request_id: id.as_ref().map(<[u8; 36]>::as_slice),
            upgrade: self.upgrade,
            extra: mark(self.retried && pick.target.tls.is_some()),
            ..as_decided(view, pick.target, decision)
        };
        match multiplexed {
            Some(opened) => self.begin_stream(opened, view, &out, pick),
            None => {
                let deadline = self.received.deadline();
                let mut upstream = match pick.target.protocol {
                    Protocol::Tcp | Protocol::Http => {
                        connect(self.worker, pick, fresh, deadline, self.expiry()).await?
                    }
                    Protocol::Http2 | Protocol::Grpc => {
                        tunnel::dial_lines(self.worker, pick, deadline).await?
                    }
                };
                let key = tunnel::new_key(self.worker, view);
                let key = key.as_deref().map(|key| (tunnel::KEY, key));
                let extra: Vec<_> = key.into_iter().chain(out.extra.iter().copied()).collect();
                let out = RequestOut { extra: &extra, ..out };
                write_request(view.head, view.buf, &out, upstream.conn.output());
                let (sink, left) = match view.head.framing() {
                    Framing::Chunked => (body::Sink::Chunked, None),
                    Framing::Length(length) => (body::Sink::Raw, Some(length)),
                    Framing::None => (body::Sink::Raw, Some(0)),
                };
                Ok(Up::Http1 { upstream, sink, left, reader: BodyReader::default() })
            }
        }
    }

    fn begin_stream(
        &self,
        opened: Opened,
        view: &HeadView<'_>,
        out: &RequestOut<'_>,
        pick: &Pick<'_>,
    ) -> Result<Up, Failure> {
        let Opened { mut sender, place } = opened;
        let request = head::request(view, out, pick.target.tls.is_some())
            .map_err(|reason| Failure::Request { reason })?;
        // What cannot be opened was not sent.
        let target = || pick.target.id.to_string();
        let (response, request) = sender
            .send_request(request, self.bodyless && !self.upgrade)
            .map_err(|_| Failure::RefusedStream { target: target() })?;
        Ok(Up::Http2 { place, request, response, body: None })
    }

    /// Moves the request's body up.
    fn poll_upload(&mut self, cx: &mut Context<'_>, up: &mut Up) -> Poll<Result<(), Broken>> {
        if self.awaited {
            self.awaited = false;
            self.received.go_on(cx);
        }
        let Self { received, upload, kept, .. } = self;
        match up {
            Up::Http1 { upstream, sink, left, .. } => {
                let mut sink = ToConn { conn: &mut upstream.conn, sink: *sink, left };
                received.poll_upload(cx, upload, kept, &mut sink)
            }
            Up::Http2 { request, .. } => received.poll_upload(cx, upload, kept, &mut ToStream(request)),
        }
    }

    /// Drives the request out and waits for the head of its answer.
    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        up: &mut Up,
        pick: &Pick<'_>,
    ) -> Poll<Result<(), Failure>> {
        if self.received.poll_gone(cx) {
            return Poll::Ready(Err(Failure::Abandoned));
        }
        if !self.upload.done() || matches!(up, Up::Http1 { .. }) {
            match self.poll_upload(cx, up) {
                Poll::Ready(Err(Broken::Source)) => return Poll::Ready(Err(Failure::Abandoned)),
                Poll::Ready(Err(Broken::Malformed(reason))) => {
                    return Poll::Ready(Err(Failure::Request { reason }));
                }
                // An upstream that stops reading may have answered already: that answer counts.
                Poll::Ready(Err(Broken::Sink) | Ok(())) | Poll::Pending => {}
            }
        }
        match up {
            Up::Http1 { upstream, .. } => self.poll_lines(cx, &mut upstream.conn, pick),
            Up::Http2 { response, body, .. } => self.poll_stream(cx, response, body, pick),
        }
    }

    fn facts(&self) -> RequestFacts {
        let HeadView { head, buf } = *self.received.view();
        RequestFacts { method_is_head: head.is_head(buf), method_is_connect: false, upgrade: self.upgrade }
    }

    /// Reads the head of an answer over HTTP/1.1, passing informational ones on.
    fn poll_lines(
        &mut self,
        cx: &mut Context<'_>,
        conn: &mut Conn,
        pick: &Pick<'_>,
    ) -> Poll<Result<(), Failure>> {
        let target = || pick.target.id.to_string();
        let facts = self.facts();
        loop {
            while !conn.input.is_empty() {
                let parsed =
                    parse_response(conn.input.data(), &Default::default(), facts, &mut self.response);
                let parsed =
                    parsed.map_err(|Malformed { reason }| Failure::Answer { target: target(), reason });
                if parsed? == Parse::Partial {
                    break;
                }
                let length = self.response.len();
                self.text.clear();
                self.text.extend_from_slice(&conn.input.data()[..length]);
                conn.input.consume(length);
                if self.received.is_connect() && matches!(self.response.status(), 200..=299) {
                    let reason = http1::Reason::NoUpgrade;
                    return Poll::Ready(Err(Failure::Answer { target: target(), reason }));
                }
                if !self.response.is_informational() {
                    return Poll::Ready(Ok(()));
                }
                self.inform(cx, pick)?;
            }
            match ready!(conn.poll_fill(cx)) {
                Ok(n) if n > 0 => {}
                _ => return Poll::Ready(Err(Failure::Closed { target: target() })),
            }
        }
    }

    /// Waits for the head of an answer over HTTP/2, passing informational ones on.
    fn poll_stream(
        &mut self,
        cx: &mut Context<'_>,
        future: &mut ResponseFuture,
        body: &mut Option<StreamBody>,
        pick: &Pick<'_>,
    ) -> Poll<Result<(), Failure>> {
        while let Poll::Ready(Some(Ok(informational))) = future.poll_informational(cx) {
            self.read_head(informational, pick)?;
            self.inform(cx, pick)?;
        }
        let response = ready!(Pin::new(future).poll(cx)).map_err(|error| failed(&error, pick))?;
        let (parts, stream) = response.into_parts();
        self.read_head(Response::from_parts(parts, ()), pick)?;
        *body = Some(StreamBody::new(stream));
        Poll::Ready(Ok(()))
    }

    /// Passes the informational answer at hand on.
    fn inform(&mut self, cx: &mut Context<'_>, pick: &Pick<'_>) -> Result<(), Failure> {
        self.informed += 1;
        if self.informed > MOST_INFORMATIONAL {
            let (target, reason) = (pick.target.id.to_string(), http1::Reason::TooManyInformational);
            return Err(Failure::Answer { target, reason });
        }
        self.received.inform(cx, &self.response, &self.text);
        Ok(())
    }

    fn read_head(&mut self, mut response: Response<()>, pick: &Pick<'_>) -> Result<(), Failure> {
        let facts = self.facts();
        let view = self.received.view();
        let granted = tunnel::asked_for(view).filter(|_| tunnel::is_granted(view, &mut response));
        head::read_response(&response, facts, granted, &mut self.text, &mut self.response)
            .map_err(|Malformed { reason }| Failure::Answer { target: pick.target.id.to_string(), reason })
    }

    /// Passes the answer's body on, and what may be left of the request's.
    async fn pass_on(&mut self, up: &mut Up, idle: Duration, pick: &Pick<'_>) -> Result<Option<u8>, Failure> {
        let target = || pick.target.id.to_string();
        std::future::poll_fn(|cx| {
            if let Some(failure) = overdue(self.worker, self.received.deadline(), &pick.target.id) {
                return Poll::Ready(Err(match failure {
                    // A reader that stalls says nothing of the upstream.
                    Failure::TimedOut { .. } if !self.download.is_starved() => Failure::Unread,
                    failure => failure,
                }));
            }
            self.wind_clock(None, idle);
            if !self.upload.done() {
                // Whatever becomes of the rest of the request, the answer is what counts now.
                let _ = self.poll_upload(cx, up);
            }
            let Self { received, download, .. } = self;
            let passed = match up {
                Up::Http1 { upstream, reader, .. } => {
                    let mut source = FromConn { conn: &mut upstream.conn, reader };
                    received.poll_download(cx, download, &mut source)
                }
                Up::Http2 { body: Some(body), .. } => received.poll_download(cx, download, &mut &mut *body),
                Up::Http2 { body: None, .. } => Poll::Ready(Err(Broken::Source)),
            };
            if passed.is_pending() && self.received.poll_gone(cx) {
                return Poll::Ready(Err(Failure::Abandoned));
            }
            passed.map_err(|broken| match broken {
                Broken::Sink => Failure::Abandoned,
                Broken::Source => Failure::Closed { target: target() },
                Broken::Malformed(reason) => Failure::Answer { target: target(), reason },
            })
        })
        .await?;
        Ok(self.download.grpc_status)
    }

    /// Gives a connection that can carry another request back.
    fn keep(&self, up: Up, pick: &Pick<'_>) {
        if let Up::Http1 { upstream, .. } = up
            && !self.upgrade
            && self.response.keep_alive()
            && self.response.framing() != ResponseFraming::UntilClose
            && upstream.conn.input.is_empty()
        {
            slot::keep(self.worker, pick, upstream);
        }
    }
}

/// What the error of a stream that got no answer says.
fn failed(error: &h2::Error, pick: &Pick<'_>) -> Failure {
    let target = pick.target.id.to_string();
    if error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM)) {
        // RFC 9113 section 8.7. A GOAWAY ends only the streams that it says were not looked at.
        Failure::RefusedStream { target }
    } else if error.is_library() {
        Failure::Answer { target, reason: http1::Reason::Http2 }
    } else {
        Failure::Closed { target }
    }
}

impl<R: Received> Exchange for Bridge<'_, R> {
    fn head(&self) -> table::RequestHead<'_> {
        self.received.view().table_head()
    }

    fn caller(&self) -> table::Caller<'_> {
        self.received.facts().caller()
    }

    fn replayable(&self) -> bool {
        self.kept.whole()
    }

    fn may_retry(&self) -> bool {
        self.replayable() && !retried_before(self.received.facts().role, self.received.view())
    }

    fn idempotent(&self) -> bool {
        self.received.view().head.is_idempotent()
    }

    async fn attempt(
        &mut self,
        pick: &Pick<'_>,
        decision: &Decision<'_>,
        timeout: Option<Duration>,
    ) -> Result<Answer, Failure> {
        let idle = decision.route.idle_timeout.unwrap_or(Duration::MAX);
        self.wind_clock(timeout, idle);
        let mut fresh = false;
        loop {
            let mut up = self.send_head(pick, decision, fresh).await?;
            self.kept.rewind();
            self.upload = Pump::new(self.bodyless || self.upgrade);
            self.first = None;
            let answered = std::future::poll_fn(|cx| {
                if let Some(failure) = overdue(self.worker, self.received.deadline(), &pick.target.id) {
                    return Poll::Ready(Err(self.blame(failure)));
                }
                let answered = self.poll_answer(cx, &mut up, pick);
                // Behind it, as the last of the request may just have left.
                self.wind_clock(timeout, idle);
                answered
            })
            .await;
            match answered {
                Ok(()) => {
                    let mut answer = answer(&self.response, &self.text, pick);
                    let content_type = self.response.value(&self.text, "content-type");
                    answer.verdict_follows = answer.grpc_status.is_none()
                        && content_type.is_some_and(grpc::is_call)
                        && matches!(up, Up::Http2 { .. });
                    if answer.verdict_follows && !decision.route.retry.on_grpc.is_empty() {
                        answer.grpc_status = self.read_verdict(&mut up, pick, idle).await?;
                        answer.verdict_follows = answer.grpc_status.is_none();
                    }
                    self.upstream = Some(up);
                    return Ok(answer);
                }
                // An idle connection that the upstream was just closing: a new one tells whether it is well.
                Err(Failure::Closed { .. })
                    if !fresh && up.reused() && self.idempotent() && self.replayable() =>
                {
                    fresh = true;
                }
                // Nothing was processed, and another connection may have room.
                Err(Failure::RefusedStream { .. }) if !fresh && self.replayable() => fresh = true,
                Err(failure) => {
                    if let (Failure::TimedOut { .. }, Up::Http2 { place, .. }) = (&failure, &up) {
                        place.timed_out();
                    }
                    return Err(failure);
                }
            }
        }
    }

    async fn back_off(&mut self, wait: Duration) {
        self.retried = true;
        // The next attempt goes to another endpoint, so a wait shorter than a tick is not worth one.
        if wait < Duration::from_millis(Tick::MILLIS) {
            return;
        }
        self.received.deadline().set_at(self.worker.deadline_tick(wait));
        std::future::poll_fn(|_| if self.late() { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    async fn respond(&mut self, pick: &Pick<'_>, decision: &Decision<'_>) -> Result<Option<u8>, Failure> {
        // `forward` responds only after an attempt that was answered.
        let Some(mut up) = self.upstream.take() else { return Err(Failure::Abandoned) };
        self.kept.give_up();
        let lines = own_lines(decision, self.retried && self.received.facts().role == Role::Gateway);
        let spec = ResponseOut {
            edits: [decision.leg_headers.map(|leg| &leg.response), Some(&decision.route.headers.response)],
            strip_own: true,
            extra: &lines,
            ..ResponseOut::default()
        };
        let switched = self.response.upgraded();
        let ended = match &mut up {
            Up::Http1 { reader, .. } => {
                let framing = self.response.framing();
                reader.begin_response(if switched { ResponseFraming::UntilClose } else { framing });
                reader.is_done()
            }
            Up::Http2 { body, .. } => self.first.is_none() && body.as_mut().is_some_and(|body| body.at_end()),
        };
        let begun = self.received.begin((&self.response, &self.text), &spec, ended, pick);
        begun.map_err(|_| Failure::Abandoned)?;
        if switched {
            if let Err(failure) = self.tunnel(&mut up).await {
                self.received.abort(&failure, Some(Reason::CANCEL));
            }
            return Ok(None);
        }
        let idle = decision.route.idle_timeout.unwrap_or(Duration::MAX);
        self.download.begin(ended, self.first.take());
        let passed = self.pass_on(&mut up, idle, pick).await;
        match &passed {
            Ok(_) => {
                self.received.finish();
                if self.upload.done() {
                    self.keep(up, pick);
                }
            }
            Err(failure) => {
                let reason = match &up {
                    Up::Http2 { body: Some(body), .. } => body.reset,
                    _ => None,
                };
                self.received.abort(failure, reason);
            }
        }
        passed
    }

    async fn refuse(&mut self, refusal: &Refusal) {
        self.received.refuse(refusal).await;
    }

    fn answer_header(&self, name: &str) -> Option<&[u8]> {
        self.response.value(&self.text, name)
    }

    fn upstream_local(&self) -> Option<SocketAddr> {
        match self.upstream.as_ref()? {
            Up::Http1 { upstream, .. } => upstream.local(),
            Up::Http2 { place, .. } => place.local(),
        }
    }

    fn keep_trailers(&mut self) {
        self.download.keep_trailers = true;
    }

    fn trailer(&self, name: &str) -> Option<&[u8]> {
        self.download.trailers.as_ref()?.get(name).map(HeaderValue::as_bytes)
    }

    fn tell<'e>(&'e self, record: &mut Record<'e>) {
        self.received.tell(record);
        record.request = Some(*self.received.view());
        record.request_id = self.id.as_ref().map(<[u8; 36]>::as_slice);
        (record.received, record.sent) = (self.upload.moved, self.download.moved);
    }
}
