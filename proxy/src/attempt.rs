//! HTTP/1.1 on both sides: how one request is sent to an endpoint, and its answer passed on.
//!
//! No task, channel or box a request: the downstream's task drives both connections. The request's head is kept
//! until an answer has begun, so that it can be sent elsewhere.

use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use spillway_core::Tick;
use spillway_core::pick::Pick;
use spillway_core::table::{self, Decision, LegHeaders};

use crate::access_log::Record;
use crate::body::{Body, Broken, Sink};
use crate::conn::Conn;
use crate::connect::connect;
use crate::downstream::{self, Downstream, End};
use crate::forward::{Answer, Exchange, Failure, overdue};
use crate::generation::Role;
use crate::heads::{answer, as_decided, new_request_id, own_lines, retried_before};
use crate::http1::{
    BodyReader, Framing, HeadView, MOST_INFORMATIONAL, Malformed, Parse, Reason, RequestFacts, RequestHead,
    RequestOut, ResponseFraming, ResponseHead, ResponseOut, Version, parse_response, write_request,
    write_response,
};
use crate::pool::Upstream;
use crate::refusal::Refusal;
use crate::relay::{self, copy_both};
use crate::retry::mark;
use crate::slot;
use crate::told::Exchanged;
use crate::worker::Worker;

/// While an answer is awaited, so much is read ahead of the next request, and no more.
const READ_AHEAD: usize = 16 * 1024;

/// One HTTP/1.1 request on a downstream connection.
pub struct Http1Exchange<'c> {
    worker: &'c Rc<Worker>,
    downstream: &'c mut Downstream,
    /// The request's head and its bytes.
    view: HeadView<'c>,
    body: RequestBody,
    response: &'c mut ResponseHead,
    /// Informational responses that came before the final one.
    informed: u32,
    /// The connection whose answer's head is at hand.
    upstream: Option<Upstream>,
    /// When the request's time is up; known once the whole request has been read.
    expires: Option<Tick>,
    /// Of the request and, for the access log, of what came back.
    passed: Passed,
    /// Whether we send it once more.
    retried: bool,
    /// What becomes of the downstream connection.
    pub end: End,
}

/// What the access log asks for when a request has ended.
#[derive(Debug, Default)]
struct Passed {
    /// The id that was made for the request.
    id: Option<[u8; 36]>,
    /// Bytes of the request's body that were at hand, or came up a tunnel.
    up: u64,
    /// Bytes of the answer's body, or that came down a tunnel.
    down: u64,
    /// The answer's body, when its trailers are wanted.
    body: Option<Box<Body>>,
    keep_trailers: bool,
}

/// Where a request's body is.
#[derive(Debug)]
enum RequestBody {
    /// All of it is in the downstream's input and stays there until an answer begins: it can be sent again.
    AtHand(usize),
    /// It streams through, and what has been sent is gone.
    Streaming { body: Body, begun: bool },
}

impl<'c> Http1Exchange<'c> {
    /// A request whose head has just been taken from the downstream's input.
    pub fn new(
        worker: &'c Rc<Worker>,
        downstream: &'c mut Downstream,
        head: &'c RequestHead,
        bytes: &'c [u8],
        response: &'c mut ResponseHead,
    ) -> Self {
        let at_hand = downstream.conn.input.len();
        let body = match head.framing() {
            Framing::None => RequestBody::AtHand(0),
            Framing::Length(n) if n <= at_hand as u64 => {
                RequestBody::AtHand(usize::try_from(n).unwrap_or(at_hand))
            }
            framing => {
                let sink = if framing == Framing::Chunked { Sink::Chunked } else { Sink::Raw };
                let mut reader = BodyReader::default();
                reader.begin(framing);
                RequestBody::Streaming { body: Body::new(reader, sink), begun: false }
            }
        };
        let view = HeadView { head, buf: bytes };
        let up = if let RequestBody::AtHand(n) = body { n as u64 } else { 0 };
        let passed = Passed { up, ..Passed::default() };
        Self {
            worker,
            downstream,
            view,
            body,
            response,
            informed: 0,
            upstream: None,
            expires: None,
            passed,
            retried: false,
            end: End::Close,
        }
    }

