//! Outlier ejection: when a failing endpoint leaves the pick, and how it proves itself again.
//!
//! A pure state machine over one copyable word; [`crate::endpoint::Endpoint`] holds it in an atomic. Connection
//! failures are counted apart from 5xx answers: the first say that nobody is there, the second that somebody is.
//!
//! An ejection is over when its time is and a probe succeeds. What comes back is then held down for a while, and after
//! that takes a share that grows, as long as there are others to serve meanwhile: who is up and down by turns moves no
//! traffic, and who is up to stay does not get all of it at once.
//! Kept out: which share of a target may be ejected ([`crate::pick::Target::record`] knows the others), clocks,
//! and any sweeper: an ejection ends by comparing ticks when someone picks.

use std::time::Duration;

use crate::Tick;
use crate::entry::PassiveHealthCheck;

/// How one attempt at an endpoint ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// An answer below 500.
    Served,
    /// An answer of 500 or above.
    ServerError,
    /// No connection (TCP, TLS, or a sidecar that says its application refuses): nothing was sent.
    ConnectFailed,
    /// No answer in time.
    TimedOut,
    /// The connection ended before an answer.
    Reset,
    /// The downstream left first: counts for nothing.
    Abandoned,
}

impl Outcome {
    /// Whether it counts as a 5xx answer: the endpoint was reached, and failed.
    pub fn is_server_error(self) -> bool {
        match self {
            Self::ServerError | Self::TimedOut | Self::Reset => true,
            Self::Served | Self::ConnectFailed | Self::Abandoned => false,
        }
    }
}

/// When to eject, and for how long (`PassiveHealthCheck`, with Consul's and Envoy's defaults filled in).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OutlierPolicy {
    /// Consecutive failures that eject; 0 never ejects. More than [`Outlier::MOST_FAILURES`] count as that many.
    pub max_failures: u32,
    /// Per cent of ejections for 5xx answers that are carried out.
    pub enforcing_consecutive_5xx: u32,
    /// Per cent of a target's endpoints that 5xx answers may eject.
    pub max_ejection_percent: u32,
    /// Times the number of ejections in a row.
    pub base_ejection: Duration,
    /// The longest ejection.
    pub max_ejection: Duration,
    /// For how long after its probe an endpoint stays out as long as others serve; it fails once meanwhile, and it is
    /// out again.
    pub hold_down: Duration,
    /// After that, for how long its share grows from nothing to all.
    pub ramp: Duration,
}

impl Default for OutlierPolicy {
    fn default() -> Self {
        Self {
            max_failures: 5,
            enforcing_consecutive_5xx: 100,
            max_ejection_percent: 10,
            base_ejection: Duration::from_secs(30),
            max_ejection: Duration::from_secs(300),
            hold_down: Duration::from_secs(3),
            ramp: Duration::from_secs(10),
        }
    }
}

impl From<PassiveHealthCheck> for OutlierPolicy {
    fn from(written: PassiveHealthCheck) -> Self {
        let default = Self::default();
        let base_ejection = written.base_ejection_time.unwrap_or(default.base_ejection);
        Self {
            max_failures: written.max_failures.unwrap_or(default.max_failures),
            enforcing_consecutive_5xx: written
                .enforcing_consecutive_5xx
                .unwrap_or(default.enforcing_consecutive_5xx),
            max_ejection_percent: written.max_ejection_percent.unwrap_or(default.max_ejection_percent),
            base_ejection,
            max_ejection: default.max_ejection.max(base_ejection),
            // Whoever wants endpoints back soon says so once.
            hold_down: written.hold_down.unwrap_or(default.hold_down.min(base_ejection / 10)),
            ramp: written.ramp.unwrap_or(default.ramp.min(base_ejection / 3)),
        }
    }
}

impl OutlierPolicy {
    /// The same policy where 5xx answers eject nobody.
    #[must_use]
    pub fn sparing_server_errors(self) -> Self {
        Self { enforcing_consecutive_5xx: 0, ..self }
    }

    /// Whether `failures` in a row eject.
    fn trips(&self, failures: u16) -> bool {
        let most = u32::from(Outlier::MOST_FAILURES);
        self.max_failures > 0 && u32::from(failures) >= self.max_failures.min(most)
    }

    /// Where an endpoint stands that has just proved itself.
    fn proved(&self, now: Tick) -> State {
        if self.hold_down.is_zero() { State::Returned(now) } else { State::Held(now.after(self.hold_down)) }
    }

