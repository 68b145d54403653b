//! A peering's life on disk, and tokens right and wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use spillway_core::name::{PeerName, TrustDomain};

use super::*;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const PEM: &str = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";

/// A token's JSON as Consul writes it.
fn token_json() -> Value {
    json!({
        "CA": [PEM],
        "ManualServerAddresses": null,
        "ServerAddresses": ["10.0.0.1:8443", "gw.example:443", "[::1]:8443"],
        "ServerName": "server.dc2.peering.b.consul",
        "PeerID": "11111111-2222-3333-4444-555555555555",
        "EstablishmentSecret": "66666666-7777-8888-9999-000000000000",
        "Remote": {"Partition": "default", "Datacenter": "dc2", "Locality": {"Region": "r"}},
    })
}

fn encode(json: &Value) -> String {
    STANDARD.encode(json.to_string())
}

fn token() -> Result<Token> {
    Ok(Token::decode(&encode(&token_json()))?)
}

fn check_refused(change: impl FnOnce(&mut Value), expected: &str) {
    let mut json = token_json();
    change(&mut json);
    let error = Token::decode(&encode(&json)).map(|_| ()).map_err(|error| error.to_string());
    assert!(error.as_ref().is_err_and(|error| error.contains(expected)), "{error:?} lacks {expected:?}");
}

struct Cluster {
    dir: tempfile::TempDir,
    store: PeerStore,
    own: TrustDomain,
}

impl Cluster {
    fn new(trust_domain: &str) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let store = PeerStore::new(dir.path());
        Ok(Self { dir, store, own: trust_domain.parse()? })
    }

    fn redeem(&self, offer: &(String, Secret), remote: &Remote) -> std::result::Result<Secret, PeerError> {
        self.store.redeem(&offer.0, &offer.1, remote, "their-id", &self.own).map(|(_, secret)| secret)
    }

    fn state(&self, name: &str) -> Result<Option<String>> {
        Ok(self.store.read(&peer(name)?)?.map(|record| record.state))
    }
}

fn peer(name: &str) -> Result<PeerName> {
    Ok(name.parse()?)
}

fn remote(trust_domain: &str) -> Result<Remote> {
    Ok(Remote {
        trust_domain: trust_domain.parse()?,
        datacenter: "dc9".parse()?,
        ca_pems: vec![PEM.to_owned()],
        server_name: format!("server.dc9.peering.{trust_domain}").parse()?,
        addresses: vec!["10.9.0.1:8443".to_owned()],
    })
}

fn mode(path: &Path) -> Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o777)
}

#[test]
fn a_token_reads_back_as_it_was_written() -> Result {
    let token = token()?;
    assert_eq!(token.trust_domain.as_str(), "b.consul");
    assert_eq!(token.datacenter.as_str(), "dc2");
    assert_eq!(token.addresses().len(), 3);
    assert_eq!(Token::decode(&token.encode())?, token);
    let json: Value = serde_json::from_slice(&STANDARD.decode(token.encode())?)?;
    for (field, value) in token_json().as_object().into_iter().flatten() {
        match field.as_str() {
            "ManualServerAddresses" => assert_eq!(json[field], json!([])),
            "Remote" => assert_eq!(json[field], json!({"Partition": "default", "Datacenter": "dc2"})),
            _ => assert_eq!(&json[field], value, "{field}"),
        }
    }
    Ok(())
}

#[test]
fn white_space_that_pasting_added_does_not_matter() -> Result {
    let text = token()?.encode();
    let wrapped: Vec<&str> =
        text.as_bytes().chunks(64).map(std::str::from_utf8).collect::<std::result::Result<_, _>>()?;
    assert_eq!(Token::decode(&format!(" {}\n", wrapped.join("\n")))?, token()?);
    Ok(())
}

#[test]
fn manual_addresses_take_the_place_of_the_others() -> Result {
    let mut json = token_json();
    json["ManualServerAddresses"] = json!(["lb.example:443"]);
    assert_eq!(Token::decode(&encode(&json))?.addresses(), ["lb.example:443"]);
    Ok(())
}

