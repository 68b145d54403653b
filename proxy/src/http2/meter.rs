//! What a connection's frames cost, read from their heads as they arrive: `h2` answers every PING and every SETTINGS
//! for as long as they come, and each costs the worker a write that its other connections wait for.
//!
//! A frame that moves a message on pays for those that accompany it; what is left is held against an allowance, anew
//! in every [`WINDOW`]. Nothing is stored of a frame but the nine bytes of its head. Kept out: what frames say, which
//! is for `h2` to judge, and the streams that they open and reset, which [`super::server`] counts.

use std::time::Duration;

use super::abuse::Abuse;

/// Over so long an allowance lasts.
pub(super) const WINDOW: Duration = Duration::from_secs(10);

/// What may be spent in it: a thousand PINGs a second, a hundred SETTINGS. gRPC's keep-alive and its measuring of
/// bandwidth stay far below, and what they send in proportion to data is paid for by that.
const ALLOWANCE: u32 = 10_000;

/// The largest header block: more than the list that it may decode to.
const MOST_HEADER_BYTES: u32 = super::MAX_HEADER_LIST;

/// RFC 9113 §3.4: what a client sends before its first frame.
const PREFACE: u32 = 24;

/// RFC 9113 §4.1.
const FRAME_HEAD: usize = 9;

const END_HEADERS: u8 = 0x4;

/// Frame types of RFC 9113 §6.
pub(super) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const CONTINUATION: u8 = 9;
}

/// Reads frame heads, and adds up.
#[derive(Debug)]
pub(super) struct Meter {
    head: [u8; FRAME_HEAD],
    /// How much of the next frame's head has come.
    have: usize,
    /// How much of the frame's payload is still to come.
    payload: u32,
    spent: u32,
    /// Bytes of the header block that is open, heads of frames left out; None between blocks.
    block: Option<u32>,
    /// Blocks that have been closed.
    blocks: u32,
    verdict: Option<Abuse>,
}

impl Meter {
    /// Of a connection on which a client will speak first.
    pub(super) fn of_client() -> Self {
        let head = [0; FRAME_HEAD];
        Self { head, have: 0, payload: PREFACE, spent: 0, block: None, blocks: 0, verdict: None }
    }

    /// What the connection is to be closed for.
    pub(super) fn verdict(&self) -> Option<Abuse> {
        self.verdict
    }

    /// The type of the last frame that began.
    pub(super) fn last_kind(&self) -> u8 {
        self.head[3]
    }

    /// Which header block is unfinished, by number.
    pub(super) fn open_block(&self) -> Option<u32> {
        self.block.map(|_| self.blocks)
    }

    /// Begins another window.
    pub(super) fn renew(&mut self) {
        self.spent = 0;
    }

