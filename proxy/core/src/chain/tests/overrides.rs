//! What a caller wants otherwise than the entries say, and whose word counts for a sidecar.

use std::time::Duration;

use crate::chain::fixtures::{Entries, name, node_keys, route, seconds, sidecar, split, target, targets};
use crate::chain::{Overrides, UpstreamSettings};
use crate::entry::{MeshGatewayMode, Protocol, Proxy, ServiceDefaults, Upstream, UpstreamConfig};
use crate::problem::Place;

fn protocol(protocol: Protocol) -> Overrides {
    Overrides { protocol: Some(protocol), ..Overrides::default() }
}

fn mode(mesh_gateway: MeshGatewayMode) -> Overrides {
    Overrides { mesh_gateway, ..Overrides::default() }
}

fn connect(timeout: Duration) -> Overrides {
    Overrides { connect_timeout: Some(timeout), ..Overrides::default() }
}

#[test]
fn an_override_of_the_protocol_takes_its_place() {
    let chain = Entries::default().chain_with("web", protocol(Protocol::Http));
    assert_eq!(chain.protocol, Protocol::Http);
    assert_eq!(chain.customization_hash.as_deref(), Some("1a47f6e1"));
}

#[test]
fn an_opaque_protocol_leaves_out_router_and_splitters() {
    let entries = Entries::http().router("web", [route("/a", "api")]).splitter("web", [split(100.0, "b")]);
    let chain = entries.chain_with("web", protocol(Protocol::Tcp));
    assert_eq!(node_keys(&chain), ["resolver:web.default.default.dc1"]);
    assert_eq!(chain.protocol, Protocol::Tcp);
    assert!(chain.customization_hash.is_some());
}

#[test]
fn a_router_left_out_is_a_change_even_where_the_protocol_is_none() {
    let left_out = Entries::default().router("web", []).chain_with("web", protocol(Protocol::Tcp));
    let none = Entries::default().chain_with("web", protocol(Protocol::Tcp));
    assert!(left_out.customization_hash.is_some());
    assert_eq!(none.customization_hash, None);
}

#[test]
fn another_protocol_of_requests_keeps_the_router() {
    let chain = Entries::http().router("web", []).chain_with("web", protocol(Protocol::Grpc));
    assert_eq!(chain.start.to_string(), "router:web.default.default");
    assert_eq!(chain.protocol, Protocol::Grpc);
    assert_eq!(chain.customization_hash.as_deref(), Some("ef15b5b5"));
}

#[test]
fn an_override_does_not_make_opaque_bytes_routable() {
    let error = Entries::default().router("web", []).compile_with("web", protocol(Protocol::Http));
    assert_eq!(
        error.map_err(|error| error.to_string()),
        Err("discovery chain \"web\" uses a protocol \"tcp\" that does not permit advanced routing or splitting behavior".to_owned())
    );
}

#[test]
fn an_override_of_the_gateway_mode_holds_for_every_target() {
    let entries = Entries::default()
        .global(None, MeshGatewayMode::Remote)
        .defaults("backup", |it| it.mesh_gateway = MeshGatewayMode::None)
        .resolver("web", |it| {
            it.failover.insert("*".to_owned(), targets(["backup@dc2"]));
        });
    let chain = entries.chain_with("web", mode(MeshGatewayMode::Local));
    assert!(chain.targets.values().all(|it| it.mesh_gateway == MeshGatewayMode::Local));
    assert_eq!(chain.customization_hash.as_deref(), Some("c225dc1c"));
}

#[test]
fn an_override_of_the_connect_timeout_holds_for_every_target_and_node() {
    let entries = Entries::default().resolver("web", |it| {
        it.connect_timeout = Some(seconds(15));
        it.failover.insert("*".to_owned(), targets(["backup"]));
    });
    let chain = entries.chain_with("web", connect(seconds(22)));
    assert!(chain.targets.values().all(|it| it.connect_timeout == seconds(22)));
    assert_eq!(target(&chain, "backup.default.default.dc1").connect_timeout, seconds(22));
    assert!(chain.customization_hash.is_some());
}

