//! Two ends of a session on one worker, over a pair of sockets: what substreams promise, and what ends a session.

use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

use super::driver::drive;
use super::frame::{Head, Kind};
use super::session::{Session, Side};
use super::{MAX_SUBSTREAMS, Substream, WINDOW};
use crate::conn::Conn;
use crate::generation::Published;
use crate::stats::Stats;
use crate::stream::Stream;
use crate::worker::{Shared, Worker, Workers};

/// Runs a test on a worker, and fails when it panics or hangs.
fn on_a_worker<F, Fut>(test: F)
where
    F: FnOnce(Rc<Worker>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let shared = Arc::new(Shared::new(Published::default(), Stats::default()));
    let workers = Workers::start(1, &shared).expect("threads can be made");
    let (passed, outcome) = oneshot::channel();
    workers.run_on(0, move |worker| {
        let test = test(Rc::clone(worker));
        drop(tokio::task::spawn_local(async move {
            test.await;
            let _ = passed.send(());
        }));
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let soon = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), outcome).await });
    soon.expect("it takes a moment").expect("the test ran to its end");
}

type Accepted = mpsc::UnboundedReceiver<Substream>;

fn driven(worker: &Rc<Worker>, side: Side, socket: UnixStream) -> (Rc<Session>, Accepted) {
    let session = Session::new(side, &worker.buffers);
    let (accept, accepted) = mpsc::unbounded_channel();
    let accept = move |substream| drop(accept.send(substream));
    let conn = Conn::new(Stream::Unix(socket), &worker.buffers);
    let driven = drive(Rc::clone(worker), Rc::clone(&session), side, conn, accept);
    drop(tokio::task::spawn_local(driven));
    (session, accepted)
}

/// The dialing end, and what the other is asked to serve.
fn ends(worker: &Rc<Worker>) -> (Rc<Session>, Accepted) {
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    let (_, accepted) = driven(worker, Side::Accepting, far);
    (driven(worker, Side::Dialing, near).0, accepted)
}

/// An accepting end whose other side is written by hand.
fn by_hand(worker: &Rc<Worker>) -> (UnixStream, Accepted) {
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    (near, driven(worker, Side::Accepting, far).1)
}

fn substream(session: &Rc<Session>) -> Substream {
    session.open().expect("it takes another").0
}