    /// Puts the request, with its body when that is at hand, into the upstream's output.
    fn write(&mut self, upstream: &mut Upstream, pick: &Pick<'_>, decision: &Decision<'_>) {
        let Self { view, downstream, worker, passed, .. } = self;
        passed.id = passed.id.or_else(|| new_request_id(worker, view.head, downstream.facts.role));
        let vouched = downstream.facts.vouched.as_ref().map(|vouched| vouched.line(view));
        if decision.leg_headers.is_some_and(LegHeaders::ask) || decision.route.headers.ask() {
            downstream.facts.ends(&downstream.conn.stream);
        }
        let told = Exchanged::lines(view, &downstream.facts, pick);
        let out = RequestOut {
            teller: Some(&told),
            xfcc: vouched.as_deref(),
            request_id: passed.id.as_ref().map(<[u8; 36]>::as_slice),
            upgrade: view.head.upgrade(),
            expect_continue: view.head.expect_continue(),
            extra: mark(self.retried && pick.target.tls.is_some()),
            ..as_decided(view, pick.target, decision)
        };
        write_request(view.head, view.buf, &out, upstream.conn.output());
        if let RequestBody::AtHand(n) = self.body {
            upstream.conn.output().extend_from_slice(&downstream.conn.input.data()[..n]);
        }
    }

    /// Sends what is left of the request. Ready when all of it has gone.
    fn poll_send(&mut self, cx: &mut Context<'_>, upstream: &mut Conn) -> Poll<Result<(), Broken>> {
        match &mut self.body {
            RequestBody::AtHand(_) => upstream.poll_flush(cx).map_err(|_| Broken::Sink),
            RequestBody::Streaming { body, begun } => {
                *begun = true;
                body.poll_transfer(cx, &mut self.downstream.conn, upstream)
            }
        }
    }

    fn body_done(&self) -> bool {
        match &self.body {
            RequestBody::AtHand(_) => true,
            RequestBody::Streaming { body, .. } => body.done(),
        }
    }

    /// Starts the request's clock once it has been read, and keeps the connection's deadline up to date.
    fn wind_clock(&mut self, timeout: Option<Duration>, idle: Duration) {
        if self.expires.is_none() && self.body_done() {
            self.expires = Some(timeout.map_or(Tick(u32::MAX), |timeout| self.worker.deadline_tick(timeout)));
        }
        let silent = self.worker.deadline_tick(idle);
        self.downstream.deadline.set_at(self.expires.map_or(silent, |expires| expires.min(silent)));
    }

    /// Whose fault it is that nothing has moved: a body that stops coming says nothing of the upstream.
    fn blame(&self, late: Failure, upstream: &Conn) -> Failure {
        match (&self.body, late) {
            (RequestBody::Streaming { body, .. }, Failure::TimedOut { .. }) if body.is_starved(upstream) => {
                Failure::Request { reason: Reason::SlowBody }
            }
            (_, late) => late,
        }
    }

