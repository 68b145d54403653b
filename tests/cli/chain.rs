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
