//! Registered checks: which ones an instance's own sidecar keeps, and what a row of results makes of each.
//!
//! As a Consul agent counts: a result changes a check's status once there are enough of its kind in a row. Kept out:
//! sockets and clocks, so running a check; and the checks of endpoints that we dial, which are nobody's registration.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::catalog::HealthCheck;
use crate::entry::{Check, HealthStatus, Kind, Registration};

/// The shortest time between two runs, as in Consul.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// How long a run may take where nothing is said, as in Consul.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A check that a sidecar keeps of its own instance.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptCheck {
    /// As registered, or as Consul makes it up.
    pub id: String,
    /// As registered, or as Consul makes it up.
    pub name: String,
    /// How it is run, if it is.
    pub check: Check,
}

impl KeptCheck {
    /// The checks of an instance: its application's and its sidecar's, and those that one of them is an alias of.
    ///
    /// Left out are checks that the sidecar accepts connections: it does whenever all the others let it.
    pub fn of_instance(
        application: &Registration,
        sidecar: &Registration,
        all: &[Registration],
    ) -> Vec<Self> {
        let mut followed: BTreeSet<&str> = [application.id.as_str(), sidecar.id.as_str()].into();
        let mut from = vec![application, sidecar];
        let mut kept = Vec::new();
        let mut next = 0;
        while let Some(registration) = from.get(next) {
            next += 1;
            for (shown, check) in HealthCheck::of(registration).zip(&*registration.checks) {
                if let Some(alias) = &check.alias_service {
                    let is_it = |it: &&Registration| {
                        it.id == *alias
                            && it.datacenter == application.datacenter
                            && it.kind != Kind::MeshGateway
                    };
                    if let Some(other) = all.iter().find(is_it)
                        && followed.insert(&other.id)
                    {
                        from.push(other);
                    }
                } else if !is_of_the_public_listener(check, sidecar) {
                    kept.push(Self { id: shown.id, name: shown.name, check: check.clone() });
                }
            }
        }
        kept
    }

    /// Between two runs.
    pub fn interval(&self) -> Duration {
        self.check.interval.unwrap_or_default().max(SHORTEST_INTERVAL)
    }

    /// Of one run.
    pub fn timeout(&self) -> Duration {
        self.check.timeout.filter(|timeout| !timeout.is_zero()).unwrap_or(TIMEOUT)
    }
}

/// Whether a check looks at where the sidecar itself listens for the mesh.
fn is_of_the_public_listener(check: &Check, sidecar: &Registration) -> bool {
    let Some((host, port)) = check.tcp.as_deref().and_then(|address| address.rsplit_once(':')) else {
        return false;
    };
    let own_port = sidecar.proxy.bind_port.unwrap_or(sidecar.port);
    let own = [sidecar.address.as_str(), sidecar.proxy.bind_address.as_deref().unwrap_or_default()];
    let host = host.trim_matches(['[', ']']);
    let here = matches!(host, "" | "localhost" | "0.0.0.0" | "::" | "::1") || host.starts_with("127.");
    port.parse() == Ok(own_port) && (here || own.contains(&host))
}

/// Where a check stands, and how it came there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Standing {
    /// Its status.
    pub status: HealthStatus,
    /// Passing and warning results in a row.
    successes: u32,
    /// Critical results in a row.
    failures: u32,
}

impl Standing {
    /// Before the first run: as registered, else passing.
    pub fn new(check: &Check) -> Self {
        Self { status: check.status.unwrap_or_default(), successes: 0, failures: 0 }
    }

