//! What a connection asks for, read from its first bytes without answering them: the SNI of a ClientHello.
//!
//! Here: TLS records put together into one ClientHello (RFC 8446 sections 4.1.2 and 5.1), whatever the split
//! over records and segments, and its server name (RFC 6066 section 3) and ALPN offers (RFC 7301). Pure: bytes
//! in, answer out; [`Preread`] only remembers where it stopped, so that a hello that drips in costs no more
//! than one that comes at once. Kept out: sockets, deadlines, and any judgement of the name: routes do that.
//!
//! Strict where being lenient could show us another name than the endpoint behind us would see: two names, a
//! name twice, an IP literal, a trailing dot or bytes that no DNS name has are refused, never repaired.

use std::borrow::Cow;
use std::net::IpAddr;

use spillway_core::name::Sni;

/// The longest ClientHello that is read, its 4 bytes of header included: 16 KiB, and room for those who count
/// without headers. Post-quantum hellos are about 2 KiB.
pub const MAX_HELLO: usize = 17 * 1024;

/// The most that a ClientHello of [`MAX_HELLO`] takes on the wire: one byte a record, each with its header.
pub const MAX_WIRE: usize = MAX_HELLO * (RECORD_HEADER + 1);

const RECORD_HEADER: usize = 5;
const MAX_RECORD: usize = 16 * 1024;
const HELLO_HEADER: usize = 4;
const HANDSHAKE_RECORD: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;
const ALPN: u16 = 16;

/// Why first bytes are no ClientHello that can be routed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HelloError {
    /// Plaintext, SSLv2, or anything else.
    #[error("not a TLS handshake")]
    NotTls,
    /// A handshake that begins with another message.
    #[error("the handshake does not begin with a ClientHello")]
    NotClientHello,
    /// Over [`MAX_HELLO`].
    #[error("the ClientHello is longer than {MAX_HELLO} bytes")]
    TooLarge,
    /// A record that is empty, over-long, or of another type than handshake before the hello was whole.
    #[error("a record is empty, too long or not of the handshake")]
    Record,
    /// Lengths that do not add up.
    #[error("the ClientHello's lengths do not add up")]
    Lengths,
    /// The same extension twice: which one counts depends on who reads it.
    #[error("an extension stands twice")]
    DuplicateExtension,
    /// No name, several, or one of an unknown type.
    #[error("the server name list does not hold exactly one host name")]
    NameList,
    /// An IP literal, a trailing dot, or no DNS name at all.
    #[error("the server name is not a DNS name")]
    Name,
}

/// What first bytes are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Parse {
    /// The beginning of a ClientHello: read on.
    Partial,
    /// A whole ClientHello. Bytes behind its record may follow (early data).
    Complete(ClientHello),
    /// Close the connection.
    Refused(HelloError),
}

/// What a ClientHello says that routing needs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientHello {
    /// The server name, lower-case; None when there is none.
    pub sni: Option<Sni>,
    /// The protocol names as they stand on the wire, checked: a length byte before each.
    alpn: Box<[u8]>,
}

impl ClientHello {
    /// Reads the first bytes of a connection, all that there are so far. Use [`Preread`] for bytes that drip in.
    pub fn parse(wire: &[u8]) -> Parse {
        Preread::default().advance(wire)
    }

    /// The protocols that the client offers, in its order.
    pub fn alpn(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = Reader(&self.alpn);
        std::iter::from_fn(move || rest.vec8().ok())
    }
}

/// How far the reading of a ClientHello has come.
#[derive(Clone, Debug, Default)]
pub struct Preread {
    /// Where in the wire the record begins that is not whole yet.
    record: usize,
    /// How many bytes of the hello the records before it hold.
    before: usize,
    /// The hello's first bytes: message type and length.
    header: [u8; HELLO_HEADER],
}

impl Preread {
    /// Reads on. `wire` is everything that came so far, from the connection's first byte.
    pub fn advance(&mut self, wire: &[u8]) -> Parse {
        match self.scan(wire) {
            Ok(None) => Parse::Partial,
            Ok(Some(hello)) => parse_hello(&hello).map_or_else(Parse::Refused, Parse::Complete),
            Err(error) => Parse::Refused(error),
        }
    }

    /// Walks records until the hello is whole; then its body.
    fn scan<'a>(&mut self, wire: &'a [u8]) -> Result<Option<Cow<'a, [u8]>>, HelloError> {
        loop {
            let rest = wire.get(self.record..).unwrap_or_default();
            let Some(length) = record_length(rest, self.record == 0)? else { return Ok(None) };
            let there = &rest[RECORD_HEADER..rest.len().min(RECORD_HEADER + length)];
            for (at, byte) in (self.before..HELLO_HEADER).zip(there) {
                self.header[at] = *byte;
            }
            let have = self.before + there.len();
            let end = self.hello_length(have)?;
            // Nothing may follow a ClientHello in its record: the client has to wait for the answer.
            if end.is_some_and(|end| self.before + length > end) {
                return Err(HelloError::Record);
            }
            if end == Some(have) {
                return Ok(Some(self.hello(wire)));
            }
            if there.len() < length {
                return Ok(None);
            }
            self.record += RECORD_HEADER + length;
            self.before = have;
        }
    }

    /// The hello's length with its header, as soon as `have` bytes of it tell.
    fn hello_length(&self, have: usize) -> Result<Option<usize>, HelloError> {
        if have > 0 && self.header[0] != CLIENT_HELLO {
            return Err(HelloError::NotClientHello);
        }
        if have < HELLO_HEADER {
            return Ok(None);
        }
        let [_, high, mid, low] = self.header.map(usize::from);
        let length = HELLO_HEADER + (high << 16 | mid << 8 | low);
        if length > MAX_HELLO { Err(HelloError::TooLarge) } else { Ok(Some(length)) }
    }

    /// The body of the hello that ends with the record at `self.record`; a copy only when records split it.
    fn hello<'a>(&self, wire: &'a [u8]) -> Cow<'a, [u8]> {
        let last = &wire[self.record..];
        if self.record == 0 {
            let end = RECORD_HEADER + record_payload(last).len();
            return Cow::Borrowed(&last[RECORD_HEADER + HELLO_HEADER..end]);
        }
        let mut whole = Vec::with_capacity(self.before + MAX_RECORD.min(last.len()));
        let mut at = 0;
        while at <= self.record {
            let payload = record_payload(&wire[at..]);
            whole.extend_from_slice(payload);
            at += RECORD_HEADER + payload.len();
        }
        whole.drain(..HELLO_HEADER);
        Cow::Owned(whole)
    }
}

