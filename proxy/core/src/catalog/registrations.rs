//! Registrations into instances and gateways.
//!
//! An instance is an application with its sidecar; an application without one is not of the mesh, for there is
//! nothing to dial.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Catalog, HealthEntry, Instance};
use crate::entry::{AgentSettings, Check, HealthStatus, Kind, Registration};
use crate::name::{Datacenter, ServiceName};
use crate::problem::Problem;

/// Reads `registrations`, in their order. The names of what is left out go to `problems`.
pub(super) fn read(
    registrations: &[Registration],
    agent: &AgentSettings,
    problems: &mut Vec<Problem>,
) -> Catalog {
    let mut catalog = Catalog::default();
    let reader = Reader { applications: Applications::of(registrations, agent), agent };
    for registration in registrations {
        match registration.kind {
            Kind::Typical => {}
            Kind::MeshGateway => {
                let datacenter = reader.datacenter(registration);
                let address = reader.address(registration, datacenter);
                catalog.gateways.entry(datacenter.clone()).or_default().push(address);
            }
            Kind::ConnectProxy => {
                if let Some(instance) = reader.instance(registration, problems) {
                    catalog.instances.entry(instance.service.clone()).or_default().push(instance);
                }
            }
        }
    }
    // Nothing is added after this, and there may be thousands of services.
    catalog.instances.values_mut().for_each(Vec::shrink_to_fit);
    catalog
}

/// Where a registration's instance runs.
fn datacenter<'a>(registration: &'a Registration, agent: &'a AgentSettings) -> &'a Datacenter {
    registration.datacenter.as_ref().unwrap_or(&agent.datacenter)
}

/// The applications of all datacenters. A catalog has as many sidecars that each look for one.
#[derive(Default)]
struct Applications<'a> {
    /// The first of an id.
    by_id: HashMap<(&'a Datacenter, &'a str), &'a Registration>,
    /// The only one of a name; None where there are several.
    by_name: HashMap<(&'a Datacenter, &'a ServiceName), Option<&'a Registration>>,
}

impl<'a> Applications<'a> {
    fn of(registrations: &'a [Registration], agent: &'a AgentSettings) -> Self {
        let mut all = Self::default();
        for it in registrations.iter().filter(|it| it.kind == Kind::Typical) {
            let datacenter = datacenter(it, agent);
            all.by_id.entry((datacenter, it.id.as_str())).or_insert(it);
            all.by_name.entry((datacenter, &it.name)).and_modify(|only| *only = None).or_insert(Some(it));
        }
        all
    }

    /// The application that `sidecar` stands beside: by id, else the only one of its name.
    fn beside(&self, sidecar: &'a Registration, datacenter: &'a Datacenter) -> Option<&'a Registration> {
        if let Some(id) = &sidecar.proxy.destination_service_id {
            return self.by_id.get(&(datacenter, id.as_str())).copied();
        }
        let name = sidecar.proxy.destination_service_name.as_ref()?;
        self.by_name.get(&(datacenter, name)).copied().flatten()
    }
}

struct Reader<'a> {
    applications: Applications<'a>,
    agent: &'a AgentSettings,
}

