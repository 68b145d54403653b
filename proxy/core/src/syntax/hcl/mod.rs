//! HCL 1, the dialect of Consul's files.
//!
//! Not HCL 2, which libraries read: HCL 1 nests blocks inside maps (`Match { HTTP { … } }` in a list), needs no
//! comma or line break between pairs, takes quoted keys anywhere and knows no expressions. The grammar is small
//! (a pair is keys, then `=` and a value or a block), so it is read by hand: `lexer` makes tokens, this file maps.

mod lexer;

use lexer::{Lexer, Token, TokenKind};

use super::text::{Source, too_deep, too_many};
use super::{Key, Node, Value, limit};
use crate::problem::Problem;

pub(super) fn parse(source: &Source<'_>) -> (Vec<Node>, Vec<Problem>) {
    let mut parser =
        Parser { source, lexer: Lexer::new(source), peeked: None, depth: 0, values: 0, slips: Vec::new() };
    let pairs = parser.pairs(&TokenKind::End);
    let mut problems = parser.slips;
    match pairs {
        Ok(pairs) => {
            let root = Node { place: source.at(1, 1), value: Value::Map(pairs) };
            (vec![root], problems)
        }
        Err(problem) => {
            problems.push(problem);
            (Vec::new(), problems)
        }
    }
}

struct Parser<'a> {
    source: &'a Source<'a>,
    lexer: Lexer<'a>,
    peeked: Option<Token>,
    depth: usize,
    values: usize,
    /// Errors that leave no doubt about what was meant: reading goes on, so that one run shows them all.
    slips: Vec<Problem>,
}

impl Parser<'_> {
    fn next(&mut self) -> Result<Token, Problem> {
        match self.peeked.take() {
            Some(token) => Ok(token),
            None => self.lexer.next(),
        }
    }

    fn peek(&mut self) -> Result<&Token, Problem> {
        let token = self.next()?;
        Ok(self.peeked.insert(token))
    }

    fn error<T>(&self, token: &Token, message: impl Into<String>) -> Result<T, Problem> {
        Err(self.source.error(token.offset, message))
    }

    /// `KEY = VALUE`, `KEY { … }`, `KEY "LABEL" { … }` … up to `end`; a comma after a pair is allowed.
    fn pairs(&mut self, end: &TokenKind) -> Result<Vec<(Key, Node)>, Problem> {
        let mut pairs = Vec::new();
        loop {
            let token = self.next()?;
            match token.kind {
                _ if token.kind == *end => return Ok(pairs),
                TokenKind::Word(name) | TokenKind::Text(name) => {
                    let key = Key { name, place: self.source.place(token.offset) };
                    let node = self.after_key(&key)?;
                    pairs.push((key, node));
                    if self.peek()?.kind == TokenKind::Comma {
                        self.next()?;
                    }
                }
                TokenKind::End => return self.error(&token, "ends inside a block: a `}` is missing"),
                TokenKind::CloseBrace => return self.error(&token, "closes a block that was not opened"),
                _ => return self.error(&token, format!("{} where a key is expected", token.kind)),
            }
        }
    }

    fn after_key(&mut self, key: &Key) -> Result<Node, Problem> {
        let token = self.next()?;
        match token.kind {
            TokenKind::Equals => {
                let value = self.next()?;
                self.value(value)
            }
            TokenKind::OpenBrace => self.value(token),
            // A label: `service "web" { … }` is `service = { web = { … } }`.
            TokenKind::Text(name) | TokenKind::Word(name) => {
                let label = Key { name, place: self.source.place(token.offset) };
                let next = self.peek()?;
                match next.kind {
                    TokenKind::OpenBrace | TokenKind::Text(_) | TokenKind::Word(_) => {}
                    TokenKind::Equals => {
                        let message = "`=` stands after a label, which only a block has: write `{`";
                        let offset = next.offset;
                        return Err(self.source.error(offset, message));
                    }
                    _ => {
                        let message = format!("a `=` is missing between `{}` and its value", key.name);
                        return Err(self.source.error(token.offset, message));
                    }
                }
                self.deeper(token.offset)?;
                let inner = self.after_key(&label)?;
                self.depth -= 1;
                Ok(Node { place: label.place.clone(), value: Value::Map(vec![(label, inner)]) })
            }
            kind => {
                let message = format!("{kind} where `=` or a block is expected after `{}`", key.name);
                Err(self.source.error(token.offset, message))
            }
        }
    }

    fn value(&mut self, token: Token) -> Result<Node, Problem> {
        self.values += 1;
        if self.values > limit::VALUES {
            return self.error(&token, too_many());
        }
        let place = self.source.place(token.offset);
        let value = match token.kind {
            TokenKind::Text(text) => Value::String(text),
            TokenKind::Number(number) => Value::Number(number),
            TokenKind::OpenBrace => {
                self.deeper(token.offset)?;
                let mut pairs = self.pairs(&TokenKind::CloseBrace)?;
                self.depth -= 1;
                // Most maps are small, and there may be millions of them.
                pairs.shrink_to_fit();
                Value::Map(pairs)
            }
            TokenKind::OpenBracket => {
                self.deeper(token.offset)?;
                let list = self.list()?;
                self.depth -= 1;
                Value::List(list)
            }
            TokenKind::Word(word) => match word.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" => Value::Null,
                _ => {
                    let message = format!("`{word}` is not a value: strings are quoted, write \"{word}\"");
                    // Nobody reads more, and a hostile file could have millions.
                    if self.slips.len() < 1_000 {
                        self.slips.push(Problem::error(&place, "", message));
                    }
                    Value::String(word)
                }
            },
            kind => return Err(Problem::error(&place, "", format!("{kind} where a value is expected"))),
        };
        Ok(Node { place, value })
    }

    /// Values with a comma between each two. As in HCL 1, commas may also be repeated, come last, or be left out
    /// after a list.
    fn list(&mut self) -> Result<Vec<Node>, Problem> {
        let mut items: Vec<Node> = Vec::new();
        let mut needs_comma = false;
        loop {
            let token = self.next()?;
            match token.kind {
                TokenKind::CloseBracket => return Ok(items),
                TokenKind::Comma => needs_comma = false,
                kind if needs_comma => {
                    let message = format!("{kind} where a comma or the end of the list is expected");
                    return Err(self.source.error(token.offset, message));
                }
                _ => {
                    let item = self.value(token)?;
                    needs_comma = !matches!(item.value, Value::List(_));
                    items.push(item);
                }
            }
        }
    }

    fn deeper(&mut self, offset: usize) -> Result<(), Problem> {
        self.depth += 1;
        if self.depth > limit::DEPTH { Err(self.source.error(offset, too_deep())) } else { Ok(()) }
    }
}
