//! The syntax of a filter.
//!
//! `or` binds least, then `and`, then `not`; a test is a selector with an operator and a value, or the other way
//! round with `in`. Selectors are Consul's: dotted, or with `["key"]` where a key is no identifier.

use std::str::Chars;

use regex::RegexBuilder;

use super::{Expression, Field, Test};

/// How deep parentheses and `not` may nest: more than anyone writes, and less than the stack bears.
const DEEPEST: usize = 64;

/// The most memory that a filter's regular expression may take.
const REGEX_LIMIT: usize = 1 << 20;

#[derive(Clone, Debug, Eq, PartialEq)]
enum Token {
    /// An identifier, a number or a keyword.
    Word(String),
    /// In double quotes or backquotes.
    Quoted(String),
    /// `==`, `!=`, `(`, `)`, `.`, `[`, `]`.
    Sign(&'static str),
}

impl Token {
    fn show(&self) -> String {
        match self {
            Self::Word(text) => text.clone(),
            Self::Quoted(text) => format!("\"{text}\""),
            Self::Sign(sign) => (*sign).to_owned(),
        }
    }
}

/// What is wrong, and at which byte.
type Error = (usize, String);

/// Reads `text`, which is not empty.
pub(super) fn expression(text: &str) -> Result<Expression, Error> {
    let mut parser = Parser { tokens: tokens(text)?, next: 0, end: text.len(), depth: 0 };
    let expression = parser.any_of()?;
    match parser.peek() {
        None => Ok(expression),
        Some(_) => Err(parser.expected("\"and\", \"or\" or the end")),
    }
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, Error> {
    const SIGNS: [&str; 7] = ["==", "!=", "(", ")", ".", "[", "]"];
    let mut tokens = Vec::new();
    let mut rest = text.chars();
    loop {
        let at = text.len() - rest.as_str().len();
        let Some(first) = rest.clone().next() else { return Ok(tokens) };
        let token = match first {
            _ if first.is_whitespace() => {
                rest.next();
                continue;
            }
            '"' | '`' => quoted(&mut rest).map_err(|message| (at, message))?,
            // A number may have a sign and a point; a name has neither, so a point in it ends it.
            _ if is_number(rest.as_str()) => {
                word(&mut rest, |c| c.is_ascii_alphanumeric() || "+-._".contains(c))
            }
            _ if is_name(first) => word(&mut rest, is_name),
            _ => {
                let sign = SIGNS.into_iter().find(|sign| rest.as_str().starts_with(sign));
                let sign = sign.ok_or_else(|| (at, format!("unexpected {first:?}")))?;
                rest = rest.as_str()[sign.len()..].chars();
                Token::Sign(sign)
            }
        };
        tokens.push((at, token));
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/')
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    digits.starts_with(|c: char| c.is_ascii_digit())
}

fn word(rest: &mut Chars<'_>, belongs: impl Fn(char) -> bool) -> Token {
    let text = rest.as_str();
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    *rest = text[end..].chars();
    Token::Word(text[..end].to_owned())
}

fn quoted(rest: &mut Chars<'_>) -> Result<Token, String> {
    let quote = rest.next();
    let mut text = String::new();
    while let Some(c) = rest.next() {
        if Some(c) == quote {
            return Ok(Token::Quoted(text));
        }
        if c != '\\' || quote == Some('`') {
            text.push(c);
            continue;
        }
        text.push(match rest.next() {
            Some('n') => '\n',
            Some('t') => '\t',
            Some(c @ ('"' | '\\' | '/')) => c,
            Some(c) => {
                return Err(format!("unknown escape \\{c} in a string; `backquotes` take text as it is"));
            }
            None => break,
        });
    }
    Err("this string has no end".to_owned())
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    /// The place after the last character.
    end: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    /// Takes the next token if it is `expected`.
    fn takes(&mut self, expected: &Token) -> bool {
        let found = self.peek() == Some(expected);
        self.next += usize::from(found);
        found
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(text)) if text == word);
        self.next += usize::from(found);
        found
    }

    /// Where the next token stands.
    fn place(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |(at, _)| *at)
    }

    fn expected(&self, what: &str) -> Error {
        let found = self.peek().map_or("the end".to_owned(), Token::show);
        (self.place(), format!("expected {what}, found {found}"))
    }

    fn any_of(&mut self) -> Result<Expression, Error> {
        self.list("or", Self::all_of, Expression::Any)
    }

    fn all_of(&mut self) -> Result<Expression, Error> {
        self.list("and", Self::one, Expression::All)
    }

