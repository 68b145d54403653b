//! `spillway validate`: warnings, for people and for CI.

use std::io;

use serde_json::{Value, json};

use crate::run::{configuration, run_in};

/// `web`, with a sidecar.
const WEB: &str = "service { name = \"web\" port = 80 connect { sidecar_service {} } }\n";

const HTTP: &str = "Kind = \"proxy-defaults\"\nName = \"global\"\nConfig { protocol = \"http\" }\n";

/// The second route never matches.
const ROUTER: &str = r#"Kind = "service-router"
Name = "web"
Routes = [
  { Match { HTTP { PathPrefix = "/a" } } },
  { Match { HTTP { PathPrefix = "/a/b" } } },
]
"#;

const WARNING: &str = "conf/router.hcl:5:33: warning: Routes[1].Match.HTTP.PathPrefix: never matches: Routes[0] takes \
                       every request before it that it would take";

const SHADOWED: [(&str, &str); 3] = [("web.hcl", WEB), ("http.hcl", HTTP), ("router.hcl", ROUTER)];

#[test]
fn what_is_legal_but_wrong_is_a_warning_at_its_field() -> io::Result<()> {
    let directory = configuration(&SHADOWED)?;
    let ended = run_in(directory.path(), &["validate", "conf"])?;
    assert_eq!(ended.stderr.lines().collect::<Vec<_>>(), [WARNING]);
    let summary =
        "dc1 is valid: 3 files, 2 config entries, 1 instances, 1 sidecars, 0 gateways, 1 warnings\n";
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(0), summary));
    Ok(())
}

#[test]
fn warnings_are_denied_on_demand() -> io::Result<()> {
    let directory = configuration(&SHADOWED)?;
    run_in(directory.path(), &["validate", "conf", "--deny-warnings"])?.failed(1, &[WARNING]);
    let directory = configuration(&SHADOWED[..2])?;
    run_in(directory.path(), &["validate", "conf", "--deny-warnings"])?.done();
    Ok(())
}

#[test]
fn problems_as_json_are_a_list_on_stdout() -> io::Result<()> {
    let directory = configuration(&SHADOWED)?;
    let said = run_in(directory.path(), &["validate", "conf", "--format", "json"])?.done();
    let expected = json!([{
        "file": "conf/router.hcl",
        "line": 5,
        "column": 33,
        "severity": "warning",
        "field": "Routes[1].Match.HTTP.PathPrefix",
        "message": "never matches: Routes[0] takes every request before it that it would take",
    }]);
    assert_eq!(serde_json::from_str::<Value>(&said)?, expected);

    let directory = configuration(&[("web.hcl", WEB), ("bad.hcl", "Kind = \"service-router\"\n")])?;
    let ended = run_in(directory.path(), &["validate", "conf", "--format", "json"])?;
    let problems: Value = serde_json::from_str(&ended.stdout)?;
    assert_eq!(problems[0]["severity"], "error");
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(1), ""));
    Ok(())
}

#[test]
fn a_peer_that_is_not_there_yet_is_a_warning() -> io::Result<()> {
    let resolver = "Kind = \"service-resolver\"\nName = \"web\"\nFailover { \"*\" { Targets = [{ Peer = \"dc2\" }] } }\n";
    let directory = configuration(&[("web.hcl", WEB), ("resolver.hcl", resolver)])?;
    let ended = run_in(directory.path(), &["validate", "conf"])?;
    let line = "conf/resolver.hcl:3:29: warning: Failover[\"*\"].Targets[0]: cannot take over: there is no peering \
                dc2 yet\n";
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), line));
    Ok(())
}

#[test]
fn entries_of_every_kind_are_counted() -> io::Result<()> {
    let provider =
        "Kind = \"jwt-provider\"\nName = \"okta\"\nJSONWebKeySet { Local { Filename = \"/jwks.json\" } }\n";
    let directory = configuration(&[("web.hcl", WEB), ("http.hcl", HTTP), ("okta.hcl", provider)])?;
    let ended = run_in(directory.path(), &["validate", "conf"])?;
    assert!(ended.stdout.starts_with("dc1 is valid: 3 files, 2 config entries,"), "{ended:?}");
    Ok(())
}

/// A directory with `old/` and `new/` below `conf/`, both with `web` and http.
fn two(old: &str, new: &str) -> io::Result<tempfile::TempDir> {
    configuration(&[
        ("old/web.hcl", WEB),
        ("old/http.hcl", HTTP),
        ("old/x.hcl", old),
        ("new/web.hcl", WEB),
        ("new/http.hcl", HTTP),
        ("new/x.hcl", new),
    ])
}

const DIFF: [&str; 4] = ["validate", "--diff", "conf/old", "conf/new"];

fn resolver(timeout: &str) -> String {
    format!("Kind = \"service-resolver\"\nName = \"web\"\nConnectTimeout = \"{timeout}\"\n")
}

#[test]
fn a_change_of_behaviour_is_told_service_by_service() -> io::Result<()> {
    let directory = two(&resolver("3s"), &resolver("7s"))?;
    let said = run_in(directory.path(), &DIFF)?.done();
    assert_eq!(said, "service web\n  ~ connect timeout of web: 3s -> 7s\n");
    let said = run_in(directory.path(), &[&DIFF[..], &["--format", "json"]].concat())?.done();
    let said: Value = serde_json::from_str(&said)?;
    assert_eq!(said["changes"][0]["changes"][0]["after"], "7s");
    let ended = run_in(directory.path(), &[&DIFF[..], &["--exit-code"]].concat())?;
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(1), ""));
    Ok(())
}

#[test]
fn a_change_of_writing_is_no_change_of_behaviour() -> io::Result<()> {
    let directory = two(&resolver("5s"), &resolver("5000ms"))?;
    let said = run_in(directory.path(), &[&DIFF[..], &["--exit-code"]].concat())?.done();
    assert_eq!(said, "no change in behaviour\n");
    Ok(())
}

#[test]
fn errors_of_either_side_are_listed_instead_of_a_diff() -> io::Result<()> {
    let directory = two(&resolver("soon"), &resolver("never"))?;
    let line = |side: &str, text: &str| {
        format!(
            "conf/{side}/x.hcl:3:18: ConnectTimeout: {text:?} is not a duration such as \"15s\", \"1m30s\" or \"250ms\""
        )
    };
    run_in(directory.path(), &DIFF)?.failed(1, &[&line("old", "soon"), &line("new", "never")]);
    Ok(())
}
