//! A request that came over HTTP/1.1 for an upstream that speaks HTTP/2, and the way back for its answer.

use std::rc::Rc;
use std::task::{Context, Poll};

use h2::Reason;
use spillway_core::pick::Pick;

use super::exchange::Bridge;
use super::pump::{FromConn, Kept, Pump, Sink, Source, ToConn};
use super::received::Received;
use crate::access_log::Record;
use crate::attempt::has_left;
use crate::body::{self, Broken};
use crate::deadline::Deadline;
use crate::downstream::End;
use crate::downstream::{Downstream, Facts, refuse};
use crate::forward::{Failure, forward};
use crate::generation::Service;
use crate::http1::{
    BodyReader, Framing, HeadView, ResponseFraming, ResponseHead, ResponseOut, Version, write_response,
};
use crate::refusal::Refusal;
use crate::told::Exchanged;
use crate::worker::Worker;

/// Forwards the request whose head has just been taken from the connection's input; what becomes of the connection.
pub(crate) async fn forward_lines(
    worker: &Rc<Worker>,
    service: &Service,
    downstream: &mut Downstream,
    view: HeadView<'_>,
) -> End {
    let mut exchange = Bridge::new(worker, LinesRequest::new(worker, downstream, view));
    forward(worker, service, &mut exchange).await;
    exchange.received.end
}

/// A request on an HTTP/1.1 connection.
struct LinesRequest<'c> {
    worker: &'c Rc<Worker>,
    downstream: &'c mut Downstream,
    view: HeadView<'c>,
    reader: BodyReader,
    /// How the answer's body is delimited, and how much of it was announced and is not there yet.
    sink: body::Sink,
    left: Option<u64>,
    /// What becomes of the connection.
    end: End,
}

impl<'c> LinesRequest<'c> {
    fn new(worker: &'c Rc<Worker>, downstream: &'c mut Downstream, view: HeadView<'c>) -> Self {
        let mut reader = BodyReader::default();
        reader.begin(view.head.framing());
        downstream.facts.ends(&downstream.conn.stream);
        Self { worker, downstream, view, reader, sink: body::Sink::Raw, left: Some(0), end: End::Close }
    }

    /// Whether the connection can carry another request behind this one.
    fn may_go_on(&self) -> bool {
        self.view.head.keep_alive()
            && self.reader.is_done()
            && !self.downstream.conn.eof
            && !self.worker.draining()
    }

    /// A downstream that fails now fails again, and is noticed, when the answer is passed on.
    fn flush(&mut self, cx: &mut Context<'_>) {
        let _ = self.downstream.conn.poll_flush(cx);
    }
}

impl Received for LinesRequest<'_> {
    fn view(&self) -> &HeadView<'_> {
        &self.view
    }

    fn facts(&self) -> &Facts {
        &self.downstream.facts
    }

    fn deadline(&self) -> &Deadline {
        &self.downstream.deadline
    }

    fn is_http2(&self) -> bool {
        false
    }

    fn is_connect(&self) -> bool {
        false
    }

    fn tell<'e>(&'e self, record: &mut Record<'e>) {
        let Downstream { conn, facts, .. } = &*self.downstream;
        record.downstream(facts, facts.ends(&conn.stream));
        record.protocol = Some(self.view.head.version().as_str());
    }

    fn has_body(&self) -> bool {
        !matches!(self.view.head.framing(), Framing::None | Framing::Length(0))
    }

    fn poll_upload(
        &mut self,
        cx: &mut Context<'_>,
        pump: &mut Pump,
        kept: &mut Kept,
        sink: &mut impl Sink,
    ) -> Poll<Result<(), Broken>> {
        let source = FromConn { conn: &mut self.downstream.conn, reader: &mut self.reader };
        pump.poll(cx, &mut kept.before(source), sink)
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> bool {
        self.reader.is_done() && has_left(&mut self.downstream.conn, cx)
    }

    fn inform(&mut self, cx: &mut Context<'_>, head: &ResponseHead, text: &[u8]) {
        if self.view.head.version() == Version::Http11 {
            let out = ResponseOut { keep_alive: true, strip_own: true, ..ResponseOut::default() };
            write_response(head, text, &out, self.downstream.conn.output());
            self.flush(cx);
        }
    }

    fn go_on(&mut self, cx: &mut Context<'_>) {
        self.downstream.conn.output().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        self.flush(cx);
    }

    fn begin(
        &mut self,
        (head, text): (&ResponseHead, &[u8]),
        spec: &ResponseOut<'_>,
        ended: bool,
        pick: &Pick<'_>,
    ) -> Result<(), Broken> {
        let version = self.view.head.version();
        let framing = match head.framing_for(version) {
            // Nothing follows, not even the last chunk.
            ResponseFraming::Chunked | ResponseFraming::UntilClose if ended => ResponseFraming::Length(0),
            // Behind a length there would be no place for the trailers that are asked for.
            ResponseFraming::Length(_) if self.view.head.te_trailers() && version == Version::Http11 => {
                ResponseFraming::Chunked
            }
            framing => framing,
        };
        (self.sink, self.left) = match framing {
            ResponseFraming::None => (body::Sink::Raw, Some(0)),
            ResponseFraming::Length(length) => (body::Sink::Raw, Some(length)),
            ResponseFraming::Chunked => (body::Sink::Chunked, None),
            ResponseFraming::UntilClose => (body::Sink::Raw, None),
        };
        // Whether the request's body has been read by then is known when the answer has been passed on.
        let keep_alive = self.view.head.keep_alive()
            && framing != ResponseFraming::UntilClose
            && !self.downstream.conn.eof
            && !self.worker.draining();
        self.end = if keep_alive { End::KeepAlive } else { End::Close };
        let told = Exchanged::lines(&self.view, &self.downstream.facts, pick).answered(head, text);
        let out = ResponseOut { downstream: version, keep_alive, framing, teller: Some(&told), ..*spec };
        write_response(head, text, &out, self.downstream.conn.output());
        Ok(())
    }

    fn begin_tunnel(&mut self) {
        self.reader.begin_response(ResponseFraming::UntilClose);
        (self.left, self.end) = (None, End::Done);
    }

    fn poll_shut(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.downstream.conn.poll_shutdown(cx).map_err(|_| Broken::Sink)
    }

    fn poll_download(
        &mut self,
        cx: &mut Context<'_>,
        pump: &mut Pump,
        source: &mut impl Source,
    ) -> Poll<Result<(), Broken>> {
        let Self { downstream, sink, left, .. } = self;
        pump.poll(cx, source, &mut ToConn { conn: &mut downstream.conn, sink: *sink, left })
    }

    fn finish(&mut self) {
        if !self.reader.is_done() {
            self.end = End::Close;
        }
    }

    fn abort(&mut self, failure: &Failure, _reason: Option<Reason>) {
        self.end = if matches!(failure, Failure::Abandoned) { End::Done } else { End::Abort };
    }

    async fn refuse(&mut self, refusal: &Refusal) {
        let keep_alive = self.may_go_on();
        self.end = refuse(self.worker, self.downstream, refusal, keep_alive, self.view).await;
    }
}
