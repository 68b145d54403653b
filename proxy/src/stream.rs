//! A connection's byte stream, whatever carries it: TCP, a Unix socket, or TLS over TCP.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{client, server};

use crate::access_log::Ends;
use crate::mux::Substream;

/// An accepted connection, not yet tied to a worker's runtime.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(std::net::TcpStream, SocketAddr),
    /// A Unix socket.
    Unix(std::os::unix::net::UnixStream),
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(tcp, _) => tcp.as_fd(),
            Self::Unix(unix) => unix.as_fd(),
        }
    }
}

impl Socket {
    /// The address at the other end; none of a Unix socket.
    pub fn peer_address(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(_, from) => Some(from.ip()),
            Self::Unix(_) => None,
        }
    }
}

/// TCP that may have bytes before it that were read already: a gateway reads the ClientHello to decide, and TLS
/// wants it again.
#[derive(Debug)]
pub struct Replayed {
    prelude: Vec<u8>,
    read: usize,
    tcp: TcpStream,
}

impl Replayed {
    /// `prelude` is read first, then what `tcp` has.
    pub fn new(prelude: Vec<u8>, tcp: TcpStream) -> Self {
        Self { prelude, read: 0, tcp }
    }

    /// Nothing was read yet.
    pub fn fresh(tcp: TcpStream) -> Self {
        Self::new(Vec::new(), tcp)
    }

    /// The socket.
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    fn is_silent(&self) -> bool {
        self.read == self.prelude.len() && is_silent(&self.tcp)
    }
}

fn is_silent(tcp: &TcpStream) -> bool {
    tcp.try_io(Interest::READABLE, || Ok(())).is_err()
}

impl AsyncRead for Replayed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read < self.prelude.len() {
            let n = (self.prelude.len() - self.read).min(buf.remaining());
            buf.put_slice(&self.prelude[self.read..self.read + n]);
            self.read += n;
            if self.read == self.prelude.len() {
                self.prelude = Vec::new();
                self.read = 0;
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Replayed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// A connection's byte stream.
#[derive(Debug)]
pub enum Stream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS that we accepted.
    Accepted(Box<server::TlsStream<Replayed>>),
    /// TLS that we dialed.
    Dialed(Box<client::TlsStream<TcpStream>>),
    /// One of many over a TLS connection.
    Multiplexed(Substream),
}

macro_rules! each {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Tcp($stream) => $call,
            Self::Unix($stream) => $call,
            Self::Accepted($stream) => $call,
            Self::Dialed($stream) => $call,
            Self::Multiplexed($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
            Self::Accepted(stream) => stream.is_write_vectored(),
            Self::Dialed(stream) => stream.is_write_vectored(),
            Self::Multiplexed(stream) => stream.is_write_vectored(),
        }
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

impl Stream {
    /// An accepted socket, tied to the runtime of the thread that asks.
    ///
    /// # Errors
    /// When the runtime cannot watch it.
    pub fn plain(socket: Socket) -> io::Result<Self> {
        Ok(match socket {
            Socket::Tcp(tcp, _) => Self::Tcp(TcpStream::from_std(tcp)?),
            Socket::Unix(unix) => Self::Unix(UnixStream::from_std(unix)?),
        })
    }

    /// Whether it is one of many: what ends it is said by its session, and costs the others nothing.
    pub fn is_multiplexed(&self) -> bool {
        matches!(self, Self::Multiplexed(_))
    }

    /// Whether nothing is known that would keep it from carrying another request.
    pub(crate) fn is_usable(&self) -> bool {
        match self {
            Self::Multiplexed(substream) => substream.is_usable(),
            Self::Tcp(_) | Self::Unix(_) | Self::Accepted(_) | Self::Dialed(_) => true,
        }
    }

    /// The TCP connection below; none of a Unix socket, nor of a substream, which is one of many.
    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(tcp) => Some(tcp),
            Self::Unix(_) | Self::Multiplexed(_) => None,
            Self::Accepted(tls) => Some(tls.get_ref().0.tcp()),
            Self::Dialed(tls) => Some(tls.get_ref().0),
        }
    }

    /// Our end.
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        match self {
            Self::Multiplexed(substream) => substream.local(),
            _ => self.tcp()?.local_addr().ok(),
        }
    }

    /// Both ends, and the name that was asked for: for the access log, once a connection.
    pub fn ends(&self) -> Ends {
        let name = match self {
            Self::Accepted(tls) => tls.get_ref().1.server_name().map(Into::into),
            Self::Tcp(_) | Self::Unix(_) | Self::Dialed(_) | Self::Multiplexed(_) => None,
        };
        Ends { name, ..self.tcp().map(Ends::of).unwrap_or_default() }
    }

    /// Whether, as far as the last event told, nothing has arrived that was not read: neither bytes nor the end. No
    /// system call; a doubt is no silence.
    #[inline]
    pub(crate) fn is_silent(&self) -> bool {
        match self {
            Self::Tcp(tcp) => is_silent(tcp),
            Self::Unix(unix) => unix.try_io(Interest::READABLE, || Ok(())).is_err(),
            // TLS does not want to read while it holds what it has not handed out.
            Self::Accepted(tls) => tls.get_ref().1.wants_read() && tls.get_ref().0.is_silent(),
            Self::Dialed(tls) => tls.get_ref().1.wants_read() && is_silent(tls.get_ref().0),
            Self::Multiplexed(_) => false,
        }
    }

    /// Waits until something arrives on a stream that [is silent](Self::is_silent).
    pub(crate) fn poll_arrival(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => tcp.poll_read_ready(cx),
            Self::Unix(unix) => unix.poll_read_ready(cx),
            Self::Accepted(tls) => tls.get_ref().0.tcp().poll_read_ready(cx),
            Self::Dialed(tls) => tls.get_ref().0.poll_read_ready(cx),
            Self::Multiplexed(_) => Poll::Ready(Ok(())),
        }
    }

    /// What TLS agreed on by ALPN.
    pub fn alpn(&self) -> Option<&[u8]> {
        match self {
            Self::Tcp(_) | Self::Unix(_) | Self::Multiplexed(_) => None,
            Self::Accepted(stream) => stream.get_ref().1.alpn_protocol(),
            Self::Dialed(stream) => stream.get_ref().1.alpn_protocol(),
        }
    }

    /// The certificate that the other side proved to own, leaf first.
    pub fn peer_certificates(&self) -> Option<&[rustls::pki_types::CertificateDer<'static>]> {
        match self {
            Self::Tcp(_) | Self::Unix(_) | Self::Multiplexed(_) => None,
            Self::Accepted(stream) => stream.get_ref().1.peer_certificates(),
            Self::Dialed(stream) => stream.get_ref().1.peer_certificates(),
        }
    }
}