fn frame(kind: Kind, id: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Head { kind, length: payload.len(), id }.write(&mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

async fn read(substream: &mut Substream, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    substream.read_exact(&mut bytes).await.expect("so much was sent");
    bytes
}

#[test]
fn a_substream_carries_bytes_both_ways_and_each_half_ends_by_itself() {
    on_a_worker(|worker| async move {
        let (session, mut accepted) = ends(&worker);
        let mut asking = substream(&session);
        asking.write_all(b"question").await.expect("there is credit");
        let mut answering = accepted.recv().await.expect("one was opened");
        assert_eq!(read(&mut answering, 8).await, b"question");
        asking.shutdown().await.expect("the session lives");
        assert_eq!(answering.read(&mut [0]).await.expect("an end"), 0);
        answering.write_all(b"answer").await.expect("the other half goes on");
        answering.shutdown().await.expect("the session lives");
        let mut answer = Vec::new();
        asking.read_to_end(&mut answer).await.expect("an end");
        assert_eq!(answer, b"answer");
        drop((asking, answering));
        assert_eq!(session.substreams(), 0, "both ends are through with it");
    });
}

#[test]
fn one_that_is_not_read_holds_no_other_up() {
    on_a_worker(|worker| async move {
        let (session, mut accepted) = ends(&worker);
        let mut stalled = substream(&session);
        let flood = tokio::task::spawn_local(async move {
            // Never read: it ends with the session.
            let _ = stalled.write_all(&vec![0; 4 * WINDOW as usize]).await;
        });
        let unread = accepted.recv().await.expect("one was opened");
        let mut other = substream(&session);
        let mut sent = 0;
        while sent < 8 * WINDOW as usize {
            other.write_all(&[7; 8192]).await.expect("there is credit");
            sent += 8192;
            if sent == 8192 {
                let mut answering = accepted.recv().await.expect("one was opened");
                drop(tokio::task::spawn_local(async move {
                    let mut bytes = vec![0; 8192];
                    while let Ok(n @ 1..) = answering.read(&mut bytes).await {
                        answering.write_all(&bytes[..n]).await.expect("there is credit");
                    }
                }));
            }
            assert_eq!(read(&mut other, 8192).await, vec![7; 8192]);
        }
        assert!(!flood.is_finished(), "its sender waits for credit");
        drop(unread);
    });
}

#[test]
fn dropping_an_end_resets_the_other_and_what_came_before_is_read_first() {
    on_a_worker(|worker| async move {
        let (session, mut accepted) = ends(&worker);
        let mut asking = substream(&session);
        asking.write_all(b"ask").await.expect("there is credit");
        let mut answering = accepted.recv().await.expect("one was opened");
        answering.write_all(b"half an ans").await.expect("there is credit");
        drop(answering);
        assert_eq!(read(&mut asking, 11).await, b"half an ans");
        let error = asking.read(&mut [0]).await.expect_err("it is not an end");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(asking.write_all(b"more").await.is_err());
        assert!(!asking.is_usable());
        drop(asking);
        let mut next = substream(&session);
        next.write_all(b"next").await.expect("the session goes on");
        assert_eq!(read(&mut accepted.recv().await.expect("one was opened"), 4).await, b"next");
    });
}

#[test]
fn a_session_that_ends_resets_its_substreams_and_takes_no_more() {
    on_a_worker(|worker| async move {
        let (mut far, near) = UnixStream::pair().expect("a pair of sockets");
        let (session, _) = driven(&worker, Side::Dialing, near);
        let mut waiting = substream(&session);
        waiting.write_all(b"ask").await.expect("there is credit");
        let mut asked = [0; 11];
        far.read_exact(&mut asked).await.expect("it was sent");
        drop(far);
        assert!(waiting.read(&mut [0]).await.is_err());
        assert!(session.open().is_none());
    });
}

#[test]
fn going_away_ends_a_session_with_its_last_substream() {
    on_a_worker(|worker| async move {
        let (mut far, near) = UnixStream::pair().expect("a pair of sockets");
        let (session, _) = driven(&worker, Side::Dialing, near);
        let mut busy = substream(&session);
        busy.write_all(b"ask").await.expect("there is credit");
        let mut head = [0; 11];
        far.read_exact(&mut head).await.expect("it was sent");
        let id = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let parting = [frame(Kind::GoingAway, 0, &[]), frame(Kind::Data, id, b"answer")].concat();
        far.write_all(&parting).await.expect("it reads");
        assert_eq!(read(&mut busy, 6).await, b"answer");
        assert!(!busy.is_usable(), "it carries no other request");
        assert!(session.open().is_none());
        drop(busy);
        let mut word = [0; 8];
        far.read_exact(&mut word).await.expect("it was sent");
        assert_eq!(word[..], frame(Kind::Reset, id, &[]));
        far.write_all(&frame(Kind::Reset, id, &[])).await.expect("it reads");
        assert_eq!(far.read(&mut word).await.expect("the dialing side hangs up"), 0);
    });
}

#[test]
fn whatever_breaks_the_rules_ends_the_session() {
    let window = vec![0; WINDOW as usize];
    let many: Vec<u8> = (0..=2 * MAX_SUBSTREAMS)
        .flat_map(|n| frame(Kind::Data, 1 << 16 | u32::try_from(n).unwrap_or(0), b"x"))
        .collect();
    let most = u32::MAX.to_be_bytes();
    let cases = [
        ("an unknown kind", vec![9, 0, 0, 0, 0, 0, 0, 0]),
        ("more data than credit", [frame(Kind::Data, 1, &window), frame(Kind::Data, 1, b"x")].concat()),
        (
            "data behind an end",
            [frame(Kind::Data, 1, b"x"), frame(Kind::End, 1, &[]), frame(Kind::Data, 1, b"x")].concat(),
        ),
        (
            "a place that is taken",
            [frame(Kind::Data, 1, b"x"), frame(Kind::Data, 1 << 16 | 1, b"x")].concat(),
        ),
        ("too many substreams", many),
        (
            "credit without end",
            [frame(Kind::Data, 1, b"x"), frame(Kind::Credit, 1, &most), frame(Kind::Credit, 1, &most)]
                .concat(),
        ),
    ];
    for (what, bytes) in cases {
        on_a_worker(move |worker| async move {
            let (mut hand, mut accepted) = by_hand(&worker);
            let served = tokio::task::spawn_local(async move {
                let mut kept = Vec::new();
                while let Some(substream) = accepted.recv().await {
                    kept.push(substream);
                }
            });
            // It may hang up before all is written.
            let _ = hand.write_all(&bytes).await;
            let mut rest = Vec::new();
            let _ = hand.read_to_end(&mut rest).await;
            served.await.unwrap_or_else(|_| panic!("{what}: the session goes on"));
        });
    }
}

#[test]
fn answers_that_nobody_reads_do_not_pile_up() {
    on_a_worker(|worker| async move {
        let (mut hand, _accepted) = by_hand(&worker);
        let pings = frame(Kind::Ping, 0, &[]).repeat(1024);
        let mut sent = 0_usize;
        while hand.write_all(&pings).await.is_ok() {
            sent += pings.len();
            assert!(sent < 64 << 20, "it takes pings without end");
        }
    });
}

#[test]
fn a_late_word_about_a_substream_does_not_meet_its_successor() {
    on_a_worker(|worker| async move {
        let (mut hand, mut accepted) = by_hand(&worker);
        hand.write_all(&frame(Kind::Data, 1 << 16, b"old")).await.expect("it reads");
        drop(accepted.recv().await.expect("one was opened"));
        let late = [
            frame(Kind::Reset, 1 << 16, &[]),
            frame(Kind::Data, 2 << 16, b"new"),
            frame(Kind::Reset, 1 << 16, &[]),
            frame(Kind::Data, 2 << 16, b"er"),
        ];
        hand.write_all(&late.concat()).await.expect("it reads");
        let mut successor = accepted.recv().await.expect("one was opened");
        assert_eq!(read(&mut successor, 5).await, b"newer");
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_order_each_substream_delivers_what_was_written_to_it(
        writes in prop::collection::vec((0_usize..8, 1_usize..50_000), 1..40),
    ) {
        on_a_worker(move |worker| async move {
            let (session, mut accepted) = ends(&worker);
            let lengths: Vec<Vec<usize>> = (0..8)
                .map(|i| writes.iter().filter(|write| write.0 == i).map(|write| write.1).collect())
                .collect();
            let echo = tokio::task::spawn_local(async move {
                while let Some(mut answering) = accepted.recv().await {
                    drop(tokio::task::spawn_local(async move {
                        let mut bytes = vec![0; 3000];
                        while let Ok(n @ 1..) = answering.read(&mut bytes).await {
                            answering.write_all(&bytes[..n]).await.expect("there is credit");
                        }
                        answering.shutdown().await.expect("the session lives");
                    }));
                }
            });
            let tasks: Vec<_> = lengths.into_iter().filter(|it| !it.is_empty()).map(|lengths| {
                let (mut receive, mut send) = tokio::io::split(substream(&session));
                let bytes = move |n: usize| (0..n).map(|i| u8::try_from(i % 251).unwrap_or(0));
                let expected: Vec<u8> = lengths.iter().flat_map(|n| bytes(*n)).collect();
                tokio::task::spawn_local(async move {
                    let writing = tokio::task::spawn_local(async move {
                        for n in lengths {
                            send.write_all(&bytes(n).collect::<Vec<_>>()).await.expect("the session lives");
                        }
                        send.shutdown().await.expect("the session lives");
                    });
                    let mut echoed = Vec::new();
                    receive.read_to_end(&mut echoed).await.expect("an end");
                    writing.await.expect("it was written");
                    assert_eq!(echoed.len(), expected.len());
                    assert!(echoed == expected, "it was mixed up");
                })
            }).collect();
            for task in tasks {
                task.await.expect("it was delivered");
            }
            session.end();
            echo.await.expect("the session ends with its last substream");
        });
    }
}
