//! One entry in every form that it can be written in.

use super::*;
use crate::entry::{Failover, FailoverTarget, Redirect};

const RESOLVER_HCL: &str = r#"
Kind           = "service-resolver"
Name           = "frontend"
ConnectTimeout = "15s"
Failover = {
  "*" = {
    Targets = [
      {Peer = "cluster-02"}
    ]
  }
}
"#;
const RESOLVER_JSON: &str = r#"{
  "ConnectTimeout": "15s", "Kind": "service-resolver", "Name": "frontend",
  "Failover": { "*": { "Targets": [ { "Peer": "cluster-02" } ] } },
  "CreateIndex": 250, "ModifyIndex": 250
}"#;
const RESOLVER_YAML: &str = r"apiVersion: consul.hashicorp.com/v1alpha1
kind: ServiceResolver
metadata:
  name: frontend
spec:
  connectTimeout: 15s
  failover:
    '*':
      targets:
        - peer: 'cluster-02'
          service: 'frontend'
          namespace: 'default'
";
const SPLITTER_HCL: &str = r#"
Kind = "service-splitter"
Name = "frontend"
Splits = [
  {
    Weight = 50
    ## defaults to service with same name as configuration entry ("frontend")
  },
  {
    Weight  = 50
    Service = "frontend-peer"
  },
]
"#;
const SPLITTER_JSON: &str = r#"{
  "Kind": "service-splitter", "Name": "frontend",
  "Splits": [ { "Weight": 50 }, { "Weight": 50, "Service": "frontend-peer" } ]
}"#;
const SPLITTER_YAML: &str = r#"apiVersion: consul.hashicorp.com/v1alpha1
kind: ServiceSplitter
metadata:
  name: frontend
spec:
  splits:
    - weight: 50
      ## defaults to service with same name as configuration entry ("frontend")
    - weight: 50
      service: frontend-peer
"#;
const REDIRECT_HCL: &str = r#"
Kind = "service-resolver"
Name = "frontend-peer"
Redirect {
  Service = "frontend"
  Peer    = "cluster-02"
}
"#;
const REDIRECT_JSON: &str = r#"{
  "Kind": "service-resolver", "Name": "frontend-peer",
  "Redirect": { "Service": "frontend", "Peer": "cluster-02" }
}"#;
const REDIRECT_YAML: &str = r"apiVersion: consul.hashicorp.com/v1alpha1
kind: ServiceResolver
metadata:
  name: frontend-peer
spec:
  redirect:
    peer: 'cluster-02'
    service: 'frontend'
";

#[test]
fn the_three_entries_of_a_peered_failover_are_the_same_in_every_format() {
    let all = [
        [("a.hcl", RESOLVER_HCL), ("b.hcl", SPLITTER_HCL), ("c.hcl", REDIRECT_HCL)],
        [("a.json", RESOLVER_JSON), ("b.json", SPLITTER_JSON), ("c.json", REDIRECT_JSON)],
        [("a.yaml", RESOLVER_YAML), ("b.yml", SPLITTER_YAML), ("c.yaml", REDIRECT_YAML)],
    ];
    for files in all {
        let entries = good(&files).entries;
        let frontend = &entries.resolvers[&name("frontend")];
        assert_eq!(frontend.connect_timeout, Some(std::time::Duration::from_secs(15)));
        let mut failover = frontend.failover.clone();
        for target in failover.values_mut().flat_map(|failover| &mut failover.targets) {
            // The entry's own service, named or not.
            target.service.take_if(|service| *service == frontend.name);
        }
        let target = FailoverTarget { peer: "cluster-02".parse().ok(), ..FailoverTarget::default() };
        let expected = Failover { targets: vec![target], ..Failover::default() };
        assert_eq!(failover, [("*".to_owned(), expected)].into());

        let splits = &entries.splitters[&name("frontend")].splits;
        let read: Vec<_> = splits.iter().map(|it| (it.basis_points(), it.service.as_ref())).collect();
        assert_eq!(read, [(5_000, None), (5_000, Some(&name("frontend-peer")))]);

        let redirect = entries.resolvers[&name("frontend-peer")].redirect.clone();
        let expected = Redirect {
            service: "frontend".parse().ok(),
            peer: "cluster-02".parse().ok(),
            ..Redirect::default()
        };
        assert_eq!(redirect, Some(expected));
    }
}

#[test]
fn a_value_without_quotes_is_named_with_its_place_and_its_cure() {
    let text = REDIRECT_HCL.replace("\"frontend\"\n", "frontend\n");
    let (_, problems) = read(&[("printed.hcl", &text)]);
    assert_eq!(
        problems,
        ["printed.hcl:5:13: `frontend` is not a value: strings are quoted, write \"frontend\""]
    );
}
