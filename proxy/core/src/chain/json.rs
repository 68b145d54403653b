//! A chain as Consul's `/v1/discovery-chain/:service` shows it, field for field.
//!
//! Fields stand in Consul's order and are left out when empty, except that a target always shows its gateway
//! mode, subset and transparent proxy. Connect timeouts are texts, the request timeout of a resolver is a number
//! of nanoseconds: that is Consul's doing, and readers depend on it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::describe::time;
use super::{Chain, ChainRoute, ChainTarget, Leg, Node, NodeKey};
use crate::entry::{
    EmptyLeg, EnvoyExtension, LoadBalancer, MeshGatewayMode, Protocol, Route, Split, Sticky, Subset,
};
use crate::name::{Datacenter, PeerName, ServiceName, Sni, SubsetName, TargetId};

/// `{"Chain": {...}}`
pub fn to_value(chain: &Chain) -> Value {
    serde_json::to_value(Answer { chain: ChainView::of(chain) })
        .expect("every key below is a string, and no field's Serialize can fail")
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    chain: ChainView<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ChainView<'a> {
    service_name: &'a ServiceName,
    namespace: &'static str,
    partition: &'static str,
    datacenter: &'a Datacenter,
    #[serde(skip_serializing_if = "Option::is_none")]
    customization_hash: Option<&'a str>,
    #[serde(skip_serializing_if = "is_false")]
    default: bool,
    protocol: Protocol,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    service_meta: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    envoy_extensions: &'a [EnvoyExtension],
    start_node: String,
    // By text, as Go sorts the keys of a map.
    nodes: BTreeMap<String, NodeView<'a>>,
    targets: BTreeMap<String, TargetView<'a>>,
}

