//! `x-request-id` for a request that comes without one: a random UUID (RFC 9562 section 5.4), as Envoy makes them.
//!
//! Pure: chance is an argument. Written in one pass over the bytes, by a table: once a request, and what a generic
//! formatter takes for it would be the dearest line of our own on the whole way.

use spillway_core::Draw;

/// The digits of each byte.
const HEX: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

/// Where each byte's digits stand: dashes come before the digits 8, 12, 16 and 20.
const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// The UUID of these two draws, all but the six bits that say what it is.
pub(crate) fn random(high: Draw, low: Draw) -> [u8; 36] {
    let high = high.0 & !0xf000 | 0x4000;
    let low = low.0 & !(0b11 << 62) | 0b10 << 62;
    let bytes = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
    let mut text = [b'-'; 36];
    for (byte, place) in bytes.into_iter().zip(PLACES) {
        text[place..place + 2].copy_from_slice(&HEX[usize::from(byte)]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(high: u64, low: u64, expected: &str) {
        assert_eq!(str::from_utf8(&random(Draw(high), Draw(low))), Ok(expected));
    }

    #[test]
    fn a_request_id_is_a_random_uuid_of_version_4() {
        check(0, 0, "00000000-0000-4000-8000-000000000000");
        check(u64::MAX, u64::MAX, "ffffffff-ffff-4fff-bfff-ffffffffffff");
        check(0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, "01234567-89ab-4def-bedc-ba9876543210");
    }
}
