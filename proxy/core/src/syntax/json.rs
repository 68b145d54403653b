//! Strict JSON (RFC 8259): no comments, no trailing commas, no `NaN`.
//!
//! Read by hand because every value is to know its place and a file may be one line of megabytes: the text becomes
//! the tree in one pass, without a second tree beside it. A repeated key stands in its map once for each time.

use super::text::{Source, too_deep, too_many};
use super::{Key, Node, Number, Value, limit};
use crate::problem::Problem;

pub(super) fn parse(source: &Source<'_>) -> (Vec<Node>, Vec<Problem>) {
    let mut parser = Parser { source, at: 0, depth: 0, values: 0 };
    match parser.document() {
        Ok(node) => (vec![node], Vec::new()),
        Err(problem) => (Vec::new(), vec![problem]),
    }
}

struct Parser<'a> {
    source: &'a Source<'a>,
    at: usize,
    depth: usize,
    values: usize,
}

impl Parser<'_> {
    fn document(&mut self) -> Result<Node, Problem> {
        let node = self.value()?;
        match self.peek()? {
            None => Ok(node),
            Some(_) => self.error(self.at, "one value is all that a file can hold, and here another begins"),
        }
    }

    fn error<T>(&self, offset: usize, message: &str) -> Result<T, Problem> {
        Err(self.source.error(offset, format!("is not JSON: {message}")))
    }

    fn byte(&self) -> Option<u8> {
        self.source.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no space.
    fn peek(&mut self) -> Result<Option<u8>, Problem> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte() {
            self.at += 1;
        }
        match self.byte() {
            Some(b'/' | b'#') => self.error(self.at, "comments are not allowed"),
            byte => Ok(byte),
        }
    }

    fn value(&mut self) -> Result<Node, Problem> {
        self.values += 1;
        let first = self.peek()?;
        let offset = self.at;
        if self.values > limit::VALUES {
            return Err(self.source.error(offset, too_many()));
        }
        let place = self.source.place(offset);
        let value = match first {
            Some(b'{') => self.nested(Self::map)?,
            Some(b'[') => self.nested(Self::list)?,
            Some(b'"') => Value::String(self.string()?),
            Some(b'\'') => return self.error(offset, "single-quoted strings are not allowed"),
            Some(b'}' | b']' | b',' | b':') => return self.error(offset, "a value is missing here"),
            Some(_) => self.word()?,
            None => return self.error(offset, "the file ends where a value is expected"),
        };
        Ok(Node { place, value })
    }

    /// What stands between two brackets, the first of which is next.
    fn nested(&mut self, read: fn(&mut Self, usize) -> Result<Value, Problem>) -> Result<Value, Problem> {
        let open = self.at;
        if self.depth == limit::DEPTH {
            return Err(self.source.error(open, too_deep()));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self, open);
        self.depth -= 1;
        value
    }

    fn list(&mut self, open: usize) -> Result<Value, Problem> {
        let mut items = Vec::new();
        if self.peek()? == Some(b']') {
            self.at += 1;
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value()?);
            if !self.goes_on(b']', open)? {
                return Ok(Value::List(items));
            }
        }
    }

    fn map(&mut self, open: usize) -> Result<Value, Problem> {
        let mut pairs = Vec::new();
        if self.peek()? == Some(b'}') {
            self.at += 1;
            return Ok(Value::Map(pairs));
        }
        loop {
            match self.peek()? {
                Some(b'"') => {}
                Some(b'\'') => return self.error(self.at, "single-quoted strings are not allowed"),
                None => return self.error(open, "this map is not closed"),
                Some(_) => return self.error(self.at, "a key is a string in double quotes"),
            }
            let place = self.source.place(self.at);
            let key = Key { name: self.string()?, place };
            if self.peek()? != Some(b':') {
                return self.error(self.at, "a `:` is missing between a key and its value");
            }
            self.at += 1;
            let node = self.value()?;
            pairs.push((key, node));
            if !self.goes_on(b'}', open)? {
                // Most maps are small, and there may be millions of them.
                pairs.shrink_to_fit();
                return Ok(Value::Map(pairs));
            }
        }
    }

    /// Whether a comma follows and not the closing bracket.
    fn goes_on(&mut self, close: u8, open: usize) -> Result<bool, Problem> {
        let next = self.peek()?;
        let offset = self.at;
        match next {
            Some(b',') => {
                self.at += 1;
                match self.peek()? {
                    Some(next) if next == close => self.error(offset, "trailing commas are not allowed"),
                    _ => Ok(true),
                }
            }
            Some(next) if next == close => {
                self.at += 1;
                Ok(false)
            }
            Some(_) if close == b']' => self.error(offset, "a comma or the end of the list is expected"),
            Some(_) => self.error(offset, "a comma or the end of the map is expected"),
            None if close == b']' => self.error(open, "this list is not closed"),
            None => self.error(open, "this map is not closed"),
        }
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Result<Value, Problem> {
        let offset = self.at;
        let rest = &self.source.text[offset..];
        let end =
            rest.find(|c: char| c.is_whitespace() || matches!(c, ',' | ':' | '"' | '{' | '}' | '[' | ']'));
        let word = &rest[..end.unwrap_or(rest.len())];
        self.at += word.len();
        match word {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            "null" => Ok(Value::Null),
            _ => match Some(word).filter(|word| is_number(word)).and_then(Number::decimal) {
                Some(number) => Ok(Value::Number(number)),
                None => {
                    let shown: String = word.chars().take(40).collect();
                    self.error(offset, &format!("`{shown}` is not a value; a string is quoted"))
                }
            },
        }
    }

    /// The string whose opening quote is next.
    fn string(&mut self) -> Result<String, Problem> {
        let open = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = &self.source.text[self.at..];
            let plain = rest.find(|c: char| c == '"' || c == '\\' || c < ' ').unwrap_or(rest.len());
            text.push_str(&rest[..plain]);
            self.at += plain;
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => text.push(self.escape()?),
                Some(b'\n' | b'\r') | None => {
                    return self.error(open, "the string is not closed on its line");
                }
                Some(_) => {
                    return self.error(self.at, "a control character in a string is written as \\u00XX");
                }
            }
        }
    }

    /// The character that a backslash and what follows it stand for.
    fn escape(&mut self) -> Result<char, Problem> {
        let offset = self.at;
        let letter = self.source.text.as_bytes().get(offset + 1).copied();
        self.at += 2;
        let simple = match letter {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let Some(unit) = self.unit() else { return self.bad_escape(offset) };
                return match char::from_u32(unit) {
                    Some(c) => Ok(c),
                    None => self.low_surrogate(offset, unit),
                };
            }
            _ => return self.bad_escape(offset),
        };
        Ok(simple)
    }

    /// The second half of a character beyond the sixteen bits of one `\u`.
    fn low_surrogate(&mut self, offset: usize, high: u32) -> Result<char, Problem> {
        let follows = self.source.text[self.at..].starts_with("\\u");
        self.at += 2;
        let low = if follows { self.unit() } else { None };
        match low {
            Some(low @ 0xdc00..0xe000) if high < 0xdc00 => {
                let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                char::from_u32(code).map_or_else(|| self.bad_escape(offset), Ok)
            }
            _ => self.error(offset, "this is half of a surrogate pair and no character"),
        }
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Option<u32> {
        let digits = self.source.text.get(self.at..self.at + 4)?;
        self.at += 4;
        // `from_str_radix` alone would take a sign.
        digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
    }

    fn bad_escape<T>(&self, offset: usize) -> Result<T, Problem> {
        self.error(offset, "this is no escape that a string can hold")
    }
}

/// JSON's shape of a number: no leading zeros, a digit on either side of the point.
fn is_number(word: &str) -> bool {
    let unsigned = word.strip_prefix('-').unwrap_or(word);
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(unsigned);
    if whole == 0 || whole > 1 && unsigned.starts_with('0') {
        return false;
    }
    let mut rest = &unsigned[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let count = digits(exponent);
        return count > 0 && count == exponent.len();
    }
    rest.is_empty()
}