    /// When the `ejections`th ejection in a row ends: later than now, so that failures of one moment trip once.
    fn until(&self, ejections: u8, now: Tick) -> Tick {
        let length = self.base_ejection.saturating_mul(u32::from(ejections)).min(self.max_ejection);
        now.after(length.max(Duration::from_millis(Tick::MILLIS)))
    }
}

/// An endpoint's record of failures and ejections.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Outlier {
    /// Connection failures in a row, at most [`Self::MOST_FAILURES`].
    pub connect_failures: u16,
    /// 5xx answers, resets and timeouts in a row, at most [`Self::MOST_FAILURES`].
    pub server_errors: u16,
    /// Ejections since it last proved itself for good, at most [`Self::MOST_EJECTIONS`].
    pub ejections: u8,
    /// Where it stands.
    pub state: State,
}

/// Where an endpoint stands in the pick.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum State {
    /// Takes its share.
    #[default]
    Available,
    /// Takes a share again since this tick; after a base ejection's time its ejections are forgotten.
    Returned(Tick),
    /// Has proved itself, and until this tick is picked only where nobody else serves. Then it has returned.
    Held(Tick),
    /// Out until this tick; then one attempt may probe it.
    Ejected(Tick),
    /// One attempt, begun at this tick, probes it; it stays out for all others meanwhile.
    Probing(Tick),
}

/// What a pick may do with an endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Availability {
    /// Pick it.
    Yes,
    /// Pick it when there is no other: it is held down.
    Held,
    /// Pick it if the claim succeeds: the attempt is its probe.
    MayProbe,
    /// Leave it.
    No,
}

/// After how long a probe that has reported nothing may be replaced: its attempt hangs, or was lost.
const PROBE_LOST: Duration = Duration::from_secs(10);

impl Outlier {
    /// The most failures in a row that can be told apart: each counter has 11 bits of the word.
    pub const MOST_FAILURES: u16 = (1 << 11) - 1;

    /// The most ejections in a row that can be told apart: they have 7 bits.
    pub const MOST_EJECTIONS: u8 = (1 << 7) - 1;

    /// All of the requests that a pick would give an endpoint, see [`Self::share`].
    pub const WHOLE: u32 = 1 << 16;

    /// The record after an attempt ended in `outcome`.
    #[must_use]
    pub fn after(self, outcome: Outcome, now: Tick, policy: &OutlierPolicy) -> Self {
        let before = self.at(now);
        match outcome {
            Outcome::Abandoned => before.probe_given_back(now),
            Outcome::Served => before.reached(now, policy).without_server_errors(),
            Outcome::ConnectFailed => {
                let failures = (before.connect_failures + 1).min(Self::MOST_FAILURES);
                let trips = policy.trips(failures) || matches!(before.state, State::Held(_));
                before.failed(Self { connect_failures: failures, ..before }, trips, now, policy)
            }
            Outcome::ServerError | Outcome::TimedOut | Outcome::Reset => {
                before.after_server_error(outcome, now, policy)
            }
        }
    }

    /// The record at `now`: who was held down until then has returned.
    fn at(self, now: Tick) -> Self {
        match self.state {
            State::Held(until) if now >= until => Self { state: State::Returned(until), ..self },
            _ => self,
        }
    }

    /// The record after a health check connected: it answers for the address, not for the application or even for
    /// TLS. So it returns an endpoint on probation: traffic's next connection failure ejects it again.
    #[must_use]
    pub fn connected(self, now: Tick, policy: &OutlierPolicy) -> Self {
        let on_probation =
            policy.max_failures.saturating_sub(1).min(u32::from(Self::MOST_FAILURES - 1)) as u16;
        let before = self.at(now);
        match before.state {
            State::Available => Self { connect_failures: 0, ..before },
            State::Returned(since) if now >= since.after(policy.base_ejection) => before.reached(now, policy),
            State::Returned(_) | State::Held(_) => before,
            State::Ejected(until) if now < until => before,
            State::Ejected(_) | State::Probing(_) => {
                Self { connect_failures: on_probation, ..before.reached(now, policy) }
            }
        }
    }

