//! What a gRPC call adds to an exchange: a deadline of its own, and a verdict that stands behind the answer.

use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use spillway_core::Tick;
use spillway_core::pick::Pick;

use super::{Bridge, Up};
use crate::body::Broken;
use crate::forward::Failure;
use crate::http1::HeadView;
use crate::http2::grpc;
use crate::http2::pump::{Piece, Source};
use crate::http2::received::Received;
use crate::worker::Worker;

/// When a call's time is up by its own word. It runs from the head on, as its client's does.
pub(super) fn due(worker: &Rc<Worker>, view: &HeadView<'_>) -> Option<Tick> {
    let timeout = view.first("grpc-timeout").filter(|_| grpc::is_call_of(view));
    timeout.and_then(grpc::timeout).map(|timeout| worker.deadline_tick(timeout))
}

impl<R: Received> Bridge<'_, R> {
    /// Waits for the first piece of a call's answer, so that a call which failed without a message can be made once
    /// more; its status, if that piece is the trailers.
    ///
    /// Only when the caller has said all that it has to say, and all of that is at hand: else it could not be made
    /// once more, and might wait for the answer's head before it goes on.
    pub(super) async fn read_verdict(
        &mut self,
        up: &mut Up,
        pick: &Pick<'_>,
        idle: Duration,
    ) -> Result<Option<u8>, Failure> {
        let Up::Http2 { body: Some(body), .. } = up else { return Ok(None) };
        if !self.upload.done() || !self.kept.whole() {
            return Ok(None);
        }
        let target = || pick.target.id.to_string();
        let piece = std::future::poll_fn(|cx| {
            if self.late() {
                return Poll::Ready(Err(Failure::TimedOut { target: target() }));
            }
            self.wind_clock(None, idle);
            if self.received.poll_gone(cx) {
                return Poll::Ready(Err(Failure::Abandoned));
            }
            (&mut *body).poll_piece(cx).map_err(|broken| match broken {
                Broken::Malformed(reason) => Failure::Answer { target: target(), reason },
                Broken::Source | Broken::Sink => Failure::Closed { target: target() },
            })
        })
        .await?;
        let status = match &piece {
            Piece::End(Some(trailers)) => grpc::status_of(trailers),
            Piece::End(None) | Piece::Data(_) => None,
        };
        self.first = Some(piece);
        Ok(status)
    }
}
