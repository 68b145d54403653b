//! `mesh`.

use super::Head;
use super::common::meta;
use super::fields::Fields;
use super::item::Item;
use crate::entry::{Mesh, RequestNormalization, TlsDirection};

const VERSIONS: [&str; 5] = ["TLS_AUTO", "TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3"];
const ESCAPED_SLASHES: [&str; 5] = [
    "IMPLEMENTATION_SPECIFIC_DEFAULT",
    "KEEP_UNCHANGED",
    "REJECT_REQUEST",
    "UNESCAPE_AND_REDIRECT",
    "UNESCAPE_AND_FORWARD",
];
const UNDERSCORES: [&str; 3] = ["ALLOW", "REJECT_REQUEST", "DROP_HEADER"];

pub(super) fn read(head: &Head<'_>, mut fields: Fields<'_>) -> Mesh {
    if let Some(item) = &head.name
        && item.string().is_some_and(|name| name != "mesh")
    {
        item.error("the only mesh entry is named \"mesh\"");
    }
    let mut read = Mesh { place: head.place.clone(), ..Mesh::default() };
    if let Some(mut map) = fields.map("Peering") {
        read.peer_through_mesh_gateways = map.flag("PeerThroughMeshGateways");
        map.finish();
    }
    if let Some(mut map) = fields.map("TLS") {
        read.tls_incoming = map.map("Incoming").map(tls).unwrap_or_default();
        read.tls_outgoing = map.map("Outgoing").map(tls).unwrap_or_default();
        map.finish();
    }
    if let Some(mut map) = fields.map("HTTP") {
        read.sanitize_x_forwarded_client_cert = map.flag("SanitizeXForwardedClientCert");
        if let Some(mut incoming) = map.map("Incoming") {
            read.normalization = incoming.map("RequestNormalization").map(normalization).unwrap_or_default();
            incoming.finish();
        }
        map.finish();
    }
    if let Some(mut map) = fields.map("TransparentProxy") {
        map.flag("MeshDestinationsOnly");
        map.finish();
    }
    if let Some(item) = fields.take("AllowEnablingPermissiveMutualTLS")
        && item.bool() == Some(true)
    {
        item.warn("has no effect here: inbound connections without mutual TLS are refused");
    }
    fields.flag("ValidateClusters");
    meta(&mut fields);
    fields.finish();
    read
}

fn tls(mut map: Fields<'_>) -> TlsDirection {
    let version = |item: Option<Item<'_>>| item.and_then(|item| item.word(&VERSIONS)).map(str::to_owned);
    let read = TlsDirection {
        min_version: version(map.take("TLSMinVersion")),
        max_version: version(map.take("TLSMaxVersion")),
        cipher_suites: map.strings("CipherSuites"),
    };
    let rank = |version: &Option<String>| {
        let text = version.as_deref().filter(|text| *text != "TLS_AUTO")?;
        VERSIONS.iter().position(|known| *known == text)
    };
    if let (Some(min), Some(max)) = (rank(&read.min_version), rank(&read.max_version))
        && min > max
    {
        map.item.error("TLSMinVersion is above TLSMaxVersion");
    }
    map.finish();
    read
}

fn normalization(mut map: Fields<'_>) -> RequestNormalization {
    let word = |item: Option<Item<'_>>, known: &[&'static str]| {
        item.and_then(|item| item.word(known)).map(str::to_owned)
    };
    let read = RequestNormalization {
        insecure_disable_path_normalization: map.flag("InsecureDisablePathNormalization"),
        merge_slashes: map.flag("MergeSlashes"),
        path_with_escaped_slashes_action: word(map.take("PathWithEscapedSlashesAction"), &ESCAPED_SLASHES),
        headers_with_underscores_action: word(map.take("HeadersWithUnderscoresAction"), &UNDERSCORES),
    };
    map.finish();
    read
}
