//! Who fails, when, and how: a plan from a seed, and the hand that carries it out.
//!
//! The plan counts in requests, not in time, so that a slow machine suffers the same as a fast one. Kept out: what
//! failures mean (`link`, `app`), and what they may cost (`ledger`).

use std::io;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::mesh::Mesh;
use super::weather::{Link, Mood, Weather};

/// A fault.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Fault {
    /// The sidecar is killed; its link then leads nowhere.
    KillSidecar,
    /// The application is killed.
    KillApplication,
    /// Every connection is reset, once.
    Reset,
    /// Connections are refused.
    Refuse,
    /// Nothing is carried.
    Stall,
    /// The application does everything wrong.
    Moods,
    /// Every instance refuses connections, the steady one, too.
    Outage,
}

impl Fault {
    const OF_AN_INSTANCE: [Self; 6] =
        [Self::KillSidecar, Self::KillApplication, Self::Reset, Self::Refuse, Self::Stall, Self::Moods];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::KillSidecar => "sidecar killed and restarted",
            Self::KillApplication => "application killed and restarted",
            Self::Reset => "all connections reset",
            Self::Refuse => "connections refused",
            Self::Stall => "connections stalled",
            Self::Moods => "application misbehaves",
            Self::Outage => "every instance refuses at once",
        }
    }
}

/// One fault of an instance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Event {
    /// It begins once so many requests have begun.
    pub(crate) at: u32,
    /// It ends once there are so many more.
    pub(crate) length: u32,
    pub(crate) instance: usize,
    pub(crate) fault: Fault,
}

/// Requests from one fault of an instance to its next, on the average.
const PACE: u32 = 1_500;

/// A short run has at least so many faults an instance.
const LEAST: u32 = 12;

/// What a fault lasts at most: when it holds everybody up, nobody counts requests.
const LONGEST: Duration = Duration::from_millis(1200);

/// How often the plan is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// Each instance but the steady one fails by itself; now and then all refuse together.
pub(crate) fn plan(seed: u64, requests: u32, instances: usize) -> Vec<Event> {
    let mut dice = StdRng::seed_from_u64(seed);
    let pace = PACE.min(requests / LEAST).max(1);
    let mut events = Vec::new();
    for instance in 1..=instances {
        // The last track is that of outages.
        let (instance, faults, pace, longest) = match instance == instances {
            true => (0, &[Fault::Outage][..], pace.saturating_mul(6), pace / 8),
            false => (instance, &Fault::OF_AN_INSTANCE[..], pace, pace / 2),
        };
        let mut at = dice.random_range(0..pace);
        while at < requests {
            let fault = faults[dice.random_range(0..faults.len())];
            let length = dice.random_range(1..=longest + 1);
            events.push(Event { at, length, instance, fault });
            at = at.saturating_add(length).saturating_add(dice.random_range(1..=pace + 1));
        }
    }
    events.sort_by_key(|event| event.at);
    events
}

/// Carries out a plan while `begun` says how many requests have begun, until there are as many as `requests`; then
/// everything is well.
pub(crate) async fn play(
    plan: &[Event],
    requests: u32,
    begun: impl Fn() -> u32,
    weather: &Weather,
    mesh: &mut Mesh,
) -> io::Result<()> {
    let mut ahead = plan.iter().peekable();
    let mut ongoing: Vec<(Event, Instant)> = Vec::new();
    loop {
        let now = begun();
        let is_over = |(event, since): &(Event, Instant)| {
            now >= requests || now >= event.at.saturating_add(event.length) || since.elapsed() > LONGEST
        };
        for (event, _) in ongoing.extract_if(.., |it| is_over(it)) {
            end(event, weather, mesh)?;
        }
        if now >= requests {
            return Ok(());
        }
        while let Some(event) = ahead.next_if(|event| event.at <= now) {
            begin(*event, weather, mesh)?;
            ongoing.push((*event, Instant::now()));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn begin(Event { instance, fault, .. }: Event, weather: &Weather, mesh: &mut Mesh) -> io::Result<()> {
    match fault {
        Fault::KillSidecar => return mesh.kill_sidecar(instance),
        Fault::KillApplication => weather.set_mood(instance, Mood::Dead),
        Fault::Reset => weather.reset(instance),
        Fault::Refuse => {
            weather.set_link(instance, Link::Refusing);
            weather.reset(instance);
        }
        Fault::Stall => weather.set_link(instance, Link::Stalled),
        Fault::Moods => weather.set_mood(instance, Mood::Moody),
        Fault::Outage => weather.begin_outage(),
    }
    Ok(())
}

fn end(Event { instance, fault, .. }: Event, weather: &Weather, mesh: &mut Mesh) -> io::Result<()> {
    match fault {
        Fault::KillSidecar => return mesh.start_sidecar(instance),
        Fault::KillApplication | Fault::Moods => weather.set_mood(instance, Mood::Well),
        Fault::Reset => {}
        Fault::Refuse | Fault::Stall => weather.set_link(instance, Link::Open),
        Fault::Outage => weather.end_outage(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_its_seed_s_has_every_fault_and_spares_the_steady_instance() {
        let events = plan(1, 100_000, 4);
        assert_eq!(events, plan(1, 100_000, 4));
        assert_ne!(events, plan(2, 100_000, 4));
        for fault in Fault::OF_AN_INSTANCE.into_iter().chain([Fault::Outage]) {
            let mut of_it = events.iter().filter(|event| event.fault == fault).peekable();
            assert!(of_it.peek().is_some(), "{fault:?}");
            assert!(of_it.all(|event| (event.instance == 0) == (fault == Fault::Outage)), "{fault:?}");
        }
        assert!(events.is_sorted_by_key(|event| event.at));
    }

    #[test]
    fn an_instance_has_one_fault_at_a_time_and_a_short_run_has_some() {
        let events = plan(3, 1_000, 3);
        for instance in 0..3 {
            let of_it: Vec<&Event> = events.iter().filter(|event| event.instance == instance).collect();
            assert!(of_it.windows(2).all(|pair| pair[0].at + pair[0].length < pair[1].at), "{instance}");
            assert!(of_it.len() >= 2, "{instance}: {}", of_it.len());
        }
    }
}
