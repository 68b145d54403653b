//! The way from the client sidecar to one server sidecar: a relay that can be told to fail.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::spawn_local;

use super::weather::{Link, Sky};

/// What is carried at once.
const PIECE: usize = 16 * 1024;

/// One instance's link.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) instance: usize,
    /// Where it listens: what the instance is registered with.
    pub(crate) listen: SocketAddr,
    /// Where the sidecar listens.
    pub(crate) to: SocketAddr,
}

impl Relay {
    /// Carries connections, whatever the weather. Only ends by an error.
    pub(crate) async fn run(self, sky: watch::Receiver<Sky>) -> io::Result<()> {
        let relay = Rc::new(self);
        loop {
            until(sky.clone(), |sky| sky.link(relay.instance) != Link::Refusing).await?;
            let listener = TcpListener::bind(relay.listen).await?;
            loop {
                let stream = tokio::select! {
                    accepted = listener.accept() => accepted?.0,
                    refusing = until(sky.clone(), |sky| sky.link(relay.instance) == Link::Refusing) => {
                        refusing?;
                        break;
                    }
                };
                let (relay, sky) = (Rc::clone(&relay), sky.clone());
                // A connection that breaks concerns its two ends.
                spawn_local(async move { relay.carry(stream, sky).await });
            }
        }
    }

    async fn carry(&self, near: TcpStream, sky: watch::Receiver<Sky>) -> io::Result<()> {
        // Dropped at any time but after both sides have ended, they are reset.
        near.set_zero_linger()?;
        near.set_nodelay(true)?;
        let before = sky.borrow().resets(self.instance);
        let far = TcpStream::connect(self.to).await?;
        far.set_zero_linger()?;
        far.set_nodelay(true)?;
        let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
        let both = async {
            tokio::try_join!(
                self.pass(near_read, far_write, sky.clone()),
                self.pass(far_read, near_write, sky.clone())
            )
        };
        tokio::select! {
            carried = both => carried.map(drop),
            reset = until(sky.clone(), |sky| sky.resets(self.instance) != before) => reset,
        }
    }

    async fn pass(
        &self,
        mut from: tokio::net::tcp::OwnedReadHalf,
        mut to: tokio::net::tcp::OwnedWriteHalf,
        sky: watch::Receiver<Sky>,
    ) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        loop {
            let length = from.read(&mut piece).await?;
            until(sky.clone(), |sky| sky.link(self.instance) != Link::Stalled).await?;
            match length {
                0 => return to.shutdown().await,
                length => to.write_all(&piece[..length]).await?,
            }
        }
    }
}

/// Waits until it is so.
pub(crate) async fn until(mut sky: watch::Receiver<Sky>, is_so: impl FnMut(&Sky) -> bool) -> io::Result<()> {
    let seen = sky.wait_for(is_so).await;
    seen.map(drop).map_err(io::Error::other)
}
