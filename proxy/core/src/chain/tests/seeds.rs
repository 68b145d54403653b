//! The entries that the project started from: failover to a peer, a split with it, a helper that names it.

use crate::chain::fixtures::{Entries, leads, name, redirect, seconds, split, target, targets};
use crate::chain::{json, text};
use crate::entry::{Failover, FailoverTarget};

/// `cluster-01`, whose `frontend` has a backup at the peer `cluster-02`.
fn cluster_01() -> Entries {
    Entries::http().resolver("frontend", |it| {
        it.connect_timeout = Some(seconds(15));
        it.failover.insert("*".to_owned(), targets(["@peer:cluster-02"]));
    })
}

fn with_helper() -> Entries {
    cluster_01()
        .splitter("frontend", [split(50.0, ""), split(50.0, "frontend-peer")])
        .redirect("frontend-peer", redirect("frontend@peer:cluster-02"))
}

#[test]
fn the_peer_takes_over_from_the_local_frontend() {
    let chain = cluster_01().chain("frontend");
    assert_eq!(
        leads(&chain, "resolver:frontend.default.default.dc1"),
        ["frontend.default.default.external.cluster-02"]
    );
    assert_eq!(target(&chain, "frontend.default.default.dc1").connect_timeout, seconds(15));
    assert_eq!(target(&chain, "frontend.default.default.external.cluster-02").connect_timeout, seconds(15));
}

#[test]
fn the_kubernetes_form_that_spells_the_service_out_compiles_to_the_same() {
    let spelled_out = Entries::http().resolver("frontend", |it| {
        it.connect_timeout = Some(seconds(15));
        let target = FailoverTarget {
            service: Some(name("frontend")),
            peer: Some(name("cluster-02")),
            ..FailoverTarget::default()
        };
        it.failover.insert("*".to_owned(), Failover { targets: vec![target], ..Failover::default() });
    });
    assert_eq!(spelled_out.chain("frontend"), cluster_01().chain("frontend"));
}

#[test]
fn half_of_the_requests_go_to_the_peer_which_also_takes_over_the_other_half() {
    assert_eq!(
        text::draw(&with_helper().chain("frontend")),
        "\
frontend in dc1, http
└─ splitter frontend
   ├─ 50% → frontend.default.default.dc1
   │  └─ failover → frontend.default.default.external.cluster-02
   └─ 50% → frontend.default.default.external.cluster-02

targets
  frontend.default.default.dc1                  connect 15s
  frontend.default.default.external.cluster-02  connect 15s
"
    );
}

#[test]
fn naming_the_peer_in_the_split_compiles_to_the_same_as_the_helper() {
    let direct = cluster_01().splitter("frontend", [split(50.0, ""), split(50.0, "@peer:cluster-02")]);
    let strip = |entries: &Entries| {
        let mut answer = json::to_value(&entries.chain("frontend"));
        for i in 0..2 {
            let definition = format!("/Chain/Nodes/splitter:frontend.default.default/Splits/{i}/Definition");
            answer.pointer_mut(&definition).map(serde_json::Value::take).expect("two splits");
        }
        answer
    };
    assert_eq!(strip(&direct), strip(&with_helper()));
}

#[test]
fn the_helper_is_an_upstream_of_its_own() {
    let chain = with_helper().chain("frontend-peer");
    assert_eq!(chain.start.to_string(), "resolver:frontend.default.default.external.cluster-02");
    assert!(leads(&chain, &chain.start.to_string()).is_empty(), "a peer does not take over from itself");
}

#[test]
fn without_a_protocol_of_requests_the_split_is_refused() {
    let mut entries = with_helper();
    entries.0.proxy_defaults = None;
    assert_eq!(
        entries.error("frontend").to_string(),
        "discovery chain \"frontend\" uses a protocol \"tcp\" that does not permit advanced routing or splitting behavior"
    );
}
