//! Requests that pass: what they are understood as and what they become.

use super::*;
use Reason as R;

#[test]
fn plain_requests_pass_with_a_generated_host() {
    accepted(&[
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("GET /?q HTTP/1.1\r\nhost:a\r\n\r\n", "GET /?q HTTP/1.1\r\nhost: a\r\n\r\n"),
        (
            "GET /a?b=c?d&e HTTP/1.1\r\nHOST:   a:80\t \r\n\r\n",
            "GET /a?b=c?d&e HTTP/1.1\r\nhost: a:80\r\n\r\n",
        ),
        ("GET /? HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET /? HTTP/1.1\r\nhost: [::1]:80\r\n\r\n"),
        (
            "GET //a//../%2f%00\\ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET //a//../%2f%00\\ HTTP/1.1\r\nhost: a\r\n\r\n",
        ),
        ("GET /{a|b}^`\"<> HTTP/1.1\r\nHost: a\r\n\r\n", "GET /{a|b}^`\"<> HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("get / HTTP/1.1\r\nHost: a\r\n\r\n", "get / HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", "M-SEARCH / HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nhost: default\r\n\r\n"),
        ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
    ]);
}

#[test]
fn other_headers_keep_their_order_name_and_value() {
    accepted(&[
        (
            "GET / HTTP/1.1\r\nB: 2\r\nHost: a\r\nA: 1\r\nb:3\r\nX-Y_z!#$%&'*+.^`|~9: v\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nB: 2\r\nA: 1\r\nb: 3\r\nX-Y_z!#$%&'*+.^`|~9: v\r\n\r\n",
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nA:\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\nA: \r\n\r\n"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nA: \r\nB:\t\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nA: \r\nB: \r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nA: b\tc  d \r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nA: b\tc  d\r\n\r\n",
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nA: é:,;\"\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\nA: é:,;\"\r\n\r\n"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nExpect: tea\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nTrailer: x\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nTrailer: x\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: 7\r\nx-spillway-z: 8\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nX-Request-Id: 7\r\nx-spillway-z: 8\r\n\r\n",
        ),
    ]);
}

#[test]
fn framing_is_written_anew() {
    accepted(&[
        (
            "POST / HTTP/1.1\r\nContent-Length: 0007\r\nHost: a\r\nA: b\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\nA: b\r\ncontent-length: 7\r\n\r\n",
        ),
        (
            "PUT / HTTP/1.1\r\nHost: a\r\nCONTENT-LENGTH:0\r\n\r\n",
            "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9223372036854775807\r\n\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tCHUNKED \r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
        ),
        (
            "POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: default\r\ncontent-length: 1\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n",
        ),
    ]);
}

#[test]
fn absolute_targets_become_origin_form_and_take_hosts_place() {
    accepted(&[
        ("GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n", "GET /b?c HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("GET http://a/b HTTP/1.1\r\nHost: other\r\n\r\n", "GET /b HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("GET HTTPS://A:443?x HTTP/1.1\r\nHost:\r\n\r\n", "GET /?x HTTP/1.1\r\nhost: A:443\r\n\r\n"),
        ("GET http://a/ HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("GET http://a//b HTTP/1.1\r\nHost: a\r\n\r\n", "GET //b HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("GET http://[::1]:8/a@b HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a@b HTTP/1.1\r\nhost: [::1]:8\r\n\r\n"),
        ("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("OPTIONS http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS / HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("OPTIONS http://a?q HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS /?q HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n", "OPTIONS * HTTP/1.1\r\nhost: default\r\n\r\n"),
    ]);
}

#[test]
fn hop_by_hop_headers_end_here() {
    accepted(&[
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nA: b\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nA: b\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nA: 1\r\nHost: a\r\nConnection: close, a,B,, \r\nConnection: d\r\nb: 2\r\nC: 3\r\nD: 4\r\nA: 5\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nC: 3\r\n\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: host, content-length, Connection\r\nContent-Length: 3\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nConnection: Transfer-Encoding, Host\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: a b, \"c\"\r\nA: b\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nA: b\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip\r\nConnection: TE\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip;q=0.5 , Trailers\r\nConnection: TE\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\n\r\n",
        ),
    ]);
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {}\r\n\r\n", "x,".repeat(33));
    refused(&[(many.as_bytes(), R::ConnectionOptions)]);
}

#[test]
fn what_we_vouch_for_never_passes_however_it_is_written() {
    for name in [
        "x-forwarded-client-cert",
        "X-Forwarded-Client-Cert",
        "X_Forwarded_Client_Cert",
        "x-forwarded_client-cert",
        "Content_Length",
        "transfer_encoding",
        "Transfer_Encoding",
        "Keep_Alive",
        "Proxy_Connection",
    ] {
        let raw = format!("GET / HTTP/1.1\r\nHost: a\r\n{name}: 5\r\nA: b\r\n{name}: 6\r\n\r\n");
        assert_eq!(
            relay(raw.as_bytes()).as_deref(),
            Ok("GET / HTTP/1.1\r\nhost: a\r\nA: b\r\n\r\n"),
            "{name}"
        );
    }
    accepted(&[(
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Client-Cert: URI=x\r\nConnection: x-forwarded-client-cert\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    )]);
}

#[test]
fn an_upgrade_passes_when_it_is_meant_and_stays_above_us() {
    accepted(&[
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nSec-WebSocket-Version: 13\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, TE\r\nUpgrade: h2c, Foo/1\r\nUpgrade: bar\r\nTE: trailers\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nupgrade: Foo/1, bar\r\nte: trailers\r\nconnection: upgrade, te\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        ),
    ]);
    for upgrade in [
        "H2C",
        "h2c,h2",
        "HTTP/2.0",
        "TLS/1.0",
        "TLS/1.0, HTTP/1.1",
        "",
        ",",
        "web socket",
        "a/b/c",
        "\"x\"",
        "/1",
        "h2",
    ] {
        let raw = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n");
        assert_eq!(relay(raw.as_bytes()).as_deref(), Ok("GET / HTTP/1.1\r\nhost: a\r\n\r\n"), "{upgrade}");
    }
    accepted(&[
        ("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        (
            "GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        ),
    ]);
}

#[test]
fn an_expectation_passes_when_a_body_waits_for_it() {
    accepted(&[
        (
            "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n",
            "PUT / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n",
        ),
        (
            "PUT / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
            "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n",
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
    ]);
}

#[test]
fn a_connection_persists_as_its_version_says() {
    for (lines, persists) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n", true),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n", true),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n", true),
        ("GET / HTTP/1.0\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n", true),
        ("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n", false),
        ("GET / HTTP/1.0\r\nProxy-Connection: keep-alive\r\n", false),
    ] {
        let mut head = RequestHead::default();
        let raw = format!("{lines}\r\n");
        assert_eq!(
            parse_request(raw.as_bytes(), &Limits::default(), &mut head),
            Ok(Parse::Complete),
            "{lines}"
        );
        assert_eq!(head.keep_alive(), persists, "{lines}");
    }
}

#[test]
fn only_methods_that_may_be_repeated_are_idempotent() {
    for (method, idempotent) in [
        ("GET", true),
        ("HEAD", true),
        ("OPTIONS", true),
        ("TRACE", true),
        ("PUT", true),
        ("DELETE", true),
        ("POST", false),
        ("PATCH", false),
        ("get", false),
        ("LOCK", false),
    ] {
        let mut head = RequestHead::default();
        let raw = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(
            parse_request(raw.as_bytes(), &Limits::default(), &mut head),
            Ok(Parse::Complete),
            "{method}"
        );
        assert_eq!(head.is_idempotent(), idempotent, "{method}");
        assert_eq!(head.is_head(raw.as_bytes()), method == "HEAD");
    }
}
