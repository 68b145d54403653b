//! Seeds: valid inputs for each target, and inputs that fuzzing found to be at fault once.

/// The seeds of the target `name`.
pub(crate) fn of(name: &str) -> Vec<Vec<u8>> {
    let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    match name {
        "hcl" => texts(&[HCL, SERVICE, "a = <<-EOT\n  x\n  EOT\nb = \"${c(\"d\")}\" e = 0x1F # f\n/* g */"]),
        "json" => {
            texts(&[JSON, "[1, -2.50e+3, true, false, null, \"\\u00e9\\ud83d\\ude00\\n\"]", "\u{feff} {}"])
        }
        "yaml" => texts(&[
            YAML,
            "a: &x {b: 1}\nc:\n  <<: *x\nd: |-\n  e\n  f\n? g\n: !!str 5\n---\n- [1, .nan, 010, '']\n",
        ]),
        "directory" => [(b'0', JSON), (b'1', YAML), (b'2', HCL), (b'2', SERVICE)]
            .map(|(kind, text)| file(kind, text))
            .into(),
        "filter" => texts(&[
            "Service.Meta.version == \"v1\" and not (\"a\" in Service.Tags or Node.Node matches `^n[0-9]+$`)",
            "Checks is empty or Service.Port != 80",
        ]),
        "durations" => texts(&["1h2m3.5s", "-15ms", ".5us", "9223372036854775807ns", "0"]),
        "names" => texts(&[
            "spiffe://a.consul/ns/default/dc/dc1/svc/web",
            "spiffe://a.consul/gateway/mesh/dc/dc1",
            "v1.web.default.dc1.internal.a.consul",
            "web.default.default.east.external.a.consul",
            "server.dc1.peering.a.consul",
        ]),
        "routes" => texts(&["/a/b\n\n/a\n\n^v[0-9]+$\nx=1", "/\n/\n", "/x\n\n\n(a|b)*c{1,9}\n.*\n."]),
        "http1_request" => texts(&[
            "GET /a?q=1 HTTP/1.1\r\nhost: a\r\nx: 1\r\nx: 2\r\nconnection: keep-alive\r\n\r\n",
            "POST http://a:80/b HTTP/1.1\r\nHost: a:80\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n",
            "OPTIONS * HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello",
            "GET / HTTP/1.1\r\nhost: [::1]\r\nconnection: upgrade\r\nupgrade: websocket\r\nexpect: 100-continue\r\n\r\n",
        ]),
        "http1_response" => texts(&[
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
            "HTTP/1.0 204 \r\nconnection: close\r\n\r\n",
        ]),
        "chunks" => texts(&[
            "5\r\nhello\r\n0\r\n\r\n",
            "a;b=\"c\"\r\n0123456789\r\n0\r\nx: y\r\n\r\n",
            "00\r\n\r\nGET",
        ]),
        "client_hello" => {
            vec![hello("web.default.dc1.internal.a.consul", &["h2", "http/1.1"]), hello("", &[])]
        }
        "token" => texts(&[
            "eyJDQSI6WyJ4Il0sIlNlcnZlckFkZHJlc3NlcyI6WyIxMjcuMC4wLjE6ODQ0MyJdLCJTZXJ2ZXJOYW1lIjoic2VydmVyLmRjMS5wZWVyaW5nLmEuY29uc3VsIiwiUGVlcklEIjoiMSIsIkVzdGFibGlzaG1lbnRTZWNyZXQiOiIyIn0=",
        ]),
        "message" => texts(&[
            "{\"type\":\"heartbeat\"}",
            "{\"type\":\"update\",\"facts\":{\"trust_domain\":\"a.consul\",\"datacenter\":\"dc1\",\"roots\":[],\"gateways\":[\"a:1\"]},\"services\":[{\"name\":\"web\",\"protocol\":\"http\",\"sni\":\"web.default.default.b.external.a.consul\",\"identities\":[\"spiffe://a.consul/ns/default/dc/dc1/svc/web\"],\"healthy\":1}],\"more\":false}",
        ]),
        "certificate" => {
            vec![include_bytes!("seeds/leaf.der").to_vec(), include_bytes!("seeds/root.der").to_vec()]
        }
        _ => Vec::new(),
    }
}

fn file(kind: u8, text: &str) -> Vec<u8> {
    [&[kind], text.as_bytes()].concat()
}

/// A ClientHello with a server name and protocols, as a client sends it.
fn hello(name: &str, protocols: &[&str]) -> Vec<u8> {
    let short =
        |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap_or_default().to_be_bytes(), bytes].concat();
    let mut extensions = Vec::new();
    if !name.is_empty() {
        let list = short(&[&[0], short(name.as_bytes()).as_slice()].concat());
        extensions.extend([&[0, 0], short(&list).as_slice()].concat());
    }
    if !protocols.is_empty() {
        let byte = |text: &&str| [&[u8::try_from(text.len()).unwrap_or_default()], text.as_bytes()].concat();
        let list = short(&protocols.iter().flat_map(byte).collect::<Vec<u8>>());
        extensions.extend([&[0, 16], short(&list).as_slice()].concat());
    }
    let body =
        [&[3, 3], [7; 32].as_slice(), &[0], &short(&[0x13, 0x01]), &[1, 0], &short(&extensions)].concat();
    let length = u32::try_from(body.len()).unwrap_or_default().to_be_bytes();
    let handshake = [&[1], &length[1..], &body].concat();
    [&[22, 3, 1], short(&handshake).as_slice()].concat()
}

const HCL: &str = r#"Kind = "service-router" Name = "web"
Routes = [{
  Match { HTTP { PathPrefix = "/a" Header = [{ Name = "x" Exact = "1" }] QueryParam = [{ Name = "q" Regex = "[0-9]+" }] } }
  Destination { Service = "api" RequestTimeout = "15s" NumRetries = 2 RequestHeaders { Set { a = "b" } } }
}, { Match { HTTP { PathRegex = "/(a|b)+" Methods = ["GET"] } } },]
"#;

const SERVICE: &str = r#"service {
  name = "web" port = 8080 tags = ["a"] meta { version = "v1" } weights { passing = 3 }
  check { http = "http://127.0.0.1:8080/" interval = "10s" }
  connect { sidecar_service { proxy {
    upstreams { destination_name = "api" local_bind_port = 5000 }
    config { protocol = "http" }
  } } }
}
datacenter = "dc1" bind_addr = "{{ GetPrivateIP }}"
config_entries { bootstrap { Kind = "proxy-defaults" Name = "global" } }
"#;

const JSON: &str = r#"{"Kind": "service-splitter", "Name": "web", "ModifyIndex": 7,
 "Splits": [{"Weight": 90, "ServiceSubset": "v1"}, {"Weight": 10.0, "Service": "web-2"}]}
"#;

const YAML: &str = "apiVersion: consul.hashicorp.com/v1alpha1
kind: ServiceResolver
metadata:
  name: web
spec:
  connectTimeout: 15s
  subsets:
    v1: {filter: 'Service.Meta.version == \"v1\"', onlyPassing: true}
  failover:
    '*':
      targets: [{peer: east}, {datacenter: dc2}]
";
