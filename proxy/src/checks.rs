//! Health checks of the endpoints that this process dials: a TCP connection every ten seconds, with jitter.
//!
//! Left out while traffic succeeds, since that says more. An endpoint that is ejected is looked at every second
//! once its time is over, so that it returns without waiting for a request to try it, and then for as long as it is
//! held down.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use spillway_core::Tick;
use spillway_core::endpoint::{Address, Endpoint};
use spillway_core::outlier::{Availability, OutlierPolicy};
use spillway_core::pick::Target;
use tokio::net::TcpStream;

use crate::draw::Dice;
use crate::worker::Shared;

/// Between two checks of an endpoint that nobody sends to.
const INTERVAL: Duration = Duration::from_secs(10);

/// Between two looks at what is due.
const ROUND: Duration = Duration::from_secs(1);

/// How long a check may take.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Plan {
    due: Tick,
    successes: u64,
}

/// Checks endpoints until the process ends. Runs on the control thread.
pub async fn run(shared: Arc<Shared>) {
    let dice = Dice::new();
    let mut plans: HashMap<u64, Plan> = HashMap::new();
    loop {
        tokio::time::sleep(ROUND).await;
        let now = shared.now();
        let snapshot = shared.published.load();
        let resolvers = snapshot.services().flat_map(|service| &service.table.resolvers);
        let targets: Vec<&Arc<Target>> = resolvers.flat_map(|resolver| &resolver.targets).collect();
        let live: HashSet<u64> = targets.iter().flat_map(|it| &it.endpoints).map(|it| it.uid).collect();
        shared.stats.retain(|uid| live.contains(&uid));
        plans.retain(|uid, _| live.contains(uid));
        // A local application has checks of its own.
        for target in targets.into_iter().filter(|target| target.tls.is_some()) {
            for endpoint in &target.endpoints {
                let jitter = Duration::from_millis(dice.draw().0 % 2_000);
                let first = || Plan { due: now.after(INTERVAL / 2 + jitter), successes: 0 };
                let plan = plans.entry(endpoint.uid).or_insert_with(first);
                let probe = endpoint.available(now) == Availability::MayProbe;
                let held = endpoint.available(now) == Availability::Held;
                if !(probe || held) && now < plan.due {
                    continue;
                }
                plan.due = now.after(INTERVAL - Duration::from_secs(1) + jitter);
                let successes = shared.stats.sum(endpoint.uid, |counters| &counters.successes);
                let busy = std::mem::replace(&mut plan.successes, successes) != successes;
                if (probe && endpoint.claim_probe(now)) || held || !(probe || busy) {
                    let check = check(Arc::clone(&shared), Arc::clone(endpoint), target.outlier);
                    drop(tokio::task::spawn_local(check));
                }
            }
        }
    }
}

async fn check(shared: Arc<Shared>, endpoint: Arc<Endpoint>, policy: OutlierPolicy) {
    let Address::Ip(addr) = endpoint.address else { return };
    let connected = matches!(tokio::time::timeout(TIMEOUT, TcpStream::connect(addr)).await, Ok(Ok(_)));
    if let Some(change) = endpoint.record_check(connected, shared.now(), &policy) {
        tracing::info!(endpoint = %endpoint.address, ?change, "outlier ejection by health check");
    }
}