#[test]
fn an_override_that_changes_nothing_is_no_customization() {
    let entries = Entries::default()
        .global(Some(Protocol::Http), MeshGatewayMode::Remote)
        .resolver("web", |it| it.connect_timeout = Some(seconds(15)));
    for same in [
        protocol(Protocol::Http),
        mode(MeshGatewayMode::Remote),
        mode(MeshGatewayMode::Default),
        connect(seconds(15)),
        connect(seconds(0)),
        Overrides::default(),
    ] {
        let chain = entries.chain_with("web", same);
        assert_eq!(chain, entries.chain("web"), "{same:?}");
        assert_eq!(chain.customization_hash, None);
    }
}

#[test]
fn only_what_changed_something_is_hashed() {
    let all = Overrides { connect_timeout: Some(seconds(5)), ..mode(MeshGatewayMode::Remote) };
    let chain = Entries::default().chain_with("web", all);
    assert_eq!(chain.customization_hash.as_deref(), Some("dd412229"));
}

#[test]
fn the_hash_tells_one_overriding_value_from_another() {
    let hash = |timeout| Entries::default().chain_with("web", connect(timeout)).customization_hash;
    assert_eq!(hash(seconds(22)), hash(seconds(22)));
    assert_ne!(hash(seconds(22)), hash(seconds(23)));
}

/// What a test of precedence sets, each at its own level.
#[derive(Default)]
struct Sidecar {
    entries: Entries,
    proxy: Proxy,
    upstream: UpstreamConfig,
    peer: Option<&'static str>,
}

impl Sidecar {
    /// `service-defaults` of the caller, `app`.
    fn caller(mut self, change: impl FnOnce(&mut ServiceDefaults)) -> Self {
        self.entries = self.entries.defaults("app", change);
        self
    }

    fn overrides(&self) -> Overrides {
        let upstream = Upstream {
            place: Place::default(),
            destination_name: name("web"),
            destination_peer: self.peer.map(name),
            datacenter: None,
            local_bind_address: None,
            local_bind_port: Some(9191),
            local_bind_socket_path: None,
            local_bind_socket_mode: None,
            config: self.upstream.clone(),
        };
        let sidecar = sidecar("app-sidecar-proxy", self.proxy.clone());
        UpstreamSettings::new(&self.entries.0, &name("app"), &sidecar, &upstream).overrides()
    }
}

fn for_web(config: UpstreamConfig) -> UpstreamConfig {
    UpstreamConfig { name: Some(name("web")), ..config }
}

fn with_mode(mesh_gateway: MeshGatewayMode) -> UpstreamConfig {
    UpstreamConfig { mesh_gateway, ..UpstreamConfig::default() }
}

#[test]
fn the_gateway_mode_is_that_of_the_first_of_six_places_that_sets_one() {
    let levels: [fn(&mut Sidecar); 6] = [
        |it| it.upstream.mesh_gateway = MeshGatewayMode::Local,
        |it| {
            let own = for_web(with_mode(MeshGatewayMode::Local));
            defaults_of_caller(it).upstream_config.overrides = vec![own];
        },
        |it| it.proxy.mesh_gateway = MeshGatewayMode::Local,
        |it| defaults_of_caller(it).upstream_config.defaults = with_mode(MeshGatewayMode::Local),
        |it| defaults_of_caller(it).mesh_gateway = MeshGatewayMode::Local,
        |it| it.entries = std::mem::take(&mut it.entries).global(None, MeshGatewayMode::Local),
    ];
    let others: [fn(&mut Sidecar); 6] = [
        |it| it.upstream.mesh_gateway = MeshGatewayMode::Remote,
        |it| {
            let own = for_web(with_mode(MeshGatewayMode::Remote));
            defaults_of_caller(it).upstream_config.overrides = vec![own];
        },
        |it| it.proxy.mesh_gateway = MeshGatewayMode::Remote,
        |it| defaults_of_caller(it).upstream_config.defaults = with_mode(MeshGatewayMode::Remote),
        |it| defaults_of_caller(it).mesh_gateway = MeshGatewayMode::Remote,
        |it| it.entries = std::mem::take(&mut it.entries).global(None, MeshGatewayMode::Remote),
    ];
    for first in 0..levels.len() {
        let mut sidecar = Sidecar::default();
        levels[first](&mut sidecar);
        others[first + 1..].iter().for_each(|set| set(&mut sidecar));
        assert_eq!(sidecar.overrides().mesh_gateway, MeshGatewayMode::Local, "level {first}");
    }
    assert_eq!(Sidecar::default().overrides().mesh_gateway, MeshGatewayMode::Default);
}

