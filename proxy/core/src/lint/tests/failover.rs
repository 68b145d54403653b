//! Failover.

use super::{check, check_none};

/// A resolver of `api` with these subsets and failover from line 4 on.
fn resolver(failover: &str) -> String {
    format!(
        "Kind = \"service-resolver\"\nName = \"api\"\nDefaultSubset = \"v1\"\nSubsets {{ v1 {{ Filter = \"Service.Meta.version == v1\" }} }}\nFailover {{\n{failover}\n}}\n"
    )
}

#[test]
fn failover_that_can_trigger_is_no_mistake() {
    check_none(&resolver("v1 { Service = \"web\" }"));
    check_none(&resolver("\"*\" { Targets = [{ Peer = \"east\" }, { Service = \"web\" }] }"));
}

#[test]
fn a_key_that_every_subset_has_its_own_for_never_triggers() {
    check(
        &resolver("v1 { Service = \"web\" }\n\"*\" { Service = \"admin\" }"),
        "7:5",
        "never triggers: every subset of api that requests end at has its own entry",
    );
}

#[test]
fn a_target_that_is_the_one_that_fails_never_takes_over() {
    check(
        &resolver("\"*\" { Targets = [\n{ ServiceSubset = \"v1\" },\n{ Service = \"web\" }] }"),
        "7:1",
        "never takes over: it is the very target that fails",
    );
    check(
        &resolver("\"*\" { Datacenters = [\"dc1\"] }"),
        "6:22",
        "never takes over: it is the very target that fails",
    );
}

#[test]
fn a_target_that_is_there_twice_never_takes_over_again() {
    check(
        &resolver(
            "\"*\" { Targets = [\n{ Service = \"web\" },\n{ Peer = \"east\" },\n{ Service = \"web\" }] }",
        ),
        "9:1",
        "never takes over: it is Failover[\"*\"].Targets[0] again",
    );
}

#[test]
fn a_target_that_nobody_answers_at_cannot_take_over() {
    for (target, words) in [
        ("Service = \"gone\"", "no instance of gone is registered"),
        ("Peer = \"west\"", "there is no peering west yet"),
        ("Datacenter = \"dc9\"", "neither an instance of api nor a mesh gateway is registered in dc9"),
    ] {
        check(&resolver(&format!("\"*\" {{ Targets = [\n{{ {target} }}] }}")), "7:1", words);
    }
}

#[test]
fn failover_of_what_is_only_failed_over_to_never_triggers() {
    let entries = "config_entries { bootstrap = [\n\
        { Kind = \"service-splitter\" Name = \"admin\" Splits = [{ Weight = 100 Service = \"web\" }] },\n\
        { Kind = \"service-resolver\" Name = \"api\" Failover { \"*\" { Service = \"admin\" } } },\n\
        { Kind = \"service-resolver\" Name = \"admin\" Failover { \"*\" { Service = \"web\" } } },\n] }\n";
    check(entries, "4:59", "never triggers: no request ends at admin but by failover");
}