    /// Says that so much was written: what reads it may say how far it has come.
    #[inline]
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.earn(u32::try_from(bytes / 64).unwrap_or(u32::MAX));
    }

    /// Takes what has been read.
    #[inline]
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload > 0 {
                let here = bytes.len().min(self.payload as usize);
                self.payload -= here as u32;
                bytes = &bytes[here..];
                if self.payload == 0 {
                    self.end_frame();
                }
                continue;
            }
            let here = bytes.len().min(FRAME_HEAD - self.have);
            self.head[self.have..self.have + here].copy_from_slice(&bytes[..here]);
            self.have += here;
            bytes = &bytes[here..];
            if self.have == FRAME_HEAD {
                self.have = 0;
                self.begin_frame();
            }
        }
    }

    fn begin_frame(&mut self) {
        let [a, b, c, kind, ..] = self.head;
        self.payload = u32::from_be_bytes([0, a, b, c]);
        match kind {
            kind::HEADERS | kind::CONTINUATION => {
                let block = self.block.unwrap_or(0).saturating_add(self.payload);
                self.block = Some(block);
                if block > MOST_HEADER_BYTES {
                    self.verdict = Some(Abuse::HeaderBlock);
                }
            }
            // `h2` counts DATA without data, the server resets.
            kind::DATA if self.payload > 0 => self.earn(2),
            kind::DATA | kind::RST_STREAM => {}
            // Both make us look at all that the connection carries.
            kind::SETTINGS | kind::GOAWAY => self.spend(100),
            _ => self.spend(1),
        }
        if self.payload == 0 {
            self.end_frame();
        }
    }

    fn end_frame(&mut self) {
        let [_, _, _, kind, flags, ..] = self.head;
        if matches!(kind, kind::HEADERS | kind::CONTINUATION) && flags & END_HEADERS != 0 {
            self.block = None;
            self.blocks = self.blocks.wrapping_add(1);
            self.earn(4);
        }
    }

    fn earn(&mut self, points: u32) {
        self.spent = self.spent.saturating_sub(points);
    }

    fn spend(&mut self, points: u32) {
        self.spent = self.spent.saturating_add(points);
        if self.spent > ALLOWANCE {
            self.verdict = Some(Abuse::Frames);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let [_, a, b, c] = u32::try_from(length).expect("a length").to_be_bytes();
        let mut frame = vec![a, b, c, kind, flags, 0, 0, 0, 1];
        frame.resize(FRAME_HEAD + length, 0xff);
        frame
    }

    const PING: u8 = 6;

    fn meter() -> Meter {
        let mut meter = Meter::of_client();
        meter.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        meter.read(&frame(kind::SETTINGS, 0, 18));
        meter
    }

    /// What `frames`, over and over, come to.
    fn repeated(frames: &[Vec<u8>], times: usize) -> Option<Abuse> {
        let mut meter = meter();
        (0..times).for_each(|_| frames.iter().for_each(|frame| meter.read(frame)));
        meter.verdict()
    }

    #[test]
    fn frames_that_move_nothing_on_exhaust_the_allowance() {
        for kind in [2, PING, 8, 0x10, 0xfa] {
            assert_eq!(repeated(&[frame(kind, 0, 8)], 9_000), None, "{kind}");
            assert_eq!(repeated(&[frame(kind, 0, 8)], 10_001), Some(Abuse::Frames), "{kind}");
        }
        for kind in [kind::SETTINGS, kind::GOAWAY] {
            assert_eq!(repeated(&[frame(kind, 0, 0)], 90), None, "{kind}");
            assert_eq!(repeated(&[frame(kind, 0, 0)], 101), Some(Abuse::Frames), "{kind}");
        }
    }

    #[test]
    fn what_accompanies_messages_is_paid_for_by_them() {
        let call = [frame(kind::HEADERS, END_HEADERS, 60), frame(kind::DATA, 1, 20), frame(8, 0, 4)];
        let with_ping = [&call[..], &[frame(PING, 0, 8), frame(8, 0, 4)]].concat();
        assert_eq!(repeated(&with_ping, 20_000), None);
        let mut download = meter();
        for _ in 0..20_000 {
            download.wrote(16 * 1024);
            download.read(&[frame(8, 0, 4), frame(8, 0, 4), frame(PING, 0, 8)].concat());
        }
        assert_eq!(download.verdict(), None);
    }

    #[test]
    fn a_window_later_the_allowance_is_whole_again() {
        let mut meter = meter();
        for _ in 0..5 {
            (0..9_000).for_each(|_| meter.read(&frame(PING, 0, 8)));
            meter.renew();
        }
        assert_eq!(meter.verdict(), None);
    }

    #[test]
    fn a_header_block_has_a_limit_however_it_is_cut() {
        let of = |frames: &[Vec<u8>]| repeated(frames, 1);
        let part = |kind, length| frame(kind, 0, length);
        assert_eq!(of(&[part(kind::HEADERS, 16_384), part(kind::CONTINUATION, 16_384)]), None);
        let many = [vec![part(kind::HEADERS, 1)], vec![part(kind::CONTINUATION, 16_384); 4]].concat();
        assert_eq!(of(&many), Some(Abuse::HeaderBlock));
    }

    #[test]
    fn an_unfinished_block_is_seen_whatever_pieces_it_comes_in() {
        let frames = [frame(kind::HEADERS, 0, 3), frame(kind::CONTINUATION, END_HEADERS, 3)].concat();
        let mut meter = meter();
        for (at, byte) in frames.iter().enumerate() {
            let begun = at >= FRAME_HEAD;
            assert_eq!(meter.open_block().is_some(), begun, "before byte {at}");
            meter.read(&[*byte]);
        }
        assert_eq!((meter.open_block(), meter.blocks), (None, 1));
        meter.read(&frame(kind::HEADERS, 0, 3));
        assert_eq!(meter.open_block(), Some(1));
    }
}
