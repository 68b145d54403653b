//! Whole directories: what they come to, and what is said about a bad one.

mod beyond;
mod faults;
mod forms;
mod hostile;
mod kinds;
mod refusals;
mod registration_faults;
mod registrations;
mod same;
mod weak;

use proptest::prelude::*;

use super::*;

/// Loads files given as name and text.
fn read(files: &[(&str, &str)]) -> (Config, Vec<String>) {
    let file = |(path, text): &(&str, &str)| File { path: path.into(), bytes: text.as_bytes().to_vec() };
    let (config, problems) = load(&files.iter().map(file).collect::<Vec<_>>());
    (config, problems.iter().map(Problem::to_string).collect())
}

/// Loads files that have nothing wrong with them.
fn good(files: &[(&str, &str)]) -> Config {
    let (config, problems) = read(files);
    assert_eq!(problems, Vec::<String>::new(), "{files:?}");
    config
}

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a valid name")
}

proptest! {
    /// Pieces of real files in any order reach further into the readers than any bytes would.
    #[test]
    fn no_directory_makes_loading_panic(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..40),
        format in proptest::sample::select(&["f.hcl", "f.json", "f.yaml"]),
    ) {
        let _ = read(&[(format, &pieces.concat())]);
    }
}

const PIECES: &[&str] = &[
    "Kind = \"service-router\"\n",
    "Kind = \"service-splitter\"\n",
    "Kind = \"service-resolver\"\n",
    "Kind = \"service-defaults\"\n",
    "Kind = \"proxy-defaults\"\n",
    "Kind = \"mesh\"\n",
    "Kind = \"exported-services\"\n",
    "Kind = \"service-intentions\"\n",
    "Kind = \"jwt-provider\"\n",
    "Name = \"a\"\n",
    "Name = \"global\"\n",
    "Routes = [",
    "Match {",
    "HTTP {",
    "Header = [",
    "Splits = [",
    "Weight = 100",
    "Weight = -1e308",
    "Subsets {",
    "v1 {",
    "\"*\" {",
    "Failover {",
    "Targets = [",
    "Redirect {",
    "Peer = \"p\"",
    "ConnectTimeout = -5",
    "ConnectTimeout = \"1e9h\"",
    "LoadBalancer {",
    "HashPolicies = [",
    "UpstreamConfig {",
    "Overrides = [",
    "Sources = [",
    "Permissions = [",
    "Services = [",
    "Consumers = [",
    "service {",
    "services = [",
    "connect {",
    "sidecar_service {",
    "proxy {",
    "upstreams = [",
    "config {",
    "port = 99999999999999999999",
    "port = 65535",
    "check {",
    "{",
    "}",
    "]",
    ",",
    "\n",
    "\"x\"",
    "1",
    "null",
    ":",
    "apiVersion: ",
    "consul.hashicorp.com/v1alpha1\n",
    "kind: ServiceRouter\n",
    "spec:\n",
    "  routes:\n",
    "  - ",
    "match:\n",
    "&a ",
    "*a ",
    "\"Kind\": \"service-splitter\"",
    "\"Name\": \"web\"",
    "\"Splits\": [",
    "é",
    "tags = [",
    "Meta {",
    "k = ",
];
