//! Chunked bodies: RFC 9112 §7.1, read incrementally and always re-made.
//!
//! - §7.1: a size is `1*HEXDIG`, here at most 16; its line ends in CR LF, and so does its data, exactly.
//! - §7.1.1: extensions are read past and never passed on. What they may hold and how much of them there may be is
//!   bounded, since they are bytes that no body limit counts.
//! - §7.1.2: trailers, see `trailers`.
//!
//! The decoder gives spans of the caller's bytes and keeps none of them, trailers excepted.

use std::ops::Range;

use super::malformed::{Malformed, Reason};
use super::text::write_checked;
use super::trailers::{Section, Trailers, may_trail};

/// How much a chunked body may say beside its data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChunkLimits {
    /// Bytes of extensions beyond those that the body's data, byte for byte, pays for.
    pub max_extensions: usize,
    /// Bytes of the trailer section.
    pub max_trailers: usize,
}

impl Default for ChunkLimits {
    fn default() -> Self {
        Self { max_extensions: 4 * 1024, max_trailers: 8 * 1024 }
    }
}

/// What one call of [`ChunkDecoder::decode`] found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Body data lies here in the input, never empty; everything up to its end is used up.
    Data(Range<usize>),
    /// The whole input is used up, and the body goes on.
    NeedMore,
    /// The body is whole; so many bytes of the input belonged to it.
    End(usize),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// So many digits of a size, and their value.
    Size {
        digits: u8,
        value: u64,
    },
    /// White space behind a size: an extension must follow (§7.1.1, BWS).
    Blank(u64),
    Extension(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    Trailers,
    Done,
}

/// Reads one chunked body, in whatever pieces it arrives.
#[derive(Debug)]
pub struct ChunkDecoder {
    state: State,
    /// Bytes of extensions that no data has paid for.
    extensions: usize,
    limits: ChunkLimits,
    section: Section,
}

impl Default for ChunkDecoder {
    fn default() -> Self {
        Self::new(ChunkLimits::default())
    }
}

const START: State = State::Size { digits: 0, value: 0 };

impl ChunkDecoder {
    /// At the beginning of a body.
    pub fn new(limits: ChunkLimits) -> Self {
        Self { state: START, extensions: 0, limits, section: Section::default() }
    }

    /// Back to the beginning, for the next body.
    pub fn reset(&mut self) {
        self.state = START;
        self.extensions = 0;
        self.section.clear();
    }

    /// Whether the body is whole: a connection that ends before has cut it short.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The trailers, once the body is whole.
    pub fn trailers(&self) -> Trailers<'_> {
        if self.is_done() { self.section.trailers() } else { Trailers::default() }
    }

    /// Reads on. `input` begins where the last call stopped.
    ///
    /// # Errors
    /// When no further byte could make it a chunked body.
    #[inline]
    pub fn decode(&mut self, input: &[u8]) -> Result<Step, Malformed> {
        let mut at = 0;
        while at < input.len() {
            match self.state {
                State::Data(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(input.len() - at);
                    let left = left - here as u64;
                    self.state = if left == 0 { State::DataCr } else { State::Data(left) };
                    self.extensions = self.extensions.saturating_sub(here);
                    return Ok(Step::Data(at..at + here));
                }
                State::Trailers => {
                    let Some(taken) = self.section.feed(&input[at..], self.limits.max_trailers)? else {
                        return Ok(Step::NeedMore);
                    };
                    self.state = State::Done;
                    return Ok(Step::End(at + taken));
                }
                State::Done => return Ok(Step::End(at)),
                _ => self.state = self.framing(input[at])?,
            }
            at += 1;
        }
        Ok(if self.is_done() { Step::End(at) } else { Step::NeedMore })
    }

    /// One byte of what surrounds the data.
    #[inline]
    fn framing(&mut self, byte: u8) -> Result<State, Reason> {
        match (self.state, byte) {
            (State::Size { digits, value }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = (byte as char).to_digit(16).map_or(0, u64::from);
                if digits == 16 {
                    return Err(Reason::ChunkSize);
                }
                Ok(State::Size { digits: digits + 1, value: value << 4 | digit })
            }
            (State::Size { digits: 0, .. }, _) => Err(Reason::ChunkSize),
            (State::Size { value, .. }, b'\r') => Ok(State::SizeLf(value)),
            (State::Size { value, .. } | State::Blank(value), b';') => self.extension(value),
            (State::Size { value, .. } | State::Blank(value), b' ' | b'\t') => {
                self.extension(value).map(|_| State::Blank(value))
            }
            (State::Size { .. } | State::Blank(_), _) => Err(Reason::ChunkSize),
            (State::Extension(value), b'\r') => Ok(State::SizeLf(value)),
            (State::Extension(_), ..b' ' | 0x7f) if byte != b'\t' => Err(Reason::ChunkExtension),
            (State::Extension(value), _) => self.extension(value),
            (State::SizeLf(0), b'\n') => Ok(State::Trailers),
            (State::SizeLf(value), b'\n') => Ok(State::Data(value)),
            (State::SizeLf(_), _) => Err(Reason::ChunkSize),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(START),
            (State::DataCr | State::DataLf, _) => Err(Reason::ChunkEnd),
            // `decode` handles these by itself.
            (state @ (State::Data(_) | State::Trailers | State::Done), _) => Ok(state),
        }
    }

    fn extension(&mut self, value: u64) -> Result<State, Reason> {
        self.extensions += 1;
        let too_many = self.extensions > self.limits.max_extensions;
        if too_many { Err(Reason::ChunkExtension) } else { Ok(State::Extension(value)) }
    }
}

/// Appends the line that announces a chunk of `len` bytes; the data and CR LF follow. Nothing for 0, which would end
/// the body.
#[inline]
pub fn write_chunk_header(len: usize, out: &mut Vec<u8>) {
    let mut digits = [0; 16];
    let mut at = digits.len();
    let mut rest = len;
    while rest > 0 && at > 0 {
        at -= 1;
        digits[at] = b"0123456789abcdef"[rest & 15];
        rest >>= 4;
    }
    if len > 0 {
        out.extend_from_slice(&digits[at..]);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends a whole chunk, or nothing for no data.
#[inline]
pub fn write_chunk(data: &[u8], out: &mut Vec<u8>) {
    if !data.is_empty() {
        write_chunk_header(data.len(), out);
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends the last chunk and the trailer section. Trailers from another protocol are held to the same rules as those
/// that [`ChunkDecoder`] read.
#[inline]
pub fn write_last_chunk<'a>(trailers: impl IntoIterator<Item = (&'a str, &'a [u8])>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        if may_trail(name) {
            write_checked(name.as_bytes(), value, out);
        }
    }
    out.extend_from_slice(b"\r\n");
}
