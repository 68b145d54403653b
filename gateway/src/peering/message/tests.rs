//! What a peer says, and what of it is believed.

use proptest::prelude::*;
use spillway_certs::ca::Ca;
use spillway_core::entry::CaConfig;

use super::*;

const OTHER_ROOT: &str = "b.consul";

/// A root of a trust domain, PEM.
fn root(trust_domain: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let domain = trust_domain.parse().unwrap();
    let ca = Ca::init(dir.path(), Some(domain), &CaConfig::default()).unwrap();
    spillway_certs::pem::encode_certificates(&ca.roots())
}

fn facts() -> Facts {
    Facts {
        trust_domain: "a.consul".to_owned(),
        datacenter: "dc1".to_owned(),
        roots: vec![root("a.consul")],
        gateways: vec!["10.0.0.1:8443".to_owned(), "gw.example:443".to_owned()],
    }
}

fn export(name: &str) -> Export {
    Export {
        name: name.to_owned(),
        protocol: "http".to_owned(),
        sni: format!("{name}.default.default.b.external.a.consul"),
        identities: vec![format!("spiffe://a.consul/ns/default/dc/dc1/svc/{name}")],
        healthy: 1,
    }
}

fn exporter() -> TrustDomain {
    "a.consul".parse().unwrap()
}

fn check_facts(change: impl FnOnce(&mut Facts), expected: &str) {
    let mut facts = facts();
    change(&mut facts);
    let checked = facts.check_is(&exporter()).map(|_| ()).map_err(|error| error.to_string());
    assert!(checked.as_ref().is_err_and(|error| error.contains(expected)), "{checked:?} lacks {expected:?}");
}

fn check_export(believed: bool, change: impl FnOnce(&mut Export)) {
    let mut export = export("web");
    change(&mut export);
    assert_eq!(export.clone().check(&exporter()).is_some(), believed, "{export:?}");
}

#[test]
fn a_message_reads_back_as_it_was_written() {
    let secret = Secret::random();
    let peering = "id".to_owned();
    for message in [
        Message::Establish {
            peering: peering.clone(),
            secret: secret.clone(),
            from: "from".to_owned(),
            facts: facts(),
        },
        Message::Established { stream_secret: secret.clone(), facts: facts() },
        Message::Open { peering, secret },
        Message::Update { facts: facts(), services: vec![export("web")], more: true },
        Message::Heartbeat,
        Message::Terminated,
        Message::Refused { reason: "why".to_owned() },
    ] {
        let line = message.encode();
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(Message::decode(line.trim_ascii_end()).unwrap(), message);
    }
}

