//! Frames: the eight bytes before each payload, read and written.

/// The bytes before a frame's payload.
pub(super) const HEAD: usize = 8;

/// What a frame means; [`crate::mux`] has the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Data,
    End,
    Reset,
    Credit,
    GoingAway,
    Ping,
    Pong,
}

/// A frame's head.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    /// Of the payload, in bytes.
    pub(super) length: usize,
    /// Which substream; 0 where the whole session is meant.
    pub(super) id: u32,
}

impl Head {
    /// The head at the front of `bytes`; None while it is not there whole.
    ///
    /// # Errors
    /// When it is none: the kind is unknown, or its length does not fit the kind.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, Violation> {
        let Some(head) = bytes.first_chunk::<HEAD>() else { return Ok(None) };
        let [kind, l0, l1, l2, i0, i1, i2, i3] = *head;
        let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        let kind = match (kind, length) {
            (0, _) => Kind::Data,
            (1, 0) => Kind::End,
            (2, 0) => Kind::Reset,
            (3, 4) => Kind::Credit,
            (4, 0) => Kind::GoingAway,
            (5, 0) => Kind::Ping,
            (6, 0) => Kind::Pong,
            _ => return Err(Violation::Frame),
        };
        Ok(Some(Self { kind, length, id: u32::from_be_bytes([i0, i1, i2, i3]) }))
    }

    /// Puts the head behind what `out` holds.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        let kind = match self.kind {
            Kind::Data => 0,
            Kind::End => 1,
            Kind::Reset => 2,
            Kind::Credit => 3,
            Kind::GoingAway => 4,
            Kind::Ping => 5,
            Kind::Pong => 6,
        };
        let [_, l0, l1, l2] = u32::try_from(self.length).unwrap_or(u32::MAX).to_be_bytes();
        let [i0, i1, i2, i3] = self.id.to_be_bytes();
        out.extend_from_slice(&[kind, l0, l1, l2, i0, i1, i2, i3]);
    }
}

/// How the other side broke the rules. It ends the session.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Violation {
    #[error("no such frame")]
    Frame,
    #[error("more data than credit was given for")]
    Credit,
    #[error("data behind the end of a substream")]
    BehindEnd,
    #[error("a substream that was not opened, or whose place is taken")]
    Unopened,
    #[error("more substreams than may be open")]
    TooMany,
    #[error("answers are not read")]
    Unread,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written() {
        let kinds = [
            (Kind::Data, 16 * 1024),
            (Kind::End, 0),
            (Kind::Reset, 0),
            (Kind::Credit, 4),
            (Kind::GoingAway, 0),
            (Kind::Ping, 0),
            (Kind::Pong, 0),
        ];
        for (kind, length) in kinds {
            let head = Head { kind, length, id: 0x0102_0304 };
            let mut bytes = Vec::new();
            head.write(&mut bytes);
            assert_eq!(Head::parse(&bytes), Ok(Some(head)));
            assert_eq!(Head::parse(&bytes[..7]), Ok(None), "seven bytes are no head yet");
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        for bytes in [[7, 0, 0, 0, 0, 0, 0, 1], [1, 0, 0, 1, 0, 0, 0, 1], [3, 0, 0, 0, 0, 0, 0, 1]] {
            assert_eq!(Head::parse(&bytes), Err(Violation::Frame), "{bytes:?}");
        }
    }
}
