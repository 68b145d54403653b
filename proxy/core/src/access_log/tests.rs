//! What a line looks like, format by format.

use std::time::{Duration, UNIX_EPOCH};

use super::*;

/// A request that knows a little.
struct Known;

impl Tells for Known {
    fn fact(&self, fact: Fact) -> Told<'_> {
        match fact {
            Fact::ResponseCode => Told::Number(200),
            Fact::UpstreamServiceTime => Told::Number(7),
            Fact::Protocol => Told::text(Some("HTTP/1.1")),
            Fact::UpstreamHost => Told::Shown(&"10.0.0.1:80"),
            _ => Told::Nothing,
        }
    }

    fn request_header(&self, name: &str) -> Told<'_> {
        Told::text(match name {
            "user-agent" => Some("say \"hi\"\\\u{1}\u{e9}".as_bytes()),
            "x-broken" => Some(&b"a\xffb"[..]),
            ":path" => Some(&b"/a/path"[..]),
            _ => None,
        })
    }

    fn response_header(&self, index: usize) -> Told<'_> {
        Told::number([None, Some(42_u64)].get(index).copied().flatten())
    }

    fn trailer(&self, index: usize) -> Told<'_> {
        Told::number((index == 0).then_some(14_u64))
    }

    fn query_parameter(&self, name: &str) -> Told<'_> {
        Told::text((name == "q").then_some("1"))
    }

    fn path(&self, form: PathForm) -> Told<'_> {
        Told::text((!form.only_rewritten).then_some(if form.query { "/a?q=1" } else { "/a" }))
    }

    fn started(&self) -> SystemTime {
        UNIX_EPOCH + Duration::new(1_700_000_000, 12_345_678)
    }

    fn ended(&self) -> SystemTime {
        self.started() + Duration::from_secs(1)
    }
}