#[test]
fn a_token_never_shows_its_secret() -> Result {
    assert!(!format!("{:?}", token()?).contains("66666666"));
    assert!(!format!("{:?}", token()?.secret).contains("66666666"));
    Ok(())
}

#[test]
fn what_is_no_token_is_refused_with_the_reason() {
    for (text, expected) in [
        ("", "JSON"),
        ("not base64!", "base64"),
        ("eyJDQSI", "base64"),
        ("AAAA", "JSON"),
        (&"A".repeat(600_000), "longer"),
    ] {
        let error = Token::decode(text).map(|_| ()).map_err(|error| error.to_string());
        assert!(error.as_ref().is_err_and(|error| error.contains(expected)), "{error:?} lacks {expected:?}");
    }
    check_refused(|json| json["CA"] = json!([]), "no CA");
    check_refused(|json| json["CA"] = Value::Null, "no CA");
    check_refused(|json| json["CA"] = json!([PEM, "x"]), "CA[1]");
    check_refused(|json| json["ServerAddresses"] = json!([]), "no ServerAddresses");
    check_refused(|json| json["ServerAddresses"] = json!(vec!["a:1"; 65]), "more than 64");
    for address in ["", "a", "a:", ":1", "a:0", "a:65536", "a:+1", "::1:80", "a b:1", "[a]:1", "http://a:1"] {
        check_refused(|json| json["ServerAddresses"] = json!([address]), "host:port");
    }
    for name in
        ["", "server.dc2.peering.", "dc2.peering.b.consul", "server.d.c.peering.b", "server.dc2.peering.B"]
    {
        check_refused(|json| json["ServerName"] = json!(name), "ServerName");
    }
    check_refused(|json| json["PeerID"] = json!(""), "PeerID");
    check_refused(|json| json["EstablishmentSecret"] = json!(""), "EstablishmentSecret");
    check_refused(|json| json["ServerAddresses"] = json!(1), "JSON");
}

#[test]
fn an_accepted_peering_goes_from_pending_to_active_and_keeps_its_secrets_apart() -> Result {
    let ours = Cluster::new("a.consul")?;
    let offer = ours.store.offer(&peer("b")?)?;
    assert_eq!(ours.state("b")?.as_deref(), Some("PENDING"));
    ours.redeem(&offer, &remote("b.consul")?)?;
    assert_eq!(ours.state("b")?.as_deref(), Some("ACTIVE"));
    let record = ours.store.list()?.remove(0);
    assert_eq!((record.trust_domain.as_str(), record.peer_id.as_str()), ("b.consul", "their-id"));
    let (public, secret) =
        (ours.dir.path().join("peers/b.json"), ours.dir.path().join("peers/b.secret.json"));
    assert_eq!((mode(&public)?, mode(&secret)?), (0o644, 0o600));
    let stream = ours.store.stream_secret(&peer("b")?)?.ok_or("no stream secret")?;
    for file in [public, secret] {
        assert!(!fs::read_to_string(&file)?.contains(offer.1.expose()), "the token's secret is not kept");
    }
    assert!(!fs::read_to_string(ours.dir.path().join("peers/b.json"))?.contains(stream.expose()));
    Ok(())
}

#[test]
fn a_secret_works_once() -> Result {
    let ours = Cluster::new("a.consul")?;
    let offer = ours.store.offer(&peer("b")?)?;
    assert!(matches!(
        ours.redeem(&(offer.0.clone(), "guess".to_owned().into()), &remote("b.consul")?),
        Err(PeerError::SecretRefused)
    ));
    assert!(ours.redeem(&offer, &remote("b.consul")?).is_ok());
    assert!(matches!(ours.redeem(&offer, &remote("b.consul")?), Err(PeerError::SecretRefused)));
    Ok(())
}