    /// What a pick may do at `now`.
    pub fn available(self, now: Tick) -> Availability {
        match self.at(now).state {
            State::Available | State::Returned(_) => Availability::Yes,
            State::Held(_) => Availability::Held,
            State::Ejected(until) if now >= until => Availability::MayProbe,
            State::Probing(since) if now >= since.after(PROBE_LOST) => Availability::MayProbe,
            State::Ejected(_) | State::Probing(_) => Availability::No,
        }
    }

    /// What share of the requests that a pick would give it, of [`Self::WHOLE`], an available endpoint takes while
    /// others serve: after its return it grows from tick to tick, and is whole when the ramp is over.
    pub fn share(self, now: Tick, ramp: Duration) -> u32 {
        let State::Returned(since) = self.at(now).state else { return Self::WHOLE };
        let (elapsed, ramp) = (now.0.saturating_sub(since.0), Tick(0).after(ramp).0);
        if elapsed >= ramp {
            return Self::WHOLE;
        }
        let share = (u64::from(elapsed) + 1) * u64::from(Self::WHOLE) / (u64::from(ramp) + 1);
        share as u32
    }

    /// Whether it is out of the pick, its probe aside.
    pub fn is_out(self) -> bool {
        matches!(self.state, State::Ejected(_) | State::Probing(_))
    }

    /// The record while an attempt that begins at `now` probes it.
    #[must_use]
    pub fn probed(self, now: Tick) -> Self {
        Self { state: State::Probing(now), ..self }
    }

    /// The record after somebody was there.
    fn reached(self, now: Tick, policy: &OutlierPolicy) -> Self {
        let reached = Self { connect_failures: 0, ..self };
        match self.state {
            // A straggler from before the ejection.
            State::Ejected(until) if now < until => self,
            // A probe, even if it was given back or replaced meanwhile.
            State::Ejected(_) | State::Probing(_) => Self { state: policy.proved(now), ..reached },
            State::Returned(since) if now >= since.after(policy.base_ejection) => {
                Self { ejections: 0, state: State::Available, ..reached }
            }
            State::Returned(_) | State::Held(_) | State::Available => reached,
        }
    }

    fn without_server_errors(self) -> Self {
        if self.is_out() { self } else { Self { server_errors: 0, ..self } }
    }

    fn probe_given_back(self, now: Tick) -> Self {
        match self.state {
            State::Probing(_) => Self { state: State::Ejected(now), ..self },
            State::Available | State::Returned(_) | State::Held(_) | State::Ejected(_) => self,
        }
    }

    fn after_server_error(self, outcome: Outcome, now: Tick, policy: &OutlierPolicy) -> Self {
        // An answer ends a row of connection failures. A reset or a timeout need not: a pooled connection can
        // end so long after the endpoint stopped accepting.
        let connect_failures = if outcome == Outcome::ServerError { 0 } else { self.connect_failures };
        let server_errors = (self.server_errors + 1).min(Self::MOST_FAILURES);
        let counted = Self { connect_failures, server_errors, ..self };
        if policy.enforcing_consecutive_5xx == 0 {
            return match self.state {
                State::Ejected(until) if now < until => self,
                // Somebody is there, and 5xx answers alone may not keep it out.
                State::Ejected(_) | State::Probing(_) => {
                    Self { server_errors: 1, state: policy.proved(now), ..counted }
                }
                // A row that ejects nobody begins anew, as Envoy has it.
                _ if policy.trips(server_errors) => Self { server_errors: 0, ..counted },
                _ => counted,
            };
        }
        self.failed(counted, policy.trips(server_errors), now, policy)
    }

    /// `counted`, ejected if the failure trips, or if it was a probe's, where one suffices.
    fn failed(self, counted: Self, trips: bool, now: Tick, policy: &OutlierPolicy) -> Self {
        let in_a_row = match self.state {
            // Attempts that began before the ejection still come in; they neither count nor prolong it.
            State::Ejected(until) if now < until => return self,
            State::Ejected(_) | State::Probing(_) => self.ejections,
            _ if !trips => return counted,
            State::Held(_) => self.ejections,
            State::Returned(since) if now < since.after(policy.base_ejection) => self.ejections,
            State::Returned(_) | State::Available => 0,
        };
        let ejections = (in_a_row + 1).min(Self::MOST_EJECTIONS);
        let state = State::Ejected(policy.until(ejections, now));
        Self { connect_failures: 0, server_errors: 0, ejections, state }
    }
}

