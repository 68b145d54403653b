//! Who gets in: real handshakes, in memory, between our contexts and whoever comes.

use std::sync::Arc;
use std::time::SystemTime;

use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ServerConfig};
use spillway_core::entry::{Mesh, TlsDirection};
use spillway_core::name::SpiffeId;

use crate::bundle::TrustBundles;
use crate::contexts::{Accept, Alpn, TlsContexts, authenticated, pinned_client};
use crate::pem;
use crate::policy::{TlsError, TlsPolicy};
use crate::testing::{
    Authority, Certified, Claim, HOUR, Refused, Shaken, TestResult, anonymous, domain, shake, svc,
};
use crate::x509::{IdentityError, spiffe_id};

/// Our own domain, a peer's, and one that nobody here has heard of.
struct World {
    own: Authority,
    peer: Authority,
    foreign: Authority,
}

impl World {
    fn new() -> Self {
        Self { own: Authority::new("own"), peer: Authority::new("peer"), foreign: Authority::new("foreign") }
    }

    fn authorities(&self) -> [(&'static str, &Authority); 3] {
        [("own", &self.own), ("peer", &self.peer), ("foreign", &self.foreign)]
    }

    fn bundles(&self) -> TrustBundles {
        let mut bundles =
            TrustBundles::new(domain("own"), vec![self.own.root()]).unwrap_or_else(|e| panic!("{e}"));
        bundles.add(domain("peer"), vec![self.peer.root()]).unwrap_or_else(|e| panic!("{e}"));
        bundles
    }

    fn contexts(&self, service: &str) -> TlsContexts {
        self.contexts_with(service, TlsPolicy::default())
    }

    fn contexts_with(&self, service: &str, policy: TlsPolicy) -> TlsContexts {
        TlsContexts::new(self.own.leaf(&svc("own", service)), self.bundles(), policy)
            .unwrap_or_else(|e| panic!("{e}"))
    }
}

fn policy(version: &str) -> TlsPolicy {
    let direction = TlsDirection {
        min_version: Some(version.to_owned()),
        max_version: Some(version.to_owned()),
        cipher_suites: Vec::new(),
    };
    let mesh = Mesh { tls_incoming: direction.clone(), tls_outgoing: direction, ..Mesh::default() };
    TlsPolicy::from_mesh(Some(&mesh)).unwrap_or_else(|e| panic!("{e}"))
}

fn ids(ids: &[SpiffeId]) -> Arc<[SpiffeId]> {
    ids.into()
}

/// Ways for a certificate to be, and whether a workload's may be that way.
fn claims(id: &SpiffeId) -> Vec<(&'static str, bool, Claim)> {
    let good = Claim::of(id);
    let now = SystemTime::now();
    let uris = |uris: &[&str]| Claim { uris: uris.iter().map(ToString::to_string).collect(), ..good.clone() };
    let extended = |extended| Claim { extended, ..good.clone() };
    let text = id.to_string();
    vec![
        ("as it should be", true, good.clone()),
        ("with a DNS name too", true, Claim { dns: Some("web.example"), ..good.clone() }),
        ("without extended key usage", true, extended(Vec::new())),
        ("expired", false, Claim { until: now - HOUR / 60, ..good.clone() }),
        ("not valid yet", false, Claim { from: now + HOUR / 60, ..good.clone() }),
        ("with a CA's rights", false, Claim { ca: true, ..good.clone() }),
        (
            "with the right to sign",
            false,
            Claim { usages: vec![KeyUsagePurpose::KeyCertSign], ..good.clone() },
        ),
        ("for signing code", false, extended(vec![ExtendedKeyUsagePurpose::CodeSigning])),
        ("without a URI SAN", false, uris(&[])),
        ("with the same URI SAN twice", false, uris(&[&text, &text])),
        (
            "with a second URI SAN behind it",
            false,
            uris(&[&text, "spiffe://own/ns/default/dc/dc1/svc/admin"]),
        ),
        ("with a second URI SAN before it", false, uris(&["https://example.com/", &text])),
        ("with another scheme", false, uris(&[&text.replace("spiffe:", "https:")])),
        ("with a path that names nobody", false, uris(&[&format!("{text}/extra")])),
        ("with its URI as a DNS name", false, Claim { dns: Some("spiffe.own"), ..uris(&[]) }),
    ]
}

#[test]
fn a_client_gets_in_only_with_a_leaf_from_the_ca_of_its_own_domain() {
    let world = World::new();
    let server = world.contexts("api").server(&Accept::All, Alpn::None);
    for (ca, authority) in world.authorities() {
        for claimed in ["own", "peer", "foreign"] {
            for (how, fit, claim) in claims(&svc(claimed, "web")) {
                let client = authority.sign(&claim).client();
                let expected = fit && ca == claimed && ca != "foreign";
                let case = format!("{claimed}'s web, signed by {ca}, {how}");
                match shake(&client, &server) {
                    Ok(shaken) => {
                        assert!(expected, "let in: {case}");
                        let id = authenticated(&shaken.server, SystemTime::now());
                        assert_eq!(id, Ok(Some(svc(claimed, "web"))), "{case}");
                    }
                    Err(Refused::Server(error)) => assert!(!expected, "refused: {case}: {error}"),
                    Err(Refused::Client(error)) => panic!("{case}: {error}"),
                }
            }
        }
    }
}

#[test]
fn a_server_is_believed_only_with_a_leaf_from_the_ca_of_its_own_domain() {
    let world = World::new();
    let contexts = world.contexts("web");
    for (ca, authority) in world.authorities() {
        for claimed in ["own", "peer", "foreign"] {
            let id = svc(claimed, "api");
            let client = contexts.client(&ids(std::slice::from_ref(&id)), Alpn::None);
            for (how, fit, claim) in claims(&id) {
                let server = authority.sign(&claim).server();
                let expected = fit && ca == claimed && ca != "foreign";
                let case = format!("{claimed}'s api, signed by {ca}, {how}");
                match shake(&client, &server) {
                    Ok(_) => assert!(expected, "believed: {case}"),
                    Err(Refused::Client(error)) => assert!(!expected, "refused: {case}: {error}"),
                    Err(Refused::Server(error)) => panic!("{case}: {error}"),
                }
            }
        }
    }
}

#[test]
fn a_leaf_for_the_other_role_alone_is_refused() {
    let world = World::new();
    let contexts = world.contexts("api");
    let leaf = |usage| world.own.sign(&Claim { extended: vec![usage], ..Claim::of(&svc("own", "web")) });
    let (as_client, as_server) =
        (leaf(ExtendedKeyUsagePurpose::ClientAuth), leaf(ExtendedKeyUsagePurpose::ServerAuth));
    let server = contexts.server(&Accept::All, Alpn::None);
    let client = contexts.client(&ids(&[svc("own", "web")]), Alpn::None);
    assert!(shake(&as_client.client(), &server).is_ok());
    assert!(shake(&as_server.client(), &server).is_err());
    assert!(shake(&client, &as_server.server()).is_ok());
    assert!(shake(&client, &as_client.server()).is_err());
}

#[test]
fn a_root_shown_as_a_leaf_is_refused() {
    let world = World::new();
    let contexts = world.contexts("api");
    let root = world.own.root_as_leaf();
    assert!(shake(&root.client(), &contexts.server(&Accept::All, Alpn::None)).is_err());
    let client = contexts.client(&ids(&[svc("own", "web")]), Alpn::None);
    assert!(shake(&client, &root.server()).is_err());
    // Not even a leaf that a workload signed with its own leaf's key.
    let web = Authority::with_uris(vec![svc("own", "web").to_string()]);
    let mut forged = web.sign(&Claim::of(&svc("own", "admin")));
    forged.chain.push(web.root());
    assert!(shake(&forged.client(), &contexts.server(&Accept::All, Alpn::None)).is_err());
}

#[test]
fn a_dialer_takes_exactly_the_identities_it_was_given() {
    let world = World::new();
    let contexts = world.contexts("web");
    let server = world.own.sign(&Claim::of(&svc("own", "api"))).server();
    let other_dc: SpiffeId =
        "spiffe://own/ns/default/dc/dc2/svc/api".parse().unwrap_or_else(|e| panic!("{e}"));
    for (expected, believed) in [
        (vec![svc("own", "api")], true),
        (vec![svc("own", "db"), svc("own", "api")], true),
        (vec![svc("own", "db")], false),
        (vec![svc("peer", "api")], false),
        (vec![svc("own", "ap"), svc("own", "apis"), svc("own", "API")], false),
        (vec![other_dc], false),
        (vec![], false),
    ] {
        match shake(&contexts.client(&ids(&expected), Alpn::None), &server) {
            Ok(_) => assert!(believed, "{expected:?}"),
            Err(Refused::Client(error)) => {
                assert!(!believed, "{expected:?}");
                let wanted = IdentityError::Unexpected { found: svc("own", "api"), expected: ids(&expected) };
                let wrapped = std::io::Error::other(error);
                assert_eq!(IdentityError::of(&wrapped), Some(&wanted));
            }
            Err(Refused::Server(error)) => panic!("{error}"),
        }
    }
}

#[test]
fn a_server_asks_for_as_much_as_its_accept_rule_says() {
    let world = World::new();
    let contexts = world.contexts("api");
    let of = |authority: &Authority, id: &SpiffeId| Some(authority.sign(&Claim::of(id)));
    let clients: [(&str, Option<Certified>); 4] = [
        ("nobody", None),
        ("own", of(&world.own, &svc("own", "web"))),
        ("peer", of(&world.peer, &svc("peer", "web"))),
        ("forger", of(&world.peer, &svc("own", "web"))),
    ];
    for (accept, admitted) in [
        (Accept::All, vec!["own", "peer"]),
        (Accept::Only(domain("own")), vec!["own"]),
        (Accept::Only(domain("peer")), vec!["peer"]),
        (Accept::Only(domain("foreign")), vec![]),
        (Accept::Optional, vec!["nobody", "own", "peer"]),
        (Accept::Unauthenticated, vec!["nobody", "own", "peer", "forger"]),
    ] {
        let server = contexts.server(&accept, Alpn::None);
        for (who, certified) in &clients {
            let client = certified.as_ref().map_or_else(anonymous, Certified::client);
            let shaken = shake(&client, &server);
            assert_eq!(shaken.is_ok(), admitted.contains(who), "{who} at {accept:?}");
            let Ok(shaken) = shaken else { continue };
            let id = authenticated(&shaken.server, SystemTime::now());
            let known = !matches!(accept, Accept::Unauthenticated) && *who != "nobody";
            assert_eq!(id, Ok(known.then(|| svc(who, "web"))), "{who} at {accept:?}");
        }
    }
}

/// Shakes hands twice with the first pair, then with the second, and says whether those two were resumed.
fn resumes(
    first: (&Arc<ClientConfig>, &Arc<ServerConfig>),
    second: (&Arc<ClientConfig>, &Arc<ServerConfig>),
) -> (bool, bool) {
    let resumed = |(client, server)| -> bool {
        shake(client, server).as_ref().map(Shaken::resumed).unwrap_or_else(|e| panic!("{e:?}"))
    };
    assert!(!resumed(first), "the very first handshake has nothing to resume");
    (resumed(first), resumed(second))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    Nothing,
    Leaf,
    Bundles,
}

#[test]
fn a_session_is_resumed_until_the_trust_or_the_leaf_of_either_side_changes() -> TestResult {
    use Change::{Bundles, Leaf, Nothing};
    let world = World::new();
    let only_own = TrustBundles::new(domain("own"), vec![world.own.root()])?;
    let changed = |contexts: &TlsContexts, change| match change {
        Nothing => contexts.with_bundles(world.bundles()),
        Leaf => Some(contexts.with_leaf(world.own.leaf(contexts.leaf().id()))),
        Bundles => contexts.with_bundles(only_own.clone()),
    };
    let expected = ids(&[svc("own", "api")]);
    let client = |web: &TlsContexts| web.client(&expected, Alpn::Http1);
    let server = |api: &TlsContexts| api.server(&Accept::All, Alpn::Http1);
    for version in ["TLSv1_2", "TLSv1_3"] {
        for (at_web, at_api) in
            [(Nothing, Nothing), (Leaf, Nothing), (Nothing, Leaf), (Bundles, Nothing), (Nothing, Bundles)]
        {
            let web = world.contexts_with("web", policy(version));
            let api = world.contexts_with("api", policy(version));
            let (new_web, new_api) = (changed(&web, at_web), changed(&api, at_api));
            let then = (client(new_web.as_ref().unwrap_or(&web)), server(new_api.as_ref().unwrap_or(&api)));
            let unchanged = (at_web, at_api) == (Nothing, Nothing);
            let found = resumes((&client(&web), &server(&api)), (&then.0, &then.1));
            assert_eq!(found, (true, unchanged), "{version}: {at_web:?} at web, {at_api:?} at api");
        }
    }
    Ok(())
}

#[test]
fn a_session_begun_under_one_rule_is_not_resumed_under_another() {
    let world = World::new();
    let api = world.contexts("api");
    let open = api.server(&Accept::Unauthenticated, Alpn::None);
    let client = anonymous();
    assert_eq!(resumes((&client, &open), (&client, &open)), (true, true));
    for accept in [Accept::All, Accept::Only(domain("own"))] {
        assert!(shake(&client, &api.server(&accept, Alpn::None)).is_err(), "{accept:?}");
    }
    let peer = world.peer.sign(&Claim::of(&svc("peer", "web"))).client();
    let all = api.server(&Accept::All, Alpn::None);
    assert_eq!(resumes((&peer, &all), (&peer, &all)), (true, true));
    assert!(shake(&peer, &api.server(&Accept::Only(domain("own")), Alpn::None)).is_err());
}

#[test]
fn a_resumed_session_ends_with_the_certificate_it_began_with() -> TestResult {
    let world = World::new();
    let (web, api) = (world.contexts("web"), world.contexts("api"));
    let client = web.client(&ids(&[svc("own", "api")]), Alpn::None);
    let server = api.server(&Accept::All, Alpn::None);
    let first = shake(&client, &server).map_err(|e| format!("{e:?}"))?;
    assert!(!first.resumed());
    let resumed = shake(&client, &server).map_err(|e| format!("{e:?}"))?;
    assert!(resumed.resumed());
    let now = SystemTime::now();
    assert_eq!(authenticated(&resumed.server, now), Ok(Some(svc("own", "web"))));
    assert_eq!(authenticated(&resumed.client, now), Ok(Some(svc("own", "api"))));
    let expired = |id| Err(IdentityError::Expired { id });
    assert_eq!(authenticated(&resumed.server, now + 2 * HOUR), expired(svc("own", "web")));
    assert_eq!(authenticated(&resumed.client, now + 2 * HOUR), expired(svc("own", "api")));
    Ok(())
}

#[test]
fn versions_and_protocols_are_negotiated_as_configured() -> TestResult {
    let world = World::new();
    let expected = ids(&[svc("own", "api")]);
    for (client, server, agreed) in [
        ("TLSv1_2", "TLSv1_2", true),
        ("TLSv1_3", "TLSv1_3", true),
        ("TLSv1_2", "TLSv1_3", false),
        ("TLSv1_3", "TLSv1_2", false),
    ] {
        let client = world.contexts_with("web", policy(client)).client(&expected, Alpn::None);
        let server = world.contexts_with("api", policy(server)).server(&Accept::All, Alpn::None);
        assert_eq!(shake(&client, &server).is_ok(), agreed);
    }
    let (web, api) = (world.contexts("web"), world.contexts("api"));
    for (client, server, agreed) in [
        (Alpn::Http2OrHttp1, Alpn::Http1, Some(&b"http/1.1"[..])),
        (Alpn::Http2OrHttp1, Alpn::Http2OrHttp1, Some(b"h2")),
        (Alpn::Custom(b"spillway"), Alpn::Custom(b"spillway"), Some(b"spillway")),
        (Alpn::None, Alpn::Http2, None),
        (Alpn::Http2, Alpn::None, None),
    ] {
        let shaken = shake(&web.client(&expected, client), &api.server(&Accept::All, server));
        let shaken = shaken.map_err(|e| format!("{client:?} {server:?}: {e:?}"))?;
        assert_eq!(shaken.client.alpn_protocol(), agreed, "{client:?} {server:?}");
    }
    Ok(())
}

#[test]
fn the_same_configuration_serves_every_handshake_of_its_kind() {
    let contexts = World::new().contexts("web");
    let (api, db) = (svc("own", "api"), svc("own", "db"));
    let client = |who: &[&SpiffeId], alpn| {
        let who: Vec<_> = who.iter().copied().cloned().collect();
        contexts.client(&ids(&who), alpn)
    };
    assert!(Arc::ptr_eq(&client(&[&api], Alpn::Http1), &client(&[&api], Alpn::Http1)));
    assert!(!Arc::ptr_eq(&client(&[&api], Alpn::Http1), &client(&[&db], Alpn::Http1)));
    assert!(!Arc::ptr_eq(&client(&[&api], Alpn::Http1), &client(&[&api], Alpn::Http2)));
    let server = |accept: Accept| contexts.server(&accept, Alpn::Http1);
    assert!(Arc::ptr_eq(&server(Accept::All), &server(Accept::All)));
    assert!(!Arc::ptr_eq(&server(Accept::All), &server(Accept::Only(domain("own")))));
}

#[test]
fn a_token_is_redeemed_at_the_gateway_of_its_own_domain_and_nowhere_else() -> TestResult {
    let world = World::new();
    let ca = [pem::encode_certificates(&[world.peer.root()])];
    let client = pinned_client(&ca, "server.dc1.peering.peer", &TlsPolicy::default(), Alpn::None)?;
    let gateway = |domain: &str, dc: &str| -> SpiffeId {
        format!("spiffe://{domain}/gateway/mesh/dc/{dc}").parse().unwrap_or_else(|e| panic!("{e}"))
    };
    for (authority, id, believed) in [
        (&world.peer, gateway("peer", "dc1"), true),
        (&world.peer, gateway("peer", "dc2"), false),
        (&world.peer, gateway("own", "dc1"), false),
        (&world.peer, svc("peer", "api"), false),
        (&world.own, gateway("peer", "dc1"), false),
        (&world.own, gateway("own", "dc1"), false),
    ] {
        let server = authority.sign(&Claim::of(&id)).server();
        assert_eq!(shake(&client, &server).is_ok(), believed, "{id}");
    }
    Ok(())
}

#[test]
fn a_token_that_pins_nothing_is_refused() {
    let world = World::new();
    let pem_of = |authority: &Authority| pem::encode_certificates(&[authority.root()]);
    let leaf = pem::encode_certificates(&world.peer.sign(&Claim::of(&svc("peer", "api"))).chain);
    let nameless = Authority::with_uris(Vec::new());
    for (ca, server_name) in [
        (vec![], "server.dc1.peering.peer"),
        (vec!["garbage".to_owned()], "server.dc1.peering.peer"),
        (vec![leaf], "server.dc1.peering.peer"),
        (vec![pem_of(&nameless)], "server.dc1.peering.peer"),
        (vec![pem_of(&world.peer), pem_of(&world.own)], "server.dc1.peering.peer"),
        (vec![pem_of(&world.peer)], "server.dc1.peering.own"),
        (vec![pem_of(&world.peer)], "server.dc1.dc2.peering.peer"),
        (vec![pem_of(&world.peer)], "dc1.peering.peer"),
        (vec![pem_of(&world.peer)], ""),
    ] {
        let made = pinned_client(&ca, server_name, &TlsPolicy::default(), Alpn::None);
        let refused = matches!(made, Err(TlsError::TokenCa(_) | TlsError::TokenServerName { .. }));
        assert!(refused, "{server_name:?} with {} roots", ca.len());
    }
}

#[test]
fn a_mangled_certificate_is_refused_without_a_panic() -> TestResult {
    let world = World::new();
    let leaf = world.own.leaf(&svc("own", "web"));
    let original = leaf.chain()[0].to_vec();
    let bundles = world.bundles();
    let own = bundles.bundle(&domain("own")).ok_or("no bundle")?;
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below as u64).unwrap_or_default()
    };
    let now = rustls::pki_types::UnixTime::now();
    for _ in 0..20_000 {
        let mut der = original.clone();
        for _ in 0..=draw(3) {
            let at = draw(der.len());
            match draw(3) {
                0 => der[at] ^= 1 << draw(8),
                1 => der[at] = u8::try_from(draw(256))?,
                _ => der.truncate(at.max(1)),
            }
        }
        if der == original {
            continue;
        }
        let der = CertificateDer::from(der);
        let named = spiffe_id(&der);
        let vouched = own.clients.verify_client_cert(&der, &[], now);
        assert!(vouched.is_err() || named.is_err(), "a changed certificate cannot hold");
    }
    Ok(())
}
