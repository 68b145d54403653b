//! Two directories that differ by one thing, and what is told of it.

mod chains;
mod others;

use super::{Side, diff};
use crate::catalog::Catalog;
use crate::load::{Config, File, load};
use crate::problem::Severity;

const MESH: &str = r#"
Kind = "proxy-defaults"
Name = "global"
Config { protocol = "http" }
"#;

const SERVICES: &str = r#"
services = [
  { name = "web" port = 1 connect { sidecar_service { port = 21000 proxy { upstreams = [{ destination_name = "api" local_bind_port = 5000 }] } } } },
  { name = "api" id = "api-1" port = 2 meta { version = "v1" } connect { sidecar_service { port = 21001 } } },
  { name = "api" id = "api-2" port = 3 meta { version = "v2" } connect { sidecar_service { port = 21002 } } },
]
"#;

fn side(text: &str) -> (Config, Catalog) {
    let file = |(path, text): (&str, &str)| File { path: path.into(), bytes: text.into() };
    let files = [("mesh.hcl", MESH), ("services.hcl", SERVICES), ("x.hcl", text)].map(file);
    let (config, problems) = load(&files);
    let wrong = problems.iter().any(|problem| problem.severity == Severity::Error);
    assert!(!wrong, "{problems:?}");
    let (catalog, _) = Catalog::from_registrations(&config.registrations, &config.agent, &[]);
    (config, catalog)
}

/// What changes from `old` to `new`, each added to the mesh of these tests; by lines.
fn changes(old: &str, new: &str) -> Vec<String> {
    let (old, new) = (side(old), side(new));
    let sides = [&old, &new].map(|(config, catalog)| Side { config, catalog });
    let trust_domain = "td.consul".parse().expect("a trust domain");
    diff(&sides[0], &sides[1], &trust_domain).to_string().lines().map(str::to_owned).collect()
}

/// Checks what changes, and that nothing does between a directory and itself.
#[track_caller]
fn check(old: &str, new: &str, expected: &[&str]) {
    assert_eq!(changes(old, new), expected);
    for same in [old, new] {
        assert_eq!(changes(same, same), ["no change in behaviour"]);
    }
}

/// Checks that nothing changes although the files do.
#[track_caller]
fn check_same(old: &str, new: &str) {
    check(old, new, &["no change in behaviour"]);
}
