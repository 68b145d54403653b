//! `x-forwarded-client-cert`: how the last hop before an application says who called.

use rustls::pki_types::CertificateDer;
use spillway_core::name::SpiffeId;

use crate::x509::fingerprint;

/// One element of the header: `By` the receiver, `Hash` of the caller's certificate, `URI` of the caller.
///
/// Constant for a connection, so make it once. Nothing in it can need quotes: the characters that do (`,`, `;`,
/// `=`, `"`) and those that could end a header line are not in a [`SpiffeId`], by construction.
pub fn xfcc(by: &SpiffeId, client: &CertificateDer<'_>, uri: &SpiffeId) -> String {
    format!("By={by};Hash={};URI={uri}", fingerprint(client))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> SpiffeId {
        text.parse().unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn an_element_names_receiver_certificate_and_caller() {
        let api = id("spiffe://11111111-2222-3333-4444-555555555555.consul/ns/default/dc/dc1/svc/api");
        let web = id("spiffe://11111111-2222-3333-4444-555555555555.consul/ns/default/dc/dc1/svc/web");
        let element = xfcc(&api, &CertificateDer::from(&b"abc"[..]), &web);
        assert_eq!(
            element,
            format!(
                "By={api};Hash=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad;URI={web}"
            )
        );
        assert!(element.len() <= 300);
    }

    #[test]
    fn no_identity_can_break_out_of_its_element() {
        for c in [',', ';', '=', '"', '\\', ' ', '\r', '\n', '\0', '%', 'é'] {
            for text in [
                format!("spiffe://a{c}b/ns/default/dc/dc1/svc/web"),
                format!("spiffe://a/ns/default/dc/d{c}c/svc/web"),
                format!("spiffe://a/ns/default/dc/dc1/svc/w{c}b"),
                format!("spiffe://a/gateway/mesh/dc/d{c}c"),
            ] {
                assert!(text.parse::<SpiffeId>().is_err(), "{text:?}");
            }
        }
    }
}
