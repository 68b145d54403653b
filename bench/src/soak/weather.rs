//! Who is failing at this moment: written by the chaos, read by links and applications, waited for by both.
//!
//! Instance 0 is steady: it never fails by itself, so that every request could be served as long as no outage takes
//! away all links at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch;

/// The way to a server sidecar.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Link {
    /// It carries.
    #[default]
    Open,
    /// It accepts and carries nothing.
    Stalled,
    /// It refuses connections.
    Refusing,
}

/// The state of an application.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Mood {
    /// It answers.
    #[default]
    Well,
    /// It does everything wrong that an application can do.
    Moody,
    /// It is gone, with its connections.
    Dead,
}

/// What an instance suffers.
#[derive(Clone, Copy, Debug, Default)]
struct Conditions {
    link: Link,
    mood: Mood,
    /// How often all its connections were reset.
    resets: u64,
}

/// All instances' conditions.
#[derive(Clone, Debug)]
pub(crate) struct Sky {
    instances: Vec<Conditions>,
    outage: bool,
}

impl Sky {
    pub(crate) fn link(&self, instance: usize) -> Link {
        if self.outage { Link::Refusing } else { self.instances[instance].link }
    }

    pub(crate) fn mood(&self, instance: usize) -> Mood {
        self.instances[instance].mood
    }

    pub(crate) fn resets(&self, instance: usize) -> u64 {
        self.instances[instance].resets
    }
}

/// The sky, and whether every request can be served under it.
#[derive(Debug)]
pub(crate) struct Weather {
    sky: watch::Sender<Sky>,
    /// Odd from an outage's begin until the steady instance has served again.
    epoch: AtomicU64,
    /// Whether an outage is over that callers still feel.
    clearing: AtomicBool,
}

/// The weather when a request began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Began {
    epoch: u64,
    clearing: bool,
}

// SeqCst throughout: a few operations a request, and nobody need think about their order.
impl Weather {
    pub(crate) fn new(instances: usize) -> Self {
        let sky = Sky { instances: vec![Conditions::default(); instances], outage: false };
        Self { sky: watch::Sender::new(sky), epoch: AtomicU64::new(0), clearing: AtomicBool::new(false) }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Sky> {
        self.sky.subscribe()
    }

    pub(crate) fn set_link(&self, instance: usize, link: Link) {
        self.sky.send_modify(|sky| sky.instances[instance].link = link);
    }

    pub(crate) fn set_mood(&self, instance: usize, mood: Mood) {
        self.sky.send_modify(|sky| sky.instances[instance].mood = mood);
    }

    /// Resets every connection of an instance.
    pub(crate) fn reset(&self, instance: usize) {
        self.sky.send_modify(|sky| sky.instances[instance].resets += 1);
    }

    /// Takes every link away.
    pub(crate) fn begin_outage(&self) {
        self.clearing.store(false, Ordering::SeqCst);
        self.epoch.fetch_or(1, Ordering::SeqCst);
        self.sky.send_modify(|sky| {
            sky.outage = true;
            sky.instances.iter_mut().for_each(|it| it.resets += 1);
        });
    }

    /// Gives them back.
    pub(crate) fn end_outage(&self) {
        self.sky.send_modify(|sky| sky.outage = false);
        self.clearing.store(true, Ordering::SeqCst);
    }

    /// A request begins.
    pub(crate) fn begin(&self) -> Began {
        let clearing = self.clearing.load(Ordering::SeqCst);
        Began { epoch: self.epoch.load(Ordering::SeqCst), clearing }
    }

    /// A request that began under `began` was served by the steady instance.
    pub(crate) fn steady_served(&self, began: Began) {
        if began.clearing && began.epoch % 2 == 1 {
            // When it fails, it is fair already, or another outage has begun.
            let fair = began.epoch + 1;
            let _ = self.epoch.compare_exchange(began.epoch, fair, Ordering::SeqCst, Ordering::SeqCst);
        }
    }

    /// Whether the steady instance could have served a request that began under `began` and ends now.
    pub(crate) fn was_fair(&self, began: Began) -> bool {
        began.epoch.is_multiple_of(2) && self.epoch.load(Ordering::SeqCst) == began.epoch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_an_outage_it_is_fair_once_a_later_request_was_served() {
        let weather = Weather::new(2);
        let before = weather.begin();
        assert!(weather.was_fair(before));
        weather.begin_outage();
        assert_eq!(weather.watch().borrow().link(0), Link::Refusing);
        let during = weather.begin();
        weather.end_outage();
        // It may have been on its way since before the outage.
        weather.steady_served(during);
        let after = weather.begin();
        assert!(!weather.was_fair(before) && !weather.was_fair(during) && !weather.was_fair(after));
        weather.steady_served(after);
        assert!(weather.was_fair(weather.begin()));
        assert!(!weather.was_fair(after));
    }
}
