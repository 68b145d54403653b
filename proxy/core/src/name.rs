//! The names of a mesh: who is who in entries, certificates and ClientHellos.
//!
//! Each is valid by construction, so nothing downstream checks one again. The wire forms are those of Consul
//! (FEATURES: SPIFFE ids and SNI), community edition: namespace and partition are `default`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A name that does not have the form its kind asks for.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{what} {value:?} is not valid: {rule}")]
pub struct InvalidName {
    what: &'static str,
    value: String,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;

            fn from_str(s: &str) -> Result<Self, Self::Err> {
                let valid: fn(&str) -> bool = $valid;
                if valid(s) {
                    Ok(Self(s.into()))
                } else {
                    Err(InvalidName { what: $what, value: s.to_owned(), rule: $rule })
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

/// Whether `s` is 1 to 63 lower-case letters, digits and inner dashes: a DNS label as Consul asks for it.
fn is_label(s: &str) -> bool {
    (1..=63).contains(&s.len())
        && s.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !s.starts_with('-')
        && !s.ends_with('-')
}

/// Whether `s` can stand in a SPIFFE path, an SNI and a file name without escaping.
fn is_service(s: &str) -> bool {
    (1..=253).contains(&s.len())
        && s.bytes().all(|b| matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.'))
        && s.bytes().any(|b| b != b'.')
}

name!(
    /// A SPIFFE trust domain, such as `11111111-2222-3333-4444-555555555555.consul`.
    TrustDomain,
    "trust domain",
    "1 to 255 of a-z, 0-9, '.', '-' and '_'",
    |s| (1..=255).contains(&s.len())
        && s.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_'))
);
name!(
    /// The name of a service, as registered.
    ServiceName,
    "service name",
    "1 to 253 letters, digits, '-', '_' and '.'",
    is_service
);
name!(
    /// The name of a subset of a service's instances (Consul's `Subsets` of a `service-resolver`).
    SubsetName,
    "subset name",
    "at most 63 of a-z, 0-9 and inner '-'",
    is_label
);
name!(
    /// This cluster's own name for another cluster that it peers with.
    PeerName,
    "peer name",
    "1 to 63 of a-z, 0-9 and inner '-'",
    is_label
);
name!(
    /// A datacenter: a cluster of our own trust domain, or the name a peer gives itself.
    Datacenter,
    "datacenter",
    "1 to 63 of a-z, 0-9, '_' and inner '-'",
    |s| (1..=63).contains(&s.len())
        && s.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
        && !s.starts_with('-')
        && !s.ends_with('-')
);

/// A server name as it stands in a ClientHello (RFC 6066 section 3), lower-case.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Sni(Arc<str>);

impl Sni {
    /// `[SUBSET.]SERVICE.default.DC.internal.TRUSTDOMAIN`: a service of our own trust domain.
    pub fn internal(
        subset: Option<&SubsetName>,
        service: &ServiceName,
        datacenter: &Datacenter,
        trust_domain: &TrustDomain,
    ) -> Self {
        match subset {
            Some(subset) => {
                Self::lower(&format!("{subset}.{service}.default.{datacenter}.internal.{trust_domain}"))
            }
            None => Self::lower(&format!("{service}.default.{datacenter}.internal.{trust_domain}")),
        }
    }

    /// `DC.internal.TRUSTDOMAIN`: the gateways of a whole datacenter.
    pub fn datacenter(datacenter: &Datacenter, trust_domain: &TrustDomain) -> Self {
        Self::lower(&format!("{datacenter}.internal.{trust_domain}"))
    }

    /// `SERVICE.default.default.PEER.external.TRUSTDOMAIN`, all as the exporter sees it: its service, its name
    /// for the importer, its trust domain.
    pub fn exported(service: &ServiceName, importer: &PeerName, exporter: &TrustDomain) -> Self {
        Self::lower(&format!("{service}.default.default.{importer}.external.{exporter}"))
    }

    /// `server.DC.peering.TRUSTDOMAIN`: the peering server of a cluster.
    pub fn peering(datacenter: &Datacenter, trust_domain: &TrustDomain) -> Self {
        Self::lower(&format!("server.{datacenter}.peering.{trust_domain}"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn lower(s: &str) -> Self {
        Self(s.to_ascii_lowercase().into())
    }
}

impl FromStr for Sni {
    type Err = InvalidName;

    /// Takes a DNS name of at most 253 bytes; upper case is folded.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let label = |l: &str| {
            (1..=63).contains(&l.len())
                && l.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        if s.len() <= 253 && s.split('.').all(label) {
            Ok(Self::lower(s))
        } else {
            Err(InvalidName {
                what: "server name",
                value: s.to_owned(),
                rule: "a DNS name of at most 253 bytes",
            })
        }
    }
}

impl fmt::Display for Sni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who a workload is: the one URI SAN of its certificate (X509-SVID, SPIFFE ID section 2).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SpiffeId {
    /// Whose CA vouches for it.
    pub trust_domain: TrustDomain,
    /// What it is within that domain.
    pub workload: Workload,
}

/// The path of a [`SpiffeId`].
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Workload {
    /// `/ns/default/dc/DC/svc/SERVICE`
    Service {
        /// Where it runs; not part of its identity when intentions and dialers compare.
        datacenter: Datacenter,
        /// Which service it is.
        service: ServiceName,
    },
    /// `/gateway/mesh/dc/DC`
    MeshGateway {
        /// The datacenter it is the edge of.
        datacenter: Datacenter,
    },
}

impl SpiffeId {
    /// The identity of a service's instances.
    pub fn service(trust_domain: &TrustDomain, datacenter: &Datacenter, service: &ServiceName) -> Self {
        Self {
            trust_domain: trust_domain.clone(),
            workload: Workload::Service { datacenter: datacenter.clone(), service: service.clone() },
        }
    }

    /// The identity of a datacenter's mesh gateways.
    pub fn mesh_gateway(trust_domain: &TrustDomain, datacenter: &Datacenter) -> Self {
        Self {
            trust_domain: trust_domain.clone(),
            workload: Workload::MeshGateway { datacenter: datacenter.clone() },
        }
    }

    /// The service, when this is one.
    pub fn service_name(&self) -> Option<&ServiceName> {
        match &self.workload {
            Workload::Service { service, .. } => Some(service),
            Workload::MeshGateway { .. } => None,
        }
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let td = &self.trust_domain;
        match &self.workload {
            Workload::Service { datacenter, service } => {
                write!(f, "spiffe://{td}/ns/default/dc/{datacenter}/svc/{service}")
            }
            Workload::MeshGateway { datacenter } => write!(f, "spiffe://{td}/gateway/mesh/dc/{datacenter}"),
        }
    }
}

impl FromStr for SpiffeId {
    type Err = InvalidName;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidName {
            what: "SPIFFE ID",
            value: s.to_owned(),
            rule: "spiffe://TRUSTDOMAIN/ns/default/dc/DC/svc/SERVICE or spiffe://TRUSTDOMAIN/gateway/mesh/dc/DC",
        };
        let rest = s.strip_prefix("spiffe://").ok_or_else(invalid)?;
        let mut parts = rest.split('/');
        let trust_domain = parts.next().unwrap_or_default().parse()?;
        let path: Vec<&str> = parts.collect();
        let workload = match path[..] {
            ["ns", "default", "dc", dc, "svc", service] => {
                Workload::Service { datacenter: dc.parse()?, service: service.parse()? }
            }
            ["gateway", "mesh", "dc", dc] => Workload::MeshGateway { datacenter: dc.parse()? },
            _ => return Err(invalid()),
        };
        Ok(Self { trust_domain, workload })
    }
}

/// What a chain resolves to: a service, perhaps a subset of it, in a datacenter or at a peer.
///
/// Shown as Consul's target id: `[subset.]service.default.default.DC`, or `service.default.default.external.PEER`.
/// With a [`Tenancy`] its namespace and partition take the places of `default` and `default`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TargetId {
    /// The service.
    pub service: ServiceName,
    /// The subset, if one is named; a peer target keeps it although its text does not show it.
    pub subset: Option<SubsetName>,
    /// Where.
    pub locus: Locus,
    /// Only of a route whose destination names one: shown, and kept by redirects, but it selects nothing.
    pub tenancy: Option<Box<Tenancy>>,
}

/// Where Consul Enterprise would look for a service; the community edition has `default` and `default`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Tenancy {
    /// `default` unless given.
    pub namespace: String,
    /// `default` unless given.
    pub partition: String,
}

/// Where a target is.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Locus {
    /// A datacenter of our trust domain, our own included.
    Datacenter(Datacenter),
    /// A peer, by our name for it.
    Peer(PeerName),
}

impl TargetId {
    /// `default`, unless a route says otherwise.
    pub fn namespace(&self) -> &str {
        self.tenancy.as_ref().map_or("default", |it| &it.namespace)
    }

    /// `default`, unless a route says otherwise.
    pub fn partition(&self) -> &str {
        self.tenancy.as_ref().map_or("default", |it| &it.partition)
    }

    /// The peer this target is at, if it is at one.
    pub fn peer(&self) -> Option<&PeerName> {
        match &self.locus {
            Locus::Peer(peer) => Some(peer),
            Locus::Datacenter(_) => None,
        }
    }

    /// The datacenter of our own trust domain that this target is in, unless it is at a peer.
    pub fn datacenter(&self) -> Option<&Datacenter> {
        match &self.locus {
            Locus::Datacenter(dc) => Some(dc),
            Locus::Peer(_) => None,
        }
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.locus {
            Locus::Peer(peer) => write!(f, "{}.default.default.external.{peer}", self.service),
            Locus::Datacenter(dc) => {
                if let Some(subset) = &self.subset {
                    write!(f, "{subset}.")?;
                }
                write!(f, "{}.{}.{}.{dc}", self.service, self.namespace(), self.partition())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spiffe_id_reads_back_as_it_was_written() {
        for id in ["spiffe://a.consul/ns/default/dc/dc1/svc/web", "spiffe://a.consul/gateway/mesh/dc/dc1"] {
            assert_eq!(id.parse::<SpiffeId>().map(|id| id.to_string()), Ok(id.to_owned()));
        }
    }

    #[test]
    fn what_is_no_identity_of_this_mesh_is_refused() {
        for id in [
            "",
            "spiffe://",
            "spiffe://a.consul",
            "https://a.consul/ns/default/dc/dc1/svc/web",
            "spiffe://A.consul/ns/default/dc/dc1/svc/web",
            "spiffe://a.consul/ns/other/dc/dc1/svc/web",
            "spiffe://a.consul/ns/default/dc/dc1/svc/",
            "spiffe://a.consul/ns/default/dc/dc1/svc/web/x",
            "spiffe://a.consul/ns/default/dc/dc1/svc/w%65b",
            "spiffe://a.consul/gateway/mesh/dc/dc1?x",
        ] {
            assert!(id.parse::<SpiffeId>().is_err(), "{id}");
        }
    }

    #[test]
    fn names_on_the_wire_have_consuls_form() -> Result<(), InvalidName> {
        let (td, dc) = ("td.consul".parse()?, "dc1".parse()?);
        let (web, v1) = ("web".parse()?, "v1".parse()?);
        assert_eq!(
            Sni::internal(Some(&v1), &web, &dc, &td).as_str(),
            "v1.web.default.dc1.internal.td.consul"
        );
        assert_eq!(Sni::internal(None, &web, &dc, &td).as_str(), "web.default.dc1.internal.td.consul");
        assert_eq!(Sni::peering(&dc, &td).as_str(), "server.dc1.peering.td.consul");
        let exported = Sni::exported(&web, &"cluster-01".parse()?, &td);
        assert_eq!(exported.as_str(), "web.default.default.cluster-01.external.td.consul");
        Ok(())
    }
}
