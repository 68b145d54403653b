//! A body on its way, from a connection or a stream to a connection or a stream.
//!
//! One piece at a time: nothing is read while the receiver does not take what is at hand, and a stream's window
//! opens only as its bytes are taken, which is the back-pressure. A request's first bytes are kept until an answer
//! begins, so that it can be sent to another endpoint.

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;

use super::head;
use crate::body::{self, Broken};
use crate::conn::Conn;
use crate::http1::{self, BodyReader, Ended, Step, write_chunk, write_last_chunk};

/// How much of a request's body is kept for another attempt.
const KEPT: usize = 64 * 1024;

/// Chunks are gathered up to this size before they are written.
const GATHERED: usize = 32 * 1024;

/// A part of a body.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    /// Bytes.
    Data(Bytes),
    /// The end, and what stands behind it.
    End(Option<HeaderMap>),
}

/// Where a body comes from.
pub(super) trait Source {
    /// The next piece; nothing is asked for after the end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, Broken>>;

    /// Whether it is known that nothing but the end, without trailers, is left.
    fn at_end(&self) -> bool;
}

/// Where a body goes.
pub(super) trait Sink {
    /// Waits until there is room for another piece.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>>;

    /// Takes bytes; `last` when nothing follows.
    fn data(&mut self, data: Bytes, last: bool) -> Result<(), Broken>;

    /// Takes the end.
    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), Broken>;

    /// Sees to it that what was taken leaves.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>>;
}

/// How far a body has come.
#[derive(Debug, Default)]
pub(super) struct Pump {
    at_hand: Option<Piece>,
    ended: bool,
    /// `grpc-status` of the trailers.
    pub(super) grpc_status: Option<u8>,
    /// How many bytes the sink has taken.
    pub(super) moved: u64,
    /// The trailers, when they are kept.
    pub(super) trailers: Option<HeaderMap>,
    pub(super) keep_trailers: bool,
}

impl Pump {
    /// At its end already when `ended`: there is nothing to move, only to flush.
    pub(super) fn new(ended: bool) -> Self {
        Self { ended, ..Self::default() }
    }

    /// Begins what [`Self::default`] has made, with a piece that was read already.
    pub(super) fn begin(&mut self, ended: bool, piece: Option<Piece>) {
        self.ended = ended;
        self.at_hand = piece;
    }

    /// Whether the sink has all of it.
    pub(super) fn done(&self) -> bool {
        self.ended
    }

    /// Whether it is for its source that it does not move.
    pub(super) fn is_starved(&self) -> bool {
        !self.ended && self.at_hand.is_none()
    }

    /// Moves what can be moved. Ready when the sink has all of it and it was flushed.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut impl Source,
        sink: &mut impl Sink,
    ) -> Poll<Result<(), Broken>> {
        while !self.ended {
            if self.at_hand.is_none() {
                match source.poll_piece(cx)? {
                    Poll::Ready(piece) => self.at_hand = Some(piece),
                    Poll::Pending => {
                        ready!(sink.poll_flush(cx))?;
                        return Poll::Pending;
                    }
                }
            }
            if let Some(Piece::Data(data)) = &self.at_hand
                && !data.is_empty()
            {
                ready!(sink.poll_room(cx))?;
            }
            match self.at_hand.take() {
                Some(Piece::Data(data)) => {
                    self.ended = source.at_end();
                    self.moved += data.len() as u64;
                    if self.ended || !data.is_empty() {
                        sink.data(data, self.ended)?;
                    }
                }
                Some(Piece::End(trailers)) => {
                    self.ended = true;
                    self.grpc_status = trailers.as_ref().and_then(super::grpc::status_of);
                    self.trailers = trailers.as_ref().filter(|_| self.keep_trailers).cloned();
                    sink.end(trailers)?;
                }
                None => {}
            }
        }
        sink.poll_flush(cx)
    }
}

/// The beginning of a request's body, for as long as it may have to be sent again.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pieces: VecDeque<Bytes>,
    bytes: usize,
    /// How many of the pieces this attempt has sent.
    sent: usize,
    end: Option<Piece>,
    /// Nothing is kept any more.
    given_up: bool,
}

impl Kept {
    /// Whether all that has been read is still at hand.
    pub(super) fn whole(&self) -> bool {
        !self.given_up
    }

    /// Begins another attempt.
    pub(super) fn rewind(&mut self) {
        self.sent = 0;
    }

    /// There will be no other attempt.
    pub(super) fn give_up(&mut self) {
        self.pieces.drain(..self.sent);
        (self.sent, self.given_up) = (0, true);
    }

    /// `source`, with what was kept before it.
    pub(super) fn before<S: Source>(&mut self, source: S) -> Again<'_, S> {
        Again { kept: self, source }
    }
}

/// A source that begins with what was kept of it.
pub(super) struct Again<'a, S> {
    kept: &'a mut Kept,
    source: S,
}

impl<S: Source> Source for Again<'_, S> {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, Broken>> {
        let kept = &mut *self.kept;
        if kept.given_up {
            if let Some(piece) = kept.pieces.pop_front() {
                return Poll::Ready(Ok(Piece::Data(piece)));
            }
        } else if let Some(piece) = kept.pieces.get(kept.sent) {
            kept.sent += 1;
            return Poll::Ready(Ok(Piece::Data(piece.clone())));
        }
        if let Some(end) = &kept.end {
            return Poll::Ready(Ok(end.clone()));
        }
        let piece = ready!(self.source.poll_piece(cx))?;
        match &piece {
            Piece::End(_) => kept.end = Some(piece.clone()),
            Piece::Data(_) if kept.given_up => {}
            Piece::Data(data) if kept.bytes + data.len() > KEPT => {
                kept.sent = kept.pieces.len();
                kept.give_up();
            }
            Piece::Data(data) => {
                kept.bytes += data.len();
                kept.pieces.push_back(data.clone());
                kept.sent += 1;
            }
        }
        if matches!(piece, Piece::Data(_)) && self.source.at_end() {
            kept.end = Some(Piece::End(None));
        }
        Poll::Ready(Ok(piece))
    }

    fn at_end(&self) -> bool {
        let sent_all = if self.kept.given_up {
            self.kept.pieces.is_empty()
        } else {
            self.kept.sent == self.kept.pieces.len()
        };
        sent_all && matches!(self.kept.end, Some(Piece::End(None)))
    }
}

