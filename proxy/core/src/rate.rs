//! Rate limits: how many requests a second an instance takes, by path, over all workers.
//!
//! One atomic a limit, after the generic cell rate algorithm: what is kept is the time at which the requests let in so
//! far would all be due if they came evenly. A request may come early by as much as a burst lasts. Kept out: the clock,
//! and what a request gets that comes too early.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::entry::{HttpMatch, RateLimitRoute, RateLimits};
use crate::table::{Matcher, RequestHead};

/// `RateLimits.InstanceLevel`, compiled.
#[derive(Debug)]
pub struct RateLimiter {
    written: RateLimits,
    routes: Box<[(Matcher, Option<Limit>)]>,
    otherwise: Option<Limit>,
}

impl RateLimiter {
    /// What is written as 0 or not at all is no limit.
    pub fn compile(limits: &RateLimits) -> Self {
        let route = |route: &RateLimitRoute| {
            let criteria = HttpMatch {
                path_exact: route.path_exact.clone(),
                path_prefix: route.path_prefix.clone(),
                path_regex: route.path_regex.clone(),
                ..HttpMatch::default()
            };
            let limit = Limit::new(route.requests_per_second, route.requests_max_burst);
            // Refused when the entry was read; what cannot be understood matches nothing.
            (Matcher::compile(&criteria).unwrap_or_else(|_| Matcher::never()), limit)
        };
        Self {
            routes: limits.routes.iter().map(route).collect(),
            otherwise: Limit::new(limits.requests_per_second, limits.requests_max_burst),
            written: limits.clone(),
        }
    }

    /// What it was compiled from.
    pub fn written(&self) -> &RateLimits {
        &self.written
    }

    /// Lets a request in, `now` after some moment that is the same for all; how many a second it met if it may not.
    ///
    /// # Errors
    /// When there were too many. It is not counted as one of them then.
    pub fn admit(&self, head: &RequestHead<'_>, now: Duration) -> Result<(), u32> {
        let route = self.routes.iter().find(|(matcher, _)| matcher.matches(head));
        let limit = route.map_or(self.otherwise.as_ref(), |(_, limit)| limit.as_ref());
        limit.map_or(Ok(()), |limit| limit.admit(now))
    }
}

/// So many requests a second, over all workers.
#[derive(Debug)]
struct Limit {
    per_second: u32,
    /// Nanoseconds between two requests that come evenly.
    interval: u64,
    /// Nanoseconds that a whole burst of them takes.
    burst: u64,
    /// When the next one is due, in nanoseconds. Relaxed: it stands for itself, and orders nothing.
    due: AtomicU64,
}

impl Limit {
    /// `burst` is as many as in a second unless said.
    fn new(per_second: Option<u32>, burst: Option<u32>) -> Option<Self> {
        let per_second = per_second.filter(|it| *it > 0)?;
        let burst = burst.filter(|it| *it > 0).unwrap_or(per_second);
        let interval = 1_000_000_000 / u64::from(per_second);
        Some(Self { per_second, interval, burst: interval * u64::from(burst), due: AtomicU64::new(0) })
    }

    fn admit(&self, now: Duration) -> Result<(), u32> {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let next = |due: u64| {
            let after = due.max(now).saturating_add(self.interval);
            (after <= now.saturating_add(self.burst)).then_some(after)
        };
        self.due.fetch_update(Relaxed, Relaxed, next).map(drop).map_err(|_| self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::table::Headers;

    struct NoHeaders;

    impl Headers for NoHeaders {
        fn value(&self, _: &str) -> Option<Cow<'_, [u8]>> {
            None
        }
    }

    fn get(path: &str) -> RequestHead<'_> {
        RequestHead { method: "GET", path, query: None, headers: &NoHeaders }
    }

    /// How many of `times` requests at this moment are let in.
    fn admitted(limiter: &RateLimiter, path: &str, times: usize, millis: u64) -> usize {
        let now = Duration::from_millis(millis);
        (0..times).filter(|_| limiter.admit(&get(path), now).is_ok()).count()
    }

    fn limits(per_second: u32, burst: Option<u32>) -> RateLimits {
        RateLimits { requests_per_second: Some(per_second), requests_max_burst: burst, ..Default::default() }
    }

    #[test]
    fn a_burst_passes_at_once_and_then_so_many_a_second() {
        for (per_second, burst, at_once) in [(10, Some(20), 20), (10, None, 10), (10, Some(1), 1)] {
            let limiter = RateLimiter::compile(&limits(per_second, burst));
            assert_eq!(admitted(&limiter, "/", 100, 5_000), at_once, "{burst:?}");
            assert_eq!(admitted(&limiter, "/", 100, 5_099), 0);
            assert_eq!(admitted(&limiter, "/", 100, 5_100), 1);
            assert_eq!(
                admitted(&limiter, "/", 100, 60_000),
                at_once,
                "silence saves up no more than a burst"
            );
        }
    }

    #[test]
    fn a_route_has_a_limit_of_its_own_and_the_first_that_matches_counts() {
        let route = |prefix: &str, per_second| RateLimitRoute {
            path_prefix: Some(prefix.to_owned()),
            requests_per_second: Some(per_second),
            ..Default::default()
        };
        let routes = vec![route("/a/b", 3), route("/a", 2), route("/free", 0)];
        let limiter = RateLimiter::compile(&RateLimits { routes, ..limits(1, None) });
        for (path, most) in [("/a/b", 3), ("/a", 2), ("/", 1), ("/free", 50)] {
            assert_eq!(admitted(&limiter, path, 50, 0), most, "{path}");
        }
        assert_eq!(limiter.admit(&get("/a"), Duration::ZERO), Err(2));
    }

    #[test]
    fn what_is_not_limited_always_passes() {
        for limits in [RateLimits::default(), limits(0, Some(1))] {
            assert_eq!(admitted(&RateLimiter::compile(&limits), "/", 1_000, 0), 1_000);
        }
    }

    #[test]
    fn workers_together_let_in_no_more_than_one_alone() {
        let limiter = RateLimiter::compile(&limits(1_000, None));
        let counts: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| admitted(&limiter, "/", 1_000, 7))).collect();
            threads.into_iter().map(|it| it.join().unwrap_or_default()).sum()
        });
        assert_eq!(counts, 1_000);
    }
}
