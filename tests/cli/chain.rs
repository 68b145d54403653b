//! `spillway chain` and `spillway validate` on what is right.

use std::io;

use serde_json::Value;

use crate::run::{configuration, run_in};

const FRONTEND: &str = r#"
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

#[test]
fn a_valid_directory_gets_a_summary() -> io::Result<()> {
    let directory = configuration(&[("frontend.hcl", FRONTEND), ("agent.hcl", "datacenter = \"dc7\"")])?;
    let said = run_in(directory.path(), &["validate", "conf"])?.stdout;
    assert!(said.starts_with("dc7 is valid: 2 files, 1 config entries"), "{said}");
    Ok(())
}

#[test]
fn a_chain_as_json_has_the_shape_of_consuls_answer() -> io::Result<()> {
    let directory = configuration(&[("frontend.hcl", FRONTEND)])?;
    let args =
        ["chain", "frontend", "--config-dir", "conf", "--format", "json", "--trust-domain", "a.consul"];
    let answer: Value = serde_json::from_str(&run_in(directory.path(), &args)?.done())?;
    let chain = &answer["Chain"];
    assert_eq!(chain["StartNode"], "resolver:frontend.default.default.dc1");
    let resolver = &chain["Nodes"]["resolver:frontend.default.default.dc1"]["Resolver"];
    assert_eq!(resolver["ConnectTimeout"], "15s");
    let failover = serde_json::json!(["frontend.default.default.external.cluster-02"]);
    assert_eq!(resolver["Failover"]["Targets"], failover);
    let target = &chain["Targets"]["frontend.default.default.dc1"];
    assert_eq!(target["SNI"], "frontend.default.dc1.internal.a.consul");
    Ok(())
}

#[test]
fn overrides_give_a_chain_its_customization_hash() -> io::Result<()> {
    let directory = configuration(&[("frontend.hcl", FRONTEND)])?;
    for (flag, value, hash) in [
        ("--override-protocol", "http", "1a47f6e1"),
        ("--override-protocol", "grpc", "ef15b5b5"),
        ("--override-mesh-gateway", "local", "c225dc1c"),
        ("--override-mesh-gateway", "remote", "dd412229"),
    ] {
        let args = ["chain", "frontend", "--config-dir", "conf", "--format", "json", flag, value];
        let answer: Value = serde_json::from_str(&run_in(directory.path(), &args)?.done())?;
        assert_eq!(answer["Chain"]["CustomizationHash"], hash, "{flag} {value}");
    }
    Ok(())
}

#[test]
fn the_environment_names_the_directory_where_no_flag_does() -> io::Result<()> {
    let directory = configuration(&[("frontend.hcl", FRONTEND)])?;
    let output = crate::run::spillway()
        .args(["chain", "frontend", "--format", "dot"])
        .env("SPILLWAY_CONFIG_DIR", directory.path().join("conf"))
        .output()?;
    assert!(output.stdout.starts_with(b"digraph"), "{output:?}");
    Ok(())
}

#[test]
fn a_service_without_any_entry_has_the_default_chain() -> io::Result<()> {
    let directory = configuration(&[("frontend.hcl", FRONTEND)])?;
    let args = ["chain", "other", "--config-dir", "conf", "--datacenter", "dc2"];
    let said = run_in(directory.path(), &args)?.done();
    assert!(said.starts_with("other in dc2, tcp, default\n└─ other.default.default.dc2\n"), "{said}");
    Ok(())
}

#[test]
fn a_wrong_override_is_wrong_usage() -> io::Result<()> {
    let directory = configuration(&[("frontend.hcl", FRONTEND)])?;
    for (flag, value) in [
        ("--override-protocol", "udp"),
        ("--override-mesh-gateway", "sideways"),
        ("--override-connect-timeout", "soon"),
        ("--datacenter", "a b"),
    ] {
        let ended = run_in(directory.path(), &["chain", "frontend", "--config-dir", "conf", flag, value])?;
        assert_eq!(ended.status, Some(2), "{flag} {value}: {}", ended.stderr);
        assert!(ended.stderr.contains(flag), "{}", ended.stderr);
    }
    Ok(())
}

#[test]
fn a_chain_that_contradicts_itself_says_why_and_where() -> io::Result<()> {
    let splitter = "Kind = \"service-splitter\"\nName = \"web\"\nSplits = [{ Weight = 100 }]\n";
    let directory = configuration(&[("web.hcl", splitter)])?;
    let line = "conf/web.hcl:1:8: service-splitter \"web\": discovery chain \"web\" uses a protocol \"tcp\" that does \
                not permit advanced routing or splitting behavior";
    run_in(directory.path(), &["chain", "web", "--config-dir", "conf"])?.failed(1, &[line]);
    Ok(())
}

#[test]
fn validate_refuses_what_consul_refuses_to_write_about_chains_that_compile() -> io::Result<()> {
    let entries = r#"
config_entries { bootstrap = [
  { Kind = "service-resolver" Name = "web" Redirect { Service = "web" Peer = "east" } },
  { Kind = "exported-services" Name = "default" Services = [{ Name = "web" Consumers = [{ Peer = "west" }] }] },
  {
    Kind = "service-intentions"
    Name = "db"
    JWT { Providers = [{ Name = "okta" }] }
    Sources = [{ Name = "web" Permissions = [{ Action = "allow" HTTP { PathPrefix = "/" } }] }]
  },
] }
"#;
    let directory = configuration(&[("entries.hcl", entries)])?;
    let ended = run_in(directory.path(), &["validate", "conf"])?;
    for message in [
        "peer exported service \"web\" contains cross-peer resolver redirect",
        "service \"db\" has protocol \"tcp\", which is incompatible with L7 intentions permissions",
        "Referenced JWT Provider does not exist. Provider Name: okta",
    ] {
        assert!(ended.stderr.contains(message), "{message}: {}", ended.stderr);
    }
    assert_eq!(ended.status, Some(1));
    Ok(())
}
