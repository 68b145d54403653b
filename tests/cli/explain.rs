//! `spillway explain`: the data plane's decision for a request given on the command line.

use std::io;

use serde_json::{Value, json};

use crate::run::{configuration, run_in};

const ROUTER: &str = r#"Kind = "service-router"
Name = "web"
Routes = [
  { Match { HTTP { PathPrefix = "/admin" Header = [{ Name = "x-debug" Exact = "1" }] } }
    Destination { Service = "admin" } },
  { Match { HTTP { PathPrefix = "/api/" } }
    Destination { PrefixRewrite = "/" RequestTimeout = "3s"
      RequestHeaders { Set { x-routed = "yes" } Remove = ["x-secret"] } } },
]
"#;

const OTHERS: &str = r#"config_entries { bootstrap = [
  { Kind = "proxy-defaults" Name = "global" Config { protocol = "http" } },
  { Kind = "service-splitter" Name = "web" Splits = [
    { Weight = 90 ServiceSubset = "v1" },
    { Weight = 10 ServiceSubset = "v2" RequestHeaders { Add { x-canary = "1" } } } ] },
  { Kind = "service-resolver" Name = "web" ConnectTimeout = "15s"
    Subsets { v1 { Filter = "Service.Meta.version == v1" } v2 { Filter = "Service.Meta.version == v2" } }
    Failover { v1 { Targets = [{ Peer = "cluster-02" }] } } },
] }
services = [
  { id = "web-1" name = "web" port = 80 meta { version = "v1" } connect { sidecar_service { port = 21001 } } },
  { id = "web-2" name = "web" port = 81 meta { version = "v2" } connect { sidecar_service { port = 21002 } } },
]
"#;

const CALLER: &str = r#"service {
  name = "app"
  port = 90
  connect { sidecar_service { port = 21003 proxy { upstreams = [
    { destination_name = "web" local_bind_port = 5000 config { connect_timeout_ms = 250 } },
    { destination_name = "pay" destination_peer = "cluster-02" local_bind_port = 5001 },
  ] } } }
}
"#;

/// What `spillway explain` says of these arguments, as JSON.
fn explain(files: &[(&str, &str)], args: &[&str]) -> io::Result<Value> {
    let directory = configuration(files)?;
    let args = [&["explain"], args, &["--config-dir", "conf", "--format", "json"]].concat();
    Ok(serde_json::from_str(&run_in(directory.path(), &args)?.done())?)
}

#[test]
fn a_request_is_followed_from_route_to_endpoint() -> io::Result<()> {
    let files = [("others.hcl", OTHERS), ("router.hcl", ROUTER)];
    let said = explain(&files, &["web", "/api/users?all=1", "-X", "POST", "-H", "x-secret: 1"])?;
    assert_eq!(said["route"]["index"], 1);
    let lacks = &said["route"]["earlier"][0]["lacks"];
    assert_eq!(
        *lacks,
        json!([
            { "criterion": "path", "expected": "path /admin*", "actual": "/api/users" },
            { "criterion": "header", "expected": "header x-debug = 1", "actual": null },
        ])
    );
    let shares: Vec<&Value> =
        said["split"]["legs"].as_array().into_iter().flatten().map(|leg| &leg["share"]).collect();
    assert_eq!(shares, ["90%", "10%"]);
    let (first, second) = (&said["outcomes"][0], &said["outcomes"][1]);
    assert_eq!(first["targets"][0]["endpoints"][0]["instance"], "web-1");
    assert_eq!(first["targets"][0]["left_out"][0]["instance"], "web-2");
    assert_eq!(first["targets"][1]["id"], "web.default.default.external.cluster-02");
    assert_eq!(first["targets"][1]["absent"], "there is no peering cluster-02");
    assert_eq!(second["targets"][0]["endpoints"][0]["address"], "127.0.0.1:21002");
    assert_eq!(first["request_timeout"]["set_by"]["place"], "conf/router.hcl:7:56");
    Ok(())
}

