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
        let mut text = String::new();
        // Braces of `${…}`: within them quotes and line breaks belong to the string.
        let mut braces = 0_usize;
        loop {
            let rest = self.rest();
            let Some(c) = rest.chars().next() else { break };
            match c {
                '"' if braces == 0 => {
                    self.at += 1;
                    return Ok(text);
                }
                '\n' if braces == 0 => break,
                '\\' if braces == 0 => {
                    text.push(self.escape()?);
                    continue;
                }
                '$' if braces == 0 && rest.starts_with("${") => {
                    braces = 1;
                    text.push_str("${");
                    self.at += 2;
                    continue;
                }
                '{' if braces > 0 => braces += 1,
                '}' if braces > 0 => braces -= 1,
                _ => {}
            }
            text.push(c);
            self.at += c.len_utf8();
        }
        Err(self.source.error(start, "the string is not closed: a `\"` is missing on this line"))
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

    fn escape(&mut self) -> Result<char, Problem> {
        let offset = self.at;
        let invalid = |source: &Source<'_>| source.error(offset, "is no escape that a string can hold");
        let mut chars = self.rest().chars();
        chars.next();
        let letter = chars.next().ok_or_else(|| invalid(self.source))?;
        let (digits, radix) = match letter {
            'x' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='7' => (3, 8),
            _ => {
                self.at += 1 + letter.len_utf8();
                return match letter {
                    'n' => Ok('\n'),
                    't' => Ok('\t'),
                    'r' => Ok('\r'),
                    'a' => Ok('\u{7}'),
                    'b' => Ok('\u{8}'),
                    'f' => Ok('\u{c}'),
                    'v' => Ok('\u{b}'),
                    '"' | '\\' | '/' => Ok(letter),
                    _ => Err(invalid(self.source)),
                };
            }
        };
        let from = if radix == 8 { 1 } else { 2 };
        let code =
            self.rest().get(from..from + digits).and_then(|code| u32::from_str_radix(code, radix).ok());
        self.at += from + digits;
        code.and_then(char::from_u32).ok_or_else(|| invalid(self.source))
    }

    /// `<<MARK` up to a line that is `MARK` alone; `<<-MARK` takes off the closing line's indentation.
    fn heredoc(&mut self) -> Result<String, Problem> {
        let start = self.at;
        let unclosed = |source: &Source<'_>| source.error(start, "the heredoc is not closed");
        let head = self.rest().lines().next().unwrap_or_default();
        let mark = head.trim_start_matches('<').trim_end();
        let (indented, mark) = match mark.strip_prefix('-') {
            Some(mark) => (true, mark),
            None => (false, mark),
        };
        if mark.is_empty() || !mark.chars().all(|c| c.is_alphanumeric() || c == '_') {
            return Err(self.source.error(start, "a heredoc starts with `<<` and a word, such as <<EOT"));
        }
        let body = self.rest().split_once('\n').map(|(_, body)| body).ok_or_else(|| unclosed(self.source))?;
        let body_start = self.source.text.len() - body.len();
        let mut length = 0;
        for line in body.split_inclusive('\n') {
            if line.trim() == mark {
                self.at = body_start + length + line.trim_end().len();
                let indent = &line[..line.len() - line.trim_start().len()];
                return Ok(if indented {
                    unindent(&body[..length], indent)
                } else {
                    body[..length].to_owned()
                });
            }
            length += line.len();
        }
        Err(unclosed(self.source))
    }
}

/// Takes `indent` off each line if every line has it, else changes nothing.
fn unindent(text: &str, indent: &str) -> String {
    let lines = || text.split_inclusive('\n');
    if lines().any(|line| !line.trim().is_empty() && !line.starts_with(indent)) {
        return text.to_owned();
    }
    lines().map(|line| line.strip_prefix(indent).unwrap_or(line)).collect()
}
