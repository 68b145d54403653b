//! A decision and a pick allocate nothing, whatever tells the rules apart; nor does a line of the access log.
//!
//! A test of its own, because it counts what the whole process allocates; heads and tables are those of the benchmarks.

#[path = "../benches/cases/mod.rs"]
#[expect(dead_code, reason = "the benchmarks use more of it")]
mod cases;

use std::alloc::System;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use spillway_core::access_log::Format;
use spillway_proxy::access_log::{Ends, Record};
use spillway_proxy::http1::{HeadView, Limits, RequestHead, parse_request};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use cases::routes::{Hit, Kind, Question, Routed};
use cases::{POLICIES, Service};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Held by the test that counts: what the other allocates meanwhile would be counted too.
static COUNTING: Mutex<()> = Mutex::new(());

fn counting() -> MutexGuard<'static, ()> {
    COUNTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often `run` allocates when it is warm. Other threads of the test runner may allocate meanwhile, so it is the
/// least of several counts.
fn allocations(mut run: impl FnMut()) -> usize {
    run();
    let counts = (0..5).map(|_| {
        let region = Region::new(ALLOCATOR);
        run();
        region.change().allocations
    });
    counts.min().unwrap_or_default()
}

#[test]
fn a_decision_and_a_pick_allocate_nothing() {
    let _alone = counting();
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1, "allocations are counted");
    for kind in Kind::ALL {
        for hit in Hit::ALL {
            let routed = Routed::new(Question { kind, hit, rules: 100 });
            assert_eq!(
                allocations(|| {
                    std::hint::black_box(routed.decide_whole(7));
                }),
                0,
                "{kind:?} {hit:?}"
            );
        }
    }
    for policy in POLICIES {
        let service = Service::new(10, policy);
        let pick = || {
            std::hint::black_box(cases::pick(service.resolver(), 7));
        };
        assert_eq!(allocations(pick), 0, "{policy}");
    }
}

#[test]
fn a_line_of_the_access_log_allocates_nothing() {
    let _alone = counting();
    let text = b"GET /a/path?q=1 HTTP/1.1\r\nhost: api\r\nuser-agent: curl\r\nx-request-id: 1\r\n\r\n";
    let mut head = RequestHead::default();
    parse_request(text, &Limits::default(), &mut head).expect("a request");
    let address = Some(([127, 0, 0, 1], 8080).into());
    let ends = Ends { local: address, remote: address, name: Some("api.internal".into()) };
    let record = Record {
        request: Some(HeadView { head: &head, buf: text }),
        protocol: Some("HTTP/1.1"),
        target: Some(&"api.default.default.dc1"),
        upstream_local: address,
        answered: Some((Duration::from_millis(2), Duration::from_millis(1))),
        ..Record::new(&ends, SystemTime::now())
    };
    let (format, mut line) = (Format::default(), Vec::with_capacity(4096));
    let write = || {
        line.clear();
        format.write(&record, &mut line);
    };
    assert_eq!(allocations(write), 0, "{}", String::from_utf8_lossy(&line));
}
