//! The floor: bytes copied between two sockets, and nothing looked at. What is below it, no proxy can reach.

use std::io;
use std::net::{SocketAddr, TcpListener};

use tokio::net::TcpStream;
use tokio::task::{LocalSet, spawn_local};

use crate::peers::WORKERS;

/// What is copied at once.
const PIECE: usize = 64 * 1024;

/// Copies until the process ends: from who connects to `listen` to `to`, and back.
pub(crate) fn run(listen: SocketAddr, to: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(|| serve(&listener, to))).collect();
        let broken = |_| Err(io::Error::other("a thread broke"));
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(broken))
    })
}

fn serve(listener: &TcpListener, to: SocketAddr) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = tokio::net::TcpListener::from_std(listener.try_clone()?)?;
        loop {
            let (near, _) = listener.accept().await?;
            // A connection that breaks concerns its two ends.
            spawn_local(copy(near, to));
        }
    })
}

async fn copy(mut near: TcpStream, to: SocketAddr) -> io::Result<()> {
    let mut far = TcpStream::connect(to).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    tokio::io::copy_bidirectional_with_sizes(&mut near, &mut far, PIECE, PIECE).await.map(drop)
}
