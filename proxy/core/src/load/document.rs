//! Which document is what: an entry, a custom resource, or an agent's file with registrations.

use crate::entry::read::agent::{self, Settings};
use crate::entry::read::registration::{self, Draft};
use crate::entry::read::{self, Fields, Head, Item, KINDS, Sink, UNUSED_KINDS};
use crate::entry::{EntrySet, Registration};
use crate::syntax::{Node, Value, nearest};

const API_GROUP: &str = "consul.hashicorp.com/";
const API_VERSION: &str = "consul.hashicorp.com/v1alpha1";

/// Custom resources and the entries that they are.
const RESOURCES: [(&str, &str); 10] = [
    ("ServiceRouter", "service-router"),
    ("ServiceSplitter", "service-splitter"),
    ("ServiceResolver", "service-resolver"),
    ("ServiceDefaults", "service-defaults"),
    ("ProxyDefaults", "proxy-defaults"),
    ("Mesh", "mesh"),
    ("ExportedServices", "exported-services"),
    ("ServiceIntentions", "service-intentions"),
    ("SamenessGroup", "sameness-group"),
    ("JWTProvider", "jwt-provider"),
];

/// Consul's other custom resources.
const UNUSED_RESOURCES: [&str; 16] = [
    "PeeringAcceptor",
    "PeeringDialer",
    "IngressGateway",
    "TerminatingGateway",
    "ControlPlaneRequestLimit",
    "Registration",
    "GatewayClassConfig",
    "GatewayPolicy",
    "MeshService",
    "RouteAuthFilter",
    "RateLimit",
    "RouteExtProc",
    "RouteRetryFilter",
    "RouteTLSSDSFilter",
    "RouteTimeoutFilter",
    "TrafficPermissions",
];

/// Registrations whose addresses and ports are not settled, each sidecar right after its service.
#[derive(Default)]
pub(super) struct Drafts {
    pub(super) registrations: Vec<Registration>,
    /// Which of them are the sidecars of `connect.sidecar_service`, ascending.
    pub(super) sidecars: Vec<usize>,
    /// Which was registered last, its sidecar left aside.
    last_service: usize,
}

impl Drafts {
    fn push(&mut self, draft: Draft) {
        let Draft { mut registration, sidecar } = draft;
        if let Some(before) = self.registrations.get(self.last_service) {
            registration.share(before);
        }
        let sidecar = sidecar.map(|mut sidecar| {
            sidecar.share(&registration);
            sidecar
        });
        self.last_service = self.registrations.len();
        self.registrations.push(registration);
        if let Some(sidecar) = sidecar {
            self.sidecars.push(self.registrations.len());
            self.registrations.push(sidecar);
        }
    }
}

