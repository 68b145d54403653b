//! An HTTP/1.1 downstream connection, request after request, until one side has had enough.

use std::rc::Rc;
use std::task::Poll;

use spillway_certs::MULTIPLEXED;
use spillway_core::entry::Protocol;

use crate::attempt::Http1Exchange;
use crate::conn::Conn;
use crate::downstream::{
    Downstream, End, Facts, HEAD, IDLE, abort, close, count_idle, note_malformed, write_own_answer,
};
use crate::forward::{forward, forward_nowhere};
use crate::http1::{
    HeadView, Limits, Malformed, Parse, Reason, RequestHead, ResponseHead, parse_request, worth_parsing,
};
use crate::http2;
use crate::mux;
use crate::refusal::Refusal;
use crate::worker::Worker;

/// Serves requests on `conn`, in whichever version of HTTP it begins to speak.
///
/// TLS has said which by ALPN; else the first bytes tell, of which one is enough unless it is a `P`.
pub async fn serve_http(worker: Rc<Worker>, conn: Conn, facts: Facts) {
    if conn.stream.alpn() == Some(MULTIPLEXED) {
        return Box::pin(mux::serve(worker, conn, facts)).await;
    }
    let mut downstream = Downstream { conn, deadline: worker.deadline().await, facts };
    let http2 = match downstream.conn.stream.alpn() {
        Some(protocol) => Some(protocol == b"h2"),
        None => begins_http2(&worker, &mut downstream).await,
    };
    match http2 {
        Some(true) => {
            let Downstream { conn, deadline, facts } = downstream;
            drop(deadline);
            // Apart, so that the other version's task does not grow by it.
            Box::pin(http2::serve(worker, conn, facts)).await;
        }
        Some(false) => serve_http1(&worker, &mut downstream).await,
        None => {}
    }
}

/// Reads until it is clear whether HTTP/2's preface (RFC 9113 section 3.4) is coming. What was read stays. None when
/// the connection ends, or idles, before.
async fn begins_http2(worker: &Worker, downstream: &mut Downstream) -> Option<bool> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let Downstream { conn, deadline, .. } = downstream;
    deadline.set_at(worker.deadline_tick(IDLE));
    std::future::poll_fn(|cx| {
        loop {
            let data = conn.input.data();
            let seen = data.len().min(PREFACE.len());
            if data[..seen] != PREFACE[..seen] {
                return Poll::Ready(Some(false));
            }
            if seen == PREFACE.len() {
                return Poll::Ready(Some(true));
            }
            match conn.poll_fill(cx) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    if seen == 0 {
                        deadline.set_at(worker.deadline_tick(HEAD));
                    }
                }
                Poll::Ready(_) => return Poll::Ready(None),
                Poll::Pending if deadline.expired(worker.now()) => return Poll::Ready(None),
                Poll::Pending if seen == 0 && worker.draining() => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}

/// Serves HTTP/1.1 requests until the connection ends. It is borrowed, not taken: what a future is given it keeps room
/// for twice, and this is the one that 10,000 idle connections wait in.
pub(crate) async fn serve_http1(worker: &Rc<Worker>, downstream: &mut Downstream) {
    let mut scratch = Scratch::default();
    loop {
        match read_head(worker, downstream, &mut scratch.head).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(malformed) => return reject(worker, downstream, malformed).await,
        }
        match serve_one(worker, downstream, &mut scratch).await {
            End::KeepAlive => {}
            End::Close => return close(worker, downstream).await,
            End::Abort => return abort(&downstream.conn.stream),
            End::Done => return,
        }
    }
}

/// What a connection reuses from request to request.
#[derive(Default)]
struct Scratch {
    head: RequestHead,
    response: ResponseHead,
}

/// Reads until a whole head is at hand. False when the connection ended, or idled, between requests.
async fn read_head(
    worker: &Worker,
    downstream: &mut Downstream,
    head: &mut RequestHead,
) -> Result<bool, Malformed> {
    let Downstream { conn, deadline, facts } = downstream;
    let limits = Limits::default();
    // A session is told that we go away, and its substreams are ended by whoever opened them: so no request meets
    // one that is just being closed.
    let hangs_up = !conn.stream.is_multiplexed();
    let mut begun = !conn.input.is_empty();
    deadline.set_at(worker.deadline_tick(if begun { HEAD } else { IDLE }));
    let mut seen = 0;
    std::future::poll_fn(|cx| {
        loop {
            let data = conn.input.data();
            let worth_it = data.len() > seen && (worth_parsing(data, seen) || data.len() >= limits.max_head);
            if worth_it && parse_request(data, &limits, head)? == Parse::Complete {
                return Poll::Ready(Ok(true));
            }
            seen = data.len();
            match conn.poll_fill(cx) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    if !begun {
                        begun = true;
                        deadline.set_at(worker.deadline_tick(HEAD));
                    }
                }
                Poll::Ready(_) => return Poll::Ready(Ok(false)),
                Poll::Pending if deadline.expired(worker.now()) && begun => {
                    return Poll::Ready(Err(Reason::SlowHead.into()));
                }
                Poll::Pending if deadline.expired(worker.now()) => {
                    count_idle(worker, facts);
                    return Poll::Ready(Ok(false));
                }
                Poll::Pending if !begun && hangs_up && worker.draining() => return Poll::Ready(Ok(false)),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}

/// Forwards the request whose head is at hand.
async fn serve_one(worker: &Rc<Worker>, downstream: &mut Downstream, scratch: &mut Scratch) -> End {
    let mut bytes = worker.buffers.output();
    bytes.extend_from_slice(&downstream.conn.input.data()[..scratch.head.len()]);
    downstream.conn.input.consume(bytes.len());
    let snapshot = worker.snapshot();
    let service = snapshot.service(downstream.facts.slot);
    let end = match service.filter(|it| matches!(it.table.protocol, Protocol::Http2 | Protocol::Grpc)) {
        Some(service) => {
            let view = HeadView { head: &scratch.head, buf: &bytes };
            // Apart, so that a connection's task does not grow by it.
            Box::pin(http2::forward_lines(worker, service, downstream, view)).await
        }
        None => {
            let mut exchange =
                Http1Exchange::new(worker, downstream, &scratch.head, &bytes, &mut scratch.response);
            match service {
                Some(service) => forward(worker, service, &mut exchange).await,
                None => forward_nowhere(worker, &snapshot, &mut exchange).await,
            }
            exchange.end
        }
    };
    worker.buffers.release_output(bytes);
    end
}

/// Answers a head that is no HTTP, and closes.
async fn reject(worker: &Worker, downstream: &mut Downstream, malformed: Malformed) {
    let Downstream { conn, facts, .. } = &*downstream;
    note_malformed(worker, facts, facts.ends(&conn.stream), malformed.reason);
    let refusal = Refusal::Malformed { reason: malformed.reason };
    write_own_answer(downstream, &refusal, false, None);
    close(worker, downstream).await;
}