/// The word: state 3 bits, ejections 7, server errors 11, connection failures 11, tick 32.
impl From<Outlier> for u64 {
    fn from(it: Outlier) -> Self {
        let (state, tick) = match it.state {
            State::Available => (0, 0),
            State::Returned(since) => (1, since.0),
            State::Ejected(until) => (2, until.0),
            State::Probing(since) => (3, since.0),
            State::Held(until) => (4, until.0),
        };
        let count = |n: u16| Self::from(n.min(Outlier::MOST_FAILURES));
        let (connect, server) = (count(it.connect_failures), count(it.server_errors));
        let ejections = Self::from(it.ejections.min(Outlier::MOST_EJECTIONS));
        Self::from(tick) | connect << 32 | server << 43 | ejections << 54 | state << 61
    }
}

impl From<u64> for Outlier {
    fn from(word: u64) -> Self {
        let tick = Tick(word as u32);
        Self {
            connect_failures: (word >> 32) as u16 & Self::MOST_FAILURES,
            server_errors: (word >> 43) as u16 & Self::MOST_FAILURES,
            ejections: (word >> 54) as u8 & Self::MOST_EJECTIONS,
            state: match word >> 61 {
                0 => State::Available,
                1 => State::Returned(tick),
                2 => State::Ejected(tick),
                3 => State::Probing(tick),
                _ => State::Held(tick),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome::{Abandoned, ConnectFailed, Reset, Served, ServerError, TimedOut};
    use super::*;

    const EJECTING: OutlierPolicy = OutlierPolicy {
        max_failures: 3,
        enforcing_consecutive_5xx: 100,
        max_ejection_percent: 100,
        base_ejection: Duration::from_secs(30),
        max_ejection: Duration::from_secs(70),
        hold_down: Duration::ZERO,
        ramp: Duration::ZERO,
    };

    const HOLDING: OutlierPolicy =
        OutlierPolicy { hold_down: Duration::from_secs(3), ramp: Duration::from_secs(10), ..EJECTING };

    /// Outcomes at ticks, then the record that they lead to.
    fn check(policy: &OutlierPolicy, outcomes: &[(u32, Outcome)], expected: Outlier) {
        let end = outcomes.iter().fold(Outlier::default(), |outlier, (tick, outcome)| {
            let now = Tick(*tick);
            let before =
                if outlier.available(now) == Availability::MayProbe { outlier.probed(now) } else { outlier };
            before.after(*outcome, now, policy)
        });
        assert_eq!(end, expected, "{outcomes:?}");
    }

    fn counting(connect_failures: u16, server_errors: u16) -> Outlier {
        Outlier { connect_failures, server_errors, ..Outlier::default() }
    }

    fn ejected(ejections: u8, until: u32) -> Outlier {
        Outlier { ejections, state: State::Ejected(Tick(until)), ..Outlier::default() }
    }

    #[test]
    fn connection_failures_and_server_errors_are_counted_apart() {
        let mixed = [(0, ConnectFailed), (0, Reset), (0, ConnectFailed), (0, TimedOut)];
        check(&EJECTING, &mixed, counting(2, 2));
        check(&EJECTING, &[(0, ConnectFailed), (0, ConnectFailed), (0, Served)], counting(0, 0));
        check(&EJECTING, &[(0, ConnectFailed), (0, ServerError)], counting(0, 1));
        check(&EJECTING, &[(0, ConnectFailed), (0, Abandoned)], counting(1, 0));
    }

    #[test]
    fn max_failures_in_a_row_eject_and_one_less_does_not() {
        check(&EJECTING, &[(5, ConnectFailed); 2], counting(2, 0));
        check(&EJECTING, &[(5, ConnectFailed); 3], ejected(1, 305));
        check(&EJECTING, &[(5, TimedOut); 3], ejected(1, 305));
        let never = OutlierPolicy { max_failures: 0, ..EJECTING };
        check(&never, &[(5, ConnectFailed); 9], counting(9, 0));
        let most = OutlierPolicy { max_failures: u32::MAX, ..EJECTING };
        check(&most, &[(5, ConnectFailed); Outlier::MOST_FAILURES as usize], ejected(1, 305));
    }

    #[test]
    fn server_errors_that_may_not_eject_begin_their_row_anew() {
        let spared = EJECTING.sparing_server_errors();
        check(&spared, &[(0, ServerError); 3], counting(0, 0));
        check(&spared, &[(0, ServerError); 4], counting(0, 1));
        check(&spared, &[(0, ConnectFailed); 3], ejected(1, 300));
    }

    #[test]
    fn an_ejection_lasts_longer_each_time_up_to_the_limit() {
        let mut failures = vec![(0, ConnectFailed); 3];
        check(&EJECTING, &failures, ejected(1, 300));
        failures.push((300, ConnectFailed));
        check(&EJECTING, &failures, ejected(2, 300 + 600));
        failures.push((900, ConnectFailed));
        check(&EJECTING, &failures, ejected(3, 900 + 700));
    }

    #[test]
    fn stragglers_from_before_an_ejection_change_nothing() {
        for straggler in [ConnectFailed, ServerError, Served, Abandoned] {
            let outcomes = [(0, ConnectFailed), (0, ConnectFailed), (0, ConnectFailed), (299, straggler)];
            check(&EJECTING, &outcomes, ejected(1, 300));
        }
    }

    #[test]
    fn a_probe_returns_the_endpoint_or_ejects_it_at_once() {
        let out = [(0, ConnectFailed); 3];
        let probe = |outcome| [&out[..], &[(300, outcome)]].concat();
        let back = Outlier { ejections: 1, state: State::Returned(Tick(300)), ..Outlier::default() };
        check(&EJECTING, &probe(Served), back);
        check(&EJECTING, &probe(ConnectFailed), ejected(2, 900));
        check(&EJECTING, &probe(ServerError), ejected(2, 900));
        check(&EJECTING, &probe(Abandoned), ejected(1, 300));
        let spared = EJECTING.sparing_server_errors();
        check(&spared, &probe(ServerError), Outlier { server_errors: 1, ..back });
    }

    #[test]
    fn a_probe_that_was_given_back_counts_when_it_ends_after_all() {
        let given_back = ejected(1, 300).probed(Tick(300)).after(Abandoned, Tick(310), &EJECTING);
        assert_eq!(given_back, ejected(1, 310));
        assert_eq!(given_back.after(Served, Tick(320), &EJECTING).state, State::Returned(Tick(320)));
        assert_eq!(given_back.after(ConnectFailed, Tick(320), &EJECTING), ejected(2, 920));
    }

    #[test]
    fn an_ejection_lasts_at_least_a_tick() {
        let brief = OutlierPolicy { base_ejection: Duration::ZERO, max_ejection: Duration::ZERO, ..EJECTING };
        check(&brief, &[(5, ConnectFailed); 3], ejected(1, 6));
    }

    #[test]
    fn ejections_are_forgotten_once_the_endpoint_has_lasted() {
        let back = [(0, ConnectFailed), (0, ConnectFailed), (0, ConnectFailed), (300, Served)];
        let then = |more: &[(u32, Outcome)]| [&back[..], more].concat();
        check(&EJECTING, &then(&[(599, ConnectFailed); 3]), ejected(2, 599 + 600));
        check(&EJECTING, &then(&[(600, ConnectFailed); 3]), ejected(1, 900));
        check(&EJECTING, &then(&[(600, Served)]), Outlier::default());
    }

    #[test]
    fn an_ejected_endpoint_is_offered_to_one_probe_at_a_time() {
        let out = ejected(1, 300);
        assert_eq!(out.available(Tick(299)), Availability::No);
        assert_eq!(out.available(Tick(300)), Availability::MayProbe);
        let probing = out.probed(Tick(300));
        assert_eq!(probing.available(Tick(399)), Availability::No);
        assert_eq!(probing.available(Tick(400)), Availability::MayProbe);
    }

    #[test]
    fn a_health_check_answers_for_the_connection_alone() {
        assert_eq!(counting(2, 2).connected(Tick(0), &EJECTING), counting(0, 2));
        assert_eq!(ejected(1, 300).connected(Tick(299), &EJECTING), ejected(1, 300));
        let back = ejected(1, 300).probed(Tick(300)).connected(Tick(301), &EJECTING);
        assert_eq!(
            back,
            Outlier {
                connect_failures: 2,
                ejections: 1,
                state: State::Returned(Tick(301)),
                ..counting(0, 0)
            }
        );
        assert_eq!(back.connected(Tick(310), &EJECTING), back, "more checks do not make it more trusted");
        assert_eq!(back.after(ConnectFailed, Tick(310), &EJECTING), ejected(2, 910));
        assert_eq!(back.after(Served, Tick(310), &EJECTING).connect_failures, 0);
        assert_eq!(back.connected(Tick(601), &EJECTING), Outlier::default());
    }

    #[test]
    fn who_proves_itself_is_held_down_and_returns_without_another_word() {
        let out = [(0, ConnectFailed); 3];
        let probed = |more: &[(u32, Outcome)]| [&out[..], &[(300, Served)], more].concat();
        let held = Outlier { ejections: 1, state: State::Held(Tick(330)), ..Outlier::default() };
        check(&HOLDING, &probed(&[]), held);
        assert_eq!(held.available(Tick(329)), Availability::Held);
        assert_eq!(held.available(Tick(330)), Availability::Yes);
        check(&HOLDING, &probed(&[(329, Served)]), held);
        assert_eq!(held.connected(Tick(329), &HOLDING), held);
        let back = Outlier { state: State::Returned(Tick(330)), ..held };
        check(&HOLDING, &probed(&[(340, Served)]), back);
        check(&HOLDING, &probed(&[(340, ConnectFailed)]), Outlier { connect_failures: 1, ..back });
        check(&HOLDING, &probed(&[(630, Served)]), Outlier::default());
    }

    #[test]
    fn who_is_held_down_is_out_again_after_one_connection_failure() {
        let out = [(0, ConnectFailed); 3];
        let probed = |more: &[(u32, Outcome)]| [&out[..], &[(300, Served)], more].concat();
        check(&HOLDING, &probed(&[(310, ConnectFailed)]), ejected(2, 310 + 600));
        let held = Outlier { ejections: 1, state: State::Held(Tick(330)), ..counting(0, 1) };
        check(&HOLDING, &probed(&[(310, ServerError)]), held);
        check(&HOLDING, &probed(&[(310, ServerError); 3]), ejected(2, 310 + 600));
    }

    #[test]
    fn a_share_grows_from_nothing_to_all_over_the_ramp() {
        let share = |state, now, ramp| {
            Outlier { state, ..Outlier::default() }.share(Tick(now), Duration::from_secs(ramp))
        };
        let back = |now| share(State::Returned(Tick(100)), now, 10);
        assert_eq!(
            [back(100), back(200), back(9_999)],
            [Outlier::WHOLE / 101, Outlier::WHOLE, Outlier::WHOLE]
        );
        assert!((100..200).all(|tick| back(tick) < back(tick + 1)));
        assert!(back(150).abs_diff(Outlier::WHOLE / 2) < Outlier::WHOLE / 100);
        assert_eq!(share(State::Held(Tick(100)), 100, 10), back(100), "the ramp begins where hold-down ends");
        assert_eq!(share(State::Available, 100, 10), Outlier::WHOLE);
        assert_eq!(share(State::Returned(Tick(100)), 100, 0), Outlier::WHOLE);
    }

    #[test]
    fn hold_down_and_ramp_follow_a_short_ejection_unless_they_are_given() {
        let times = |base: u64, hold_down: Option<u64>, ramp: Option<u64>| {
            let policy = OutlierPolicy::from(PassiveHealthCheck {
                base_ejection_time: Some(Duration::from_millis(base)),
                hold_down: hold_down.map(Duration::from_millis),
                ramp: ramp.map(Duration::from_millis),
                ..PassiveHealthCheck::default()
            });
            (policy.hold_down.as_millis(), policy.ramp.as_millis())
        };
        assert_eq!(times(30_000, None, None), (3_000, 10_000));
        assert_eq!(times(600_000, None, None), (3_000, 10_000));
        assert_eq!(times(600, None, None), (60, 200));
        assert_eq!(times(600, Some(0), Some(7_000)), (0, 7_000));
    }

    #[test]
    fn a_record_reads_back_from_its_word() {
        for state in [
            State::Available,
            State::Returned(Tick(7)),
            State::Ejected(Tick(u32::MAX)),
            State::Probing(Tick(1)),
            State::Held(Tick(9)),
        ] {
            for (connect_failures, server_errors, ejections) in
                [(0, 0, 0), (1, 2, 3), (2_047, 0, 127), (0, 2_047, 0)]
            {
                let outlier = Outlier { connect_failures, server_errors, ejections, state };
                assert_eq!(Outlier::from(u64::from(outlier)), outlier);
            }
        }
        assert_eq!(u64::from(Outlier::default()), 0);
    }
}