    /// Drives the request out and waits for the head of its answer.
    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        upstream: &mut Conn,
        target: &dyn std::fmt::Display,
    ) -> Poll<Result<(), Failure>> {
        match self.poll_send(cx, upstream) {
            Poll::Ready(Err(Broken::Source)) => return Poll::Ready(Err(Failure::Abandoned)),
            Poll::Ready(Err(Broken::Malformed(reason))) => {
                return Poll::Ready(Err(Failure::Request { reason }));
            }
            // An upstream that stops reading may have answered already: that answer counts.
            Poll::Ready(Err(Broken::Sink) | Ok(())) | Poll::Pending => {}
        }
        let closed = || Failure::Closed { target: target.to_string() };
        loop {
            match self.parse_answer(cx, upstream, target)? {
                Poll::Ready(()) => return Poll::Ready(Ok(())),
                Poll::Pending => match upstream.poll_fill(cx) {
                    Poll::Ready(Ok(n)) if n > 0 => {}
                    Poll::Ready(_) => return Poll::Ready(Err(closed())),
                    Poll::Pending => break,
                },
            }
        }
        if self.body_done() && has_left(&mut self.downstream.conn, cx) {
            return Poll::Ready(Err(Failure::Abandoned));
        }
        Poll::Pending
    }

    /// Reads the head of an answer from what is at hand, passing informational ones on.
    fn parse_answer(
        &mut self,
        cx: &mut Context<'_>,
        upstream: &mut Conn,
        target: &dyn std::fmt::Display,
    ) -> Result<Poll<()>, Failure> {
        let head = self.view.head;
        let facts = RequestFacts {
            method_is_head: head.is_head(self.view.buf),
            method_is_connect: false,
            upgrade: head.upgrade(),
        };
        while !upstream.input.is_empty() {
            match parse_response(upstream.input.data(), &Default::default(), facts, self.response) {
                Ok(Parse::Partial) => break,
                Ok(Parse::Complete) if !self.response.is_informational() => return Ok(Poll::Ready(())),
                Ok(Parse::Complete) => {
                    self.informed += 1;
                    if self.informed > MOST_INFORMATIONAL {
                        let reason = Reason::TooManyInformational;
                        return Err(Failure::Answer { target: target.to_string(), reason });
                    }
                    if self.view.head.version() == Version::Http11 {
                        let out = ResponseOut { keep_alive: true, strip_own: true, ..ResponseOut::default() };
                        let data = upstream.input.data();
                        write_response(self.response, data, &out, self.downstream.conn.output());
                    }
                    upstream.input.consume(self.response.len());
                }
                Err(Malformed { reason }) => {
                    return Err(Failure::Answer { target: target.to_string(), reason });
                }
            }
        }
        // A downstream that fails now fails again, and is noticed, when the answer is passed on.
        if self.downstream.conn.has_output() {
            let _ = self.downstream.conn.poll_flush(cx);
        }
        Ok(Poll::Pending)
    }

    /// Puts the answer's head into the downstream's output; returns how its body goes on.
    fn write_answer(
        &mut self,
        upstream: &mut Conn,
        pick: &Pick<'_>,
        decision: &Decision<'_>,
    ) -> Option<Body> {
        let version = self.view.head.version();
        let framing = self.response.framing_for(version);
        let body = (framing != ResponseFraming::None).then(|| {
            let mut reader = BodyReader::default();
            reader.begin_response(self.response.framing());
            Body::new(reader, if framing == ResponseFraming::Chunked { Sink::Chunked } else { Sink::Raw })
        });
        let keep_alive = self.view.head.keep_alive()
            && framing != ResponseFraming::UntilClose
            && !self.downstream.conn.eof
            && !self.worker.draining();
        self.end = if keep_alive { End::KeepAlive } else { End::Close };
        let lines = own_lines(decision, self.retried && self.downstream.facts.role == Role::Gateway);
        let told = Exchanged::lines(&self.view, &self.downstream.facts, pick);
        let told = told.answered(self.response, upstream.input.data());
        let out = ResponseOut {
            teller: Some(&told),
            edits: [decision.leg_headers.map(|leg| &leg.response), Some(&decision.route.headers.response)],
            downstream: version,
            keep_alive,
            framing,
            strip_own: true,
            extra: &lines,
        };
        let output = self.downstream.conn.output();
        write_response(self.response, upstream.input.data(), &out, output);
        upstream.input.consume(self.response.len());
        body
    }

    /// Passes the answer's body on, and what may be left of the request's.
    async fn pass_on(
        &mut self,
        upstream: &mut Upstream,
        body: &mut Option<Body>,
        target: &dyn std::fmt::Display,
        idle: Duration,
    ) -> Result<(), Failure> {
        let broken = |broken: Broken| match broken {
            Broken::Sink => Failure::Abandoned,
            Broken::Source => Failure::Closed { target: target.to_string() },
            Broken::Malformed(reason) => Failure::Answer { target: target.to_string(), reason },
        };
        if let Some(body) = body {
            body.take_short(&mut upstream.conn, &mut self.downstream.conn).map_err(broken)?;
        }
        std::future::poll_fn(|cx| {
            if let Some(failure) = overdue(self.worker, &self.downstream.deadline, target) {
                let waits = body.as_ref().is_some_and(|body| body.is_starved(&self.downstream.conn));
                return Poll::Ready(Err(match failure {
                    // A reader that stalls says nothing of the upstream.
                    Failure::TimedOut { .. } if !waits => Failure::Unread,
                    failure => failure,
                }));
            }
            self.wind_clock(None, idle);
            if !self.body_done() {
                // Whatever becomes of the rest of the request, the answer is what counts now.
                let _ = self.poll_send(cx, &mut upstream.conn);
            }
            let downstream = &mut self.downstream.conn;
            let passed = match body {
                Some(body) => body.poll_transfer(cx, &mut upstream.conn, downstream),
                None => downstream.poll_flush(cx).map_err(|_| Broken::Sink),
            };
            passed.map_err(broken)
        })
        .await
    }

    /// The tunnel behind a 101: bytes both ways until both sides have ended.
    async fn tunnel(&mut self, mut upstream: Upstream) -> Result<(), Failure> {
        let Downstream { conn, deadline, .. } = &mut *self.downstream;
        self.end = End::Done;
        let (copied, result) = copy_both(self.worker, conn, &mut upstream.conn, deadline, relay::IDLE).await;
        self.passed.up += copied.up;
        self.passed.down = copied.down;
        if let Err(error) = result {
            tracing::debug!(%error, "an upgraded connection ended early");
        }
        Ok(())
    }
}