#[test]
fn what_newer_gateways_say_is_passed_over() {
    for (line, read) in [
        (r#"{"type":"heartbeat","load":[1,{"a":2}]}"#, Message::Heartbeat),
        (r#"{"type":"weather","sun":true}"#, Message::Unknown),
        (r#"{"reason":"x","type":"refused","code":7}"#, Message::Refused { reason: "x".to_owned() }),
    ] {
        assert_eq!(Message::decode(line.as_bytes()).unwrap(), read);
    }
}

#[test]
fn what_is_no_message_is_refused() {
    let deep = "[".repeat(100_000);
    for line in ["", "[]", "{}", "{\"type\":1}", "null", "{\"type\":\"open\"}", deep.as_str(), "\u{0}"] {
        assert!(matches!(Message::decode(line.as_bytes()), Err(MessageError::Json(_))), "{line:.20}");
    }
    assert!(matches!(Message::decode(&vec![b' '; MAX_LINE + 1]), Err(MessageError::TooLong)));
}

#[test]
fn facts_of_the_peer_are_believed() {
    let remote = facts().check_is(&exporter()).unwrap();
    assert_eq!(remote.server_name.as_str(), "server.dc1.peering.a.consul");
    assert_eq!(remote.addresses, facts().gateways);
}

#[test]
fn a_peer_speaks_for_its_own_trust_domain_only() {
    check_facts(
        |facts| {
            facts.trust_domain = OTHER_ROOT.to_owned();
            facts.roots = vec![root(OTHER_ROOT)];
        },
        "speaks for b.consul",
    );
    check_facts(|facts| facts.roots = vec![root(OTHER_ROOT)], "b.consul");
    check_facts(|facts| facts.roots.push(root(OTHER_ROOT)), "b.consul");
}

#[test]
fn facts_that_cannot_be_are_refused_whole() {
    check_facts(|facts| facts.roots.clear(), "no root");
    check_facts(|facts| facts.roots.push("x".to_owned()), "PEM");
    check_facts(|facts| facts.roots.push(" ".repeat(MAX_ROOTS_BYTES)), "roots have more than");
    check_facts(|facts| facts.trust_domain = "A".to_owned(), "trust domain");
    check_facts(|facts| facts.datacenter = "../x".to_owned(), "datacenter");
    check_facts(|facts| facts.gateways = vec!["nowhere".to_owned()], "host:port");
    check_facts(|facts| facts.gateways = vec!["a:1".to_owned(); MAX_ADDRESSES + 1], "addresses");
}

#[test]
fn an_export_that_nobody_could_dial_or_vouch_for_is_passed_over() {
    check_export(true, |_| {});
    check_export(false, |export| export.name = "../web".to_owned());
    check_export(false, |export| export.protocol = "http3".to_owned());
    check_export(false, |export| export.sni = "web.default.dc1.internal.b.consul".to_owned());
    check_export(false, |export| export.sni = "web.default.default.b.external.b.consul".to_owned());
    check_export(false, |export| export.sni = "evil.external.xa.consul".to_owned());
    check_export(false, |export| export.identities.clear());
    check_export(false, |export| {
        export.identities.push("spiffe://b.consul/ns/default/dc/dc1/svc/web".to_owned());
    });
    check_export(false, |export| export.identities = vec!["spiffe://a.consul/evil".to_owned()]);
    check_export(false, |export| {
        export.identities = vec![export.identities[0].clone(); MAX_IDENTITIES + 1];
    });
}

#[test]
fn an_update_of_many_lines_counts_only_when_it_is_whole() {
    let names: Vec<String> = (0..1000).map(|n| format!("s{n:04}")).collect();
    let services: Vec<Export> = names.iter().rev().map(|name| export(name)).collect();
    let facts = facts();
    let mut assembly = Assembly::default();
    let mut whole = None;
    for line in Message::update(&facts, &services) {
        assert_eq!(whole, None, "nothing follows the last line");
        assert!(line.encode().len() < MAX_LINE);
        let Message::Update { facts, services, more } = line else { panic!("no update") };
        whole = assembly.add(facts, services, more, &exporter()).unwrap();
        assert_eq!(whole.is_some(), !more);
    }
    let update = whole.unwrap();
    assert_eq!(
        update.services.iter().map(|service| &service.name).collect::<Vec<_>>(),
        names.iter().collect::<Vec<_>>()
    );
    assert_eq!(update.refused, 0);
    assert_eq!(Message::update(&facts, &[]).count(), 1, "no services are news, too");
}

#[test]
fn the_longest_names_still_make_lines_that_are_read() {
    let name = "n".repeat(128);
    let mut longest = export(&name);
    longest.identities = vec![longest.identities[0].clone(); MAX_IDENTITIES];
    let facts = Facts {
        roots: vec!["x".repeat(MAX_ROOTS_BYTES)],
        gateways: vec![format!("{}:65535", "h".repeat(253)); MAX_ADDRESSES],
        ..facts()
    };
    for line in Message::update(&facts, &vec![longest; 200]) {
        assert!(line.encode().len() <= MAX_LINE, "{}", line.encode().len());
    }
}

#[test]
fn a_name_told_twice_counts_once_and_refused_ones_are_counted() {
    let mut refused = export("bad");
    refused.protocol.clear();
    let services = vec![export("web"), export("web"), refused];
    let update = Assembly::default().add(facts(), services, false, &exporter()).unwrap().unwrap();
    assert_eq!((update.services.len(), update.refused), (1, 2));
}

#[test]
fn more_services_than_we_remember_are_refused() {
    let mut assembly = Assembly::default();
    let facts = facts();
    let mut refused = None;
    for at in 0..=MAX_SERVICES / 1000 {
        let services = (0..1000).map(|n| export(&format!("s{at}-{n}"))).collect();
        refused = assembly.add(facts.clone(), services, true, &exporter()).err();
    }
    assert!(matches!(refused, Some(MessageError::TooManyServices)));
}

#[test]
fn longer_names_than_we_remember_are_refused() {
    let mut assembly = Assembly::default();
    let (facts, long) = (facts(), "n".repeat(50));
    let mut refused = (0..MAX_SERVICES / 100).map(|at| {
        let mut services: Vec<Export> = (0..100).map(|n| export(&format!("{long}{at}-{n}"))).collect();
        services.iter_mut().for_each(|it| it.identities = vec![it.identities[0].clone(); MAX_IDENTITIES]);
        assembly.add(facts.clone(), services, true, &exporter()).is_err()
    });
    assert!(refused.any(|refused| refused));
}

proptest! {
    #[test]
    fn no_line_panics(line: Vec<u8>, text in "\\{\"type\":\"(open|update|establish)\".{0,200}\\}") {
        let _ = Message::decode(&line);
        let _ = Message::decode(text.as_bytes());
    }
}
