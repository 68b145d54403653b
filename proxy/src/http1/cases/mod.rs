//! Raw payloads: what goes in, and the very bytes that come out or the reason for which they do not.
//!
//! One file a direction, and `properties` for what must hold of every input.

mod bodies;
mod properties;
mod refusals;
mod requests;
mod responses;
mod rewriting;

use super::*;

/// What a request becomes with `out`, and how many bytes its head took.
fn forward(raw: &[u8], out: &RequestOut<'_>) -> Result<(Vec<u8>, usize), Reason> {
    let mut head = RequestHead::default();
    let mut written = Vec::new();
    match parse_request(raw, &Limits::default(), &mut head) {
        Ok(Parse::Complete) => write_request(&head, raw, out, &mut written),
        Ok(Parse::Partial) => panic!("{:?} is only a part", raw.escape_ascii().to_string()),
        Err(malformed) => return Err(malformed.reason),
    }
    Ok((written, head.len()))
}

/// As [`forward`], with everything passed on that may pass.
fn relay(raw: &[u8]) -> Result<String, Reason> {
    let out =
        RequestOut { upgrade: true, expect_continue: true, default_host: "default", ..RequestOut::default() };
    let (written, _) = forward(raw, &out)?;
    Ok(String::from_utf8_lossy(&written).into_owned())
}

/// Checks requests against the bytes that the upstream gets.
fn accepted(cases: &[(&str, &str)]) {
    for (raw, written) in cases {
        assert_eq!(relay(raw.as_bytes()).as_deref(), Ok(*written), "{raw:?}");
    }
}

/// Checks requests against the reason for which they are refused.
fn refused(cases: &[(&[u8], Reason)]) {
    for (raw, reason) in cases {
        assert_eq!(relay(raw), Err(*reason), "{:?}", raw.escape_ascii().to_string());
    }
}

/// What a response becomes for HTTP/1.1, the connection kept.
fn respond(raw: &[u8], request: RequestFacts) -> Result<(String, ResponseHead), Reason> {
    let mut head = ResponseHead::default();
    match parse_response(raw, &Limits::default(), request, &mut head) {
        Ok(Parse::Complete) => {}
        Ok(Parse::Partial) => panic!("{:?} is only a part", raw.escape_ascii().to_string()),
        Err(malformed) => return Err(malformed.reason),
    }
    let mut written = Vec::new();
    let framing = head.framing_for(Version::Http11);
    let out = ResponseOut { keep_alive: true, framing, ..ResponseOut::default() };
    write_response(&head, raw, &out, &mut written);
    Ok((String::from_utf8_lossy(&written).into_owned(), head))
}
