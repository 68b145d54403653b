//! HCL 1's tokens: words, strings, heredocs, numbers, punctuation; comments are passed over.

use std::fmt;

use super::super::Number;
use super::super::text::Source;
use crate::problem::Problem;

/// A token and where it starts.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) offset: usize,
    pub(super) kind: TokenKind,
}

#[derive(Debug, PartialEq)]
pub(super) enum TokenKind {
    /// A bare key, or `true`, `false`.
    Word(String),
    /// A quoted string or a heredoc, escapes undone.
    Text(String),
    Number(Number),
    Equals,
    Comma,
    OpenBrace,
    CloseBrace,
    OpenBracket,
    CloseBracket,
    End,
}

impl fmt::Display for TokenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "`{word}` stands"),
            Self::Text(_) => f.write_str("a string stands"),
            Self::Number(number) => write!(f, "`{}` stands", number.as_str()),
            Self::Equals => f.write_str("`=` stands"),
            Self::Comma => f.write_str("a comma stands"),
            Self::OpenBrace => f.write_str("`{` stands"),
            Self::CloseBrace => f.write_str("`}` stands"),
            Self::OpenBracket => f.write_str("`[` stands"),
            Self::CloseBracket => f.write_str("`]` stands"),
            Self::End => f.write_str("the file ends"),
        }
    }
}

