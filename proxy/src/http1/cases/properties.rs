//! What holds of every input: splits, round trips, and mutated heads that never come out ambiguous.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

const HEADERS: &[&str] = &[
    "Connection: keep-alive, x-hop",
    "X-Hop: 1",
    "Accept: */*",
    "x-empty:",
    "x-tab:\tb\t",
    "X-Forwarded-Client-Cert: URI=spiffe://a",
    "x-request-id: 7",
    "TE: trailers",
    "Upgrade: websocket",
    "Connection: upgrade",
    "Expect: 100-continue",
    "Content_Length: 3",
    "Cookie: a=b; c=d",
    "x-latin: \u{e9}",
];

const FRAMINGS: &[&str] = &["", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"];

prop_compose! {
    fn request()(
        method in select(vec!["GET", "POST", "HEAD", "OPTIONS", "X-y"]),
        target in select(vec!["/", "/a/b?c=d", "http://b.example:80/x", "/%2f..;a?", "https://[::1]?q"]),
        headers in vec(select(HEADERS), 0..6),
        framing in select(FRAMINGS),
        host_at in any::<Index>(),
    ) -> String {
        let mut lines: Vec<String> = headers.into_iter().map(|line| format!("{line}\r\n")).collect();
        lines.insert(host_at.index(lines.len() + 1), "Host: a.example\r\n".to_owned());
        format!("{method} {target} HTTP/1.1\r\n{}{framing}\r\n", lines.concat())
    }
}

prop_compose! {
    fn response()(
        status in select(vec!["200 OK", "204 No Content", "304", "404 ", "503 Service Unavailable"]),
        headers in vec(select(HEADERS), 0..6),
        framing in select(FRAMINGS),
    ) -> String {
        let lines: Vec<String> = headers.into_iter().map(|line| format!("{line}\r\n")).collect();
        format!("HTTP/1.1 {status}\r\n{}{framing}\r\n", lines.concat())
    }
}

/// What an attacker inserts.
const BITS: &[&[u8]] = &[
    b"\r",
    b"\n",
    b"\r\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b"\x0b",
    b"\x7f",
    b"\xff",
    b"#",
    b"\r\n ",
    b"\n\n",
    b"\r\n\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: 7\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding: x\r\n",
    b"Host: b\r\n",
    b"Connection: host, content-length\r\n",
    b"GET / HTTP/1.1\r\nHost: c\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"X-Forwarded-Client-Cert: y\r\n",
    b"HTTP/1.0",
    b"chunked",
];

prop_compose! {
    fn mutation()(at in any::<Index>(), remove in 0..4_usize, insert in select(BITS)) -> (Index, usize, &'static [u8]) {
        (at, remove, insert)
    }
}

fn mutate(raw: &str, mutations: &[(Index, usize, &[u8])]) -> Vec<u8> {
    let mut raw = raw.as_bytes().to_vec();
    for (at, remove, insert) in mutations {
        let start = at.index(raw.len() + 1);
        let end = raw.len().min(start + remove);
        raw.splice(start..end, insert.iter().copied());
    }
    raw
}

/// Reads a head that we wrote as the most naive program would: lines at every LF, names before the first colon.
fn assert_unambiguous(written: &[u8]) {
    let text = written.strip_suffix(b"\r\n\r\n").expect("a head ends in an empty line");
    let lines: Vec<&[u8]> = text.split(|&b| b == b'\n').collect();
    let (mut framings, mut hosts, mut certs) = (0, 0, 0);
    for (index, line) in lines.iter().enumerate() {
        let line =
            if index + 1 < lines.len() { line.strip_suffix(b"\r").expect("CR before LF") } else { line };
        assert!(!line.is_empty(), "an empty line within a head");
        assert!(line.iter().all(|&b| b == b'\t' || b >= b' ' && b != 0x7f), "a control character");
        if index == 0 {
            continue;
        }
        let colon = line.iter().position(|&b| b == b':').expect("a colon in each line");
        let name: String = line[..colon].iter().map(|&b| char::from(b).to_ascii_lowercase()).collect();
        match name.replace('_', "-").as_str() {
            "content-length" | "transfer-encoding" => framings += 1,
            "host" => hosts += 1,
            "x-forwarded-client-cert" => certs += 1,
            name => assert!(text::is_token(name.as_bytes()), "{name:?} is no name"),
        }
    }
    assert!(framings <= 1 && hosts <= 1 && certs == 0, "{}", written.escape_ascii());
}

fn parse(raw: &[u8]) -> (Result<Parse, Malformed>, RequestHead) {
    let mut head = RequestHead::default();
    (parse_request(raw, &Limits::default(), &mut head), head)
}

const PASS: RequestOut<'static> = RequestOut {
    teller: None,
    path: PathOut::AsReceived,
    host: None,
    default_host: "default",
    edits: [None, None],
    xfcc: None,
    request_id: None,
    upgrade: true,
    expect_continue: true,
    strip_own: false,
    extra: &[],
};