impl<'a> ChainView<'a> {
    fn of(chain: &'a Chain) -> Self {
        Self {
            service_name: &chain.service,
            namespace: "default",
            partition: "default",
            datacenter: &chain.datacenter,
            customization_hash: chain.customization_hash.as_deref(),
            default: chain.default,
            protocol: chain.protocol,
            service_meta: &chain.service_meta,
            envoy_extensions: &chain.envoy_extensions,
            start_node: chain.start.to_string(),
            nodes: chain.nodes.iter().map(|(key, node)| (key.to_string(), NodeView::of(key, node))).collect(),
            targets: chain.targets.iter().map(|(id, it)| (id.to_string(), TargetView::of(it))).collect(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NodeView<'a> {
    r#type: &'static str,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    routes: Option<Vec<RouteView<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    splits: Option<Vec<SplitView<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolver: Option<ResolverView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load_balancer: Option<&'a LoadBalancer>,
    // Beyond Consul, and there only when written.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    sticky: &'a [Sticky],
    #[serde(skip_serializing_if = "Option::is_none")]
    empty_leg: Option<EmptyLeg>,
}

impl<'a> NodeView<'a> {
    fn of(key: &NodeKey, node: &'a Node) -> Self {
        let blank = Self {
            r#type: key.kind(),
            name: key.name(),
            routes: None,
            splits: None,
            resolver: None,
            load_balancer: None,
            sticky: &[],
            empty_leg: None,
        };
        match node {
            Node::Router { routes } => {
                Self { routes: Some(routes.iter().map(RouteView::of).collect()), ..blank }
            }
            Node::Splitter { legs, load_balancer, rules } => Self {
                splits: Some(legs.iter().map(SplitView::of).collect()),
                load_balancer: load_balancer.as_ref(),
                sticky: &rules.sticky,
                empty_leg: rules.empty_leg,
                ..blank
            },
            Node::Resolver { default, connect_timeout, request_timeout, target, failover, load_balancer } => {
                let resolver = ResolverView {
                    default: *default,
                    connect_timeout: time(*connect_timeout),
                    request_timeout: request_timeout.map(nanoseconds),
                    target: target.to_string(),
                    failover: (!failover.is_empty()).then(|| FailoverView {
                        targets: failover.iter().map(TargetId::to_string).collect(),
                    }),
                };
                Self { resolver: Some(resolver), load_balancer: load_balancer.as_ref(), ..blank }
            }
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RouteView<'a> {
    definition: &'a Route,
    next_node: String,
}

impl<'a> RouteView<'a> {
    fn of(route: &'a ChainRoute) -> Self {
        Self { definition: &route.definition, next_node: route.next.to_string() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SplitView<'a> {
    definition: &'a Split,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<serde_json::Number>,
    next_node: String,
}

impl<'a> SplitView<'a> {
    fn of(leg: &'a Leg) -> Self {
        Self {
            definition: &leg.definition,
            weight: per_cent(leg.basis_points),
            next_node: leg.next.to_string(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ResolverView {
    #[serde(skip_serializing_if = "is_false")]
    default: bool,
    connect_timeout: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_timeout: Option<i64>,
    target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    failover: Option<FailoverView>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct FailoverView {
    targets: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TargetView<'a> {
    #[serde(rename = "ID")]
    id: String,
    service: &'a ServiceName,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_subset: Option<&'a SubsetName>,
    namespace: &'a str,
    partition: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    datacenter: Option<&'a Datacenter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<&'a PeerName>,
    mesh_gateway: MeshGatewayView,
    subset: &'a Subset,
    connect_timeout: String,
    transparent_proxy: TransparentProxyView,
    #[serde(skip_serializing_if = "is_false")]
    external: bool,
    #[serde(rename = "SNI", skip_serializing_if = "Option::is_none")]
    sni: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'a, str>>,
}

impl<'a> TargetView<'a> {
    fn of(target: &'a ChainTarget) -> Self {
        Self {
            id: target.id.to_string(),
            service: &target.id.service,
            service_subset: target.id.subset.as_ref(),
            namespace: target.id.namespace(),
            partition: target.id.partition(),
            datacenter: target.id.datacenter(),
            peer: target.id.peer(),
            mesh_gateway: MeshGatewayView { mode: target.mesh_gateway },
            subset: &target.subset,
            connect_timeout: time(target.connect_timeout),
            transparent_proxy: TransparentProxyView { dialed_directly: target.dialed_directly },
            external: target.external,
            sni: match target.external {
                true => target.sni.as_ref().map(|sni| sni.as_str().into()),
                false => target.sni.as_ref().map(|sni| shown(&target.id, sni)),
            },
            name: target.name.as_ref().map(|name| shown(&target.id, name)),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct MeshGatewayView {
    #[serde(skip_serializing_if = "is_unset")]
    mode: MeshGatewayMode,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TransparentProxyView {
    #[serde(skip_serializing_if = "is_false")]
    dialed_directly: bool,
}

/// A server name within our trust domain as Consul has it: with the tenancy that the id shows. What is asked for on
/// the wire has none, for there is none here.
fn shown<'a>(id: &TargetId, sni: &'a Sni) -> Cow<'a, str> {
    let (namespace, partition) = (id.namespace(), id.partition());
    let usual = format!("{}.default.", id.service);
    match sni.as_str().split_once(&usual) {
        Some((subset, rest)) if partition != "default" => {
            let rest = rest.replacen(".internal.", ".internal-v1.", 1);
            format!("{subset}{}.{namespace}.{partition}.{rest}", id.service).into()
        }
        Some((subset, rest)) if namespace != "default" => {
            format!("{subset}{}.{namespace}.{rest}", id.service).into()
        }
        _ => sni.as_str().into(),
    }
}

/// A whole number without a fraction, as Go prints it; None for 0, which Go leaves out.
fn per_cent(basis_points: u32) -> Option<serde_json::Number> {
    match basis_points {
        0 => None,
        whole if whole % 100 == 0 => Some((whole / 100).into()),
        _ => serde_json::Number::from_f64(f64::from(basis_points) / 100.0),
    }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_unset(mode: &MeshGatewayMode) -> bool {
    *mode == MeshGatewayMode::Default
}
