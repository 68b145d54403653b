//! A message's body, whichever way it is delimited: RFC 9112 §6.3, and §8 on what an early end means.
//!
//! Counts and cuts; holds no data.

use super::chunk::{ChunkDecoder, Step};
use super::malformed::Malformed;
use super::request::Framing;
use super::response::ResponseFraming;
use super::trailers::Trailers;

/// Finds a body's data in the bytes that arrive, and its end.
#[derive(Debug, Default)]
pub struct BodyReader {
    kind: BodyKind,
    chunks: ChunkDecoder,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum BodyKind {
    #[default]
    None,
    Left(u64),
    Chunked,
    UntilClose,
    /// Until close, and closed.
    Closed,
}

/// What the end of a connection means for the body that it carried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// The body is whole.
    Whole,
    /// Bytes are missing: what was received must not be made to look whole (RFC 9112 §8).
    CutShort,
}

impl BodyReader {
    /// Begins a request's body.
    #[inline]
    pub fn begin(&mut self, framing: Framing) {
        self.begin_response(match framing {
            Framing::None => ResponseFraming::None,
            Framing::Length(length) => ResponseFraming::Length(length),
            Framing::Chunked => ResponseFraming::Chunked,
        });
    }

    /// Begins a response's body.
    #[inline]
    pub fn begin_response(&mut self, framing: ResponseFraming) {
        self.kind = match framing {
            ResponseFraming::None => BodyKind::None,
            ResponseFraming::Length(length) => BodyKind::Left(length),
            ResponseFraming::Chunked => BodyKind::Chunked,
            ResponseFraming::UntilClose => BodyKind::UntilClose,
        };
        if self.kind == BodyKind::Chunked {
            self.chunks.reset();
        }
    }

    /// Whether no byte of the body is outstanding.
    #[inline]
    pub fn is_done(&self) -> bool {
        match self.kind {
            BodyKind::None | BodyKind::Left(0) | BodyKind::Closed => true,
            BodyKind::Chunked => self.chunks.is_done(),
            BodyKind::Left(_) | BodyKind::UntilClose => false,
        }
    }

    /// Reads on. `input` begins where the last call stopped; see [`Step`]. A body without bytes is at its end at once.
    ///
    /// # Errors
    /// When chunks are malformed.
    #[inline]
    pub fn decode(&mut self, input: &[u8]) -> Result<Step, Malformed> {
        match &mut self.kind {
            BodyKind::None | BodyKind::Left(0) | BodyKind::Closed => Ok(Step::End(0)),
            BodyKind::Chunked => self.chunks.decode(input),
            _ if input.is_empty() => Ok(Step::NeedMore),
            BodyKind::UntilClose => Ok(Step::Data(0..input.len())),
            BodyKind::Left(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= here as u64;
                Ok(Step::Data(0..here))
            }
        }
    }

    /// The connection ended, cleanly as far as its transport can tell.
    pub fn end_of_connection(&mut self) -> Ended {
        if self.kind == BodyKind::UntilClose {
            self.kind = BodyKind::Closed;
        }
        if self.is_done() { Ended::Whole } else { Ended::CutShort }
    }

    /// The trailers, once a chunked body is whole.
    pub fn trailers(&self) -> Trailers<'_> {
        if self.kind == BodyKind::Chunked { self.chunks.trailers() } else { Trailers::default() }
    }
}
