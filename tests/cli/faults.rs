//! Bad input of each kind ends with status 1 and a line that names file, line and field.

use std::io;
use std::net::TcpListener;

use crate::run::{configuration, run_in};

/// Checks that `spillway validate` complains about `file` with exactly `lines`.
#[track_caller]
fn check(file: &str, contents: &str, lines: &[&str]) -> io::Result<()> {
    let directory = configuration(&[("defaults.hcl", HTTP), (file, contents)])?;
    run_in(directory.path(), &["validate", "conf"])?.failed(1, lines);
    Ok(())
}

const HTTP: &str = r#"
Kind = "proxy-defaults"
Name = "global"
Config { protocol = "http" }
"#;

#[test]
fn an_unknown_field_is_named_with_the_nearest_known_one() -> io::Result<()> {
    check(
        "splitter.hcl",
        "Kind = \"service-splitter\"\nName = \"web\"\nSplits = [\n  { Weight = 100, Sevrice = \"api\" },\n]\n",
        &[
            "conf/splitter.hcl:4:19: Splits[0].Sevrice: unknown field: invalid config key \"Splits[0].Sevrice\", did you mean \"Service\"?",
        ],
    )
}

#[test]
fn broken_hcl_is_named_by_line_and_column() -> io::Result<()> {
    check(
        "a.hcl",
        "Kind = \"service-resolver\nName = \"web\"\n",
        &["conf/a.hcl:1:8: the string is not closed: a `\"` is missing on this line"],
    )
}

#[test]
fn an_unquoted_word_is_told_to_be_quoted() -> io::Result<()> {
    check(
        "a.hcl",
        "Kind = \"service-resolver\"\nName = \"frontend-peer\"\nRedirect {\n  Service = frontend\n  Peer = \"cluster-02\"\n}\n",
        &["conf/a.hcl:4:13: `frontend` is not a value: strings are quoted, write \"frontend\""],
    )
}

#[test]
fn weights_that_do_not_sum_to_100_are_refused_with_their_sum() -> io::Result<()> {
    check(
        "a.json",
        r#"{"Kind": "service-splitter", "Name": "web", "Splits": [{"Weight": 50}, {"Weight": 49.99, "Service": "b"}]}"#,
        &["conf/a.json:1:55: Splits: the sum of all split weights must be 100, not 99.990000"],
    )
}

#[test]
fn redirects_in_a_circle_are_shown_with_their_path() -> io::Result<()> {
    let resolver = |name: &str, to: &str| {
        format!(
            "apiVersion: consul.hashicorp.com/v1alpha1\nkind: ServiceResolver\nmetadata:\n  name: {name}\nspec:\n  redirect:\n    service: {to}\n"
        )
    };
    let circle = format!("{}---\n{}", resolver("a", "b"), resolver("b", "a"));
    check(
        "a.yaml",
        &circle,
        &["conf/a.yaml:10:7: service-resolver \"b\": detected circular resolver redirect: \
           [a.default.default.dc1 -> b.default.default.dc1 -> a.default.default.dc1]"],
    )
}

#[test]
fn every_problem_of_a_directory_is_named_at_once() -> io::Result<()> {
    let directory = configuration(&[
        ("a.hcl", "Kind = \"service-resolver\"\nName = \"a\"\nConectTimeout = \"5s\"\n"),
        ("b.json", "{\"Kind\": \"service-defaults\", \"Name\": \"b\", \"Protocol\": 7}"),
        ("sub/c.yaml", "kind: [\n"),
    ])?;
    let ended = run_in(directory.path(), &["validate", "conf"])?;
    let places: Vec<_> = ended.stderr.lines().filter_map(|line| line.split_once(": ")).collect();
    let files: Vec<_> = places.iter().filter_map(|(place, _)| place.split(':').next()).collect();
    assert_eq!(files, ["conf/a.hcl", "conf/b.json", "conf/sub/c.yaml"], "{}", ended.stderr);
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(1), ""));
    Ok(())
}

#[test]
fn a_directory_that_is_not_there_is_named() -> io::Result<()> {
    let directory = configuration(&[])?;
    let line = "conf: cannot read it: No such file or directory (os error 2)";
    run_in(directory.path(), &["validate", "conf"])?.failed(1, &[line]);
    Ok(())
}

