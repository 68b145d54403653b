//! What the exchange needs of a downstream, whichever version of HTTP it speaks.

use std::task::{Context, Poll};

use h2::Reason;

use spillway_core::pick::Pick;

use super::pump::{Kept, Pump, Sink, Source};
use crate::access_log::Record;
use crate::body::Broken;
use crate::deadline::Deadline;
use crate::downstream::Facts;
use crate::forward::Failure;
use crate::http1::{HeadView, ResponseHead, ResponseOut};
use crate::refusal::Refusal;

/// A request as it was received, and the way back for its answer.
pub(super) trait Received {
    /// The head.
    fn view(&self) -> &HeadView<'_>;

    /// What is known of the connection that it came on.
    fn facts(&self) -> &Facts;

    /// The one deadline of the task that serves it.
    fn deadline(&self) -> &Deadline;

    /// Whether it came over HTTP/2.
    fn is_http2(&self) -> bool;

    /// Whether it asks for a tunnel by CONNECT, which any 2xx would grant.
    fn is_connect(&self) -> bool;

    /// Tells the access log what it knows of the request.
    fn tell<'e>(&'e self, record: &mut Record<'e>);

    /// Whether there may be a body that has not been read yet.
    fn has_body(&self) -> bool;

    /// Moves the request's body.
    fn poll_upload(
        &mut self,
        cx: &mut Context<'_>,
        pump: &mut Pump,
        kept: &mut Kept,
        sink: &mut impl Sink,
    ) -> Poll<Result<(), Broken>>;

    /// Whether the downstream has left.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> bool;

    /// Passes an informational answer on.
    fn inform(&mut self, cx: &mut Context<'_>, head: &ResponseHead, text: &[u8]);

    /// Says `100 Continue`.
    fn go_on(&mut self, cx: &mut Context<'_>);

    /// Passes the answer's head on, given with the words that it was parsed from; `ended` when nothing follows it.
    fn begin(
        &mut self,
        answer: (&ResponseHead, &[u8]),
        spec: &ResponseOut<'_>,
        ended: bool,
        pick: &Pick<'_>,
    ) -> Result<(), Broken>;

    /// What comes from now on is the tunnel's.
    fn begin_tunnel(&mut self);

    /// Says that nothing more will be sent through the tunnel. A stream has said so with its last frame.
    fn poll_shut(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>>;

    /// Moves the answer's body.
    fn poll_download(
        &mut self,
        cx: &mut Context<'_>,
        pump: &mut Pump,
        source: &mut impl Source,
    ) -> Poll<Result<(), Broken>>;

    /// The whole answer has been passed on.
    fn finish(&mut self);

    /// What was passed on must not look whole.
    fn abort(&mut self, failure: &Failure, reason: Option<Reason>);

    /// Answers ourselves.
    async fn refuse(&mut self, refusal: &Refusal);
}
