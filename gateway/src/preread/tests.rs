//! ClientHellos by hand, by rustls, and by chance.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;

/// A ClientHello to be put together in right and wrong ways.
struct Hello {
    version: u16,
    session_id: Vec<u8>,
    suites: Vec<u8>,
    compression: Vec<u8>,
    /// None leaves the whole extension block out.
    extensions: Option<Vec<(u16, Vec<u8>)>>,
}

impl Hello {
    fn with(extensions: Vec<(u16, Vec<u8>)>) -> Self {
        Self {
            version: 0x0303,
            session_id: vec![7; 32],
            suites: vec![0x13, 0x01, 0x13, 0x02],
            compression: vec![0],
            extensions: Some(extensions),
        }
    }

    fn named(name: &str) -> Self {
        Self::with(vec![(43, vec![2, 3, 4]), name_extension(&[(0, name.as_bytes())])])
    }

    fn body(&self) -> Vec<u8> {
        let mut body = self.version.to_be_bytes().to_vec();
        body.extend([9; 32]);
        body.extend(vec8(&self.session_id));
        body.extend(vec16(&self.suites));
        body.extend(vec8(&self.compression));
        if let Some(extensions) = &self.extensions {
            let mut block = Vec::new();
            for (kind, data) in extensions {
                block.extend(kind.to_be_bytes());
                block.extend(vec16(data));
            }
            body.extend(vec16(&block));
        }
        body
    }

    fn wire(&self) -> Vec<u8> {
        record(&message(CLIENT_HELLO, &self.body()))
    }
}

fn vec8(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn vec16(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind], &length[1..], body].concat()
}

fn record(payload: &[u8]) -> Vec<u8> {
    [&[HANDSHAKE_RECORD, 3, 1][..], &vec16(payload)].concat()
}

fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(record).collect()
}

fn name_extension(names: &[(u8, &[u8])]) -> (u16, Vec<u8>) {
    let list: Vec<u8> = names.iter().flat_map(|(kind, name)| [vec![*kind], vec16(name)].concat()).collect();
    (SERVER_NAME, vec16(&list))
}

fn alpn_extension(names: &[&[u8]]) -> (u16, Vec<u8>) {
    (ALPN, vec16(&names.iter().flat_map(|name| vec8(name)).collect::<Vec<u8>>()))
}

/// A hello of exactly `length` bytes, header included, padded by an unknown extension.
fn padded(length: usize) -> Vec<u8> {
    let without = message(CLIENT_HELLO, &Hello::named("big.example").body()).len();
    let mut hello = Hello::named("big.example");
    if let Some(extensions) = &mut hello.extensions {
        extensions.insert(0, (21, vec![0; length - without - 4]));
    }
    message(CLIENT_HELLO, &hello.body())
}

fn sni(parse: &Parse) -> Option<&str> {
    match parse {
        Parse::Complete(hello) => hello.sni.as_ref().map(Sni::as_str),
        other => panic!("not complete: {other:?}"),
    }
}

fn check_name(wire: &[u8], expected: Option<&str>) {
    assert_eq!(sni(&ClientHello::parse(wire)), expected);
}

fn check_refused(what: &str, wire: &[u8], expected: HelloError) {
    assert_eq!(ClientHello::parse(wire), Parse::Refused(expected), "{what}");
}