proptest! {
    #[test]
    fn every_beginning_of_a_good_head_is_partial(raw in request(), body in "[ -~]{0,8}") {
        for end in 0..raw.len() {
            prop_assert_eq!(parse(&raw.as_bytes()[..end]).0, Ok(Parse::Partial), "{:?}", &raw[..end]);
        }
        let whole = raw.clone() + &body;
        let (parsed, head) = parse(whole.as_bytes());
        prop_assert_eq!((parsed, head.len()), (Ok(Parse::Complete), raw.len()));
    }

    #[test]
    fn every_beginning_of_a_good_response_is_partial(raw in response()) {
        let mut head = ResponseHead::default();
        for end in 0..raw.len() {
            let parsed = parse_response(&raw.as_bytes()[..end], &Limits::default(), RequestFacts::default(), &mut head);
            prop_assert_eq!(parsed, Ok(Parse::Partial), "{:?}", &raw[..end]);
        }
    }

    #[test]
    fn what_is_written_reads_as_what_was_read(raw in request()) {
        let raw = raw.as_bytes();
        let (_, head) = parse(raw);
        let mut written = Vec::new();
        write_request(&head, raw, &PASS, &mut written);
        assert_unambiguous(&written);
        let (parsed, again) = parse(&written);
        prop_assert_eq!((parsed, again.len()), (Ok(Parse::Complete), written.len()));
        prop_assert_eq!(again.method(&written), head.method(raw));
        prop_assert_eq!(again.path_and_query(&written), head.path_and_query(raw));
        prop_assert_eq!(again.host(&written), head.host(raw));
        prop_assert_eq!(again.framing(), head.framing());
        prop_assert_eq!(
            (again.upgrade(), again.te_trailers(), again.expect_continue()),
            (head.upgrade(), head.te_trailers(), head.expect_continue())
        );
        let (before, after) = (HeadView { head: &head, buf: raw }, HeadView { head: &again, buf: &written });
        prop_assert!(before.end_to_end().eq(after.end_to_end()));
        let mut twice = Vec::new();
        write_request(&again, &written, &PASS, &mut twice);
        prop_assert_eq!(twice, written);
    }

    #[test]
    fn a_reused_head_remembers_nothing(first in request(), second in request(), cut in any::<Index>()) {
        let mut reused = RequestHead::default();
        prop_assert!(parse_request(first.as_bytes(), &Limits::default(), &mut reused).is_ok());
        let part = &first.as_bytes()[..cut.index(first.len())];
        prop_assert!(parse_request(part, &Limits::default(), &mut reused).is_ok());
        prop_assert!(parse_request(second.as_bytes(), &Limits::default(), &mut reused).is_ok());
        let (_, fresh) = parse(second.as_bytes());
        prop_assert_eq!(format!("{reused:?}"), format!("{fresh:?}"));
    }

    #[test]
    fn a_mutated_request_is_refused_or_comes_out_unambiguous(raw in request(), mutations in vec(mutation(), 1..5)) {
        let raw = mutate(&raw, &mutations);
        let (parsed, head) = parse(&raw);
        if parsed == Ok(Parse::Complete) {
            let mut written = Vec::new();
            write_request(&head, &raw, &PASS, &mut written);
            assert_unambiguous(&written);
            let (parsed, again) = parse(&written);
            prop_assert_eq!(parsed, Ok(Parse::Complete));
            prop_assert_eq!((again.len(), again.framing()), (written.len(), head.framing()));
        }
    }

    #[test]
    fn a_mutated_response_is_refused_or_comes_out_unambiguous(raw in response(), mutations in vec(mutation(), 1..5)) {
        let raw = mutate(&raw, &mutations);
        let mut head = ResponseHead::default();
        let parsed = parse_response(&raw, &Limits::default(), RequestFacts::default(), &mut head);
        if parsed == Ok(Parse::Complete) {
            let mut written = Vec::new();
            let framing = head.framing_for(Version::Http11);
            write_response(&head, &raw, &ResponseOut { framing, ..ResponseOut::default() }, &mut written);
            assert_unambiguous(&written);
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(raw in vec(any::<u8>(), 0..200)) {
        let _request = parse(&raw);
        let _response = parse_response(&raw, &Limits::default(), RequestFacts::default(), &mut ResponseHead::default());
        let mut rest = &raw[..];
        let mut decoder = ChunkDecoder::default();
        while let Ok(Step::Data(range)) = decoder.decode(rest) {
            rest = &rest[range.end..];
        }
    }

    #[test]
    fn chunks_that_we_write_give_back_the_data(pieces in vec(vec(any::<u8>(), 0..40), 0..6), cuts in vec(any::<Index>(), 0..6)) {
        let mut written = Vec::new();
        pieces.iter().for_each(|piece| write_chunk(piece, &mut written));
        write_last_chunk([("a", &b"b"[..])], &mut written);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(written.len() + 1)).collect();
        cuts.push(written.len());
        cuts.sort_unstable();
        let (mut decoder, mut data, mut at) = (ChunkDecoder::default(), Vec::new(), 0);
        for cut in cuts {
            while at < cut {
                match decoder.decode(&written[at..cut]) {
                    Ok(Step::Data(range)) => {
                        data.extend_from_slice(&written[at..][range.clone()]);
                        at += range.end;
                    }
                    Ok(Step::NeedMore | Step::End(_)) => at = cut,
                    Err(malformed) => panic!("{malformed}"),
                }
            }
        }
        prop_assert!(decoder.is_done());
        prop_assert_eq!(decoder.trailers().iter().count(), 1);
        prop_assert_eq!(data, pieces.concat());
    }
}
