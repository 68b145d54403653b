//! What is said on a request's way that does not depend on the version of HTTP: how it leaves by what was decided, and
//! what its answer comes to.

use spillway_core::pick::{Pick, Target};
use spillway_core::table::Decision;

use crate::downstream::UNPROCESSED;
use crate::forward::Answer;
use crate::generation::Role;
use crate::http1::{HeadView, PathOut, RequestHead, RequestOut, ResponseHead};
use crate::request_id;
use crate::retry::{RETRIED, mark};
use crate::worker::Worker;

/// What becomes of a request by what was decided about it, before anything is vouched for.
pub(crate) fn as_decided<'a>(
    view: &HeadView<'a>,
    target: &'a Target,
    decision: &Decision<'a>,
) -> RequestOut<'a> {
    RequestOut {
        path: match &decision.route.rewrite {
            None => PathOut::AsReceived,
            Some(rewrite) => {
                let (with, rest) = rewrite.pieces(view.head.path(view.buf));
                PathOut::Parts(with, rest)
            }
        },
        default_host: target.id.service.as_str(),
        edits: [decision.leg_headers.map(|leg| &leg.request), Some(&decision.route.headers.request)],
        strip_own: true,
        ..RequestOut::default()
    }
}

/// What the response gets of ours, such as cookies that had to be made: as a rule, without an allocation, nothing.
pub(crate) fn own_lines<'a>(decision: &'a Decision<'_>, retried: bool) -> Vec<(&'a str, &'a str)> {
    let cookies = decision.set_cookies.iter().map(|cookie| ("set-cookie", cookie.as_str()));
    cookies.chain(mark(retried).iter().copied()).collect()
}

/// Whether whoever sent a request says that it is one sent once more. An application is not asked.
pub(crate) fn retried_before(role: Role, view: &HeadView<'_>) -> bool {
    role != Role::Outbound && view.end_to_end().any(|(name, _)| name.eq_ignore_ascii_case(RETRIED))
}

/// What `forward` needs to know of an answer.
pub(crate) fn answer(head: &ResponseHead, bytes: &[u8], pick: &Pick<'_>) -> Answer {
    let grpc_status =
        head.value(bytes, "grpc-status").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    // Only an endpoint that proved who it is may say that it processed nothing: the local application may not.
    // To a gRPC call it says so with 200 and UNAVAILABLE.
    let unprocessed = (head.status() == 503 || grpc_status == Some(14))
        && pick.target.tls.is_some()
        && head.value(bytes, UNPROCESSED).is_some();
    let failed = head.status() >= 400 || grpc_status.is_some_and(|status| status > 0);
    let retried = failed && pick.target.tls.is_some() && head.value(bytes, RETRIED).is_some();
    Answer { status: head.status(), grpc_status, unprocessed, retried, verdict_follows: false }
}

/// A random UUID for a request that comes from an application without one (Envoy's `x-request-id`).
pub(crate) fn new_request_id(worker: &Worker, head: &RequestHead, role: Role) -> Option<[u8; 36]> {
    if role != Role::Outbound || head.has_request_id() {
        return None;
    }
    Some(request_id::random(worker.draw(), worker.draw()))
}
