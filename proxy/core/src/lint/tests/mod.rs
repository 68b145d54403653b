//! Whole directories and what is said of them: each warning with its place, and nothing where nothing is wrong.

mod failover;
mod intentions;
mod routes;
mod services;

use super::lint;
use crate::catalog::{Catalog, ImportedService, PeerRecord};
use crate::load::{File, load};
use crate::problem::Severity;

/// Every service speaks http.
const MESH: &str = r#"
Kind = "proxy-defaults"
Name = "global"
Config { protocol = "http" }
"#;

/// Instances of `web`, `api` (v1 and v2) and `admin`, with sidecars.
const SERVICES: &str = r#"
services = [
  { name = "web" port = 1 connect { sidecar_service {} } },
  { name = "api" id = "api-1" port = 2 meta { version = "v1" } connect { sidecar_service {} } },
  { name = "api" id = "api-2" port = 3 meta { version = "v2" } connect { sidecar_service {} } },
  { name = "admin" port = 4 connect { sidecar_service {} } },
]
"#;

/// A peer that exports `api`.
fn peer() -> PeerRecord {
    PeerRecord {
        name: "east".to_owned(),
        id: String::new(),
        peer_id: String::new(),
        state: "ACTIVE".to_owned(),
        trust_domain: "b.consul".to_owned(),
        datacenter: "dc1".to_owned(),
        ca_pems: vec!["-----BEGIN CERTIFICATE-----".to_owned()],
        peer_server_name: String::new(),
        peer_server_addresses: vec!["10.0.0.9:8443".to_owned()],
        imported: vec![ImportedService {
            name: "api".to_owned(),
            protocol: "http".to_owned(),
            sni: "api.default.default.us.external.b.consul".to_owned(),
            spiffe_ids: vec!["spiffe://b.consul/ns/default/dc/dc1/svc/api".to_owned()],
            healthy: 1,
        }],
    }
}

/// The warnings of `text`, added to the mesh of these tests as `x.hcl`.
fn warnings(text: &str) -> Vec<String> {
    warnings_of(&[("mesh.hcl", MESH), ("services.hcl", SERVICES), ("x.hcl", text)])
}

fn warnings_of(files: &[(&str, &str)]) -> Vec<String> {
    let file = |(path, text): &(&str, &str)| File { path: path.into(), bytes: text.as_bytes().to_vec() };
    let files: Vec<File> = files.iter().map(file).collect();
    let (config, problems) = load(&files);
    let wrong = problems.iter().any(|problem| problem.severity == Severity::Error);
    assert!(!wrong, "the entries of these tests have no errors: {problems:?}");
    let (catalog, problems) = Catalog::from_registrations(&config.registrations, &config.agent, &[peer()]);
    assert_eq!(problems, []);
    lint(&config, &catalog, &files).iter().map(ToString::to_string).collect()
}

/// Checks that exactly one warning is given, at this place and with these words in it.
#[track_caller]
fn check(text: &str, place: &str, words: &str) {
    let found = warnings(text);
    let matches =
        |line: &String| line.starts_with(&format!("x.hcl:{place}: warning: ")) && line.contains(words);
    assert!(found.len() == 1 && found.iter().all(matches), "{place} {words:?}: {found:#?}");
}

#[track_caller]
fn check_none(text: &str) {
    assert_eq!(warnings(text), Vec::<String>::new(), "{text}");
}

#[test]
fn a_mesh_without_mistakes_has_no_warnings() {
    check_none("");
    check_none(
        r#"
Kind = "service-router"
Name = "web"
Routes = [
  { Match { HTTP { PathPrefix = "/admin" } } Destination { Service = "admin" } },
  { Match { HTTP { Header = [{ Name = "x-debug" Exact = "1" }] } } Destination { Service = "api" ServiceSubset = "v2" } },
  { Match { HTTP { PathPrefix = "/api" Methods = ["GET"] } } Destination { Service = "api" NumRetries = 2 RetryOn = ["5xx"] } },
  { Match { HTTP { PathPrefix = "/" } } },
]
"#,
    );
}