/// A body that arrives on a stream.
#[derive(Debug)]
pub(super) struct StreamBody {
    stream: RecvStream,
    data_done: bool,
    /// Why the other side ended the stream early.
    pub(super) reset: Option<Reason>,
}

impl StreamBody {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self { stream, data_done: false, reset: None }
    }

    /// Whether nothing but the end, without trailers, is left.
    pub(super) fn at_end(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn broken(&mut self, error: &h2::Error) -> Broken {
        self.reset = error.reason();
        // What `h2` itself found fault with is the other side's mistake, not its farewell.
        if error.is_library() { Broken::Malformed(http1::Reason::Http2) } else { Broken::Source }
    }
}

impl Source for &mut StreamBody {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, Broken>> {
        while !self.data_done {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // Fails only for bytes that were never received.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    if !data.is_empty() || self.stream.is_end_stream() {
                        return Poll::Ready(Ok(Piece::Data(data)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Err(self.broken(&error))),
                None => self.data_done = true,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(cx)).map_err(|error| self.broken(&error))?;
        let checked = trailers
            .map(|map| head::trailers(map.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))));
        Poll::Ready(Ok(Piece::End(checked.filter(|map| !map.is_empty()))))
    }

    fn at_end(&self) -> bool {
        StreamBody::at_end(self)
    }
}

/// A body that arrives on a connection.
pub(super) struct FromConn<'a> {
    /// The connection.
    pub(super) conn: &'a mut Conn,
    /// How the body is delimited, and how far it has come.
    pub(super) reader: &'a mut BodyReader,
}

impl Source for FromConn<'_> {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, Broken>> {
        let Self { conn, reader } = self;
        loop {
            if reader.is_done() {
                let trailers = head::trailers(reader.trailers().iter());
                return Poll::Ready(Ok(Piece::End(Some(trailers).filter(|map| !map.is_empty()))));
            }
            if !conn.input.is_empty() {
                match reader.decode(conn.input.data())? {
                    Step::Data(range) => {
                        let end = range.end;
                        let data = Bytes::copy_from_slice(&conn.input.data()[range]);
                        conn.input.consume(end);
                        return Poll::Ready(Ok(Piece::Data(data)));
                    }
                    Step::NeedMore => conn.input.consume(conn.input.len()),
                    Step::End(n) => conn.input.consume(n),
                }
            } else if conn.eof {
                if reader.end_of_connection() == Ended::CutShort {
                    return Poll::Ready(Err(Broken::Source));
                }
            } else if ready!(conn.poll_fill(cx)).is_err() {
                return Poll::Ready(Err(Broken::Source));
            }
        }
    }

    fn at_end(&self) -> bool {
        self.reader.is_done() && self.reader.trailers().is_empty()
    }
}

/// A body that leaves on a stream.
pub(super) struct ToStream<'a>(pub(super) &'a mut SendStream<Bytes>);

impl Sink for ToStream<'_> {
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        // A claim of one byte is enough: `h2` raises it to the piece, and a larger one would take from a window
        // that other streams wait for.
        self.0.reserve_capacity(1);
        while self.0.capacity() == 0 {
            match ready!(self.0.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Err(Broken::Sink)),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn data(&mut self, data: Bytes, last: bool) -> Result<(), Broken> {
        self.0.send_data(data, last).map_err(|_| Broken::Sink)
    }

    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), Broken> {
        self.0.reserve_capacity(0);
        match trailers {
            Some(trailers) => self.0.send_trailers(trailers),
            None => self.0.send_data(Bytes::new(), true),
        }
        .map_err(|_| Broken::Sink)
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }
}

/// A body that leaves on a connection.
pub(super) struct ToConn<'a> {
    /// The connection.
    pub(super) conn: &'a mut Conn,
    /// How the body is delimited there.
    pub(super) sink: body::Sink,
    /// How many bytes were announced and have not been sent.
    pub(super) left: &'a mut Option<u64>,
}

impl Sink for ToConn<'_> {
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.conn.unwritten() < GATHERED {
            return Poll::Ready(Ok(()));
        }
        self.conn.poll_drain(cx).map_err(|_| Broken::Sink)
    }

    fn data(&mut self, data: Bytes, last: bool) -> Result<(), Broken> {
        if let Some(left) = self.left {
            // The next message would begin in the middle of this one.
            *left = left.checked_sub(data.len() as u64).ok_or(Broken::Source)?;
        }
        match self.sink {
            body::Sink::Raw => self.conn.output().extend_from_slice(&data),
            body::Sink::Chunked if data.is_empty() => {}
            body::Sink::Chunked => write_chunk(&data, self.conn.output()),
        }
        if last { self.end(None) } else { Ok(()) }
    }

    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), Broken> {
        if self.left.is_some_and(|left| left > 0) {
            return Err(Broken::Source);
        }
        if self.sink == body::Sink::Chunked {
            let map = trailers.unwrap_or_default();
            let lines = map.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
            write_last_chunk(lines, self.conn.output());
        }
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.conn.poll_flush(cx).map_err(|_| Broken::Sink)
    }
}

#[cfg(test)]
mod tests;
