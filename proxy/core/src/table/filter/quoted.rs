//! What stands between double quotes in a filter, with Go's escapes.

/// The text that `written` means; None when an escape is none of Go's, or a line ends within the quotes.
pub(super) fn unquote(written: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(written.len());
    let mut rest = written.chars();
    while let Some(c) = rest.next() {
        match c {
            '\n' => return None,
            '\\' => escape(&mut rest, &mut bytes)?,
            _ => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    String::from_utf8(bytes).ok()
}

/// One escape, behind its backslash. `\x` and octal ones are bytes, the others characters.
fn escape(rest: &mut std::str::Chars<'_>, bytes: &mut Vec<u8>) -> Option<()> {
    let c = rest.next()?;
    let digits = |rest: &mut std::str::Chars<'_>, base: u32, count: usize, first: u32| {
        (0..count).try_fold(first, |number, _| Some(number * base + rest.next()?.to_digit(base)?))
    };
    let byte = match c {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        'x' => u8::try_from(digits(rest, 16, 2, 0)?).ok()?,
        '0'..='7' => u8::try_from(digits(rest, 8, 2, c.to_digit(8)?)?).ok()?,
        'u' | 'U' => {
            let count = if c == 'u' { 4 } else { 8 };
            let c = char::from_u32(digits(rest, 16, count, 0)?)?;
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(());
        }
        _ => return None,
    };
    bytes.push(byte);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_go() {
        for (written, text) in [
            ("plain ä", Some("plain ä")),
            (r"a\tb\\c", Some("a\tb\\c")),
            (r"\x41\101\u00e4\U0001F600", Some("AAä😀")),
            (r"\xc3\xa4", Some("ä")),
            (r"\xff", None),
            (r"\400", None),
            (r"\'", None),
            (r"\d", None),
            (r"\x4", None),
            (r"\uD800", None),
            ("\\", None),
            ("a\nb", None),
        ] {
            assert_eq!(unquote(written).as_deref(), text, "{written}");
        }
    }
}
