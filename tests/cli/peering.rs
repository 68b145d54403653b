//! `spillway peering` on a configuration directory, without a gateway that runs.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use crate::run::{Ended, configuration, run_in};

const CONF: [&str; 2] = ["--config-dir", "conf"];

const AGENT: &str = r#"
datacenter = "cluster-02"
service { kind = "mesh-gateway" name = "mesh-gateway" address = "127.0.0.1" port = 8443 }
service { name = "frontend" port = 1 connect { sidecar_service {} } }
"#;

const EXPORTED: &str = r#"
Kind = "exported-services"
Name = "default"
Services = [{ Name = "frontend", Consumers = [{ Peer = "cluster-01" }] }]
"#;

/// A cluster with a gateway, a service that it exports to cluster-01, and a CA.
fn cluster() -> io::Result<TempDir> {
    let directory = configuration(&[("agent.hcl", AGENT), ("exported.hcl", EXPORTED)])?;
    run_in(directory.path(), &[&["ca", "init"], &CONF[..]].concat())?.done();
    Ok(directory)
}

#[test]
fn a_token_is_printed_bare_and_its_peering_is_pending() -> io::Result<()> {
    let cluster = cluster()?;
    let peering = |args: &[&str]| run_in(cluster.path(), &[&["peering"], args, &CONF[..]].concat());
    assert_eq!(peering(&["list"])?.done(), "There are no peering connections.\n");
    let token = peering(&["generate-token", "--name", "cluster-01"])?.done();
    assert!(token.starts_with("eyJ") && token.lines().count() == 1, "{token}");

    let list = peering(&["list"])?.done();
    let lines: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines,
        [
            vec!["Name", "State", "Imported", "Svcs", "Exported", "Svcs"],
            vec!["cluster-01", "PENDING", "0", "1"],
        ]
    );
    let read: Value =
        serde_json::from_str(&peering(&["read", "--name", "cluster-01", "--format", "json"])?.done())?;
    assert_eq!((&read["Name"], &read["State"]), (&"cluster-01".into(), &"PENDING".into()));
    let pretty = peering(&["read", "--name", "cluster-01"])?.done();
    assert!(pretty.contains("State:        PENDING\n"), "{pretty}");
    assert_eq!(peering(&["exported-services", "--name", "cluster-01"])?.done(), "frontend\n");

    let deleted = peering(&["delete", "--name", "cluster-01"])?.done();
    assert_eq!(deleted, "Successfully submitted peering connection, cluster-01, for deletion\n");
    assert_eq!(peering(&["list", "--format", "json"])?.done(), "[]\n");
    Ok(())
}

#[test]
fn what_cannot_be_done_is_one_line() -> io::Result<()> {
    let cluster = cluster()?;
    let peering = |args: &[&str]| run_in(cluster.path(), &[&["peering"], args, &CONF[..]].concat());
    let token = peering(&["generate-token", "--name", "cluster-01"])?.done();
    for (args, said) in [
        (&["read", "--name", "nobody"][..], "there is no peering"),
        (&["delete", "--name", "nobody"], "there is no peering"),
        (&["exported-services", "--name", "nobody"], "there is no peering"),
        (&["establish", "--name", "other", "--peering-token", "bm9uc2Vuc2U="], "token"),
        (&["establish", "--name", "other", "--peering-token", token.trim()], "this very cluster"),
        (&["list", "--http-addr", "127.0.0.1:1"], "cannot connect to 127.0.0.1:1"),
    ] {
        let ended = peering(args)?;
        assert_eq!((ended.status, ended.stderr.lines().count()), (Some(1), 1), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{args:?}: {}", ended.stderr);
    }
    Ok(())
}

/// Runs a command against a gateway that answers `answer` once; gives what it was asked and what the command did.
fn ask_gateway(args: &[&str], answer: &str) -> io::Result<(String, Ended)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}", listener.local_addr()?);
    let answer = answer.to_owned();
    let gateway = thread::spawn(move || -> io::Result<String> {
        let (mut stream, _) = listener.accept()?;
        let mut asked = Vec::new();
        let mut buffer = [0; 4096];
        let whole = |asked: &[u8]| {
            let text = String::from_utf8_lossy(asked);
            let (head, body) = text.split_once("\r\n\r\n")?;
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            (body.len() == length.map_or(0, |length| length.parse().unwrap_or(0))).then(|| text.into_owned())
        };
        loop {
            let read = stream.read(&mut buffer)?;
            asked.extend_from_slice(&buffer[..read]);
            if let Some(asked) = whole(&asked) {
                stream.write_all(answer.as_bytes())?;
                return Ok(asked);
            }
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    });
    let directory = tempfile::tempdir()?;
    let ended = run_in(directory.path(), &[&["peering"], args, &["--http-addr", &address]].concat())?;
    let asked = gateway.join().map_err(|_| io::Error::other("the gateway panicked"))??;
    Ok((asked, ended))
}

#[test]
fn a_running_gateway_is_asked_as_consuls_agent_is() -> io::Result<()> {
    for (args, asked, answer, said) in [
        (
            &["generate-token", "--name", "a", "--server-external-addresses", "1.2.3.4:8443"][..],
            ("POST /v1/peering/token ", r#"{"PeerName":"a","ServerExternalAddresses":["1.2.3.4:8443"]}"#),
            r#"{"PeeringToken": "eyJ0"}"#,
            "eyJ0\n",
        ),
        (
            &["establish", "--name", "a", "--peering-token", "eyJ0"],
            ("POST /v1/peering/establish ", r#"{"PeerName":"a","PeeringToken":"eyJ0"}"#),
            "{}",
            "Successfully established peering connection with a\n",
        ),
        (&["list"], ("GET /v1/peerings ", ""), "[]", "There are no peering connections.\n"),
        (
            &["exported-services", "--name", "a"],
            ("GET /v1/peering/a ", ""),
            r#"{"Name": "a", "StreamStatus": {"ExportedServices": ["x", "y"]}}"#,
            "x\ny\n",
        ),
        (
            &["delete", "--name", "a"],
            ("DELETE /v1/peering/a ", ""),
            "",
            "Successfully submitted peering connection, a, for deletion\n",
        ),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
        let (request, ended) = ask_gateway(args, &answer)?;
        assert!(request.starts_with(asked.0) && request.ends_with(asked.1), "{args:?}: {request}");
        assert_eq!(ended.done(), said, "{args:?}");
    }
    Ok(())
}

#[test]
fn what_a_gateway_refuses_is_one_line() -> io::Result<()> {
    let answer = "HTTP/1.1 404 Not Found\r\ncontent-length: 18\r\n\r\nthere is no such a";
    let (_, ended) = ask_gateway(&["delete", "--name", "a"], answer)?;
    assert_eq!((ended.status, ended.stderr.lines().count()), (Some(1), 1), "{}", ended.stderr);
    assert!(ended.stderr.ends_with("answered 404 Not Found: there is no such a\n"), "{}", ended.stderr);
    Ok(())
}