impl<'a> Reader<'a> {
    fn datacenter(&self, registration: &'a Registration) -> &'a Datacenter {
        datacenter(registration, self.agent)
    }

    /// What to dial, as [`Instance::address`]: a socket, or the WAN address for who is in another datacenter, else the LAN address, as far as they
    /// are tagged.
    fn address(&self, registration: &Registration, datacenter: &Datacenter) -> String {
        if let Some(path) = &registration.socket_path {
            return format!("unix://{}", path.display());
        }
        let tagged = |tag| registration.tagged_addresses.get(tag);
        let wan = if *datacenter == self.agent.datacenter { None } else { tagged("wan") };
        match wan.or_else(|| tagged("lan")) {
            // A tagged address without a port means the service's own.
            Some((host, 0)) => host_port(host, registration.port),
            Some((host, port)) => host_port(host, *port),
            None => host_port(&registration.address, registration.port),
        }
    }

    fn instance(&self, sidecar: &'a Registration, problems: &mut Vec<Problem>) -> Option<Instance> {
        let datacenter = self.datacenter(sidecar);
        let application = self.applications.beside(sidecar, datacenter);
        let id = sidecar.proxy.destination_service_id.as_deref();
        if let (None, Some(id)) = (application, id) {
            let message = format!("there is no service with the id {id:?} in {datacenter}");
            problems.push(Problem::warning(&sidecar.place, "proxy.destination_service_id", message));
        }
        let named = sidecar.proxy.destination_service_name.clone();
        let Some(service) = named.or_else(|| application.map(|it| it.name.clone())) else {
            let message = "is required: which service does this sidecar stand beside?";
            problems.push(Problem::error(&sidecar.place, "proxy.destination_service_name", message));
            return None;
        };
        if sidecar.port == 0 && sidecar.socket_path.is_none() {
            let message = "is required: other sidecars dial it";
            problems.push(Problem::error(&sidecar.place, "port", message));
            return None;
        }
        Some(self.pair(service, sidecar, application, datacenter))
    }

    fn pair(
        &self,
        service: ServiceName,
        sidecar: &Registration,
        application: Option<&Registration>,
        datacenter: &Datacenter,
    ) -> Instance {
        // Without a registration of its own, an application is what its sidecar says of it.
        let own = application.unwrap_or(sidecar);
        Instance {
            id: own.id.clone(),
            service,
            sidecar_id: sidecar.id.clone(),
            sidecar_service: sidecar.name.clone(),
            datacenter: datacenter.clone(),
            node: self.agent.node_name.clone(),
            host: own.address.clone(),
            port: own.port,
            address: self.address(sidecar, datacenter),
            tags: tags(own, sidecar),
            meta: meta(own, sidecar),
            weight_passing: own.weight_passing,
            weight_warning: own.weight_warning,
            status: worst(own).max(worst(sidecar)),
            health: HealthEntry::of(application, sidecar),
        }
    }
}

/// The words of both.
fn tags(own: &Registration, sidecar: &Registration) -> Arc<[String]> {
    let more: Vec<&String> = sidecar.tags.iter().filter(|tag| !own.tags.contains(tag)).collect();
    match more.is_empty() {
        true => Arc::clone(&own.tags),
        false => own.tags.iter().chain(more).cloned().collect(),
    }
}

/// The pairs of both, of one key the sidecar's.
fn meta(own: &Registration, sidecar: &Registration) -> Arc<BTreeMap<String, String>> {
    let mut meta = Arc::clone(&own.meta);
    for (key, value) in sidecar.meta.iter().filter(|(key, value)| own.meta.get(*key) != Some(*value)) {
        Arc::make_mut(&mut meta).insert(key.clone(), value.clone());
    }
    meta
}

/// The worst status written. Whether a check that is run is critical says the instance's own sidecar, by refusing
/// connections: what was written counts there, until the first run.
fn worst(registration: &Registration) -> HealthStatus {
    let counts = |check: &&Check| !(check.is_run() && check.status == Some(HealthStatus::Critical));
    registration.checks.iter().filter(counts).filter_map(|check| check.status).max().unwrap_or_default()
}

fn host_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Action, CaConfig, Check, Proxy};
    use crate::problem::Place;

    fn agent() -> AgentSettings {
        AgentSettings {
            datacenter: "dc1".parse().expect("a valid name"),
            node_name: "node-1".to_owned(),
            bind_addr: "0.0.0.0".to_owned(),
            advertise_addr: "127.0.0.1".to_owned(),
            default_policy: Action::Allow,
            ca: CaConfig::default(),
            peering: true,
        }
    }

    fn registration(kind: Kind, id: &str, port: u16) -> Registration {
        Registration {
            place: Place::default(),
            kind,
            id: id.to_owned(),
            name: id.trim_end_matches(|c: char| c.is_ascii_digit()).parse().expect("a valid name"),
            datacenter: None,
            address: "10.0.0.1".to_owned(),
            own_address: true,
            port,
            socket_path: None,
            tagged_addresses: [].into(),
            tags: [].into(),
            enable_tag_override: false,
            meta: Arc::default(),
            weight_passing: 1,
            weight_warning: 1,
            checks: [].into(),
            proxy: Proxy::default(),
        }
    }

    fn sidecar(of: &str, port: u16) -> Registration {
        let proxy = Proxy { destination_service_id: Some(of.to_owned()), ..Proxy::default() };
        Registration { proxy, ..registration(Kind::ConnectProxy, &format!("{of}-sidecar-proxy"), port) }
    }

    fn elsewhere(it: Registration) -> Registration {
        let tagged_addresses =
            [("lan".to_owned(), ("10.1.0.1".to_owned(), 1)), ("wan".to_owned(), ("1.2.3.4".to_owned(), 0))];
        Registration {
            datacenter: Some("dc2".parse().expect("a valid name")),
            tagged_addresses: tagged_addresses.into(),
            ..it
        }
    }

    /// `id@address` of each instance, after reading.
    fn check(registrations: &[Registration], expected: &[&str], problems: &[&str]) {
        let mut found = Vec::new();
        let catalog = read(registrations, &agent(), &mut found);
        let instances = catalog.instances.values().flatten();
        let shown: Vec<String> = instances.map(|it| format!("{}@{}", it.id, it.address)).collect();
        assert_eq!(shown, expected);
        let found: Vec<&str> = found.iter().map(|problem| problem.field.as_str()).collect();
        assert_eq!(found, problems);
    }

    #[test]
    fn an_instance_is_an_application_with_its_sidecar() {
        let app = |id| registration(Kind::Typical, id, 80);
        check(&[app("web1"), app("web2"), sidecar("web1", 21000)], &["web1@10.0.0.1:21000"], &[]);
        let named = |name: &str| {
            let proxy = Proxy {
                destination_service_name: Some(name.parse().expect("a valid name")),
                ..Proxy::default()
            };
            Registration { proxy, ..registration(Kind::ConnectProxy, "proxy", 20000) }
        };
        check(&[named("web"), app("web1")], &["web1@10.0.0.1:20000"], &[]);
        check(&[named("web"), app("web1"), app("web2")], &["proxy@10.0.0.1:20000"], &[]);
        check(&[named("db")], &["proxy@10.0.0.1:20000"], &[]);
    }

    #[test]
    fn an_instance_has_its_own_words_and_pairs_and_over_them_its_sidecars() {
        let text = |text: &str| text.to_owned();
        let app = Registration {
            tags: [text("a"), text("b")].into(),
            meta: Arc::new([(text("version"), text("v1")), (text("owner"), text("us"))].into()),
            ..registration(Kind::Typical, "web1", 80)
        };
        let own = Registration {
            tags: [text("b"), text("c")].into(),
            meta: Arc::new([(text("version"), text("v2"))].into()),
            ..sidecar("web1", 21000)
        };
        let catalog = read(&[app.clone(), own], &agent(), &mut Vec::new());
        let instance = catalog.instances.values().flatten().next().expect("an instance");
        assert_eq!(instance.tags.join(" "), "a b c");
        let pairs: Vec<_> = instance.meta.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(pairs, ["owner=us", "version=v2"]);
        assert_eq!(app.meta["version"], "v1", "the registration keeps its own");
    }

    #[test]
    fn a_sidecar_on_a_socket_is_dialed_there() {
        let socket = Registration { socket_path: Some("/run/web.sock".into()), ..sidecar("web1", 0) };
        check(&[registration(Kind::Typical, "web1", 80), socket], &["web1@unix:///run/web.sock"], &[]);
    }

    #[test]
    fn a_sidecar_beside_nothing_is_named() {
        check(
            &[sidecar("web1", 21000)],
            &[],
            &["proxy.destination_service_id", "proxy.destination_service_name"],
        );
        let app = registration(Kind::Typical, "web1", 80);
        check(&[app.clone(), sidecar("web1", 0)], &[], &["port"]);
        check(
            &[elsewhere(app), sidecar("web1", 1)],
            &[],
            &["proxy.destination_service_id", "proxy.destination_service_name"],
        );
    }

    #[test]
    fn other_datacenters_are_dialed_at_their_wan_addresses() {
        let app = registration(Kind::Typical, "web1", 80);
        check(&[elsewhere(app), elsewhere(sidecar("web1", 21000))], &["web1@1.2.3.4:21000"], &[]);
        let gateways = [
            registration(Kind::MeshGateway, "gw", 8443),
            elsewhere(registration(Kind::MeshGateway, "gw", 8443)),
        ];
        let catalog = read(&gateways, &agent(), &mut Vec::new());
        let shown: Vec<_> =
            catalog.gateways.iter().map(|(dc, gateways)| (dc.as_str(), gateways.join(","))).collect();
        assert_eq!(shown, [("dc1", "10.0.0.1:8443".to_owned()), ("dc2", "1.2.3.4:8443".to_owned())]);
    }

    #[test]
    fn an_instance_is_as_healthy_as_the_worst_of_its_checks() {
        let checked = |it: Registration, statuses: &[HealthStatus]| Registration {
            checks: statuses
                .iter()
                .map(|status| Check { status: Some(*status), ..Check::default() })
                .collect(),
            weight_warning: 7,
            ..it
        };
        for (app, proxy, expected, weight) in [
            (&[][..], &[][..], HealthStatus::Passing, 1),
            (&[HealthStatus::Warning, HealthStatus::Passing], &[], HealthStatus::Warning, 7),
            (&[HealthStatus::Warning], &[HealthStatus::Critical], HealthStatus::Critical, 0),
        ] {
            let registrations = [
                checked(registration(Kind::Typical, "web1", 80), app),
                checked(sidecar("web1", 21000), proxy),
            ];
            let catalog = read(&registrations, &agent(), &mut Vec::new());
            let instance = catalog.instances.values().flatten().next().expect("an instance");
            assert_eq!((instance.status, instance.weight()), (expected, weight));
        }
    }

    #[test]
    fn a_check_that_is_run_takes_no_instance_out_for_what_was_written() {
        let tcp = Check { tcp: Some("127.0.0.1:80".to_owned()), ..Check::default() };
        for (status, expected) in
            [(HealthStatus::Critical, HealthStatus::Passing), (HealthStatus::Warning, HealthStatus::Warning)]
        {
            let checks = [Check { status: Some(status), ..tcp.clone() }].into();
            let registrations =
                [Registration { checks, ..registration(Kind::Typical, "web1", 80) }, sidecar("web1", 21000)];
            let catalog = read(&registrations, &agent(), &mut Vec::new());
            let instance = catalog.instances.values().flatten().next().expect("an instance");
            assert_eq!(instance.status, expected);
        }
    }

    #[test]
    fn ipv6_addresses_are_bracketed() {
        assert_eq!(host_port("::1", 80), "[::1]:80");
        assert_eq!(host_port("web.local", 80), "web.local:80");
    }
}
