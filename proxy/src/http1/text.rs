//! Small scans and writers for bytes: spans, tokens, list elements, numbers.
//!
//! Everything here is bounded by its input and allocates nothing but the room in `out`.

/// A stretch of the caller's buffer. 32 bits: [`super::Limits::MOST_HEAD`] is far below.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    /// `end` is at most `MOST_HEAD`, so neither cast can truncate.
    #[inline]
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    /// Where `part`, a slice of `buf`, lies in it.
    #[inline]
    pub(super) fn of(part: &[u8], buf: &[u8]) -> Self {
        let start = part.as_ptr().addr() - buf.as_ptr().addr();
        Self::new(start, start + part.len())
    }

    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The bytes; none for a buffer other than the one parsed.
    #[inline]
    pub(super) fn bytes(self, buf: &[u8]) -> &[u8] {
        buf.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// The same as text; only for spans that parsing found to be ASCII.
    #[inline]
    pub(super) fn text(self, buf: &[u8]) -> &str {
        str::from_utf8(self.bytes(buf)).unwrap_or_default()
    }
}

/// RFC 9110 §5.6.2: `token`.
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&b| TOKEN_BYTES[usize::from(b)])
}

/// A table: this runs for each byte of each name that an operator's edits write.
const TOKEN_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0_u8;
    while b < 0x80 {
        let mark = matches!(b, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~');
        table[b as usize] = b.is_ascii_alphanumeric() || mark;
        b += 1;
    }
    table
};

/// RFC 9110 §5.5: whether nothing in a value could end its line or be dropped on the way. No early exit, so that
/// the compiler checks many bytes at a time.
#[inline]
pub(super) fn is_value(value: &[u8]) -> bool {
    value.iter().fold(0, |bad, &b| bad | u8::from((b < b' ') & (b != b'\t') | (b == 0x7f))) == 0
}

/// RFC 9110 §5.6.1: the elements of a comma-separated list, white space and empty elements left out.
#[inline]
pub(super) fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&b| b == b',').map(trim).filter(|element| !element.is_empty())
}

/// Without optional white space (RFC 9110 §5.6.3) around it.
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Appends a number in decimal.
#[inline]
pub(super) fn write_decimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break out.extend_from_slice(&digits[at..]);
        }
    }
}

/// Appends `name: value CR LF`.
#[inline]
pub(super) fn write_line(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends a line of our own making, or nothing when its name or value would break out of it: what a certificate
/// or an operator says must not become a header of its own.
#[inline]
pub(super) fn write_checked(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    if is_token(name) {
        write_valued(name, value, out);
    }
}

/// The same for a name that stands in our code: only the value can be wrong.
#[inline]
pub(super) fn write_valued(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    if is_value(value) {
        write_line(name, value, out);
    }
}