#[test]
fn the_request_is_shown_as_it_would_leave() -> io::Result<()> {
    let files = [("others.hcl", OTHERS), ("router.hcl", ROUTER)];
    let headers = [
        "-H",
        "X-Secret: 1",
        "-H",
        "x-user: 7",
        "-H",
        "x-forwarded-client-cert: By=me",
        "-H",
        "connection: close",
    ];
    let said = explain(&files, &[&["web", "/api/users?all=1"][..], &headers].concat())?;
    let leaves = |leg: usize| said["outcomes"][leg]["leaves"].clone();
    let header = |name: &str, value: &str| json!({ "name": name, "value": value });
    let (host, user) = (header("host", "web"), header("x-user", "7"));
    let (routed, id) = (header("x-routed", "yes"), header("x-request-id", "(a new one)"));
    let expected = |headers| {
        json!({
            "method": "GET", "path": "/users?all=1", "headers": headers,
            "dropped": ["X-Secret", "x-forwarded-client-cert", "connection"],
        })
    };
    assert_eq!(leaves(0), expected(vec![&host, &user, &routed, &id]));
    let canary = header("x-canary", "1");
    assert_eq!(leaves(1), expected(vec![&host, &user, &canary, &routed, &id]));
    Ok(())
}

#[test]
fn the_only_sidecar_with_the_upstream_is_the_caller() -> io::Result<()> {
    let files = [("app.hcl", CALLER), ("others.hcl", OTHERS)];
    let said = explain(&files, &["web"])?;
    assert_eq!(said["caller"], "app-sidecar-proxy");
    let connect = &said["outcomes"][0]["targets"][0]["connect_timeout"];
    assert_eq!(connect["value"], "250ms");
    assert_eq!(connect["set_by"]["place"], "conf/app.hcl:5:85");
    assert_eq!(connect["overrode"][0]["set_by"]["entry"], "service-resolver web");
    let second = CALLER.replace("app", "other").replace("21003", "21004");
    let said = explain(&[("app.hcl", CALLER), ("other.hcl", &second), ("others.hcl", OTHERS)], &["web"])?;
    assert_eq!(said.get("caller"), None);
    let warning = "what the registered upstreams of app-sidecar-proxy, other-sidecar-proxy override is left out: \
                   --sidecar-for shows it for one";
    assert!(said["warnings"].as_array().is_some_and(|all| all.contains(&json!(warning))), "{said:#}");
    Ok(())
}

#[test]
fn a_service_of_a_peer_is_explained_without_a_chain() -> io::Result<()> {
    let files = [("app.hcl", CALLER), ("others.hcl", OTHERS)];
    for args in [&["pay", "--peer", "cluster-02"][..], &["pay.cluster-02.peer"]] {
        let said = explain(&files, args)?;
        assert_eq!(
            (&said["service"], &said["peer"], &said["caller"]),
            (&json!("pay"), &json!("cluster-02"), &json!("app-sidecar-proxy"))
        );
        assert_eq!(said["outcomes"][0]["resolver"], "pay.default.default.external.cluster-02");
        let percent = said["settings"].as_array().into_iter().flatten();
        let percent = percent.filter(|it| it["name"] == "PassiveHealthCheck.MaxEjectionPercent");
        assert_eq!(percent.map(|it| &it["value"]).collect::<Vec<_>>(), [100]);
    }
    Ok(())
}

#[test]
fn a_service_that_nobody_knows_is_explained_with_a_warning() -> io::Result<()> {
    let directory = configuration(&[("others.hcl", OTHERS)])?;
    let text = run_in(directory.path(), &["explain", "nobody", "--config-dir", "conf"])?.done();
    assert!(text.starts_with("GET / to nobody in dc1\n"), "{text}");
    assert!(text.contains("nothing is registered as nobody, and no entry has its name"), "{text}");
    Ok(())
}

#[test]
fn a_sidecar_that_is_not_there_is_an_error_that_names_those_that_are() -> io::Result<()> {
    let directory = configuration(&[("app.hcl", CALLER), ("others.hcl", OTHERS)])?;
    for (id, service, said) in [
        (
            "apq",
            "web",
            "conf: --sidecar-for: no service instance \"apq\" with a sidecar; there are app, web-1, web-2",
        ),
        ("app", "db", "conf/app.hcl:4:29: proxy.upstreams: has no upstream db; there are web, pay"),
    ] {
        let args = ["explain", service, "--config-dir", "conf", "--sidecar-for", id];
        run_in(directory.path(), &args)?.failed(1, &[said]);
    }
    Ok(())
}
