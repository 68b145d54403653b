//! A connection as `h2` reads and writes it: what was read ahead of need comes first.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::conn::Conn;

/// What has been heard of the other side of a connection.
#[derive(Debug, Default)]
pub(super) struct Heard {
    reads: Cell<u64>,
    ended: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Heard {
    /// How many reads brought something: signs of life.
    pub(super) fn reads(&self) -> u64 {
        self.reads.get()
    }

    /// Waits for the first sign of life, or the end. Whoever is woken by it runs after `h2` has read what came: its
    /// task is the one that reads.
    pub(super) fn poll_first(&self, cx: &Context<'_>) -> Poll<()> {
        if self.reads.get() > 0 || self.ended.get() {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn wake(&self) {
        self.waiting.take().into_iter().for_each(Waker::wake);
    }
}

/// A [`Conn`] that nothing was written to yet, handed over to `h2`.
#[derive(Debug)]
pub(super) struct Transport {
    conn: Conn,
    heard: Rc<Heard>,
}

impl Transport {
    pub(super) fn new(conn: Conn) -> Self {
        Self { conn, heard: Rc::default() }
    }

    /// What has been heard of the other side; it goes on counting.
    pub(super) fn heard(&self) -> Rc<Heard> {
        Rc::clone(&self.heard)
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        self.heard.ended.set(true);
        self.heard.wake();
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
            heard.reads.set(heard.reads.get().wrapping_add(1));
            heard.wake();
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
