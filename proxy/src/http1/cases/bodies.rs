//! Chunked bodies as they arrive, trailers, and ends of connections.

use super::*;
use Reason as R;

/// Decodes pieces one after the other: the data, the trailers, and what lay behind the body.
fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, String, Vec<u8>), Reason> {
    let mut decoder = ChunkDecoder::new(ChunkLimits { max_extensions: 64, max_trailers: 64 });
    let (mut data, mut behind) = (Vec::new(), Vec::new());
    for piece in pieces {
        let mut rest = *piece;
        while !decoder.is_done() {
            match decoder.decode(rest).map_err(|malformed| malformed.reason)? {
                Step::Data(range) => {
                    assert!(!range.is_empty());
                    data.extend_from_slice(&rest[range.clone()]);
                    rest = &rest[range.end..];
                }
                Step::End(taken) => rest = &rest[taken..],
                Step::NeedMore => {
                    rest = b"";
                    break;
                }
            }
        }
        behind.extend_from_slice(rest);
    }
    if !decoder.is_done() {
        data.extend_from_slice(b"...");
    }
    let line = |(name, value): (&str, &[u8])| format!("{name}={};", String::from_utf8_lossy(value));
    Ok((data, decoder.trailers().iter().map(line).collect(), behind))
}

#[test]
fn chunks_give_their_data_however_they_are_cut() {
    for (raw, data, trailers, behind) in [
        ("0\r\n\r\n", "", "", ""),
        ("5\r\nhello\r\n0\r\n\r\nGET /", "hello", "", "GET /"),
        ("5\r\nhello\r\n1\r\n \r\nA\r\n0123456789\r\n0\r\n\r\n", "hello 0123456789", "", ""),
        ("a\r\n0123456789\r\n00000\r\n\r\n", "0123456789", "", ""),
        ("0000000000000003\r\nabc\r\n0\r\n\r\n", "abc", "", ""),
        ("3\r\n\r\n0\r\n0\r\n\r\n", "\r\n0", "", ""),
        ("3;a\r\nabc\r\n0;b=c;d=\"e;\\\"\"\r\n\r\n", "abc", "", ""),
        ("3 ;a = b\r\nabc\r\n0\t;\r\n\r\n", "abc", "", ""),
        ("3;\r\nabc\r\n0\r\n\r\n", "abc", "", ""),
        ("1\r\na\r\n0\r\nX-Sum: 7\r\nx-b:8 \r\n\r\nnext", "a", "X-Sum=7;x-b=8;", "next"),
        ("0\r\nContent-Length: 5\r\nA: b\r\nHost: c\r\n\r\n", "", "A=b;", ""),
        ("0\r\nx-forwarded-client-cert: URI=x\r\nX_Forwarded_Client_Cert: y\r\n\r\n", "", "", ""),
        ("3\r\nab", "ab...", "", ""),
        ("3\r\nabc", "abc...", "", ""),
        ("0\r\n", "...", "", ""),
        ("0\r\nA: b\r\n", "...", "", ""),
    ] {
        let whole = (data.as_bytes().to_vec(), trailers.to_owned(), behind.as_bytes().to_vec());
        let raw = raw.as_bytes();
        for cut in 0..=raw.len() {
            let (first, second) = raw.split_at(cut);
            assert_eq!(
                decode(&[first, second]).as_ref(),
                Ok(&whole),
                "{:?} at {cut}",
                raw.escape_ascii().to_string()
            );
        }
        let bytes: Vec<_> = raw.chunks(1).collect();
        assert_eq!(decode(&bytes).as_ref(), Ok(&whole), "{:?} byte by byte", raw.escape_ascii().to_string());
    }
}

