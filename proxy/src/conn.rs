//! A connection: its stream, what was read ahead of need, and what waits to be written.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::buffer::{Buffers, Input};
use crate::stream::Stream;

/// A connection with its buffers. While it is idle it holds none.
#[derive(Debug)]
pub struct Conn {
    /// What carries the bytes.
    pub stream: Stream,
    /// Read and not consumed.
    pub input: Input,
    /// The other side will send nothing more.
    pub eof: bool,
    output: Vec<u8>,
    written: usize,
    buffers: Rc<Buffers>,
}

impl Conn {
    /// A connection that has read and written nothing yet.
    pub fn new(stream: Stream, buffers: &Rc<Buffers>) -> Self {
        let input = Input::new(buffers);
        Self { stream, input, eof: false, output: Vec::new(), written: 0, buffers: Rc::clone(buffers) }
    }

    /// Reads what is there into `input`. Ready with 0 at the end of the stream, or when there is no room.
    ///
    /// A request waits on each side before it reads, so waiting is kept short: no buffer is taken for it.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.eof {
            return Poll::Ready(Ok(0));
        }
        if self.stream.is_silent() {
            ready!(self.stream.poll_arrival(cx))?;
        }
        let room = self.input.room();
        if room.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut buf = ReadBuf::new(room);
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut buf);
        let n = buf.filled().len();
        self.input.filled(n);
        ready!(read)?;
        self.eof = n == 0;
        Poll::Ready(Ok(n))
    }

    /// Where to write what is to be sent next; nothing leaves before [`Self::poll_flush`].
    pub fn output(&mut self) -> &mut Vec<u8> {
        if self.output.capacity() == 0 {
            self.output = self.buffers.output();
        }
        &mut self.output
    }

    /// How many bytes of [`Self::output`] are unwritten.
    pub fn unwritten(&self) -> usize {
        self.output.len() - self.written
    }

    /// Whether [`Self::output`] holds anything unwritten.
    pub fn has_output(&self) -> bool {
        self.unwritten() > 0
    }

    /// Forgets what was put in [`Self::output`] and not written.
    pub fn clear_output(&mut self) {
        self.written = 0;
        self.buffers.release_output(std::mem::take(&mut self.output));
    }

    /// Writes all of the output into the stream; TLS may still hold some: see [`Self::poll_flush`].
    pub fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.output.len() {
            let n = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.output[self.written..]))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += n;
        }
        if self.output.capacity() > 0 {
            self.clear_output();
        }
        Poll::Ready(Ok(()))
    }

    /// Writes all of the output, down to the socket: a TLS stream that is not flushed can keep bytes and never
    /// wake anyone for them.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Writes up to `limit` bytes straight from `from`, without a copy; what was written is consumed there.
    pub fn poll_write_from(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Input,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        let data = from.data();
        let n = ready!(Pin::new(&mut self.stream).poll_write(cx, &data[..limit.min(data.len())]))?;
        if n == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        from.consume(n);
        Poll::Ready(Ok(n))
    }

    /// Says that nothing more will be sent: FIN, after TLS's close_notify.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// Whether an idle connection can carry another request: still open, and the other side said nothing.
    ///
    /// Costs no system call when nothing has arrived. It forgets the task that waits for it, so it is for
    /// connections that nobody waits for.
    pub fn is_idle_and_open(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let idle = self.input.is_empty() && !self.eof && !self.has_output();
        idle && self.stream.is_usable() && (self.stream.is_silent() || self.poll_fill(&mut cx).is_pending())
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if self.output.capacity() > 0 {
            self.clear_output();
        }
    }
}