fn written(format: &Format) -> String {
    let mut out = Vec::new();
    format.write(&Known, &mut out);
    String::from_utf8(out).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn text(format: &str, expected: &str) {
    let compiled = Format::text(format).unwrap_or_else(|error| panic!("{format}: {error}"));
    assert_eq!(written(&compiled), expected, "{format}");
}

#[track_caller]
fn json(format: &str, expected: &str) {
    let compiled = Format::json(format).unwrap_or_else(|error| panic!("{format}: {error}"));
    assert_eq!(written(&compiled), format!("{expected}\n"), "{format}");
}

#[test]
fn a_line_of_text_has_a_dash_for_what_is_not_there() {
    text("%PROTOCOL% %RESPONSE_CODE% %UPSTREAM_HOST%", "HTTP/1.1 200 10.0.0.1:80\n");
    text("[%ROUTE_NAME%] 100%% %DYNAMIC_METADATA(a:b)%\n", "[-] 100% -\n");
    text("%REQ(X-NONE?USER-AGENT)% %REQ(:PATH):4% %REQ(X-NONE?X-NEITHER)%", "say \"hi\"\\?\u{e9} /a/p -\n");
    text("%RESP(A?B)% %RESP(A)% %RESP(X-Envoy-Upstream-Service-Time)% %TRAILER(grpc-status)%", "42 - 7 14\n");
    text("%PATH%|%PATH(NQ)%|%PATH(WQ:ORIG)%|%QUERY_PARAM(q)%|%QUERY_PARAM(z)%", "/a?q=1|/a|-|1|-\n");
}

#[test]
fn a_json_value_that_is_one_operator_keeps_its_type() {
    json(
        r#"{"code":"%RESPONSE_CODE%","part":"c=%RESPONSE_CODE%","none":"%ROUTE_NAME%","part_none":"r=%ROUTE_NAME%"}"#,
        r#"{"code":200,"part":"c=200","none":null,"part_none":"r=-"}"#,
    );
    json(
        r#"{"nested":{"list":["%PROTOCOL%",1,true,null]},"a \"key\"":"100%%"}"#,
        r#"{"nested":{"list":["HTTP/1.1",1,true,null]},"a \"key\"":"100%"}"#,
    );
}

#[test]
fn what_was_received_cannot_leave_its_string() {
    json(r#"{"ua":"%REQ(User-Agent)%"}"#, "{\"ua\":\"say \\\"hi\\\"\\\\\\u0001\u{e9}\"}");
    json(r#"{"broken":"%REQ(x-broken)%"}"#, "{\"broken\":\"a\u{fffd}b\"}");
    // A length never cuts a character in two.
    json(r#"{"ua":"%REQ(User-Agent):11%"}"#, "{\"ua\":\"say \\\"hi\\\"\\\\\\u0001\"}");
}

#[test]
fn moments_are_written_as_envoy_writes_them() {
    text("%START_TIME%", "2023-11-14T22:13:20.012Z\n");
    text("%EMIT_TIME(%s %3s %f %6f)%", "1700000001 1700000001012 012345678 012345\n");
    text("%START_TIME(%Y/%m/%dT%H:%M:%S%z)%", "2023/11/14T22:13:20+0000\n");
    text(
        "%START_TIME(%a %b %e %j %I%p %y %F %T %D %R 5%%)%",
        "Tue Nov 14 318 10PM 23 2023-11-14 22:13:20 11/14/23 22:13 5%\n",
    );
}

#[test]
fn the_default_is_consuls_object_and_ours_within() {
    let line: serde_json::Value = serde_json::from_str(&written(&Format::default())).unwrap_or_default();
    assert_eq!(line["start_time"], "2023-11-14T22:13:20.012Z");
    assert_eq!(line["response_code"], 200);
    assert_eq!(line["upstream_service_time"], 7);
    assert_eq!(line["path"], "/a/path");
    assert!(line["response_flags"].is_null() && line["spillway"]["reason"].is_null());
    let names: Vec<&String> = line.as_object().into_iter().flatten().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 25, "{names:?}");
}

#[test]
fn a_format_that_says_nothing_that_is_known_is_refused() {
    for (format, expected) in [
        ("%RESPONSE_CODES%", "unknown command operator %RESPONSE_CODES%, did you mean %RESPONSE_CODE%?"),
        ("%NOT_AT_ALL_KNOWN%", "unknown command operator %NOT_AT_ALL_KNOWN%"),
        ("100%", "\"%\" is no command operator; a percent sign is written %%"),
        ("%req(a)% x", "\"%req(a)% x\" is no command operator; a percent sign is written %%"),
        ("%REQ(a%", "\"%REQ(a%\" is no command operator; a percent sign is written %%"),
        ("%REQ%", "%REQ%: names no header"),
        ("%REQ(a?)%", "%REQ%: names no header"),
        ("%REQ(a):x%", "\"%REQ(a):x%\" is no command operator; a percent sign is written %%"),
        ("%PROTOCOL(a)%", "%PROTOCOL%: takes nothing in parentheses"),
        ("%START_TIME(%Q)%", "%START_TIME%: unknown specifier %Q"),
        ("%START_TIME(%4s)%", "%START_TIME%: unknown specifier %4s"),
        ("%START_TIME(a%)%", "%START_TIME%: ends within a specifier"),
        ("%PATH(XY)%", "%PATH%: is not of the form X:Y"),
        ("%GRPC_STATUS(WORDS)%", "%GRPC_STATUS%: is CAMEL_STRING, SNAKE_STRING or NUMBER"),
    ] {
        let error = Format::text(format).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some(expected), "{format}");
    }
    assert_eq!(Format::json("[1]").err(), Some(FormatError::NoObject));
    assert!(matches!(Format::json("{").err(), Some(FormatError::Json(_))));
}

#[test]
fn what_has_no_meaning_here_is_named() {
    let format = Format::text("%STREAM_ID% %UPSTREAM_METADATA(a:b)% %PROTOCOL%");
    let named: Vec<String> = format.iter().flat_map(Format::without_meaning).map(str::to_owned).collect();
    assert_eq!(named, ["STREAM_ID", "UPSTREAM_METADATA"]);
}
