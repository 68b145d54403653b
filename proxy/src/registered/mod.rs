//! Registered checks: run by the instance's own sidecar, which refuses connections while one of them is critical.
//!
//! On the control thread. [`RegisteredChecks`] holds where they stand; a plane says which ones there are when it
//! assembles, and is asked to assemble anew when the verdict changes. What a row of results means is in
//! [`spillway_core::check`]. Kept out: how one is run (`probe`), the checks of endpoints that we dial
//! ([`crate::checks`]), and what a refusal looks like (the sidecar).

mod connect;
mod grpc;
mod http;
mod probe;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use spillway_core::check::{KeptCheck, Standing};
use spillway_core::entry::HealthStatus;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use self::probe::Finding;
use crate::draw::Dice;

/// The registered checks of this process's instance, and where each stands.
#[derive(Debug, Default)]
pub struct RegisteredChecks {
    kept: Mutex<Vec<Kept>>,
    /// There are others than before.
    adopted: Notify,
    /// The verdict is another than before.
    turned: Notify,
}

#[derive(Clone, Debug)]
struct Kept {
    check: Arc<KeptCheck>,
    standing: Standing,
}

/// Where a check stands, for the admin API.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The check's id.
    pub id: String,
    /// Its status.
    pub status: HealthStatus,
}

impl RegisteredChecks {
    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which check makes the instance refuse connections, if these are its checks.
    pub fn critical(&self, checks: &[KeptCheck]) -> Option<String> {
        let kept = self.kept();
        let status = |check: &KeptCheck| {
            let known = kept.iter().find(|it| *it.check == *check);
            known.map_or_else(|| Standing::new(&check.check), |it| it.standing).status
        };
        checks.iter().find(|check| status(check) == HealthStatus::Critical).map(|check| check.id.clone())
    }

    /// From now on these are the checks; those that stay as they were stand where they stood.
    pub fn adopt(&self, checks: Vec<KeptCheck>) {
        let mut kept = self.kept();
        let adopt = |check: KeptCheck| match kept.iter().find(|it| *it.check == check) {
            Some(known) => known.clone(),
            None => Kept { standing: Standing::new(&check.check), check: Arc::new(check) },
        };
        let adopted = checks.into_iter().map(adopt).collect();
        *kept = adopted;
        self.adopted.notify_one();
    }

    /// All of them.
    pub fn shown(&self) -> Vec<Shown> {
        let shown = |it: &Kept| Shown { id: it.check.id.clone(), status: it.standing.status };
        self.kept().iter().map(shown).collect()
    }

    /// Waits until the instance should refuse connections and did not, or the other way round.
    pub async fn turned(&self) {
        self.turned.notified().await;
    }

    /// Takes a result in.
    fn took(&self, check: &Arc<KeptCheck>, finding: &Finding) {
        let mut all = self.kept();
        let is_critical = |all: &[Kept]| all.iter().any(|it| it.standing.status == HealthStatus::Critical);
        let before = is_critical(&all);
        let Some(kept) = all.iter_mut().find(|it| Arc::ptr_eq(&it.check, check)) else { return };
        let (was, standing) = (kept.standing.status, kept.standing.after(finding.status, &check.check));
        kept.standing = standing;
        if was != standing.status {
            let (from, to) = (was.as_str(), standing.status.as_str());
            let KeptCheck { id, name, .. } = &**check;
            tracing::info!(id, name, from, to, why = finding.why, "a registered check has changed");
        }
        if is_critical(&all) != before {
            self.turned.notify_one();
        }
    }
}

/// Runs the checks until it is dropped, each in a task of its own.
pub async fn run(checks: Arc<RegisteredChecks>) {
    let mut running: Vec<(Arc<KeptCheck>, Task)> = Vec::new();
    loop {
        let kept = checks.kept().iter().map(|it| Arc::clone(&it.check)).collect::<Vec<_>>();
        running.retain(|(check, _)| kept.iter().any(|it| Arc::ptr_eq(it, check)));
        for check in kept.into_iter().filter(|it| it.check.is_run()) {
            if !running.iter().any(|(it, _)| Arc::ptr_eq(it, &check)) {
                let task = Task::spawn(keep_running(Arc::clone(&checks), Arc::clone(&check)));
                running.push((check, task));
            }
        }
        checks.adopted.notified().await;
    }
}

/// A task that ends when this is dropped.
struct Task(JoinHandle<()>);

impl Task {
    fn spawn(task: impl Future<Output = ()> + 'static) -> Self {
        Self(tokio::task::spawn_local(task))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs one check for as long as it is registered. Where a status was written there is time until the first run.
async fn keep_running(checks: Arc<RegisteredChecks>, check: Arc<KeptCheck>) {
    let interval = check.interval();
    if check.check.status.is_some() {
        tokio::time::sleep(somewhere_within(interval)).await;
    }
    loop {
        let begun = tokio::time::Instant::now();
        let late = || Finding::new(HealthStatus::Critical, format!("no answer within {:?}", check.timeout()));
        let run = tokio::time::timeout(check.timeout(), probe::run(&check.check)).await;
        checks.took(&check, &run.unwrap_or_else(|_| late()));
        // A run that takes longer than the interval is followed by the next at once, never beside it.
        tokio::time::sleep_until(begun + interval).await;
    }
}

/// A random part of `interval`, so that checks registered together do not run together for ever.
fn somewhere_within(interval: Duration) -> Duration {
    let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(Dice::new().draw().0 % millis.max(1))
}
