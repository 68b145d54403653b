//! A connection as `h2` reads and writes it: what was read ahead of need comes first.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::meter::Meter;
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
    /// There until the end.
    conn: Option<Conn>,
    heard: Rc<Heard>,
    watched: Option<Rc<Watched>>,
}

/// What a server sees of its connection beside what `h2` tells.
#[derive(Debug)]
pub(super) struct Watched {
    /// Its frames. Nothing more is read once it has a verdict.
    pub(super) meter: RefCell<Meter>,
    /// The connection, once `h2` has let go of it.
    pub(super) released: RefCell<Option<Conn>>,
}

impl Transport {
    pub(super) fn new(conn: Conn) -> Self {
        Self { conn: Some(conn), heard: Rc::default(), watched: None }
    }

    /// For a server, who can watch what comes and gets the connection back.
    pub(super) fn watched(conn: Conn) -> (Self, Rc<Watched>) {
        let meter = RefCell::new(Meter::of_client());
        let watched = Rc::new(Watched { meter, released: RefCell::default() });
        let mut transport = Self::new(conn);
        transport.watched = Some(Rc::clone(&watched));
        (transport, watched)
    }

    /// What has been heard of the other side; it goes on counting.
    pub(super) fn heard(&self) -> Rc<Heard> {
        Rc::clone(&self.heard)
    }

    /// Tells the meter what was written.
    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let (Some(watched), Poll::Ready(Ok(n))) = (&self.watched, &written) {
            watched.meter.borrow_mut().wrote(*n);
        }
        written
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        self.heard.ended.set(true);
        self.heard.wake();
        if let Some(watched) = &self.watched {
            watched.released.replace(self.conn.take());
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { conn: Some(conn), heard, watched } = &mut *self else { return gone() };
        let mut meter = watched.as_ref().map(|watched| watched.meter.borrow_mut());
        if meter.as_ref().is_some_and(|meter| meter.verdict().is_some()) {
            // The server looks at the verdict before it sleeps.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = if conn.input.is_empty() {
            Pin::new(&mut conn.stream).poll_read(cx, buf)
        } else {
            let n = conn.input.len().min(buf.remaining());
            buf.put_slice(&conn.input.data()[..n]);
            conn.input.consume(n);
            Poll::Ready(Ok(()))
        };
        let bytes = &buf.filled()[before..];
        if !bytes.is_empty() {
            heard.reads.set(heard.reads.get().wrapping_add(1));
            heard.wake();
            if let Some(meter) = &mut meter {
                meter.read(bytes);
            }
        }
        read
    }
}

/// Nobody reads or writes a transport that has been dropped.
fn gone<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Some(conn) = &mut self.conn else { return gone() };
        let written = Pin::new(&mut conn.stream).poll_write(cx, buf);
        self.wrote(written)
    }

    // A frame's head and its data leave in one write, not two.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Some(conn) = &mut self.conn else { return gone() };
        let written = Pin::new(&mut conn.stream).poll_write_vectored(cx, bufs);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.conn.as_ref().is_some_and(|conn| conn.stream.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(conn) = &mut self.conn else { return gone() };
        Pin::new(&mut conn.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(conn) = &mut self.conn else { return gone() };
        Pin::new(&mut conn.stream).poll_shutdown(cx)
    }
}
