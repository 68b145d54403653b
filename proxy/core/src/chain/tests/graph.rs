//! Chains that compile and still do not go with what is exported or with who may call.

use crate::chain::check_all;
use crate::chain::fixtures::{Entries, name, redirect, route, split, targets};
use crate::entry::{
    Action, Consumer, ExportedService, ExportedServices, Permission, Protocol, ServiceIntentions,
};
use crate::entry::{Failover, Source};
use crate::problem::Place;

/// Exports `services` to the peer `east`; `*` is all.
fn exporting(mut entries: Entries, services: &[&str]) -> Entries {
    let service = |it: &&str| ExportedService {
        name: (*it != "*").then(|| name(it)),
        consumers: vec![Consumer { peer: name("east") }],
    };
    let services = services.iter().map(service).collect();
    entries.0.exported = Some(ExportedServices { services, ..ExportedServices::default() });
    entries
}

/// Lets `web` call `destination` by request only.
fn by_request(mut entries: Entries, destination: &str) -> Entries {
    let permission = Permission { action: Action::Allow, http: None, jwt: None };
    let source = Source { name: "web".to_owned(), peer: None, action: None, permissions: vec![permission] };
    let intentions = ServiceIntentions {
        place: Place::default(),
        name: destination.to_owned(),
        sources: vec![source],
        jwt: None,
        meta: Default::default(),
    };
    entries.0.intentions.insert(destination.to_owned(), intentions);
    entries
}

/// `ENTRY: message` of each conflict.
fn check(entries: &Entries, expected: &[&str]) {
    let conflicts = check_all(&entries.0, &name("dc1"), &name("td.consul"));
    let lines: Vec<String> = conflicts.iter().map(|it| format!("{}: {}", it.entry, it.error)).collect();
    assert_eq!(lines, expected);
}

fn to_datacenters() -> Failover {
    Failover { datacenters: vec![name("dc2")], ..Failover::default() }
}

#[test]
fn an_exported_service_leads_neither_to_another_datacenter_nor_by_redirect_to_a_peer() {
    for (to, contains) in [
        ("@dc2", "cross-datacenter resolver redirect"),
        ("api@dc1", "cross-datacenter resolver redirect"),
        ("api@peer:west", "cross-peer resolver redirect"),
    ] {
        let entries = Entries::default().redirect("web", redirect(to));
        let line = format!("service-resolver \"web\": peer exported service \"web\" contains {contains}");
        check(&exporting(entries.clone(), &["web"]), &[&line]);
        check(&exporting(entries.clone(), &["*"]), &[&line]);
        check(&exporting(entries.clone(), &["other", "consul"]), &[]);
        check(&entries, &[]);
    }
}

#[test]
fn an_exported_service_fails_over_to_peers_but_not_to_datacenters() {
    let failing = |failover: Failover| {
        exporting(
            Entries::default().resolver("web", |it| drop(it.failover.insert("*".to_owned(), failover))),
            &["web"],
        )
    };
    let line = "service-resolver \"web\": peer exported service \"web\" contains cross-datacenter failover";
    check(&failing(to_datacenters()), &[line]);
    check(&failing(targets(["@dc2"])), &[line]);
    check(&failing(targets(["api@peer:west"])), &[]);
}

#[test]
fn whatever_an_exported_chain_is_made_of_counts() {
    let helper =
        |entries: Entries| exporting(entries.redirect("helper", redirect("api@peer:west")), &["web"]);
    let line =
        "service-resolver \"helper\": peer exported service \"web\" contains cross-peer resolver redirect";
    let http = Entries::http;
    check(&helper(http().router("web", [route("/", "helper")])), &[line]);
    check(&helper(http().splitter("web", [split(50.0, ""), split(50.0, "helper")])), &[line]);
    check(&helper(http().redirect("web", redirect("helper"))), &[line]);
    check(
        &helper(http().resolver("web", |it| drop(it.failover.insert("*".to_owned(), targets(["helper"]))))),
        &[line],
    );
    let at_peer = |it: &mut crate::entry::ServiceResolver| {
        it.failover.insert("*".to_owned(), targets(["helper@peer:west"]));
    };
    check(&helper(http().resolver("web", at_peer)), &[]);
}

#[test]
fn permissions_by_request_need_a_service_that_has_requests() {
    let line = |service, protocol| {
        format!(
            "service-intentions \"{service}\": service \"{service}\" has protocol \"{protocol}\", which is \
             incompatible with L7 intentions permissions"
        )
    };
    check(&by_request(Entries::default(), "api"), &[&line("api", "tcp")]);
    check(&by_request(Entries::default().speaks("api", Protocol::Grpc), "api"), &[]);
    check(&by_request(Entries::http(), "api"), &[]);
    check(&by_request(Entries::default(), "*"), &[]);
    // What counts is what its chain speaks.
    check(&by_request(Entries::default().speaks("api", Protocol::Http), "b"), &[&line("b", "tcp")]);
}
