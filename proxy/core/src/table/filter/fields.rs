//! What a filter can select in an instance's health entry, and what may be asked of it.
//!
//! The table is Consul's `CheckServiceNode` as a sidecar's entry: fields, their types and thereby the operators
//! they take. What a directory cannot say of an instance has the value that it has in Consul by default. Of the
//! entry's fields only those of `Proxy` that no directory fills for filtering are left out.

use std::sync::LazyLock;

use super::Value;
use crate::catalog::{HealthCheck, Instance};

/// A selected field: its row in the table and, of a map, the key.
#[derive(Debug)]
pub(super) struct Field {
    row: &'static Row,
    key: Option<String>,
}

/// The type of a field, as far as operators care.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Type {
    /// `==`, `!=`, `in`, `contains`, `matches`
    Text,
    /// `==`, `!=`
    Number,
    /// `==`, `!=`
    Flag,
    /// `in`, `contains`, `is empty`
    List,
    /// A list whose items cannot be compared: `is empty`
    Structs,
}

#[derive(Debug)]
struct Row {
    /// `*` stands for any key.
    path: &'static [&'static str],
    kind: Type,
    get: Get,
}

#[derive(Debug)]
enum Get {
    Field(for<'a> fn(&'a Instance) -> Value<'a>),
    Key(for<'a> fn(&'a Instance, &str) -> Value<'a>),
    /// Of each check.
    Check(for<'a> fn(&'a Instance, &'a HealthCheck) -> Value<'a>),
}

/// Why a path selects nothing that can be compared.
pub(super) enum Unselectable {
    /// There is no such field; the path up to the part that makes no sense.
    Unknown(String),
    /// It has parts: one of them is to be named.
    Struct,
}

impl Field {
    /// The field that `path` selects.
    pub(super) fn select(path: &[String]) -> Result<Self, Unselectable> {
        let fits = |row: &Row, parts: &[String]| {
            row.path.iter().zip(parts).all(|(expected, part)| *expected == "*" || expected == part)
        };
        if let Some(row) = ROWS.iter().find(|row| row.path.len() == path.len() && fits(row, path)) {
            let key = row.path.iter().position(|part| *part == "*").and_then(|i| path.get(i)).cloned();
            return Ok(Self { row, key });
        }
        let sensible =
            |end: &usize| ROWS.iter().any(|row| row.path.len() >= *end && fits(row, &path[..*end]));
        let known = (1..=path.len()).take_while(sensible).last().unwrap_or(0);
        match path.get(..=known) {
            Some(senseless) => Err(Unselectable::Unknown(senseless.join("."))),
            None => Err(Unselectable::Struct),
        }
    }

    pub(super) fn kind(&self) -> Type {
        self.row.kind
    }

    /// What `instance` holds there: one value, or one a check.
    pub(super) fn values<'a>(&self, instance: &'a Instance) -> Vec<Value<'a>> {
        match &self.row.get {
            Get::Field(get) => vec![get(instance)],
            Get::Key(get) => vec![get(instance, self.key.as_deref().unwrap_or_default())],
            Get::Check(get) => {
                let checks = instance.health.checks.iter().chain([&*NODE_CHECK]);
                checks.map(|check| get(instance, check)).collect()
            }
        }
    }
}

/// Consul's own check of every node, as it is while there is an agent to ask.
static NODE_CHECK: LazyLock<HealthCheck> = LazyLock::new(|| HealthCheck {
    id: "serfHealth".to_owned(),
    name: "Serf Health Status".to_owned(),
    ..HealthCheck::default()
});

const fn field(path: &'static [&'static str], kind: Type, get: for<'a> fn(&'a Instance) -> Value<'a>) -> Row {
    Row { path, kind, get: Get::Field(get) }
}

const fn key(
    path: &'static [&'static str],
    kind: Type,
    get: for<'a> fn(&'a Instance, &str) -> Value<'a>,
) -> Row {
    Row { path, kind, get: Get::Key(get) }
}

const fn check(
    path: &'static [&'static str],
    kind: Type,
    get: for<'a> fn(&'a Instance, &'a HealthCheck) -> Value<'a>,
) -> Row {
    Row { path, kind, get: Get::Check(get) }
}