/// What the documents read so far amount to.
pub(super) struct Reader<'a> {
    sink: &'a Sink,
    entries: EntrySet,
    drafts: Drafts,
    settings: Settings,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sink: &'a Sink) -> Self {
        Self { sink, entries: EntrySet::default(), drafts: Drafts::default(), settings: Settings::default() }
    }

    pub(super) fn finish(self) -> (EntrySet, Drafts, Settings) {
        (self.entries, self.drafts, self.settings)
    }

    /// Reads a document of any kind. A list (the answer of `/v1/config/KIND`) is one document an item.
    pub(super) fn document(&mut self, node: &Node) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| self.one(item)),
            _ => self.one(node),
        }
    }

    fn one(&mut self, node: &Node) {
        let Some(mut fields) = Item::root(node, "", self.sink).fields() else { return };
        if let Some(version) = fields.take("apiVersion") {
            self.resource(&version, fields);
        } else if let Some(kind) = fields.take("Kind") {
            self.entry(&kind, fields);
        } else {
            self.agent_file(fields);
        }
    }

    /// A config entry as Consul's API has it.
    fn entry(&mut self, item: &Item<'_>, mut fields: Fields<'_>) {
        let Some(text) = item.string() else {
            if item.is_empty() {
                item.error("Kind is required");
            }
            return;
        };
        fields.read_as_entry();
        match KINDS.into_iter().find(|kind| *kind == text) {
            Some(kind) => {
                let head = Head { kind, place: item.place().clone(), name: fields.take("Name") };
                read::entry(&head, fields, &mut self.entries);
            }
            None => unknown_kind(item, &text),
        }
    }

    /// A custom resource of Kubernetes: the same fields under `spec`.
    fn resource(&mut self, version: &Item<'_>, mut fields: Fields<'_>) {
        fields.read_as_resource();
        let Some(kind) = fields.take("kind") else { return version.error("kind is required") };
        let (Some(version_text), Some(text)) = (version.string(), kind.string()) else { return };
        if text == "List" {
            let items = fields.take("items").map(|item| item.list()).unwrap_or_default();
            return items.iter().for_each(|item| self.one(item.node()));
        }
        if version_text != API_VERSION {
            if version_text.starts_with(API_GROUP) {
                version.error(format!("{version_text:?} is not known, did you mean {API_VERSION:?}?"));
            } else {
                kind.warn(format!("{text} of {version_text} is no resource of Consul's and is not used"));
            }
            return;
        }
        let Some((_, entry)) = RESOURCES.iter().find(|(resource, _)| *resource == text) else {
            if UNUSED_RESOURCES.contains(&text.as_str()) {
                return kind.warn(format!("a {text} has no effect here"));
            }
            let hint = nearest(&text, RESOURCES.iter().map(|(resource, _)| *resource));
            let hint = hint.map(|it| format!(", did you mean {it:?}?")).unwrap_or_default();
            return kind.error(format!("{text:?} is no kind of resource{hint}"));
        };
        let name = fields.take("metadata").and_then(|item| item.fields()).and_then(|mut it| it.take("name"));
        let spec = fields.take("spec");
        fields.ignore(&["status"]);
        fields.finish();
        let empty = Node { place: kind.place().clone(), value: Value::Map(Vec::new()) };
        let spec = spec.unwrap_or_else(|| Item::root(&empty, "spec", self.sink));
        self.spec(entry, &kind, name, spec);
    }

    fn spec(&mut self, entry: &'static str, kind: &Item<'_>, name: Option<Item<'_>>, spec: Item<'_>) {
        let Some(mut fields) = spec.fields() else { return };
        let name = match entry {
            "service-intentions" => fields.map("destination").and_then(|mut destination| {
                let name = destination.take("name");
                destination.ignore(&["namespace", "partition"]);
                destination.finish();
                name
            }),
            _ => name,
        };
        let head = Head { kind: entry, place: kind.place().clone(), name };
        read::entry(&head, fields, &mut self.entries);
    }

    /// An agent's file: registrations, settings, bootstrap entries.
    fn agent_file(&mut self, mut fields: Fields<'_>) {
        let mut services = fields.maps("service");
        services.extend(fields.maps("services"));
        services.sort_by_key(|service| (service.place().line, service.place().column));
        services.into_iter().filter_map(registration::read).for_each(|draft| self.drafts.push(draft));
        if let Some(mut map) = fields.map("config_entries") {
            for mut entry in map.maps("bootstrap") {
                match entry.take("Kind") {
                    Some(kind) => self.entry(&kind, entry),
                    None => entry.item.error("Payload does not contain a kind/Kind"),
                }
            }
            map.finish();
        }
        agent::read(&mut fields, &mut self.settings);
        fields.finish();
    }
}

fn unknown_kind(item: &Item<'_>, text: &str) {
    if UNUSED_KINDS.contains(&text) {
        return item.warn(format!("{text} has no effect here"));
    }
    if matches!(text, "connect-proxy" | "mesh-gateway") {
        return item.error(format!("{text:?} is a kind of registration, which stands in a `service` block"));
    }
    let hint = nearest(text, KINDS).map(|it| format!(", did you mean {it:?}?")).unwrap_or_default();
    item.error(format!("invalid config entry kind: {text}{hint}"));
}