#[test]
fn of_many_who_use_a_secret_at_once_one_wins() -> Result {
    let ours = Cluster::new("a.consul")?;
    let offer = ours.store.offer(&peer("b")?)?;
    let remote = remote("b.consul")?;
    let won = std::thread::scope(|scope| {
        let uses: Vec<_> = (0..8).map(|_| scope.spawn(|| ours.redeem(&offer, &remote).is_ok())).collect();
        uses.into_iter().filter_map(|thread| thread.join().ok()).filter(|won| *won).count()
    });
    assert_eq!(won, 1);
    Ok(())
}

#[test]
fn a_new_token_voids_the_unused_one_and_leaves_the_stream_alone() -> Result {
    let ours = Cluster::new("a.consul")?;
    let first = ours.store.offer(&peer("b")?)?;
    let second = ours.store.offer(&peer("b")?)?;
    assert_eq!(first.0, second.0, "the peering keeps its id");
    assert!(matches!(ours.redeem(&first, &remote("b.consul")?), Err(PeerError::SecretRefused)));
    let stream = ours.redeem(&second, &remote("b.consul")?)?;
    let third = ours.store.offer(&peer("b")?)?;
    assert_eq!(ours.state("b")?.as_deref(), Some("ACTIVE"));
    assert_eq!(ours.store.stream_secret(&peer("b")?)?, Some(stream));
    assert!(matches!(ours.redeem(&third, &remote("c.consul")?), Err(PeerError::OtherCluster { .. })));
    assert!(ours.redeem(&third, &remote("b.consul")?).is_ok());
    Ok(())
}

#[test]
fn a_trust_domain_belongs_to_one_peering_and_never_to_our_own() -> Result {
    let ours = Cluster::new("a.consul")?;
    let offer = ours.store.offer(&peer("b")?)?;
    assert!(matches!(ours.redeem(&offer, &remote("a.consul")?), Err(PeerError::OwnCluster(_))));
    ours.redeem(&offer, &remote("b.consul")?)?;
    let other = ours.store.offer(&peer("c")?)?;
    assert!(matches!(ours.redeem(&other, &remote("b.consul")?), Err(PeerError::AlreadyPeered { .. })));
    let dialed = ours.store.dial(&peer("d")?, &token()?, &ours.own);
    assert!(matches!(dialed, Err(PeerError::AlreadyPeered { .. })), "{dialed:?}");
    let dialed = ours.store.dial(&peer("d")?, &token()?, &"b.consul".parse()?);
    assert!(matches!(dialed, Err(PeerError::OwnCluster(_))), "{dialed:?}");
    Ok(())
}

#[test]
fn a_dialed_peering_goes_from_establishing_to_active() -> Result {
    let ours = Cluster::new("a.consul")?;
    let (name, token) = (peer("b")?, token()?);
    let record = ours.store.dial(&name, &token, &ours.own)?;
    assert_eq!((record.state.as_str(), record.trust_domain.as_str()), ("ESTABLISHING", "b.consul"));
    assert_eq!(ours.store.dial(&name, &token, &ours.own)?.id, record.id, "trying again keeps the id");
    ours.store.dialed(&name, &remote("b.consul")?, "id", Secret::random(), Vec::new())?;
    assert_eq!(ours.state("b")?.as_deref(), Some("ACTIVE"));
    ours.store.abandon(&name, &record.id)?;
    assert_eq!(ours.state("b")?.as_deref(), Some("ACTIVE"), "only what was begun is taken back");
    Ok(())
}

#[test]
fn what_failed_to_be_established_leaves_nothing_behind() -> Result {
    let ours = Cluster::new("a.consul")?;
    let record = ours.store.dial(&peer("b")?, &token()?, &ours.own)?;
    ours.store.abandon(&peer("b")?, &record.id)?;
    assert_eq!(fs::read_dir(ours.dir.path().join("peers"))?.count(), 0);
    Ok(())
}

