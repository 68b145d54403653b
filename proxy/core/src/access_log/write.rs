//! Values into a line. What came from outside can neither end its line nor its JSON string.

use std::fmt::{self, Write as _};
use std::time::SystemTime;

use super::time::TimeFormat;
use super::{Form, Told};

/// A line in the making.
pub(super) struct Line<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> Line<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out }
    }

    pub(super) fn literal(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(super) fn value(&mut self, value: &Told<'_>, most: usize, form: Form) {
        match (value, form) {
            (Told::Nothing, Form::Json) => self.literal(b"null"),
            (Told::Nothing, Form::Value) => {}
            (Told::Nothing, Form::Text | Form::JsonPart) => self.literal(b"-"),
            (Told::Number(number), _) => {
                // Writing to a vector cannot fail.
                let _ = io_write(self.out, format_args!("{number}"));
            }
            (Told::Text(text), _) => self.string(most, form, |to| to.bytes(text)),
            (Told::Shown(value), _) => self.string(most, form, |to| {
                let _ = write!(to, "{value}");
            }),
        }
    }

    pub(super) fn moment(&mut self, at: SystemTime, format: &TimeFormat, most: usize, form: Form) {
        self.string(most, form, |to| format.write(at, to));
    }

    fn string(&mut self, most: usize, form: Form, write: impl FnOnce(&mut Text<'_>)) {
        let quote: &[u8] = if form == Form::Json { b"\"" } else { b"" };
        self.literal(quote);
        write(&mut Text { out: self.out, left: most, json: matches!(form, Form::Json | Form::JsonPart) });
        self.literal(quote);
    }
}

fn io_write(out: &mut Vec<u8>, text: fmt::Arguments<'_>) -> std::io::Result<()> {
    std::io::Write::write_fmt(out, text)
}

/// A string in the making: so many bytes of it are wanted, and no more.
pub(super) struct Text<'o> {
    out: &'o mut Vec<u8>,
    left: usize,
    json: bool,
}

impl Text<'_> {
    /// Appends bytes as they were received.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.utf8_chunks() {
            self.text(chunk.valid());
            if !chunk.invalid().is_empty() {
                self.text("\u{fffd}");
            }
        }
    }

    fn text(&mut self, text: &str) {
        let text = if text.len() <= self.left { text } else { &text[..text.floor_char_boundary(self.left)] };
        self.left -= text.len();
        let mut rest = text.as_bytes();
        while let Some(at) = rest.iter().position(|byte| self.is_special(*byte)) {
            self.out.extend_from_slice(&rest[..at]);
            self.special(rest[at]);
            rest = &rest[at + 1..];
        }
        self.out.extend_from_slice(rest);
    }

    fn is_special(&self, byte: u8) -> bool {
        byte < b' ' || byte == 0x7f || self.json && matches!(byte, b'"' | b'\\')
    }

    fn special(&mut self, byte: u8) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        match byte {
            b'"' | b'\\' => self.out.extend_from_slice(&[b'\\', byte]),
            // RFC 8259 section 7.
            _ if self.json => {
                let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                self.out.extend_from_slice(b"\\u00");
                self.out.extend_from_slice(&digits);
            }
            _ => self.out.push(b'?'),
        }
    }
}

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text(text);
        Ok(())
    }
}