/// A registered service whose sidecar listens on free ports.
const WEB: &str =
    r#"service { name = "web" address = "127.0.0.1" port = 1 connect { sidecar_service { port = 0 } } }"#;

#[test]
fn a_sidecar_without_a_ca_says_how_to_make_one() -> io::Result<()> {
    let directory = configuration(&[("web.hcl", WEB)])?;
    let args = ["sidecar", "--config-dir", "conf", "--sidecar-for", "web"];
    let line = "there is no CA in conf/ca: make one with `spillway ca init --config-dir conf`";
    run_in(directory.path(), &args)?.failed(1, &[line]);
    Ok(())
}

#[test]
fn a_certificate_that_is_not_there_is_named() -> io::Result<()> {
    let directory = configuration(&[("web.hcl", WEB)])?;
    let files = ["--leaf-cert", "leaf.pem", "--leaf-key", "key.pem", "--trust-bundle", "roots.pem"];
    let args = [&["sidecar", "--config-dir", "conf", "--sidecar-for", "web"][..], &files].concat();
    let line = "cannot read leaf.pem: No such file or directory (os error 2)";
    run_in(directory.path(), &args)?.failed(1, &[line]);
    Ok(())
}

#[test]
fn an_instance_that_is_not_registered_is_named_with_those_that_are() -> io::Result<()> {
    let directory = configuration(&[("web.hcl", WEB)])?;
    run_in(directory.path(), &["ca", "init", "--config-dir", "conf"])?.done();
    let args = ["sidecar", "--config-dir", "conf", "--sidecar-for", "wbe"];
    let line = "conf: --sidecar-for: no service instance \"wbe\" with a sidecar; there are web";
    run_in(directory.path(), &args)?.failed(1, &[line]);
    Ok(())
}

#[test]
fn a_port_in_use_is_named() -> io::Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?;
    let web = WEB.replace("port = 0", &format!("port = {}", address.port()));
    let directory = configuration(&[("web.hcl", &web)])?;
    run_in(directory.path(), &["ca", "init", "--config-dir", "conf"])?.done();
    let args = ["sidecar", "--config-dir", "conf", "--sidecar-for", "web", "--admin-bind", "127.0.0.1:0"];
    let line = format!("cannot listen on {address}: Address already in use (os error 98)");
    run_in(directory.path(), &args)?.failed(1, &[&line]);
    Ok(())
}

#[test]
fn a_gateway_that_is_not_registered_is_named() -> io::Result<()> {
    let directory = configuration(&[("web.hcl", WEB)])?;
    run_in(directory.path(), &["ca", "init", "--config-dir", "conf"])?.done();
    let line = "conf: --service: no mesh gateway is registered here (kind = \"mesh-gateway\")";
    run_in(directory.path(), &["gateway", "--config-dir", "conf"])?.failed(1, &[line]);
    Ok(())
}

/// `--strict-consul` of every command that reads a configuration: ours is refused, and by default it is not.
#[test]
fn what_consul_does_not_know_is_refused_where_only_consuls_fields_are_wanted() -> io::Result<()> {
    let splitter = "Kind = \"service-splitter\"\nName = \"web\"\nEmptyLeg = \"next\"\nSplits = [\n  { Weight = 50 },\n  { Weight = 50, Peer = \"us\" },\n]\n";
    let directory = configuration(&[("defaults.hcl", HTTP), ("web.hcl", splitter)])?;
    let lines = [
        "conf/web.hcl:3:12: EmptyLeg: Consul does not know this field (--strict-consul)",
        "conf/web.hcl:6:25: Splits[1].Peer: Consul does not know this field (--strict-consul)",
    ];
    for args in [
        &["validate", "conf"][..],
        &["chain", "web", "--config-dir", "conf"],
        &["sidecar", "--config-dir", "conf", "--sidecar-for", "web"],
        &["gateway", "--config-dir", "conf"],
    ] {
        let strict: Vec<&str> = args.iter().copied().chain(["--strict-consul"]).collect();
        run_in(directory.path(), &strict)?.failed(1, &lines);
    }
    for args in [&["validate", "conf"][..], &["chain", "web", "--config-dir", "conf"]] {
        assert_eq!(run_in(directory.path(), args)?.status, Some(0), "{args:?}");
    }
    Ok(())
}
