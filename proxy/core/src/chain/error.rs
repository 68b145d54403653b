//! Why entries give no chain, in Consul's words, and which entry is at fault.

use std::fmt;

use crate::entry::{EntrySet, Protocol};
use crate::name::{ServiceName, SubsetName, TargetId};
use crate::problem::Place;

use super::NodeKey;

/// The kinds of entries that a chain is compiled from, or checked against.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum EntryKind {
    /// `service-router`
    Router,
    /// `service-splitter`
    Splitter,
    /// `service-resolver`
    Resolver,
    /// `service-defaults`
    Defaults,
    /// `service-intentions`
    Intentions,
}

impl EntryKind {
    /// `Kind` as an operator writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Router => "service-router",
            Self::Splitter => "service-splitter",
            Self::Resolver => "service-resolver",
            Self::Defaults => "service-defaults",
            Self::Intentions => "service-intentions",
        }
    }
}

/// An entry by kind and name; shown as `service-splitter "web"`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EntryRef {
    /// Its kind.
    pub kind: EntryKind,
    /// Its name.
    pub name: ServiceName,
}

impl EntryRef {
    /// Where it was read; None when there is no such entry.
    pub fn place<'a>(&self, entries: &'a EntrySet) -> Option<&'a Place> {
        match self.kind {
            EntryKind::Router => entries.routers.get(&self.name).map(|it| &it.place),
            EntryKind::Splitter => entries.splitters.get(&self.name).map(|it| &it.place),
            EntryKind::Resolver => entries.resolvers.get(&self.name).map(|it| &it.place),
            EntryKind::Defaults => entries.defaults.get(&self.name).map(|it| &it.place),
            EntryKind::Intentions => entries.intentions.get(self.name.as_str()).map(|it| &it.place),
        }
    }
}

impl fmt::Display for EntryRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} \"{}\"", self.kind.as_str(), self.name)
    }
}

/// What an external service cannot have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Forbidden {
    /// `Redirect`
    Redirects,
    /// `Subsets`
    Subsets,
    /// `Failover`
    Failover,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redirects => "redirects",
            Self::Subsets => "subsets",
            Self::Failover => "failover",
        })
    }
}

/// What the chain of a service that is exported to peers cannot lead to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Unexportable {
    /// `Redirect.Datacenter`
    DatacenterRedirect,
    /// `Redirect.Peer`
    PeerRedirect,
    /// `Failover.Datacenters`, `Failover.Targets[].Datacenter`
    DatacenterFailover,
}

impl fmt::Display for Unexportable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DatacenterRedirect => "cross-datacenter resolver redirect",
            Self::PeerRedirect => "cross-peer resolver redirect",
            Self::DatacenterFailover => "cross-datacenter failover",
        })
    }
}

/// Why entries give no chain, or one that does not go with what else is said of its service.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChainError {
    /// A chain has one protocol.
    #[error(
        "discovery chain \"{chain}\" uses inconsistent protocols; service \"{service}\" has \"{}\" which is not \"{}\"",
        found.as_str(), expected.as_str()
    )]
    Protocols {
        /// The service whose chain it is.
        chain: ServiceName,
        /// The first that disagrees.
        service: ServiceName,
        /// What it speaks.
        found: Protocol,
        /// What those before it speak.
        expected: Protocol,
        /// The entry that brought it in.
        by: EntryRef,
    },
    /// Opaque bytes can be neither routed nor split.
    #[error(
        "discovery chain \"{chain}\" uses a protocol \"{}\" that does not permit advanced routing or splitting behavior",
        protocol.as_str()
    )]
    NotHttp {
        /// The service whose chain it is.
        chain: ServiceName,
        /// What it speaks.
        protocol: Protocol,
        /// The first router or splitter in it.
        by: EntryRef,
    },
    /// Redirects lead round.
    #[error("detected circular resolver redirect: [{}]", joined(path))]
    RedirectCycle {
        /// From the first target to the one met again.
        path: Vec<TargetId>,
        /// The service whose resolver closes the circle.
        by: ServiceName,
    },
    /// Splitters lead round.
    #[error("detected circular reference: [{}]", joined(path))]
    Cycle {
        /// From the start of the chain to the node met again.
        path: Vec<NodeKey>,
        /// The splitter that closes the circle.
        by: ServiceName,
    },
    /// A subset is named that the service's resolver does not define.
    #[error("service \"{service}\" does not have a subset named \"{subset}\"")]
    NoSubset {
        /// Whose subset it should be.
        service: ServiceName,
        /// Its name.
        subset: SubsetName,
        /// The entry that names it.
        by: EntryRef,
    },
    /// An external service's resolver says more than how to connect.
    #[error("service \"{service}\" has an external SNI set; cannot define {forbidden} for external services")]
    External {
        /// The service with `ExternalSNI`.
        service: ServiceName,
        /// What its resolver must not have.
        forbidden: Forbidden,
    },
    /// An external service's SNI cannot stand in a ClientHello.
    #[error("service \"{service}\" has an external SNI \"{sni}\" that is not a DNS name")]
    ExternalSni {
        /// The service with `ExternalSNI`.
        service: ServiceName,
        /// As written.
        sni: String,
    },
    /// Importers of a service expect it here, and no further away.
    #[error("peer exported service \"{service}\" contains {contains}")]
    Exported {
        /// The service.
        service: ServiceName,
        /// What leads away.
        contains: Unexportable,
        /// The service whose resolver says so.
        by: ServiceName,
    },
    /// Only requests have what permissions are about.
    #[error(
        "service \"{service}\" has protocol \"{}\", which is incompatible with L7 intentions permissions",
        protocol.as_str()
    )]
    Permissions {
        /// The destination.
        service: ServiceName,
        /// What its chain speaks.
        protocol: Protocol,
    },
    /// Nested splitters multiply into more legs than a chain may have.
    #[error("discovery chain \"{chain}\" has more than {limit} splits to flatten; nest splitters less")]
    TooManySplits {
        /// The service whose chain it is.
        chain: ServiceName,
        /// The outermost splitter at which the limit was passed.
        splitter: ServiceName,
        /// How many are allowed.
        limit: usize,
    },
}

impl ChainError {
    /// The entry to change.
    pub fn at_fault(&self) -> EntryRef {
        let entry = |kind, name: &ServiceName| EntryRef { kind, name: name.clone() };
        match self {
            Self::Protocols { by, .. } | Self::NotHttp { by, .. } | Self::NoSubset { by, .. } => by.clone(),
            Self::RedirectCycle { by, .. } => entry(EntryKind::Resolver, by),
            Self::Cycle { by, .. } => entry(EntryKind::Splitter, by),
            Self::External { service, .. } => entry(EntryKind::Resolver, service),
            Self::ExternalSni { service, .. } => entry(EntryKind::Defaults, service),
            Self::Exported { by, .. } => entry(EntryKind::Resolver, by),
            Self::Permissions { service, .. } => entry(EntryKind::Intentions, service),
            Self::TooManySplits { splitter, .. } => entry(EntryKind::Splitter, splitter),
        }
    }
}

fn joined<T: fmt::Display>(path: &[T]) -> String {
    path.iter().map(T::to_string).collect::<Vec<_>>().join(" -> ")
}
