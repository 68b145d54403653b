//! A connection as `h2` reads and writes it: what was read ahead of need comes first.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::conn::Conn;

/// A [`Conn`] that nothing was written to yet, handed over to `h2`.
#[derive(Debug)]
pub(super) struct Transport {
    conn: Conn,
    /// Counts reads that brought something: a sign of life of the other side.
    heard: Rc<Cell<u64>>,
}

impl Transport {
    pub(super) fn new(conn: Conn) -> Self {
        Self { conn, heard: Rc::default() }
    }

    /// The count of reads; it goes on counting.
    pub(super) fn heard(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.heard)
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { conn, heard } = &mut *self;
        if !conn.input.is_empty() {
            let n = conn.input.len().min(buf.remaining());
            buf.put_slice(&conn.input.data()[..n]);
            conn.input.consume(n);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut conn.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            heard.set(heard.get().wrapping_add(1));
        }
        read
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.conn.stream).poll_write(cx, buf)
    }

    // A frame's head and its data leave in one write, not two.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.conn.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.conn.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.conn.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.conn.stream).poll_shutdown(cx)
    }
}