    /// One part, or several with `word` between them.
    fn list(
        &mut self,
        word: &str,
        part: fn(&mut Self) -> Result<Expression, Error>,
        of: fn(Vec<Expression>) -> Expression,
    ) -> Result<Expression, Error> {
        let first = part(self)?;
        let mut parts = vec![first];
        while self.takes_word(word) {
            parts.push(part(self)?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { of(parts) })
    }

    fn one(&mut self) -> Result<Expression, Error> {
        if self.depth == DEEPEST {
            return Err((self.place(), format!("nested more than {DEEPEST} deep")));
        }
        self.depth += 1;
        let expression = if self.takes_word("not") {
            Expression::Not(Box::new(self.one()?))
        } else if self.takes(&Token::Sign("(")) {
            let inner = self.any_of()?;
            if !self.takes(&Token::Sign(")")) {
                return Err(self.expected("\")\""));
            }
            inner
        } else {
            self.test()?
        };
        self.depth -= 1;
        Ok(expression)
    }

    /// `Selector op value`, or `value [not] in Selector`.
    fn test(&mut self) -> Result<Expression, Error> {
        let start = self.next;
        if let Ok(value) = self.value() {
            let negative = self.takes_word("not");
            if self.takes_word("in") {
                return Ok(expression_of(self.selector()?, Test::Contains(value), negative));
            }
        }
        self.next = start;
        let field = self.selector()?;
        self.operator(field)
    }

    fn operator(&mut self, field: Field) -> Result<Expression, Error> {
        if self.takes(&Token::Sign("==")) {
            return Ok(expression_of(field, Test::Equals(self.value()?), false));
        }
        if self.takes(&Token::Sign("!=")) {
            return Ok(expression_of(field, Test::Equals(self.value()?), true));
        }
        if self.takes_word("is") {
            let negative = self.takes_word("not");
            return match self.takes_word("empty") {
                true => Ok(expression_of(field, Test::IsEmpty, negative)),
                false => Err(self.expected("\"empty\" or \"not empty\"")),
            };
        }
        let negative = self.takes_word("not");
        if self.takes_word("contains") {
            return Ok(expression_of(field, Test::Contains(self.value()?), negative));
        }
        if self.takes_word("matches") {
            let at = self.place();
            let pattern = self.value()?;
            let regex = RegexBuilder::new(&pattern).size_limit(REGEX_LIMIT).build();
            let unusable = |_| (at, format!("{pattern:?} is no usable regular expression"));
            return Ok(expression_of(field, Test::Matches(regex.map_err(unusable)?), negative));
        }
        Err(self.expected("an operator (==, !=, in, contains, matches, is empty)"))
    }

    fn value(&mut self) -> Result<String, Error> {
        let mut text = match self.peek().cloned() {
            Some(Token::Word(text)) => text,
            Some(Token::Quoted(text)) => {
                self.next += 1;
                return Ok(text);
            }
            Some(Token::Sign(_)) | None => return Err(self.expected("a value")),
        };
        self.next += 1;
        // Unquoted, a value may have points: `v1.2`.
        while self.takes(&Token::Sign(".")) {
            text.push('.');
            text.push_str(&self.name("more of the value")?);
        }
        Ok(text)
    }

    fn name(&mut self, what: &str) -> Result<String, Error> {
        match self.peek().cloned() {
            Some(Token::Word(text)) => {
                self.next += 1;
                Ok(text)
            }
            _ => Err(self.expected(what)),
        }
    }

    /// `Service.Meta.version`, `Service.Meta["version"]` or, as a JSON pointer, `"/Service/Meta/version"`.
    fn selector(&mut self) -> Result<Field, Error> {
        let start = self.place();
        let pointer = match self.peek() {
            Some(Token::Quoted(text)) => text.strip_prefix('/').map(str::to_owned),
            _ => None,
        };
        let path = if let Some(pointer) = pointer {
            self.next += 1;
            pointer.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect()
        } else {
            self.dotted()?
        };
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        field(&parts).ok_or_else(|| (start, unknown(&path.join("."))))
    }

    fn dotted(&mut self) -> Result<Vec<String>, Error> {
        let mut path = vec![self.name("a field such as Service.Meta.version")?];
        loop {
            if self.takes(&Token::Sign(".")) {
                path.push(self.name("a name after the point")?);
            } else if self.takes(&Token::Sign("[")) {
                let Some(Token::Quoted(key)) = self.peek().cloned() else {
                    return Err(self.expected("a key in quotes"));
                };
                self.next += 1;
                path.push(key);
                if !self.takes(&Token::Sign("]")) {
                    return Err(self.expected("\"]\""));
                }
            } else {
                return Ok(path);
            }
        }
    }
}

fn expression_of(field: Field, test: Test, negative: bool) -> Expression {
    let test = Expression::Test(field, test);
    if negative { Expression::Not(Box::new(test)) } else { test }
}

fn field(path: &[&str]) -> Option<Field> {
    Some(match path {
        ["Service", "ID"] => Field::ServiceId,
        ["Service", "Service"] => Field::ServiceName,
        ["Service", "Tags"] => Field::ServiceTags,
        ["Service", "Meta"] => Field::ServiceMeta(None),
        ["Service", "Meta", key] => Field::ServiceMeta(Some((*key).to_owned())),
        ["Service", "Address"] => Field::ServiceAddress,
        ["Service", "Port"] => Field::ServicePort,
        ["Service", "Weights", "Passing"] => Field::WeightPassing,
        ["Service", "Weights", "Warning"] => Field::WeightWarning,
        ["Node", "Node"] => Field::NodeName,
        ["Node", "Address"] => Field::NodeAddress,
        ["Node", "Datacenter"] => Field::NodeDatacenter,
        ["Node", "Meta"] => Field::NodeMeta(None),
        ["Node", "Meta", key] => Field::NodeMeta(Some((*key).to_owned())),
        ["Checks", "Status"] => Field::ChecksStatus,
        _ => return None,
    })
}

fn unknown(path: &str) -> String {
    format!(
        "there is no field {path}; an instance has Service.ID, Service.Service, Service.Tags, Service.Meta.KEY, \
         Service.Address, Service.Port, Service.Weights.Passing, Service.Weights.Warning, Node.Node, Node.Address, \
         Node.Datacenter, Node.Meta.KEY and Checks.Status"
    )
}
