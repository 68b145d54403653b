//! A message body on its way from one connection to the other: framing taken off on one side, put on at the other.
//!
//! Bytes stream through the read buffer; when the receiving side does not take them, nothing more is read, which is
//! the back-pressure. A body that goes out without chunks is not copied at all.

use std::task::{Context, Poll, ready};

use crate::conn::Conn;
use crate::http1::{BodyReader, Ended, Malformed, Reason, Step, Trailers, write_chunk, write_last_chunk};

/// How a body is delimited where it goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sink {
    /// As it comes: by a length already written, or by the end of the connection.
    Raw,
    /// RFC 9112 section 7.1; chunks are always made anew.
    Chunked,
}

/// A body in transfer.
#[derive(Debug)]
pub struct Body {
    reader: BodyReader,
    sink: Sink,
    /// So many bytes at the front of the input are data that the receiver has not taken.
    pending: usize,
    /// The end has been written as well.
    done: bool,
    moved: u64,
}

/// Which side ended a transfer.
#[derive(Debug, Eq, PartialEq)]
pub enum Broken {
    /// The side it comes from failed, or ended too early.
    Source,
    /// The side it comes from sent what is no body.
    Malformed(Reason),
    /// The side it goes to failed.
    Sink,
}

impl From<Malformed> for Broken {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed.reason)
    }
}

impl Body {
    /// A body of which nothing has been read.
    pub fn new(reader: BodyReader, sink: Sink) -> Self {
        Self { reader, sink, pending: 0, done: false, moved: 0 }
    }

    /// Whether all of it has been handed over.
    pub fn done(&self) -> bool {
        self.done
    }

    /// How many bytes of data have been found so far, framing left out.
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// The trailers, once all of it has been handed over.
    pub fn trailers(&self) -> Trailers<'_> {
        self.reader.trailers()
    }

    /// Whether it is for its source that it does not move: the receiver has taken all that came.
    pub fn is_starved(&self, to: &Conn) -> bool {
        !self.reader.is_done() && self.pending == 0 && !to.has_output()
    }

    /// Moves what can be moved. Ready when the body has been handed over and flushed.
    pub fn poll_transfer(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Conn,
        to: &mut Conn,
    ) -> Poll<Result<(), Broken>> {
        /// Chunks are gathered up to this size before they are written.
        const GATHERED: usize = 32 * 1024;
        loop {
            if self.pending > 0 {
                ready!(self.poll_hand_over(cx, from, to))?;
            } else if self.done {
                return to.poll_flush(cx).map_err(|_| Broken::Sink);
            } else if self.reader.is_done() {
                self.finish(to);
            } else if !from.input.is_empty() {
                self.decode(from)?;
            } else if from.eof {
                match self.reader.end_of_connection() {
                    Ended::Whole => {}
                    Ended::CutShort => return Poll::Ready(Err(Broken::Source)),
                }
            } else {
                ready!(to.poll_drain(cx)).map_err(|_| Broken::Sink)?;
                match from.poll_fill(cx) {
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Broken::Source)),
                    Poll::Pending => {
                        // Nothing to move: what TLS holds back must leave before we sleep.
                        ready!(to.poll_flush(cx)).map_err(|_| Broken::Sink)?;
                        return Poll::Pending;
                    }
                }
            }
            if to.unwritten() > GATHERED {
                ready!(to.poll_drain(cx)).map_err(|_| Broken::Sink)?;
            }
        }
    }

    /// Finds the next data in what is at hand.
    fn decode(&mut self, from: &mut Conn) -> Result<(), Broken> {
        match self.reader.decode(from.input.data())? {
            Step::Data(range) => {
                from.input.consume(range.start);
                self.pending = range.len();
                self.moved += range.len() as u64;
            }
            Step::NeedMore => from.input.consume(from.input.len()),
            Step::End(n) => from.input.consume(n),
        }
        Ok(())
    }

    /// Hands data over: straight from the read buffer, or as a chunk in the receiver's output.
    fn poll_hand_over(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Conn,
        to: &mut Conn,
    ) -> Poll<Result<(), Broken>> {
        match self.sink {
            Sink::Raw => {
                ready!(to.poll_drain(cx)).map_err(|_| Broken::Sink)?;
                let written = ready!(to.poll_write_from(cx, &mut from.input, self.pending));
                self.pending -= written.map_err(|_| Broken::Sink)?;
            }
            Sink::Chunked => {
                write_chunk(&from.input.data()[..self.pending], to.output());
                from.input.consume(self.pending);
                self.pending = 0;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn finish(&mut self, to: &mut Conn) {
        if self.sink == Sink::Chunked {
            write_last_chunk(self.reader.trailers().iter(), to.output());
        }
        self.done = true;
    }

    /// Moves a short body that is at hand into the receiver's output, so that it leaves with its head in one write.
    ///
    /// # Errors
    /// When what is at hand is no body.
    pub fn take_short(&mut self, from: &mut Conn, to: &mut Conn) -> Result<(), Broken> {
        const SHORT: usize = 16 * 1024;
        if self.sink == Sink::Raw && !from.input.is_empty() && !self.reader.is_done() {
            self.decode(from)?;
            if self.reader.is_done() && self.pending <= SHORT {
                to.output().extend_from_slice(&from.input.data()[..self.pending]);
                from.input.consume(self.pending);
                self.pending = 0;
            }
        }
        Ok(())
    }
}