fn defaults_of_caller(sidecar: &mut Sidecar) -> &mut ServiceDefaults {
    sidecar.entries.0.defaults.entry(name("app")).or_default()
}

#[test]
fn for_a_sidecar_proxy_defaults_beat_the_upstreams_own_service_defaults() {
    let entries = Entries::default()
        .global(None, MeshGatewayMode::Remote)
        .defaults("web", |it| it.mesh_gateway = MeshGatewayMode::Local);
    let sidecar = Sidecar { entries: entries.clone(), ..Sidecar::default() };
    let chain = entries.chain_with("web", sidecar.overrides());
    assert_eq!(target(&chain, "web.default.default.dc1").mesh_gateway, MeshGatewayMode::Remote);
    let plain = entries.chain("web");
    assert_eq!(target(&plain, "web.default.default.dc1").mesh_gateway, MeshGatewayMode::Local);
}

#[test]
fn the_protocol_is_that_of_the_upstream_the_caller_the_service_or_all() {
    let config = |protocol| UpstreamConfig { protocol: Some(protocol), ..UpstreamConfig::default() };
    let mut sidecar = Sidecar::default();
    assert_eq!(sidecar.overrides().protocol, None);

    sidecar.entries = Entries::http();
    assert_eq!(sidecar.overrides().protocol, Some(Protocol::Http));
    sidecar.entries = sidecar.entries.defaults("web", |_| {});
    assert_eq!(sidecar.overrides().protocol, None, "an entry without a protocol hides proxy-defaults");
    sidecar.entries = sidecar.entries.speaks("web", Protocol::Http2);
    assert_eq!(sidecar.overrides().protocol, Some(Protocol::Http2));
    let sidecar = sidecar.caller(|it| it.upstream_config.defaults = config(Protocol::Grpc));
    assert_eq!(sidecar.overrides().protocol, Some(Protocol::Grpc));
    let mut sidecar = sidecar.caller(|it| {
        it.upstream_config.defaults = config(Protocol::Grpc);
        it.upstream_config.overrides = vec![for_web(config(Protocol::Tcp))];
    });
    assert_eq!(sidecar.overrides().protocol, Some(Protocol::Tcp));
    sidecar.upstream.protocol = Some(Protocol::Http);
    assert_eq!(sidecar.overrides().protocol, Some(Protocol::Http));
}

#[test]
fn the_connect_timeout_is_that_of_the_upstream_or_the_caller() {
    let config =
        |timeout| UpstreamConfig { connect_timeout: Some(seconds(timeout)), ..UpstreamConfig::default() };
    let mut sidecar = Sidecar::default().caller(|it| it.upstream_config.defaults = config(3));
    assert_eq!(sidecar.overrides().connect_timeout, Some(seconds(3)));
    defaults_of_caller(&mut sidecar).upstream_config.overrides = vec![for_web(config(2))];
    assert_eq!(sidecar.overrides().connect_timeout, Some(seconds(2)));
    sidecar.upstream.connect_timeout = Some(seconds(1));
    assert_eq!(sidecar.overrides().connect_timeout, Some(seconds(1)));
    sidecar.upstream.connect_timeout = Some(seconds(0));
    assert_eq!(sidecar.overrides().connect_timeout, Some(seconds(2)), "zero says nothing");
}

#[test]
fn an_override_for_a_service_here_is_none_for_its_namesake_at_a_peer() {
    let at_peer = UpstreamConfig { peer: Some(name("east")), ..for_web(with_mode(MeshGatewayMode::Local)) };
    let here = for_web(with_mode(MeshGatewayMode::Remote));
    let mut sidecar = Sidecar::default().caller(|it| it.upstream_config.overrides = vec![at_peer, here]);
    assert_eq!(sidecar.overrides().mesh_gateway, MeshGatewayMode::Remote);
    sidecar.peer = Some("east");
    assert_eq!(sidecar.overrides().mesh_gateway, MeshGatewayMode::Local);
}

#[test]
fn what_a_peers_service_speaks_is_not_taken_from_entries_here() {
    let entries = Entries::http().speaks("web", Protocol::Grpc);
    let sidecar = Sidecar { entries, peer: Some("east"), ..Sidecar::default() };
    assert_eq!(sidecar.overrides().protocol, None);
}
