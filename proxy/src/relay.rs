//! Copying bytes between two connections, both ways, with half-close and back-pressure.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::conn::Conn;
use crate::deadline::Deadline;
use crate::worker::Worker;

/// Envoy's default for TCP: an hour of silence in both directions ends the connection.
pub const IDLE: Duration = Duration::from_secs(3600);

/// How many bytes went each way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Copied {
    /// From the downstream to the upstream.
    pub up: u64,
    /// From the upstream to the downstream.
    pub down: u64,
}

/// Copies until both sides have ended, or nothing has moved for `idle`. A side that ends is passed on as a
/// half-close; what the other still sends goes on.
///
/// What was copied, and an error when a side failed, or idled too long.
pub async fn copy_both(
    worker: &Rc<Worker>,
    downstream: &mut Conn,
    upstream: &mut Conn,
    deadline: &Deadline,
    idle: Duration,
) -> (Copied, io::Result<()>) {
    let (mut up, mut down) = (Way::default(), Way::default());
    deadline.set_at(worker.deadline_tick(idle));
    let result = std::future::poll_fn(|cx| {
        let before = up.bytes + down.bytes;
        let sent = up.poll_copy(cx, downstream, upstream)?;
        let received = down.poll_copy(cx, upstream, downstream)?;
        if sent.is_ready() && received.is_ready() {
            return Poll::Ready(Ok(()));
        }
        if up.bytes + down.bytes != before {
            deadline.set_at(worker.deadline_tick(idle));
        } else if deadline.expired(worker.now()) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if worker.drain_is_over() {
            return Poll::Ready(Err(io::Error::other("this process is about to stop")));
        }
        Poll::Pending
    })
    .await;
    (Copied { up: up.bytes, down: down.bytes }, result)
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    bytes: u64,
    done: bool,
}

impl Way {
    fn poll_copy(&mut self, cx: &mut Context<'_>, from: &mut Conn, to: &mut Conn) -> Poll<io::Result<()>> {
        while !self.done {
            ready!(to.poll_drain(cx))?;
            if !from.input.is_empty() {
                let n = ready!(to.poll_write_from(cx, &mut from.input, usize::MAX))?;
                self.bytes += n as u64;
                continue;
            }
            if from.eof {
                ready!(to.poll_shutdown(cx))?;
                self.done = true;
                break;
            }
            match from.poll_fill(cx)? {
                Poll::Ready(_) => {}
                Poll::Pending => {
                    // Nothing to copy: what TLS holds back must leave before we sleep.
                    ready!(to.poll_flush(cx))?;
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}
