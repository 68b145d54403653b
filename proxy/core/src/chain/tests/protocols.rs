//! The one protocol of a chain.

use crate::chain::fixtures::{Entries, redirect, route, split, targets};
use crate::entry::{MeshGatewayMode, Protocol};

/// What the chain of web speaks, or why it has none.
fn check(entries: &Entries, expected: Result<Protocol, &str>) {
    let found = entries.compile("web").map(|chain| chain.protocol).map_err(|error| error.to_string());
    assert_eq!(found, expected.map_err(str::to_owned));
}

#[test]
fn a_service_without_entries_speaks_tcp() {
    check(&Entries::default(), Ok(Protocol::Tcp));
}

#[test]
fn proxy_defaults_say_what_a_service_without_defaults_speaks() {
    let grpc = Entries::default().global(Some(Protocol::Grpc), MeshGatewayMode::Default);
    check(&grpc, Ok(Protocol::Grpc));
}

#[test]
fn service_defaults_without_a_protocol_mean_tcp_whatever_proxy_defaults_say() {
    check(&Entries::http().defaults("web", |_| {}), Ok(Protocol::Tcp));
}

#[test]
fn every_hop_of_a_redirect_must_agree() {
    let entries = Entries::http()
        .redirect("web", redirect("hop"))
        .speaks("hop", Protocol::Grpc)
        .redirect("hop", redirect("end"));
    check(
        &entries,
        Err(
            "discovery chain \"web\" uses inconsistent protocols; service \"hop\" has \"grpc\" which is not \"http\"",
        ),
    );
}

#[test]
fn every_failover_target_must_agree() {
    let entries = Entries::http().speaks("backup", Protocol::Tcp).resolver("web", |it| {
        it.failover.insert("*".to_owned(), targets(["backup"]));
    });
    check(
        &entries,
        Err(
            "discovery chain \"web\" uses inconsistent protocols; service \"backup\" has \"tcp\" which is not \"http\"",
        ),
    );
}

#[test]
fn every_leg_must_agree() {
    let entries =
        Entries::http().splitter("web", [split(50.0, ""), split(50.0, "api")]).speaks("api", Protocol::Http2);
    check(
        &entries,
        Err(
            "discovery chain \"web\" uses inconsistent protocols; service \"api\" has \"http2\" which is not \"http\"",
        ),
    );
}

#[test]
fn every_routes_destination_must_agree_with_the_routers_service() {
    let entries = Entries::http().router("web", [route("/a", "api")]).speaks("web", Protocol::Grpc);
    check(
        &entries,
        Err(
            "discovery chain \"web\" uses inconsistent protocols; service \"api\" has \"http\" which is not \"grpc\"",
        ),
    );
}

#[test]
fn a_splitters_own_service_counts_only_where_it_is_resolved_too() {
    let entries = Entries::http().speaks("web", Protocol::Tcp).splitter("web", [split(100.0, "api")]);
    check(&entries, Ok(Protocol::Http));
}

#[test]
fn what_a_service_at_a_peer_speaks_is_not_asked_here() {
    let entries = Entries::http().speaks("api", Protocol::Tcp).redirect("web", redirect("api@peer:east"));
    check(&entries, Ok(Protocol::Http));
}

#[test]
fn a_chain_of_peer_targets_alone_speaks_what_its_service_does() {
    check(&Entries::http().splitter("web", [split(100.0, "@peer:east")]), Ok(Protocol::Http));
    let tcp = Entries::default().splitter("web", [split(100.0, "@peer:east")]);
    check(
        &tcp,
        Err(
            "discovery chain \"web\" uses a protocol \"tcp\" that does not permit advanced routing or splitting behavior",
        ),
    );
}

#[test]
fn opaque_bytes_are_neither_routed_nor_split() {
    let refused = "discovery chain \"web\" uses a protocol \"tcp\" that does not permit advanced routing or splitting behavior";
    check(&Entries::default().router("web", []), Err(refused));
    check(&Entries::default().splitter("web", [split(100.0, "")]), Err(refused));
}

#[test]
fn opaque_bytes_are_redirected_and_fail_over() {
    let entries = Entries::default().redirect("web", redirect("api")).resolver("api", |it| {
        it.failover.insert("*".to_owned(), targets(["@peer:east"]));
    });
    check(&entries, Ok(Protocol::Tcp));
}