#[test]
fn a_name_is_begun_from_one_side_only() -> Result {
    let ours = Cluster::new("a.consul")?;
    ours.store.offer(&peer("b")?)?;
    let dialed = ours.store.dial(&peer("b")?, &token()?, &ours.own);
    assert!(matches!(dialed, Err(PeerError::Role { role: Role::Acceptor, .. })), "{dialed:?}");
    ours.store.dial(&peer("c")?, &token()?, &ours.own)?;
    assert!(matches!(ours.store.offer(&peer("c")?), Err(PeerError::Role { role: Role::Dialer, .. })));
    Ok(())
}

#[test]
fn a_deletion_is_final_from_the_moment_it_is_asked_for() -> Result {
    let ours = Cluster::new("a.consul")?;
    let (name, offer) = (peer("b")?, ours.store.offer(&peer("b")?)?);
    ours.redeem(&offer, &remote("b.consul")?)?;
    assert_eq!(ours.store.delete(&name)?, Deleted::Deleting);
    let changed = ours.store.update(&name, &offer.0, |record| record.state = "ACTIVE".to_owned())?;
    assert!(!changed, "an update cannot bring it back");
    assert!(matches!(ours.store.offer(&name), Err(PeerError::Deleting(_))));
    ours.store.forget(&name, "another id")?;
    assert_eq!(ours.state("b")?.as_deref(), Some("DELETING"));
    ours.store.forget(&name, &offer.0)?;
    assert_eq!(ours.state("b")?, None);
    assert_eq!(fs::read_dir(ours.dir.path().join("peers"))?.count(), 0);
    assert!(matches!(ours.store.delete(&name), Err(PeerError::Unknown(_))));
    Ok(())
}

#[test]
fn what_the_other_side_knows_nothing_of_is_deleted_at_once() -> Result {
    let ours = Cluster::new("a.consul")?;
    let name = peer("b")?;
    for prepare in ["pending", "terminated", "deleting"] {
        let offer = ours.store.offer(&name)?;
        if prepare != "pending" {
            ours.redeem(&offer, &remote("b.consul")?)?;
        }
        match prepare {
            "terminated" => assert!(ours.store.terminate(&name, &offer.0)?),
            "deleting" => assert_eq!(ours.store.delete(&name)?, Deleted::Deleting),
            _ => {}
        }
        assert_eq!(ours.store.delete(&name)?, Deleted::Gone, "{prepare}");
        assert_eq!(ours.state("b")?, None);
    }
    Ok(())
}

#[test]
fn an_update_writes_only_what_is_new() -> Result {
    let ours = Cluster::new("a.consul")?;
    let (name, offer) = (peer("b")?, ours.store.offer(&peer("b")?)?);
    ours.redeem(&offer, &remote("b.consul")?)?;
    let failing = |record: &mut spillway_core::catalog::PeerRecord| record.state = State::Failing.to_string();
    assert!(ours.store.update(&name, &offer.0, failing)?);
    assert!(!ours.store.update(&name, &offer.0, failing)?);
    assert!(!ours.store.update(&name, "another id", |record| record.state = "ACTIVE".to_owned())?);
    Ok(())
}

#[test]
fn other_files_in_the_directory_are_left_alone_and_broken_ones_are_named() -> Result {
    let ours = Cluster::new("a.consul")?;
    let offer = ours.store.offer(&peer("b")?)?;
    let dir = ours.dir.path().join("peers");
    for file in ["README", "B.json", ".b.json", "b.json~", "b.secret.json.1"] {
        fs::write(dir.join(file), "x")?;
    }
    assert_eq!(ours.store.names()?, [peer("b")?]);
    fs::write(dir.join("broken.json"), "{}")?;
    let error = ours.store.list().map(|_| ()).map_err(|error| error.to_string());
    assert!(error.as_ref().is_err_and(|error| error.contains("broken.json")), "{error:?}");
    assert!(ours.store.find(&offer.0)?.is_some(), "one broken file does not stop the others");
    Ok(())
}
