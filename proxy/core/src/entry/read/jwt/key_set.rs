//! `JSONWebKeySet` of a `jwt-provider`: where its keys are, and how they would be fetched.

use super::super::fields::Fields;
use super::super::item::Item;
use crate::duration::Signed;
use crate::entry::JwtKeys;

const DISCOVERY: [&str; 5] = ["STRICT_DNS", "STATIC", "LOGICAL_DNS", "EDS", "ORIGINAL_DST"];

pub(super) fn read(mut map: Fields<'_>) -> Option<JwtKeys> {
    let local = map.map("Local").map(local);
    let remote = map.map("Remote").map(remote);
    let item = map.item.clone();
    map.finish();
    match (local, remote) {
        (Some(keys), None) | (None, Some(keys)) => keys,
        _ => {
            item.error("must specify exactly one of Local or Remote JSON Web key set");
            None
        }
    }
}

fn local(mut map: Fields<'_>) -> Option<JwtKeys> {
    let inline = map.take("JWKS").and_then(|item| {
        let text = item.string()?;
        if !is_base64(&text) {
            item.error("JWKS must be valid base64 encoded string");
        }
        Some(text)
    });
    let file = map.take("Filename").and_then(|item| item.path());
    let keys = match (inline, file) {
        (Some(text), None) => Some(JwtKeys::Inline(text)),
        (None, Some(path)) => Some(JwtKeys::File(path)),
        _ => {
            map.item.error("must specify exactly one of String or filename for local keyset");
            None
        }
    };
    map.finish();
    keys
}

/// Whether `text` has the shape of base64 with padding; line ends are free.
fn is_base64(text: &str) -> bool {
    let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let digits = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - digits.len() <= 2
        && digits.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}

fn remote(mut map: Fields<'_>) -> Option<JwtKeys> {
    let uri = map.take("URI").filter(|item| !item.is_empty());
    if uri.is_none() {
        map.item.error("Remote JWKS URI is required");
    }
    let uri = uri.and_then(|item| {
        let text = item.string()?;
        if !is_uri(&text) {
            item.error(format!("Remote JWKS URI is invalid: it has no scheme such as https:, uri: {text}"));
        }
        Some(text)
    });
    map.integer("RequestTimeoutMs", 0..=i32::MAX);
    map.duration("CacheDuration");
    map.flag("FetchAsynchronously");
    map.flag("UseSNI");
    map.map("RetryPolicy").into_iter().for_each(retry_policy);
    map.map("JWKSCluster").into_iter().for_each(cluster);
    map.finish();
    uri.map(JwtKeys::Remote)
}

/// Whether `text` begins with a scheme or is an absolute path, and has no blanks.
fn is_uri(text: &str) -> bool {
    let in_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let scheme = text.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(in_scheme)
    });
    (scheme || text.starts_with('/')) && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn retry_policy(mut map: Fields<'_>) {
    map.integer("NumRetries", 0..=i32::MAX);
    if let Some(mut backoff) = map.map("RetryPolicyBackOff") {
        let nanos = |interval: Option<Signed>| interval.map_or(0, |signed| signed.nanos);
        let base = nanos(backoff.duration("BaseInterval"));
        let max = nanos(backoff.duration("MaxInterval"));
        if max != 0 && base > max {
            backoff
                .item
                .error("retry policy backoff's MaxInterval should be greater or equal to BaseInterval");
        }
        backoff.finish();
    }
    map.finish();
}

fn cluster(mut map: Fields<'_>) {
    map.take("DiscoveryType").and_then(|item| {
        item.word_exactly(&DISCOVERY, |text| format!("unsupported jwks cluster discovery type: {text:?}"))
    });
    map.duration("ConnectTimeout");
    map.map("TLSCertificates").into_iter().for_each(certificates);
    map.finish();
}

fn certificates(mut map: Fields<'_>) {
    let instance = map.map("CaCertificateProviderInstance").map(|mut map| {
        map.string("InstanceName");
        map.string("CertificateName");
        map.finish();
    });
    let trusted = map.map("TrustedCA").map(trusted_ca);
    if instance.is_some() == trusted.is_some() {
        map.item.error(
            "must specify exactly one of: CaCertificateProviderInstance or TrustedCA for JKWS' TLSCertificates",
        );
    }
    map.finish();
}

fn trusted_ca(mut map: Fields<'_>) {
    let names = ["Filename", "EnvironmentVariable", "InlineString", "InlineBytes"];
    let given: Vec<Item<'_>> = names.into_iter().filter_map(|name| map.take(name)).collect();
    if given.iter().filter(|item| !item.is_empty()).count() != 1 {
        map.item.error(
            "must specify exactly one of: Filename, EnvironmentVariable, InlineString or InlineBytes for JWKS' TrustedCA",
        );
    }
    map.finish();
}