    /// After a run with this result.
    #[must_use]
    pub fn after(self, result: HealthStatus, check: &Check) -> Self {
        if result != HealthStatus::Critical {
            let successes = self.successes.saturating_add(1);
            let status = if successes >= check.success_before_passing { result } else { self.status };
            return Self { status, successes, failures: 0 };
        }
        let failures = self.failures.saturating_add(1);
        let critical = check.failures_before_critical;
        let status = if failures >= critical {
            HealthStatus::Critical
        } else if failures >= check.failures_before_warning.unwrap_or(critical) {
            HealthStatus::Warning
        } else {
            self.status
        };
        Self { status, successes: 0, failures }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{File, load};
    use crate::problem::Severity;

    const PASSING: HealthStatus = HealthStatus::Passing;
    const WARNING: HealthStatus = HealthStatus::Warning;
    const CRITICAL: HealthStatus = HealthStatus::Critical;

    /// The statuses that a row of results leads to.
    fn check(check: &Check, results: &[HealthStatus], expected: &[HealthStatus]) {
        let mut standing = Standing::new(check);
        let statuses: Vec<_> = results
            .iter()
            .map(|result| {
                standing = standing.after(*result, check);
                standing.status
            })
            .collect();
        assert_eq!(statuses, expected, "{results:?} with {check:?}");
    }

    #[test]
    fn one_result_suffices_where_nothing_is_said() {
        check(
            &Check::default(),
            &[PASSING, CRITICAL, WARNING, PASSING],
            &[PASSING, CRITICAL, WARNING, PASSING],
        );
        let registered = Check { status: Some(CRITICAL), ..Check::default() };
        assert_eq!(Standing::new(&registered).status, CRITICAL);
        check(&registered, &[PASSING], &[PASSING]);
    }

    #[test]
    fn so_many_in_a_row_change_a_status_and_a_break_begins_anew() {
        let slow = Check {
            status: Some(CRITICAL),
            success_before_passing: 3,
            failures_before_warning: Some(2),
            failures_before_critical: 3,
            ..Check::default()
        };
        check(&slow, &[PASSING, WARNING, PASSING], &[CRITICAL, CRITICAL, PASSING]);
        check(
            &slow,
            &[PASSING, PASSING, CRITICAL, PASSING, PASSING, PASSING],
            &[CRITICAL, CRITICAL, CRITICAL, CRITICAL, CRITICAL, PASSING],
        );
        let passing = Check { status: Some(PASSING), ..slow };
        check(&passing, &[CRITICAL; 4], &[PASSING, WARNING, CRITICAL, CRITICAL]);
        check(&passing, &[CRITICAL, CRITICAL, PASSING, CRITICAL], &[PASSING, WARNING, WARNING, WARNING]);
        let no_warning = Check { failures_before_warning: None, ..passing };
        check(&no_warning, &[CRITICAL; 3], &[PASSING, PASSING, CRITICAL]);
    }

    /// The ids of the checks that the sidecar of `web` keeps.
    fn kept(services: &str) -> Vec<String> {
        let (config, problems) = load(&[File { path: "web.hcl".into(), bytes: services.into() }]);
        let errors: Vec<_> = problems.iter().filter(|it| it.severity == Severity::Error).collect();
        assert!(errors.is_empty(), "{errors:?}");
        let all = &config.registrations;
        let named = |id: &str| all.iter().find(|it| it.id == id).expect("it is registered");
        let kept = KeptCheck::of_instance(named("web"), named("web-sidecar-proxy"), all);
        kept.into_iter().map(|it| it.id).collect()
    }

    #[test]
    fn checks_of_both_are_kept_and_aliases_followed_once() {
        let services = r#"services = [
          { name = "web" port = 80
            checks = [
              { http = "http://127.0.0.1/up" interval = "10s" },
              { id = "as-db" alias_service = "db" },
              { id = "said" status = "passing" ttl = "30s" },
            ]
            connect { sidecar_service {
              port = 21000
              checks = [
                { name = "Connect Sidecar Listening" tcp = "127.0.0.1:21000" interval = "10s" },
                { name = "Aliasing web" alias_service = "web" },
                { id = "metrics" tcp = "127.0.0.1:9102" interval = "10s" },
              ]
            } }
          },
          { name = "db" port = 81 checks = [
            { id = "db-up" tcp = "127.0.0.1:81" interval = "10s" }, { alias_service = "web" } ] },
        ]"#;
        assert_eq!(kept(services), ["service:web:1", "said", "metrics", "db-up"]);
    }

    #[test]
    fn no_interval_is_shorter_than_a_second_and_no_run_takes_for_ever() {
        let kept = |interval, timeout| KeptCheck {
            id: String::new(),
            name: String::new(),
            check: Check { interval, timeout, ..Check::default() },
        };
        let check = kept(Some(Duration::from_millis(20)), None);
        assert_eq!((check.interval(), check.timeout()), (Duration::from_secs(1), Duration::from_secs(10)));
        let check = kept(Some(Duration::from_secs(9)), Some(Duration::from_millis(50)));
        assert_eq!((check.interval(), check.timeout()), (Duration::from_secs(9), Duration::from_millis(50)));
    }
}
