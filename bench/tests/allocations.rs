//! A decision and a pick allocate nothing, whatever tells the rules apart.
//!
//! A test of its own, because it counts what the whole process allocates; heads and tables are those of the benchmarks.

#[path = "../benches/cases/mod.rs"]
#[expect(dead_code, reason = "the benchmarks use more of it")]
mod cases;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use cases::routes::{Hit, Kind, Question, Routed};
use cases::{POLICIES, Service};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

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