#[test]
fn a_name_is_read_and_folded_to_lower_case() {
    for (asked, read) in [
        ("web.default.dc1.internal.td.consul", "web.default.dc1.internal.td.consul"),
        ("WEB.Default.dc1.INTERNAL.td.consul", "web.default.dc1.internal.td.consul"),
        ("a", "a"),
        ("under_score.example", "under_score.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ] {
        check_name(&Hello::named(asked).wire(), Some(read));
    }
}

#[test]
fn a_hello_without_a_name_is_complete_and_nameless() {
    check_name(&Hello::with(vec![(43, vec![2, 3, 4])]).wire(), None);
    check_name(&Hello::with(vec![]).wire(), None);
    check_name(&Hello { extensions: None, ..Hello::with(vec![]) }.wire(), None);
}

#[test]
fn a_name_that_is_no_single_dns_name_is_refused() {
    let long = "a".repeat(64);
    let longer = ["abcdefghi"; 26].join(".");
    for name in [
        "127.0.0.1",
        "::1",
        "[::1]",
        "web.example.",
        ".",
        "",
        ".web",
        "web..example",
        "web.example\0",
        "w eb",
        "web:443",
        "*.example",
        "bücher.example",
        long.as_str(),
        longer.as_str(),
    ] {
        check_refused(name, &Hello::named(name).wire(), HelloError::Name);
    }
    check_refused("latin-1", &Hello::with(vec![name_extension(&[(0, b"b\xfc")])]).wire(), HelloError::Name);
}

#[test]
fn a_name_list_holds_exactly_one_host_name() {
    let a: (u8, &[u8]) = (0, b"a.example");
    let b: (u8, &[u8]) = (0, b"b.example");
    for (what, names) in [
        ("two names", &[a, b][..]),
        ("the same twice", &[a, a]),
        ("none", &[]),
        ("an unknown type", &[(1, b"x")]),
        ("an unknown type first", &[(1, b"x"), a]),
        ("an unknown type last", &[a, (1, b"x")]),
    ] {
        check_refused(what, &Hello::with(vec![name_extension(names)]).wire(), HelloError::NameList);
    }
    let mut behind = name_extension(&[a]);
    behind.1.push(0);
    check_refused("a byte behind the list", &Hello::with(vec![behind]).wire(), HelloError::NameList);
}

#[test]
fn an_extension_that_stands_twice_is_refused() {
    let twice =
        |extension: (u16, Vec<u8>)| Hello::with(vec![extension.clone(), (43, vec![]), extension]).wire();
    check_refused("names", &twice(name_extension(&[(0, b"a")])), HelloError::DuplicateExtension);
    check_refused("alpn", &twice(alpn_extension(&[b"h2"])), HelloError::DuplicateExtension);
}

#[test]
fn lengths_that_do_not_add_up_are_refused() {
    let good = Hello::named("a.example");
    let body = good.body();
    let cut = |by: usize| record(&message(CLIENT_HELLO, &body[..body.len() - by]));
    for (what, wire) in [
        ("an empty body", record(&message(CLIENT_HELLO, &[]))),
        ("a cut name", cut(1)),
        ("a cut extension", cut(13)),
        ("bytes behind the extensions", record(&message(CLIENT_HELLO, &[&body[..], &[0]].concat()))),
        ("a session id of 33", Hello { session_id: vec![0; 33], ..Hello::named("a") }.wire()),
        ("no cipher suites", Hello { suites: vec![], ..Hello::named("a") }.wire()),
        ("half a cipher suite", Hello { suites: vec![0x13], ..Hello::named("a") }.wire()),
        ("no compression", Hello { compression: vec![], ..Hello::named("a") }.wire()),
        ("a version of another age", Hello { version: 0x0200, ..Hello::named("a") }.wire()),
        ("an empty name extension", Hello::with(vec![(SERVER_NAME, vec![])]).wire()),
        ("a name list over its extension", Hello::with(vec![(SERVER_NAME, vec![0, 9, 0])]).wire()),
        ("a name over its list", Hello::with(vec![(SERVER_NAME, vec![0, 3, 0, 0, 9])]).wire()),
        ("an empty ALPN", Hello::with(vec![alpn_extension(&[])]).wire()),
        ("an empty protocol", Hello::with(vec![alpn_extension(&[b""])]).wire()),
        ("a protocol over its list", Hello::with(vec![(ALPN, vec![0, 2, 9, 0])]).wire()),
    ] {
        check_refused(what, &wire, HelloError::Lengths);
    }
}

#[test]
fn what_is_no_handshake_is_refused_by_its_first_bytes() {
    for wire in [&b"G"[..], b"GET / HTTP/1.1\r\n", b"\x80\x2e\x01", b"\x16\x02", b"\x17\x03\x03", b"\x15\x03"]
    {
        check_refused("", wire, HelloError::NotTls);
    }
    check_refused("ServerHello", &record(&message(2, &[0; 40])), HelloError::NotClientHello);
    check_refused("by its first byte", &record(&[2])[..6], HelloError::NotClientHello);
}

#[test]
fn records_are_of_the_handshake_and_neither_empty_nor_too_long() {
    let hello = message(CLIENT_HELLO, &Hello::named("a.example").body());
    let (first, second) = hello.split_at(20);
    for (what, wire) in [
        ("an empty record", record(&[])),
        ("an empty record within", [record(first), record(&[]), record(second)].concat()),
        ("too long a record", vec![HANDSHAKE_RECORD, 3, 1, 0x40, 0x01]),
        ("an alert within", [record(first), vec![21, 3, 3, 0, 2, 1, 0]].concat()),
        ("another age within", [record(first), vec![22, 2]].concat()),
        ("a message behind the hello", record(&[&hello[..], &message(20, &[0])].concat())),
    ] {
        check_refused(what, &wire, HelloError::Record);
    }
}

#[test]
fn a_hello_of_16_kib_is_read_and_one_of_64_kib_refused() {
    for size in [600, 1800, 4096, 16 * 1024 - 4, 16 * 1024, 16 * 1024 + 4, MAX_HELLO] {
        for split in [1, 2, 1400, 16 * 1024] {
            check_name(&records(&padded(size), split), Some("big.example"));
        }
    }
    for size in [MAX_HELLO + 1, 64 * 1024] {
        check_refused("", &records(&padded(size), 16 * 1024), HelloError::TooLarge);
    }
    check_refused("announced", &record(&[CLIENT_HELLO, 0xff, 0xff, 0xff]), HelloError::TooLarge);
}

#[test]
fn every_prefix_of_a_hello_is_partial_however_records_split_it() {
    let hello = message(CLIENT_HELLO, &Hello::named("a.example").body());
    for split in [1, 2, 3, 4, 5, 7, 50, 1000] {
        let wire = records(&hello, split);
        let mut preread = Preread::default();
        for end in 0..wire.len() {
            assert_eq!(preread.advance(&wire[..end]), Parse::Partial, "{split} {end}");
        }
        assert_eq!(sni(&preread.advance(&wire)), Some("a.example"));
    }
}

#[test]
fn early_data_behind_the_hello_is_left_alone() {
    let mut wire = Hello::named("a.example").wire();
    wire.extend([23, 3, 3, 0, 1, 0]);
    check_name(&wire, Some("a.example"));
}

#[test]
fn protocols_are_read_in_the_clients_order() {
    let hello = Hello::with(vec![alpn_extension(&[b"spillway-peering/1", b"h2"])]);
    let Parse::Complete(hello) = ClientHello::parse(&hello.wire()) else { panic!("not complete") };
    assert_eq!(hello.alpn().collect::<Vec<_>>(), [&b"spillway-peering/1"[..], b"h2"]);
}

#[test]
fn hellos_that_rustls_writes_are_read() {
    let none = rustls::RootCertStore::empty();
    let mut config = rustls::ClientConfig::builder().with_root_certificates(none).with_no_client_auth();
    for protocols in [0, 1, 40, 400, 1000] {
        config.alpn_protocols = (0..protocols).map(|n| format!("protocol-{n}").into_bytes()).collect();
        let name = rustls::pki_types::ServerName::try_from("web.default.dc1.internal.td.consul").unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(config.clone()), name).unwrap();
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        let Parse::Complete(hello) = ClientHello::parse(&wire) else { panic!("not complete") };
        assert_eq!(
            hello.sni.map(|sni| sni.to_string()).as_deref(),
            Some("web.default.dc1.internal.td.consul")
        );
        assert_eq!(hello.alpn.len(), config.alpn_protocols.iter().map(|name| 1 + name.len()).sum::<usize>());
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(mut wire: Vec<u8>, tls: bool) {
        if tls && wire.len() > 5 {
            wire[..6].copy_from_slice(&[22, 3, 1, 0, 40, 1]);
        }
        ClientHello::parse(&wire);
    }

    #[test]
    fn no_damage_to_a_hello_panics(at in 0..200usize, to: u8, cut in 0..200usize) {
        let mut wire = Hello::named("web.default.dc1.internal.td.consul").wire();
        let length = wire.len();
        wire[at % length] = to;
        wire.truncate(length - cut % length);
        ClientHello::parse(&wire);
    }

    #[test]
    fn the_answer_does_not_depend_on_segments(
        split in 1..400usize,
        segments in prop::collection::vec(1..500usize, 0..20),
        damage in prop::option::of((0..400usize, any::<u8>())),
    ) {
        let mut wire = records(&padded(400), split);
        if let Some((at, to)) = damage {
            let length = wire.len();
            wire[at % length] = to;
        }
        let mut preread = Preread::default();
        let mut end = 0usize;
        let mut answer = Parse::Partial;
        for segment in segments.into_iter().chain([usize::MAX]) {
            end = wire.len().min(end.saturating_add(segment));
            answer = preread.advance(&wire[..end]);
            if answer != Parse::Partial {
                break;
            }
        }
        prop_assert_eq!(answer, ClientHello::parse(&wire));
    }
}