#[test]
fn malformed_chunks_are_refused_however_they_are_cut() {
    let long_extension = format!("3;{}\r\n", "x".repeat(64));
    let many_extensions = "1;aaaaaaaaaaaaaaaaaaaa\r\nx\r\n".repeat(4);
    let long_trailer = format!("0\r\nA: {}\r\n\r\n", "x".repeat(64));
    let cases: &[(&[u8], Reason)] = &[
        (b"\r\n", R::ChunkSize),
        (b"\n", R::ChunkSize),
        (b" 3\r\nabc\r\n", R::ChunkSize),
        (b"3 \r\nabc\r\n", R::ChunkSize),
        (b"3\nabc\r\n", R::ChunkSize),
        (b"3\rabc\r\n", R::ChunkSize),
        (b"3\r\r\nabc\r\n", R::ChunkSize),
        (b"+3\r\nabc\r\n", R::ChunkSize),
        (b"-3\r\nabc\r\n", R::ChunkSize),
        (b"0x3\r\nabc\r\n", R::ChunkSize),
        (b"3h\r\nabc\r\n", R::ChunkSize),
        (b"3_0\r\n", R::ChunkSize),
        (b"3,3\r\nabc\r\n", R::ChunkSize),
        (b"3 3\r\nabc\r\n", R::ChunkSize),
        (b"3\0\r\nabc\r\n", R::ChunkSize),
        (b";a\r\n", R::ChunkSize),
        (b"g\r\n", R::ChunkSize),
        (b"\xd9\xa3\r\n", R::ChunkSize),
        (b"00000000000000003\r\nabc\r\n", R::ChunkSize),
        (b"10000000000000000\r\n", R::ChunkSize),
        (b"fffffffffffffffff\r\n", R::ChunkSize),
        (b"3;a\nabc\r\n", R::ChunkExtension),
        (b"3;a\rb\r\nabc\r\n", R::ChunkSize),
        (b"3;a\0\r\nabc\r\n", R::ChunkExtension),
        (b"3;\x7f\r\nabc\r\n", R::ChunkExtension),
        (b"3\r\nabcd\r\n", R::ChunkEnd),
        (b"3\r\nabc\n", R::ChunkEnd),
        (b"3\r\nabc0\r\n\r\n", R::ChunkEnd),
        (b"3\r\nabc\rx", R::ChunkEnd),
        (b"3\r\nabc\r\n\r\n", R::ChunkSize),
        (b"1\r\na\r\n0\r\n\n", R::Trailer),
        (b"0\r\n\rx\r\n\r\n", R::Trailer),
        (b"0\r\nA: b\n\r\n", R::Trailer),
        (b"0\r\nA : b\r\n\r\n", R::Trailer),
        (b"0\r\nA: b\r\n c\r\n\r\n", R::Trailer),
        (b"0\r\n A: b\r\n\r\n", R::Trailer),
        (b"0\r\nA\r\n\r\n", R::Trailer),
        (b"0\r\n: b\r\n\r\n", R::Trailer),
        (b"0\r\nA: b\0\r\n\r\n", R::Trailer),
        (b"0\r\nA: b\rc\r\n\r\n", R::Trailer),
        (b"0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", R::Trailer),
        (long_extension.as_bytes(), R::ChunkExtension),
        (many_extensions.as_bytes(), R::ChunkExtension),
        (long_trailer.as_bytes(), R::TrailersTooLarge),
    ];
    for (raw, reason) in cases {
        for cut in 0..raw.len() {
            let (first, second) = raw.split_at(cut);
            let found = decode(&[first, second]);
            assert_eq!(found, Err(*reason), "{:?} at {cut}", raw.escape_ascii().to_string());
        }
    }
}

#[test]
fn data_pays_for_extensions() {
    let raw = "20;aaaaaaaaaaaaaaaaaaaa\r\n0123456789abcdef0123456789abcdef\r\n".repeat(100) + "0\r\n\r\n";
    assert_eq!(decode(&[raw.as_bytes()]).map(|(data, ..)| data.len()), Ok(3200));
}

