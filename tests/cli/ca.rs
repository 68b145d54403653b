//! `spillway ca`.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::run::{configuration, run_in};

const CONF: [&str; 2] = ["--config-dir", "conf"];

#[test]
fn a_ca_is_made_once_and_shown() -> io::Result<()> {
    let directory = configuration(&[])?;
    let init = [&["ca", "init", "--trust-domain", "prod.example"], &CONF[..]].concat();
    let said = run_in(directory.path(), &init)?.done();
    assert!(said.starts_with("Trust domain: prod.example\nRoot: conf/ca/root.pem (signs)\n"), "{said}");
    let line = "conf/ca/root.pem exists: `spillway ca rotate` replaces a root, nothing overwrites one";
    run_in(directory.path(), &init)?.failed(1, &[line]);

    let show = [&["ca", "show", "--format", "json"], &CONF[..]].concat();
    let shown: Value = serde_json::from_str(&run_in(directory.path(), &show)?.done())?;
    assert_eq!(shown["TrustDomain"], "prod.example");
    assert_eq!(shown["Roots"].as_array().map(Vec::len), Some(1));
    let mode = fs::metadata(directory.path().join("conf/ca/root-key.pem"))?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    Ok(())
}

#[test]
fn a_rotation_keeps_the_old_root_trusted() -> io::Result<()> {
    let directory = configuration(&[])?;
    run_in(directory.path(), &[&["ca", "init"], &CONF[..]].concat())?.done();
    let said = run_in(directory.path(), &[&["ca", "rotate"], &CONF[..]].concat())?.done();
    assert_eq!((said.matches("(signs)").count(), said.matches("(still trusted)").count()), (1, 1), "{said}");
    Ok(())
}

#[test]
fn an_issued_certificate_names_the_service_and_its_key_is_secret() -> io::Result<()> {
    let directory = configuration(&[("agent.hcl", "datacenter = \"dc7\"")])?;
    run_in(directory.path(), &[&["ca", "init", "--trust-domain", "prod.example"], &CONF[..]].concat())?
        .done();
    let issue = [&["ca", "issue", "--service", "web", "--out", "certs", "--ttl", "2h"], &CONF[..]].concat();
    let said = run_in(directory.path(), &issue)?.done();
    assert!(said.starts_with("spiffe://prod.example/ns/default/dc/dc7/svc/web, valid until "), "{said}");
    for (file, mode) in [("web.pem", 0o644), ("web-key.pem", 0o600), ("trust-bundle.pem", 0o644)] {
        let found = fs::metadata(directory.path().join("certs").join(file))?.permissions().mode();
        assert_eq!(found & 0o777, mode, "{file}");
    }
    Ok(())
}
