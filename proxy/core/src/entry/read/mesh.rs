//! `mesh`.

use super::Head;
use super::common::meta;
use super::fields::Fields;
use super::item::Item;
use crate::entry::{Mesh, RequestNormalization, TlsDirection};

const VERSIONS: [&str; 5] = ["TLS_AUTO", "TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3"];
/// Those of TLS 1.2 that Envoy has. Some are too weak to be spoken here, which is said when they are put to use.
const CIPHER_SUITES: [&str; 14] = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
];
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
        let mut direction = |name: &'static str, owner: &str| map.map(name).map(|map| tls(map, owner));
        read.tls_incoming =
            direction("Incoming", "error in incoming TLS configuration: ").unwrap_or_default();
        read.tls_outgoing =
            direction("Outgoing", "error in outgoing TLS configuration: ").unwrap_or_default();
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
    read.meta = meta(&mut fields);
    fields.finish();
    read
}

fn tls(mut map: Fields<'_>, owner: &str) -> TlsDirection {
    let version = |item: Option<Item<'_>>| {
        let fault = |text: &str| {
            let known = VERSIONS.join(", ");
            format!("{owner}no matching TLS version found for {text}, please specify one of [{known}]")
        };
        item.and_then(|item| item.word_exactly(&VERSIONS, fault)).map(str::to_owned)
    };
    let read = TlsDirection {
        min_version: version(map.take("TLSMinVersion")),
        max_version: version(map.take("TLSMaxVersion")),
        cipher_suites: cipher_suites(&mut map, owner),
    };
    let rank = |version: &Option<String>| {
        let text = version.as_deref().filter(|text| *text != "TLS_AUTO")?;
        VERSIONS.iter().position(|known| *known == text)
    };
    if let (Some(min), Some(max)) = (rank(&read.min_version), rank(&read.max_version))
        && min > max
    {
        let (min, max) = (VERSIONS[min], VERSIONS[max]);
        map.item.error(format!(
            "{owner}configuring max version {max} less than the configured min version {min} is invalid"
        ));
    }
    if read.min_version.as_deref() == Some("TLSv1_3") && !read.cipher_suites.is_empty() {
        map.item.error(format!(
            "{owner}configuring CipherSuites is only applicable to connections negotiated with TLS 1.2 or earlier, \
             TLSMinVersion is set to TLSv1_3"
        ));
    }
    map.finish();
    read
}

fn cipher_suites(map: &mut Fields<'_>, owner: &str) -> Vec<String> {
    let items = map.take("CipherSuites").map(|item| item.list()).unwrap_or_default();
    let fault = |text: &str| format!("{owner}no matching Envoy TLS cipher suite found for {text}");
    items.iter().filter_map(|item| item.word_exactly(&CIPHER_SUITES, fault)).map(str::to_owned).collect()
}

fn normalization(mut map: Fields<'_>) -> RequestNormalization {
    let mut action = |name: &'static str, known: &[&'static str]| {
        let fault = |text: &str| {
            format!(
                "error in HTTP incoming request normalization configuration: no matching {name} value found for \
                 {text}, please specify one of [{}]",
                known.join(", ")
            )
        };
        map.take(name).and_then(|item| item.word_exactly(known, fault)).map(str::to_owned)
    };
    let path_with_escaped_slashes_action = action("PathWithEscapedSlashesAction", &ESCAPED_SLASHES);
    let headers_with_underscores_action = action("HeadersWithUnderscoresAction", &UNDERSCORES);
    let read = RequestNormalization {
        insecure_disable_path_normalization: map.flag("InsecureDisablePathNormalization"),
        merge_slashes: map.flag("MergeSlashes"),
        path_with_escaped_slashes_action,
        headers_with_underscores_action,
    };
    map.finish();
    read
}