#[test]
fn a_decoder_forgets_the_last_body() {
    let mut decoder = ChunkDecoder::default();
    let raw = b"0\r\nA: b\r\n\r\n";
    for _ in 0..2 {
        assert!(!decoder.is_done() && decoder.trailers().is_empty());
        assert_eq!(decoder.decode(raw), Ok(Step::End(raw.len())));
        assert_eq!(decoder.trailers().iter().count(), 1);
        assert_eq!(decoder.decode(b"more"), Ok(Step::End(0)));
        decoder.reset();
    }
}

#[test]
fn names_that_have_no_place_behind_a_body_are_dropped_from_trailers() {
    let names = [
        "Content-Length",
        "Transfer-Encoding",
        "Host",
        "Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Upgrade",
        "Expect",
        "Authorization",
        "Cookie",
        "Set-Cookie",
        "Content-Type",
        "Content-Encoding",
        "Cache-Control",
        "X-Forwarded-For",
        "X-Forwarded-Client-Cert",
        "X-Request-Id",
        "X-Spillway-Unprocessed",
        "Proxy-Connection",
    ];
    for name in names {
        let raw = format!("0\r\n{name}: x\r\ngrpc-status: 0\r\n\r\n");
        let (_, trailers, _) = decode(&[raw.as_bytes()]).expect("well formed");
        assert_eq!(trailers, "grpc-status=0;", "{name}");
        let mut written = Vec::new();
        write_last_chunk(
            [(name, &b"x"[..]), ("grpc-status", b"0"), ("a", b"b\r\n"), ("", b"c")],
            &mut written,
        );
        assert_eq!(String::from_utf8_lossy(&written), "0\r\ngrpc-status: 0\r\n\r\n");
    }
}

#[test]
fn chunks_are_written_as_they_are_read() {
    let mut written = Vec::new();
    for length in [0, 1, 9, 10, 15, 16, 255, 256, 4096, 65_535, 1_000_000] {
        written.clear();
        write_chunk_header(length, &mut written);
        let expected = if length == 0 { String::new() } else { format!("{length:x}\r\n") };
        assert_eq!(String::from_utf8_lossy(&written), expected);
    }
    written.clear();
    write_chunk(b"", &mut written);
    write_chunk(b"hello, world", &mut written);
    write_last_chunk([], &mut written);
    assert_eq!(String::from_utf8_lossy(&written), "c\r\nhello, world\r\n0\r\n\r\n");
    assert_eq!(decode(&[&written]), Ok((b"hello, world".to_vec(), String::new(), Vec::new())));
}

#[test]
fn a_body_cut_short_is_told_from_a_whole_one() {
    for (framing, received, done, ended) in [
        (ResponseFraming::None, "", true, Ended::Whole),
        (ResponseFraming::Length(0), "", true, Ended::Whole),
        (ResponseFraming::Length(3), "ab", false, Ended::CutShort),
        (ResponseFraming::Length(3), "abc", true, Ended::Whole),
        (ResponseFraming::Length(3), "abcd", true, Ended::Whole),
        (ResponseFraming::Chunked, "3\r\nabc\r\n", false, Ended::CutShort),
        (ResponseFraming::Chunked, "3\r\nabc\r\n0\r\n", false, Ended::CutShort),
        (ResponseFraming::Chunked, "3\r\nabc\r\n0\r\n\r\n", true, Ended::Whole),
        (ResponseFraming::UntilClose, "abc", false, Ended::Whole),
    ] {
        let mut body = BodyReader::default();
        body.begin_response(framing);
        let mut rest = received.as_bytes();
        loop {
            match body.decode(rest).expect("well formed") {
                Step::Data(range) => rest = &rest[range.end..],
                Step::End(taken) => break rest = &rest[taken..],
                Step::NeedMore => break rest = b"",
            }
        }
        assert_eq!(body.is_done(), done, "{framing:?} {received:?}");
        assert_eq!(rest.len(), usize::from(received == "abcd"));
        assert_eq!(body.end_of_connection(), ended, "{framing:?} {received:?}");
        assert_eq!(body.is_done(), ended == Ended::Whole);
    }
}