/// The length that a record's header gives it; None while the header is not whole.
fn record_length(record: &[u8], first: bool) -> Result<Option<usize>, HelloError> {
    let foreign = if first { HelloError::NotTls } else { HelloError::Record };
    // Judged byte by byte: what cannot become a handshake is refused at once, not at the deadline.
    if record.first().is_some_and(|kind| *kind != HANDSHAKE_RECORD)
        || record.get(1).is_some_and(|major| *major != 3)
    {
        return Err(foreign);
    }
    let Some([_, _, _, high, low]) = record.first_chunk::<RECORD_HEADER>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if (1..=MAX_RECORD).contains(&length) { Ok(Some(length)) } else { Err(HelloError::Record) }
}

/// The payload of a record that [`record_length`] has passed.
fn record_payload(record: &[u8]) -> &[u8] {
    let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
    &record[RECORD_HEADER..RECORD_HEADER + length]
}

/// RFC 8446 section 4.1.2; a hello without extensions is one of TLS 1.2 or older, and has no name.
fn parse_hello(body: &[u8]) -> Result<ClientHello, HelloError> {
    let mut hello = Reader(body);
    let version = hello.u16()?;
    hello.take(32)?;
    let session_id = hello.vec8()?;
    let suites = hello.vec16()?;
    let compression = hello.vec8()?;
    if version >> 8 != 3
        || session_id.len() > 32
        || suites.is_empty()
        || !suites.len().is_multiple_of(2)
        || compression.is_empty()
    {
        return Err(HelloError::Lengths);
    }
    let mut found = ClientHello { sni: None, alpn: Box::default() };
    if hello.0.is_empty() {
        return Ok(found);
    }
    let mut extensions = Reader(hello.vec16()?);
    if !hello.0.is_empty() {
        return Err(HelloError::Lengths);
    }
    let mut seen_alpn = false;
    while !extensions.0.is_empty() {
        let kind = extensions.u16()?;
        let data = extensions.vec16()?;
        match kind {
            SERVER_NAME if found.sni.is_some() => return Err(HelloError::DuplicateExtension),
            SERVER_NAME => found.sni = Some(server_name(data)?),
            ALPN if seen_alpn => return Err(HelloError::DuplicateExtension),
            ALPN => {
                found.alpn = protocol_names(data)?.into();
                seen_alpn = true;
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The one host name of a `server_name` extension.
fn server_name(data: &[u8]) -> Result<Sni, HelloError> {
    let mut outer = Reader(data);
    let mut list = Reader(outer.vec16()?);
    let kind = list.u8().map_err(|_| HelloError::NameList)?;
    if kind != HOST_NAME {
        return Err(HelloError::NameList);
    }
    let name = list.vec16()?;
    if !list.0.is_empty() || !outer.0.is_empty() {
        return Err(HelloError::NameList);
    }
    let name = std::str::from_utf8(name).map_err(|_| HelloError::Name)?;
    if name.parse::<IpAddr>().is_ok() {
        return Err(HelloError::Name);
    }
    name.parse().map_err(|_| HelloError::Name)
}

/// The names of an ALPN extension, none of them empty.
fn protocol_names(data: &[u8]) -> Result<&[u8], HelloError> {
    let mut outer = Reader(data);
    let list = outer.vec16()?;
    let mut names = Reader(list);
    let mut whole = outer.0.is_empty() && !list.is_empty();
    while whole && !names.0.is_empty() {
        whole = !names.vec8()?.is_empty();
    }
    if whole { Ok(list) } else { Err(HelloError::Lengths) }
}

/// A cursor over bytes whose lengths cannot be believed.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], HelloError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(HelloError::Lengths)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, HelloError> {
        self.take(1).map(|taken| taken[0])
    }

    fn u16(&mut self) -> Result<u16, HelloError> {
        self.take(2).map(|taken| u16::from_be_bytes([taken[0], taken[1]]))
    }

    fn vec8(&mut self) -> Result<&'a [u8], HelloError> {
        let length = self.u8()?;
        self.take(length.into())
    }

    fn vec16(&mut self) -> Result<&'a [u8], HelloError> {
        let length = self.u16()?;
        self.take(length.into())
    }
}

#[cfg(test)]
mod tests;