impl Exchange for Http1Exchange<'_> {
    fn head(&self) -> table::RequestHead<'_> {
        self.view.table_head()
    }

    fn caller(&self) -> table::Caller<'_> {
        self.downstream.facts.caller()
    }

    fn replayable(&self) -> bool {
        match self.body {
            RequestBody::AtHand(_) => true,
            RequestBody::Streaming { begun, .. } => !begun,
        }
    }

    fn may_retry(&self) -> bool {
        self.replayable() && !retried_before(self.downstream.facts.role, &self.view)
    }

    fn idempotent(&self) -> bool {
        self.view.head.is_idempotent()
    }

    async fn attempt(
        &mut self,
        pick: &Pick<'_>,
        decision: &Decision<'_>,
        timeout: Option<Duration>,
    ) -> Result<Answer, Failure> {
        let idle = decision.route.idle_timeout.unwrap_or(Duration::MAX);
        let target = &pick.target.id;
        self.wind_clock(timeout, idle);
        let mut fresh = false;
        loop {
            let mut upstream =
                connect(self.worker, pick, fresh, &self.downstream.deadline, self.expires).await?;
            self.write(&mut upstream, pick, decision);
            let answered = std::future::poll_fn(|cx| {
                if let Some(failure) = overdue(self.worker, &self.downstream.deadline, target) {
                    return Poll::Ready(Err(self.blame(failure, &upstream.conn)));
                }
                let answered = self.poll_answer(cx, &mut upstream.conn, target);
                // Behind it, as the last of the request may just have left.
                self.wind_clock(timeout, idle);
                answered
            })
            .await;
            match answered {
                Ok(()) => {
                    let answer = answer(self.response, upstream.conn.input.data(), pick);
                    self.upstream = Some(upstream);
                    return Ok(answer);
                }
                // An idle connection that the upstream was just closing: a new one tells whether it is well.
                Err(Failure::Closed { .. })
                    if upstream.reused
                        && upstream.conn.input.is_empty()
                        && self.idempotent()
                        && self.replayable() =>
                {
                    fresh = true;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    async fn back_off(&mut self, wait: Duration) {
        self.retried = true;
        let at = self.worker.deadline_tick(wait);
        // The next attempt goes to another endpoint, so a wait shorter than a tick is not worth one.
        if wait < Duration::from_millis(Tick::MILLIS) {
            return;
        }
        self.downstream.deadline.set_at(at);
        let (worker, deadline) = (self.worker, &self.downstream.deadline);
        std::future::poll_fn(
            |_| if deadline.expired(worker.now()) { Poll::Ready(()) } else { Poll::Pending },
        )
        .await;
    }

    async fn respond(&mut self, pick: &Pick<'_>, decision: &Decision<'_>) -> Result<Option<u8>, Failure> {
        // `forward` responds only after an attempt that was answered.
        let Some(mut upstream) = self.upstream.take() else { return Err(Failure::Abandoned) };
        if let RequestBody::AtHand(n) = self.body {
            self.downstream.conn.input.consume(n);
            self.body = RequestBody::AtHand(0);
        }
        let reusable = self.response.keep_alive();
        let switched = self.response.upgraded();
        let mut body = self.write_answer(&mut upstream.conn, pick, decision);
        if switched {
            return self.tunnel(upstream).await.map(|()| None);
        }
        let until_close = self.response.framing() == ResponseFraming::UntilClose;
        let idle = decision.route.idle_timeout.unwrap_or(Duration::MAX);
        let passed = self.pass_on(&mut upstream, &mut body, &pick.target.id, idle).await;
        self.passed.down = body.as_ref().map_or(0, Body::moved);
        self.passed.body = body.filter(|_| self.passed.keep_trailers).map(Box::new);
        match &passed {
            Ok(()) if self.body_done() => {
                if reusable && !until_close && upstream.conn.input.is_empty() {
                    slot::keep(self.worker, pick, upstream);
                }
            }
            // The rest of the request is not wanted any more.
            Ok(()) => self.end = End::Close,
            Err(Failure::Abandoned) => self.end = End::Done,
            Err(_) => self.end = End::Abort,
        }
        passed.map(|()| None)
    }

    async fn refuse(&mut self, refusal: &Refusal) {
        if let RequestBody::AtHand(n) = self.body {
            self.downstream.conn.input.consume(n);
        }
        let keep_alive = self.view.head.keep_alive()
            && matches!(self.body, RequestBody::AtHand(_))
            && !self.downstream.conn.eof
            && !self.worker.draining();
        self.end = downstream::refuse(self.worker, self.downstream, refusal, keep_alive, self.view).await;
    }

    fn answer_header(&self, name: &str) -> Option<&[u8]> {
        self.response.value(self.upstream.as_ref()?.conn.input.data(), name)
    }

    fn upstream_local(&self) -> Option<SocketAddr> {
        self.upstream.as_ref().and_then(Upstream::local)
    }

    fn keep_trailers(&mut self) {
        self.passed.keep_trailers = true;
    }

    fn trailer(&self, name: &str) -> Option<&[u8]> {
        let mut lines = self.passed.body.as_ref()?.trailers().iter();
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn tell<'e>(&'e self, record: &mut Record<'e>) {
        let Downstream { conn, facts, .. } = &*self.downstream;
        record.downstream(facts, facts.ends(&conn.stream));
        record.request = Some(self.view);
        record.protocol = Some(self.view.head.version().as_str());
        record.request_id = self.passed.id.as_ref().map(<[u8; 36]>::as_slice);
        let streamed = if let RequestBody::Streaming { body, .. } = &self.body { body.moved() } else { 0 };
        (record.received, record.sent) = (self.passed.up + streamed, self.passed.down);
    }
}

/// Watches for the downstream's reset. A half-close is no farewell: the answer is still wanted.
pub(crate) fn has_left(conn: &mut Conn, cx: &mut Context<'_>) -> bool {
    while !conn.eof && conn.input.len() < READ_AHEAD {
        match conn.poll_fill(cx) {
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(_)) => return true,
            Poll::Pending => return false,
        }
    }
    false
}
