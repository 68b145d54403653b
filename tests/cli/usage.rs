//! Wrong usage ends with status 2, and help is there for every command.

use std::io;
use std::path::Path;

use crate::run::run_in;

#[test]
fn wrong_usage_is_status_2_and_names_the_argument() -> io::Result<()> {
    for (args, named) in [
        (&["bogus"][..], "'bogus'"),
        (&["validate"], "DIR"),
        (&["validate", "--diff", "."], "--diff"),
        (&["validate", ".", "--exit-code"], "--exit-code"),
        (&["chain", "web"], "--config-dir"),
        (&["chain", "we b", "--config-dir", "."], "'<SERVICE>'"),
        (&["chain", "web", "--config-dir", ".", "--override-protocol", "udp"], "--override-protocol"),
        (&["explain", "web"], "--config-dir"),
        (&["explain", "web", "no path", "--config-dir", "."], "[PATH]"),
        (&["explain", "web", "-X", "G T", "--config-dir", "."], "--request"),
        (&["explain", "web", "-H", "x-user", "--config-dir", "."], "--header"),
        (&["explain", "web", "-H", "a b: c", "--config-dir", "."], "--header"),
        (&["explain", "web", "--format", "dot", "--config-dir", "."], "--format"),
        (&["sidecar", "--config-dir", "."], "--sidecar-for"),
        (&["sidecar", "--config-dir", ".", "--sidecar-for", "web", "--drain-time", "5"], "--drain-time"),
        (&["sidecar", "--config-dir", ".", "--sidecar-for", "web", "--workers", "0"], "--workers"),
        (&["sidecar", "--config-dir", ".", "--sidecar-for", "web", "--log-level", "loud"], "--log-level"),
        (&["sidecar", "--config-dir", ".", "--sidecar-for", "web", "--leaf-cert", "a.pem"], "--leaf-key"),
        (&["sidecar", "--config-dir", ".", "--sidecar-for", "web", "--admin-bind", "here"], "--admin-bind"),
        (&["ca", "issue", "--config-dir", "."], "--service"),
        (&["ca", "init", "--config-dir", ".", "--trust-domain", "A b"], "--trust-domain"),
        (&["peering", "list"], "--config-dir"),
        (&["peering", "generate-token", "--config-dir", "."], "--name"),
        (&["peering", "read", "--config-dir", ".", "--name", "Cluster 2"], "--name"),
        (&["demo", "--format", "toml"], "--format"),
    ] {
        let ended = run_in(Path::new("."), args)?;
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(ended.stderr.contains(named), "{args:?} names no {named}:\n{}", ended.stderr);
    }
    Ok(())
}

#[test]
fn help_of_every_command_has_an_example() -> io::Result<()> {
    for command in [
        &[][..],
        &["demo"],
        &["sidecar"],
        &["gateway"],
        &["validate"],
        &["chain"],
        &["explain"],
        &["ca"],
        &["ca", "init"],
        &["ca", "issue"],
        &["ca", "rotate"],
        &["ca", "show"],
        &["peering"],
        &["peering", "generate-token"],
        &["peering", "establish"],
        &["peering", "list"],
        &["peering", "read"],
        &["peering", "delete"],
        &["peering", "exported-services"],
    ] {
        let help = run_in(Path::new("."), &[command, &["--help"]].concat())?.done();
        assert!(help.contains("Example"), "{command:?}:\n{help}");
    }
    Ok(())
}
