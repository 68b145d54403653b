//! Listening sockets: bound (or handed in), accepted from by one worker, connections spread over all.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use spillway_core::endpoint::Address;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;

use crate::deadline::Deadline;
use crate::descriptors::Descriptors;
use crate::stream::Socket;
use crate::worker::{Worker, Workers};

/// What serves a connection, from accept to close.
pub trait Serve: Send + Sync + 'static {
    /// Serves an accepted socket on `worker`.
    fn serve(self: Arc<Self>, worker: Rc<Worker>, socket: Socket) -> Pin<Box<dyn Future<Output = ()>>>;
}

/// A bound socket.
#[derive(Debug)]
pub enum Bound {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// A Unix socket; the path is removed when it closes.
    Unix(std::os::unix::net::UnixListener, PathBuf),
}

/// Why an address could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    /// What was to be bound.
    pub address: Address,
    /// Why not.
    pub source: io::Error,
}

/// Binds `address`; `mode` is a Unix socket's permissions.
///
/// # Errors
/// When the address is in use, not ours, or not permitted.
pub fn bind(address: &Address, mode: Option<u32>) -> Result<Bound, BindError> {
    let bound = match address {
        Address::Ip(addr) => bind_tcp(*addr).map(Bound::Tcp),
        Address::Unix(path) => {
            bind_unix(path, mode).map(|listener| Bound::Unix(listener, path.to_path_buf()))
        }
    };
    bound.map_err(|source| BindError { address: address.clone(), source })
}

/// SO_REUSEADDR, so that a restart need not wait for old connections; never SO_REUSEPORT, which would let two
/// processes share a port by mistake.
fn bind_tcp(addr: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

/// A socket left behind by a process that was killed is replaced; one that still answers is in use.
fn bind_unix(path: &Path, mode: Option<u32>) -> io::Result<std::os::unix::net::UnixListener> {
    let stale = || {
        std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket())
            && std::os::unix::net::UnixStream::connect(path).is_err()
    };
    let listener = match std::os::unix::net::UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && stale() => {
            std::fs::remove_file(path)?;
            std::os::unix::net::UnixListener::bind(path)?
        }
        other => other?,
    };
    if let Some(mode) = mode {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A listener that accepts until it is dropped. Connections that it accepted live on.
#[derive(Debug)]
pub struct Listener {
    /// What it is bound to.
    pub local: Address,
    stop: watch::Sender<bool>,
}

impl Listener {
    /// Accepts from `bound` on one of `workers` and has each connection served by `service` on the worker that
    /// has the fewest.
    ///
    /// # Errors
    /// When the socket cannot say what it is bound to.
    pub fn start(bound: Bound, workers: &Workers, hint: usize, service: Arc<dyn Serve>) -> io::Result<Self> {
        let local = match &bound {
            Bound::Tcp(listener) => Address::Ip(listener.local_addr()?),
            Bound::Unix(_, path) => Address::Unix(path.as_path().into()),
        };
        let (stop, stopped) = watch::channel(false);
        let name = local.clone();
        workers.run_on(hint, move |worker| {
            let worker = Rc::clone(worker);
            drop(tokio::task::spawn_local(async move {
                if let Err(error) = accept(worker, bound, service, stopped).await {
                    tracing::error!(address = %name, %error, "a listener failed");
                }
            }));
        });
        Ok(Self { local, stop })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The accepting task may be gone with its worker; then it has stopped already.
        let _ = self.stop.send(true);
    }
}

async fn accept(
    worker: Rc<Worker>,
    bound: Bound,
    service: Arc<dyn Serve>,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let acceptor = Acceptor::new(bound)?;
    let descriptors = Descriptors::of_process();
    let pause = worker.deadline().await;
    loop {
        let accepted = tokio::select! {
            accepted = acceptor.accept() => accepted,
            _ = stopped.wait_for(|stop| *stop) => return Ok(()),
        };
        let short = match accepted {
            Ok(socket) => {
                let service = Arc::clone(&service);
                let short = descriptors.are_short(&socket);
                worker.place(move |worker| service.serve(worker, socket));
                short
            }
            Err(error) if connection_was_lost(&error) => false,
            Err(error) => {
                tracing::warn!(%error, "cannot accept");
                true
            }
        };
        if short {
            tracing::warn!("no new connections until there are descriptors again; those that come wait");
            // Relaxed: a count stands for itself.
            worker.shared.stats.accept_pauses.fetch_add(1, Ordering::Relaxed);
            tokio::select! {
                () = room(&worker, &pause, &acceptor, descriptors) => {}
                _ = stopped.wait_for(|stop| *stop) => return Ok(()),
            }
        }
    }
}

/// How long after one look for room the next one is: trying at once would spin.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Waits until a client can have a descriptor, for a moment at least.
async fn room(worker: &Worker, pause: &Deadline, acceptor: &Acceptor, descriptors: Descriptors) {
    loop {
        pause.set_at(worker.deadline_tick(BACK_OFF));
        poll_fn(|_| if pause.expired(worker.now()) { Poll::Ready(()) } else { Poll::Pending }).await;
        pause.clear();
        if descriptors.are_left(acceptor) {
            return;
        }
    }
}

/// Whether the error is that of a connection that ended before it was accepted (accept(2)).
fn connection_was_lost(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
            | io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}

enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Acceptor {
    fn new(bound: Bound) -> io::Result<Self> {
        Ok(match bound {
            Bound::Tcp(listener) => Self::Tcp(TcpListener::from_std(listener)?),
            Bound::Unix(listener, path) => Self::Unix(UnixListener::from_std(listener)?, path),
        })
    }

    async fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                // Fails only for a connection that is gone, which is noticed soon enough.
                let _ = stream.set_nodelay(true);
                Ok(Socket::Tcp(stream.into_std()?, from))
            }
            Self::Unix(listener, _) => Ok(Socket::Unix(listener.accept().await?.0.into_std()?)),
        }
    }
}

impl AsFd for Acceptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener, _) => listener.as_fd(),
        }
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // Best effort: whoever binds the path next replaces a socket that nobody answers.
            let _ = std::fs::remove_file(path);
        }
    }
}