static ROWS: &[Row] = &[
    field(&["Node", "ID"], Type::Text, |_| text("")),
    field(&["Node", "Node"], Type::Text, |it| text(&it.node)),
    field(&["Node", "Address"], Type::Text, |it| text(&it.host)),
    field(&["Node", "Datacenter"], Type::Text, |it| text(it.datacenter.as_str())),
    field(&["Node", "Partition"], Type::Text, |_| text("")),
    field(&["Node", "PeerName"], Type::Text, |_| text("")),
    field(&["Node", "TaggedAddresses"], Type::List, |_| {
        Value::List(vec!["lan", "lan_ipv4", "wan", "wan_ipv4"])
    }),
    key(&["Node", "TaggedAddresses", "*"], Type::Text, |it, key| match key {
        "lan" | "lan_ipv4" | "wan" | "wan_ipv4" => text(&it.host),
        _ => Value::Missing,
    }),
    // Instances of a directory have no node meta; every key is missing.
    field(&["Node", "Meta"], Type::List, |_| Value::List(Vec::new())),
    key(&["Node", "Meta", "*"], Type::Text, |_, _| Value::Missing),
    field(&["Service", "Kind"], Type::Text, |_| text("connect-proxy")),
    field(&["Service", "ID"], Type::Text, |it| Value::Text(vec![&it.id, &it.sidecar_id])),
    field(&["Service", "Service"], Type::Text, |it| {
        Value::Text(vec![it.service.as_str(), it.sidecar_service.as_str()])
    }),
    field(&["Service", "Tags"], Type::List, |it| Value::List(it.tags.iter().map(String::as_str).collect())),
    field(&["Service", "Address"], Type::Text, |it| text(&it.host)),
    field(&["Service", "TaggedAddresses"], Type::List, |it| {
        Value::List(it.health.tagged_addresses.keys().map(String::as_str).collect())
    }),
    key(&["Service", "TaggedAddresses", "*", "Address"], Type::Text, |it, key| {
        it.health.tagged_addresses.get(key).map_or(Value::Missing, |(address, _)| text(address))
    }),
    key(&["Service", "TaggedAddresses", "*", "Port"], Type::Number, |it, key| {
        it.health.tagged_addresses.get(key).map_or(Value::Missing, |(_, port)| number(*port))
    }),
    field(&["Service", "Meta"], Type::List, |it| Value::List(it.meta.keys().map(String::as_str).collect())),
    key(&["Service", "Meta", "*"], Type::Text, |it, key| {
        it.meta.get(key).map_or(Value::Missing, |value| text(value))
    }),
    field(&["Service", "Port"], Type::Number, |it| {
        let sidecar = it.address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        Value::Number([Some(i64::from(it.port)), sidecar].into_iter().flatten().collect())
    }),
    field(&["Service", "SocketPath"], Type::Text, |it| {
        text(it.address.strip_prefix("unix://").unwrap_or_default())
    }),
    field(&["Service", "Weights", "Passing"], Type::Number, |it| number(it.weight_passing)),
    field(&["Service", "Weights", "Warning"], Type::Number, |it| number(it.weight_warning)),
    field(&["Service", "EnableTagOverride"], Type::Flag, |it| Value::Flag(it.health.enable_tag_override)),
    field(&["Service", "PeerName"], Type::Text, |_| text("")),
    field(&["Service", "Connect", "Native"], Type::Flag, |_| Value::Flag(false)),
    field(&["Service", "Proxy", "DestinationServiceName"], Type::Text, |it| text(it.service.as_str())),
    field(&["Service", "Proxy", "DestinationServiceID"], Type::Text, |it| text(&it.id)),
    field(&["Service", "Proxy", "LocalServiceAddress"], Type::Text, |it| {
        text(&it.health.local_service_address)
    }),
    field(&["Service", "Proxy", "LocalServicePort"], Type::Number, |it| number(it.health.local_service_port)),
    field(&["Service", "Proxy", "LocalServiceSocketPath"], Type::Text, |it| {
        text(&it.health.local_service_socket_path)
    }),
    field(&["Service", "Proxy", "Mode"], Type::Text, |_| text("")),
    field(&["Service", "Proxy", "MeshGateway", "Mode"], Type::Text, |it| {
        text(it.health.mesh_gateway.as_str())
    }),
    field(&["Service", "Proxy", "Upstreams"], Type::Structs, upstreams),
    field(&["Checks"], Type::Structs, |_| Value::List(vec!["serfHealth"])),
    check(&["Checks", "Node"], Type::Text, |it, _| text(&it.node)),
    check(&["Checks", "CheckID"], Type::Text, |_, check| text(&check.id)),
    check(&["Checks", "Name"], Type::Text, |_, check| text(&check.name)),
    check(&["Checks", "Status"], Type::Text, |_, check| text(check.status.as_str())),
    check(&["Checks", "Notes"], Type::Text, |_, check| text(&check.notes)),
    check(&["Checks", "Output"], Type::Text, |_, _| text("")),
    check(&["Checks", "ServiceID"], Type::Text, |_, check| text(&check.service_id)),
    check(&["Checks", "ServiceName"], Type::Text, |_, check| text(&check.service_name)),
    check(&["Checks", "ServiceTags"], Type::List, |it, check| match check.service_id.as_str() {
        "" => Value::List(Vec::new()),
        _ => Value::List(it.tags.iter().map(String::as_str).collect()),
    }),
    check(&["Checks", "Type"], Type::Text, |_, check| text(check.kind)),
    check(&["Checks", "PeerName"], Type::Text, |_, _| text("")),
];

fn text(text: &str) -> Value<'_> {
    Value::Text(vec![text])
}

fn number(number: impl Into<i64>) -> Value<'static> {
    Value::Number(vec![number.into()])
}

fn upstreams(instance: &Instance) -> Value<'_> {
    Value::List(instance.health.upstreams.iter().map(|name| name.as_str()).collect())
}