pub(super) struct Lexer<'a> {
    source: &'a Source<'a>,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(source: &'a Source<'a>) -> Self {
        Self { source, at: 0 }
    }

    fn rest(&self) -> &'a str {
        self.source.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn next(&mut self) -> Result<Token, Problem> {
        self.skip_blank()?;
        let offset = self.at;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Token { offset, kind: TokenKind::End }) };
        let punctuation = match first {
            '=' => Some(TokenKind::Equals),
            ',' => Some(TokenKind::Comma),
            '{' => Some(TokenKind::OpenBrace),
            '}' => Some(TokenKind::CloseBrace),
            '[' => Some(TokenKind::OpenBracket),
            ']' => Some(TokenKind::CloseBracket),
            _ => None,
        };
        let kind = match (punctuation, first) {
            (Some(kind), _) => {
                self.at += 1;
                kind
            }
            (None, '"') => TokenKind::Text(self.string()?),
            (None, '<') if rest.starts_with("<<") => TokenKind::Text(self.heredoc()?),
            (None, '0'..='9' | '-' | '+' | '.') => self.number()?,
            (None, c) if c.is_alphabetic() || c == '_' => TokenKind::Word(self.word().to_owned()),
            (None, '\'') => return Err(self.source.error(offset, "strings are quoted with \", not with '")),
            (None, ':') => return Err(self.source.error(offset, "`:` stands where `=` is expected")),
            (None, c) => return Err(self.source.error(offset, format!("{c:?} has no meaning here"))),
        };
        Ok(Token { offset, kind })
    }

    fn skip_blank(&mut self) -> Result<(), Problem> {
        loop {
            let trimmed = self.rest().trim_start();
            self.at = self.source.text.len() - trimmed.len();
            if trimmed.starts_with('#') || trimmed.starts_with("//") {
                self.at += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if let Some(comment) = trimmed.strip_prefix("/*") {
                let Some(end) = comment.find("*/") else {
                    return Err(self.source.error(self.at, "the comment is not closed: `*/` is missing"));
                };
                self.at += end + 4;
            } else {
                return Ok(());
            }
        }
    }

    /// Letters, digits, `_`, `-` and `.`, as HCL 1 has it.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-' | '.'));
        let word = &rest[..end.unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn number(&mut self) -> Result<TokenKind, Problem> {
        let offset = self.at;
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '.' | '-' | '+' | '_'));
        let text = &rest[..end.unwrap_or(rest.len())];
        self.at += text.len();
        let digits = text.strip_prefix('-').unwrap_or(text);
        let octal =
            || digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
        let based = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            Some(hex) => Some(i64::from_str_radix(hex, 16)),
            None if octal() => Some(i64::from_str_radix(digits, 8)),
            None => None,
        };
        let number = match based {
            Some(value) => {
                value.ok().map(|value| if text.starts_with('-') { -value } else { value }.to_string())
            }
            None => Some(text.to_owned()).filter(|text| !text.starts_with('+')),
        };
        match number.and_then(|text| Number::decimal(&text)) {
            Some(number) => Ok(TokenKind::Number(number)),
            None => Err(self.source.error(offset, format!("`{text}` is not a number; a string is quoted"))),
        }
    }

    fn string(&mut self) -> Result<String, Problem> {
        let start = self.at;
        self.at += 1;
        if let Some(template) = self.template() {
            return Ok(template);
        }
        let unclosed = "the string is not closed: a `\"` is missing on this line";
        // Bytes, for `\xc3\xa9` are two escapes and one character.
        let mut text = Vec::new();
        loop {
            let rest = self.rest();
            let plain = rest.find(['"', '\\', '\n', '$']).unwrap_or(rest.len());
            text.extend_from_slice(&rest.as_bytes()[..plain]);
            self.at += plain;
            match rest[plain..].chars().next() {
                Some('"') => {
                    self.at += 1;
                    let invalid = |_| self.source.error(start, "its escapes are not UTF-8 text");
                    return String::from_utf8(text).map_err(invalid);
                }
                Some('\\') => self.escape(&mut text)?,
                Some('$') if rest[plain..].starts_with("${") => {
                    let Some(length) = interpolation(&rest[plain..]) else {
                        return Err(self.source.error(start, "a `${` in the string is not closed by a `}`"));
                    };
                    let whole = rest[plain..plain + length].replace("\r\n", "\n");
                    text.extend_from_slice(whole.as_bytes());
                    self.at += length;
                }
                Some('$') => {
                    text.push(b'$');
                    self.at += 1;
                }
                _ => return Err(self.source.error(start, unclosed)),
            }
        }
    }

    /// `"{{ GetInterfaceIP "eth0" }}"`: an address template may hold plain quotes up to its braces.
    fn template(&mut self) -> Option<String> {
        // Templates are short; the end of a long line is not searched once for every string on it.
        const LONGEST: usize = 256;
        let rest = self.rest();
        let near = rest.starts_with("{{").then(|| &rest[..rest.floor_char_boundary(LONGEST)])?;
        let end = near.find("}}\"").filter(|end| !near[..*end].contains('\n'))? + 2;
        self.at += end + 1;
        Some(near[..end].replace("\\\"", "\""))
    }

    /// Appends what a backslash and what follows it stand for.
    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), Problem> {
        let offset = self.at;
        let rest = self.rest();
        let invalid = || self.source.error(offset, "is no escape that a string can hold");
        let letter = rest[1..].chars().next().ok_or_else(invalid)?;
        let simple = match letter {
            'n' => Some(b'\n'),
            't' => Some(b'\t'),
            'r' => Some(b'\r'),
            'a' => Some(7),
            'b' => Some(8),
            'f' => Some(12),
            'v' => Some(11),
            '"' => Some(b'"'),
            '\\' => Some(b'\\'),
            _ => None,
        };
        if let Some(byte) = simple {
            text.push(byte);
            self.at += 2;
            return Ok(());
        }
        let (from, digits, radix) = match letter {
            'x' => (2, 2, 16),
            'u' => (2, 4, 16),
            'U' => (2, 8, 16),
            '0'..='7' => (1, 3, 8),
            _ => return Err(invalid()),
        };
        let code = rest.get(from..from + digits).filter(|code| code.chars().all(|c| c.is_digit(radix)));
        let code = code.and_then(|code| u32::from_str_radix(code, radix).ok()).ok_or_else(invalid)?;
        if matches!(letter, 'u' | 'U') {
            let c = char::from_u32(code).ok_or_else(invalid)?;
            text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            text.push(u8::try_from(code).map_err(|_| invalid())?);
        }
        self.at += from + digits;
        Ok(())
    }

    /// `<<MARK` up to a line that is `MARK` alone, indented or not; `<<-MARK` takes the closing line's indentation
    /// off every line.
    fn heredoc(&mut self) -> Result<String, Problem> {
        let start = self.at;
        let unclosed = || {
            let message = "the heredoc is not closed: its word does not stand on a line of its own";
            self.source.error(start, message)
        };
        let rest = self.rest();
        let head = rest.lines().next().unwrap_or_default();
        let mark = head.trim_start_matches('<');
        let (indented, mark) = match mark.strip_prefix('-') {
            Some(mark) => (true, mark),
            None => (false, mark),
        };
        if mark.is_empty() || !mark.chars().all(|c| c.is_alphanumeric() || c == '_') {
            return Err(self.source.error(start, "a heredoc starts with `<<` and a word, such as <<EOT"));
        }
        let body = rest.split_once('\n').map(|(_, body)| body).ok_or_else(unclosed)?;
        let mut length = 0;
        for line in body.split_inclusive('\n') {
            let bare = line.trim_end_matches(['\n', '\r']);
            let indent = bare.len() - bare.trim_start().len();
            if &bare[indent..] == mark {
                let text = body[..length].replace("\r\n", "\n");
                self.at = self.source.text.len() - body.len() + length + bare.len();
                return Ok(match indented {
                    true => unindent(text, &bare[..indent]),
                    // The closing line's indentation is part of the text: so has HCL it.
                    false => text + &bare[..indent],
                });
            }
            length += line.len();
        }
        Err(unclosed())
    }
}

/// The length of the `${…}` that `text` starts with, inner braces, quotes and line breaks included.
fn interpolation(text: &str) -> Option<usize> {
    let mut braces = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => braces += 1,
            '}' if braces == 1 => return Some(at + 1),
            '}' => braces -= 1,
            _ => {}
        }
    }
    None
}

/// Takes `indent` off each line if every line has it, empty ones included, else changes nothing.
fn unindent(text: String, indent: &str) -> String {
    if text.split_terminator('\n').all(|line| line.starts_with(indent)) {
        text.split_inclusive('\n').map(|line| &line[indent.len()..]).collect()
    } else {
        text
    }
}
