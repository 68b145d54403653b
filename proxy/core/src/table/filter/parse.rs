//! The grammar of a filter.
//!
//! `or` binds least, then `and`, then `not`; a match is `Selector op value`, `Selector is [not] empty`, or `value
//! [not] in Selector`. It is a grammar without tokens, as go-bexpr's is: words need white space around them, `==`
//! does not, and a keyword may well be a selector or a value (`not in Service.Tags`). A bare value is a selector or
//! a number; everything else is quoted.
//!
//! A match that makes no sense (a selector that no entry has) does not end the reading: a fault of syntax behind it
//! weighs more.

use regex::RegexBuilder;

use super::fields::{Field, Type, Unselectable};
use super::quoted::unquote;
use super::{Expression, Fault, InvalidFilter, Match, Operand, Test};

/// How deep parentheses and `not` may nest: more than anyone writes, and less than the stack bears.
const DEEPEST: usize = 64;

/// The most memory that a filter's regular expression may take.
const REGEX_LIMIT: usize = 1 << 20;

/// What is wrong, and at which byte.
type Error = (usize, String);

/// Reads `text`, which is not empty.
pub(super) fn expression(text: &str) -> Result<Expression, InvalidFilter> {
    let mut parser = Parser { text, at: 0, depth: 0, senseless: None };
    let invalid = |(byte, message): Error, fault| {
        let before = text.get(..byte).unwrap_or(text);
        InvalidFilter { at: before.chars().count() + 1, message, fault }
    };
    let expression = parser.whole().map_err(|error| invalid(error, Fault::Syntax))?;
    match parser.senseless {
        Some(error) => Err(invalid(error, Fault::Meaning)),
        None => Ok(expression),
    }
}

/// A position as go-bexpr writes it.
fn place(text: &str, byte: usize) -> String {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{line}:{column} ({byte})")
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    /// The first match that makes no sense.
    senseless: Option<Error>,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Takes `sign` if it is next.
    fn takes(&mut self, sign: &str) -> bool {
        let found = self.rest().starts_with(sign);
        self.at += if found { sign.len() } else { 0 };
        found
    }

    /// Takes white space; whether there was any.
    fn space(&mut self) -> bool {
        let rest = self.rest();
        let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.at += rest.len() - trimmed.len();
        rest.len() != trimmed.len()
    }

    /// Takes all of `words`, each with white space before it, or nothing.
    fn words(&mut self, words: &[&str]) -> bool {
        let start = self.at;
        let found = words.iter().all(|word| self.space() && self.takes(word));
        if !found {
            self.at = start;
        }
        found
    }

    /// The same, with white space behind them too.
    fn operator(&mut self, words: &[&str]) -> bool {
        let start = self.at;
        let found = self.words(words) && self.space();
        if !found {
            self.at = start;
        }
        found
    }

    fn expected(&self, what: &str) -> Error {
        let place = place(self.text, self.at);
        (self.at, format!("{place}: no match found, expected {what}"))
    }

    fn rule<T>(&self, byte: usize, rule: &str, message: &str) -> Result<T, Error> {
        Err((byte, format!("{}: rule \"{rule}\": {message}", place(self.text, byte))))
    }

    fn whole(&mut self) -> Result<Expression, Error> {
        self.space();
        let expression = self.any_of()?;
        self.space();
        if self.rest().is_empty() {
            return Ok(expression);
        }
        Err(self.expected(if self.ends_in_bare_value() {
            "\"and\", \"or\" or the end: what is no name or number stands in quotes"
        } else {
            "\"and\", \"or\" or the end"
        }))
    }

    /// Whether what is left goes on right behind a value, as in `web-1`.
    fn ends_in_bare_value(&self) -> bool {
        let before = self.text.get(..self.at).and_then(|text| text.chars().next_back());
        before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
    }

    fn any_of(&mut self) -> Result<Expression, Error> {
        self.list("or", Self::all_of, Expression::Any)
    }

    fn all_of(&mut self) -> Result<Expression, Error> {
        self.list("and", Self::not, Expression::All)
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
        while self.operator(&[word]) {
            parts.push(part(self)?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { of(parts) })
    }

    fn not(&mut self) -> Result<Expression, Error> {
        if self.depth == DEEPEST {
            let place = place(self.text, self.at);
            return Err((self.at, format!("{place}: nested more than {DEEPEST} deep")));
        }
        let (start, depth) = (self.at, self.depth);
        self.depth += 1;
        let expression = if self.takes("not") && self.space() {
            match self.not() {
                Ok(inner) => Expression::Not(Box::new(inner)),
                // It may have been a name, as in `not in Service.Tags`. If not, what got further says what is wrong.
                Err(inner) => {
                    (self.at, self.depth) = (start, depth);
                    self.comparison().map_err(|outer| if outer.0 > inner.0 { outer } else { inner })?
                }
            }
        } else {
            self.at = start;
            if self.takes("(") { self.in_parentheses()? } else { self.comparison()? }
        };
        self.depth = depth;
        Ok(expression)
    }

    fn in_parentheses(&mut self) -> Result<Expression, Error> {
        self.space();
        let inner = self.any_of()?;
        self.space();
        if self.takes(")") {
            return Ok(inner);
        }
        match self.rest().is_empty() {
            true => self.rule(self.at, "grouping", "Unmatched parentheses"),
            false => Err(self.expected("\"and\", \"or\" or \")\"")),
        }
    }

    fn comparison(&mut self) -> Result<Expression, Error> {
        let start = self.at;
        if let Some(path) = self.selector()? {
            if let Some(operator) = self.binary() {
                let at = self.at;
                let value = self.value()?;
                return Ok(self.compare(start, &path, operator, Some((at, value))));
            }
            for (words, negated) in [(&["is", "empty"][..], false), (&["is", "not", "empty"], true)] {
                if self.words(words) {
                    return Ok(self.compare(start, &path, (Operator::IsEmpty, negated), None));
                }
            }
            self.at = start;
        }
        let value = self.value()?;
        let negated = if self.operator(&["in"]) {
            false
        } else if self.operator(&["not", "in"]) {
            true
        } else {
            return Err(
                self.expected("an operator (==, !=, in, contains, matches, is empty), perhaps with not")
            );
        };
        let at = self.at;
        match self.selector()? {
            Some(path) => Ok(self.compare(at, &path, (Operator::In, negated), Some((start, value)))),
            None => self.rule(at, "match", "Invalid selector"),
        }
    }

    fn binary(&mut self) -> Option<(Operator, bool)> {
        let start = self.at;
        self.space();
        for (sign, negated) in [("==", false), ("!=", true)] {
            if self.takes(sign) {
                self.space();
                return Some((Operator::Equal, negated));
            }
        }
        self.at = start;
        let known = [("contains", Operator::In), ("matches", Operator::Matches)];
        for (word, operator) in known {
            if self.operator(&[word]) {
                return Some((operator, false));
            }
            if self.operator(&["not", word]) {
                return Some((operator, true));
            }
        }
        None
    }

    /// `Service.Meta.version` or `Service.Meta["version"]`; None, and nothing taken, when that is not next. Also, as
    /// later versions of go-bexpr have it, a JSON pointer in quotes.
    fn selector(&mut self) -> Result<Option<Vec<String>>, Error> {
        if let Some(path) = self.pointer() {
            return Ok(Some(path));
        }
        let Some(first) = self.identifier() else { return Ok(None) };
        let mut path = vec![first];
        loop {
            let start = self.at;
            if self.takes(".") {
                match self.identifier() {
                    Some(part) => path.push(part),
                    None => {
                        self.at = start;
                        return Ok(Some(path));
                    }
                }
            } else if self.takes("[") {
                path.push(self.index()?);
            } else {
                return Ok(Some(path));
            }
        }
    }

    fn pointer(&mut self) -> Option<Vec<String>> {
        let (pointer, _) = self.rest().strip_prefix("\"/")?.split_once('"')?;
        self.at += pointer.len() + "\"/\"".len();
        Some(pointer.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect())
    }

    fn identifier(&mut self) -> Option<String> {
        let rest = self.rest();
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).map(str::to_owned)
    }

    fn index(&mut self) -> Result<String, Error> {
        self.space();
        let Some(key) = self.string()? else { return self.rule(self.at, "index", "Invalid index") };
        self.space();
        match self.takes("]") {
            true => Ok(key),
            false => self.rule(self.at, "index", "Unclosed index expression"),
        }
    }

    fn value(&mut self) -> Result<String, Error> {
        let start = self.at;
        if let Some(first) = self.identifier() {
            self.at = start;
            // A value that looks like a selector is its text, indexes with a point before them.
            return Ok(self.selector()?.map_or(first, |path| path.join(".")));
        }
        if let Some(number) = self.number()? {
            return Ok(number);
        }
        self.string()?.ok_or_else(|| self.expected("a value: a name, a number, or a text in quotes"))
    }

    fn number(&mut self) -> Result<Option<String>, Error> {
        let rest = self.rest();
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let sign = usize::from(rest.starts_with('-'));
        let whole = match rest.get(sign..).unwrap_or_default() {
            text if text.starts_with('0') => 1,
            text => digits(text),
        };
        if whole == 0 {
            return Ok(None);
        }
        let mut end = sign + whole;
        if let Some(fraction) = rest.get(end..).and_then(|text| text.strip_prefix('.')) {
            let places = digits(fraction);
            end += if places == 0 { 0 } else { places + 1 };
        }
        self.at += end;
        let after = self.rest().chars().next();
        if after.is_some_and(|c| !matches!(c, ' ' | '\t' | '\r' | '\n' | ')')) {
            return self.rule(self.at, "number", "Invalid number literal");
        }
        Ok(rest.get(..end).map(str::to_owned))
    }

    /// A text in double quotes or backquotes.
    fn string(&mut self) -> Result<Option<String>, Error> {
        let (start, rest) = (self.at, self.rest());
        let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '`')) else { return Ok(None) };
        let inner = rest.get(1..).unwrap_or_default();
        let Some(end) = inner.find(quote) else {
            return self.rule(self.text.len(), "string", "Unterminated string literal");
        };
        self.at += end + 2;
        let written = inner.get(..end).unwrap_or_default();
        match quote {
            '`' => Ok(Some(written.replace('\r', ""))),
            _ => match unquote(written) {
                Some(text) => Ok(Some(text)),
                None => self.rule(start, "string", "invalid syntax"),
            },
        }
    }

    /// The match of a selector that stands at `at`, with an operand and where that stands. One that makes no sense
    /// is noted, and nothing stands in its place: there will be no expression.
    fn compare(
        &mut self,
        at: usize,
        path: &[String],
        operator: (Operator, bool),
        operand: Option<(usize, String)>,
    ) -> Expression {
        sensible(at, path, operator, operand).map(Expression::Match).unwrap_or_else(|error| {
            self.senseless.get_or_insert(error);
            Expression::All(Vec::new())
        })
    }
}

/// The match, where an entry has such a field and such a thing can be asked of it.
fn sensible(
    at: usize,
    path: &[String],
    (operator, negated): (Operator, bool),
    operand: Option<(usize, String)>,
) -> Result<Match, Error> {
    let selector = path.join(".");
    let unsuited = || {
        let name = operator.name(negated);
        (at, format!("Invalid match operator {name:?} for selector {selector:?}"))
    };
    let field = Field::select(path).map_err(|why| match why {
        Unselectable::Unknown(path) => (at, format!("Selector {path:?} is not valid{}", known(&path))),
        Unselectable::Struct => unsuited(),
    })?;
    if !operator.suits(field.kind()) {
        return Err(unsuited());
    }
    let (place, operand) = operand.unwrap_or_default();
    let test = test(operator, field.kind(), &selector, operand).map_err(|message| (place, message))?;
    Ok(Match { field, test, negated })
}

/// An operator; `contains` is `in` the other way round.
#[derive(Clone, Copy)]
enum Operator {
    Equal,
    In,
    IsEmpty,
    Matches,
}

impl Operator {
    fn suits(self, kind: Type) -> bool {
        match kind {
            Type::Text => !matches!(self, Self::IsEmpty),
            Type::Number | Type::Flag => matches!(self, Self::Equal),
            Type::List => matches!(self, Self::In | Self::IsEmpty),
            Type::Structs => matches!(self, Self::IsEmpty),
        }
    }

    /// As go-bexpr calls it.
    fn name(self, negated: bool) -> &'static str {
        match (self, negated) {
            (Self::Equal, false) => "Equal",
            (Self::Equal, true) => "Not Equal",
            (Self::In, false) => "In",
            (Self::In, true) => "Not In",
            (Self::IsEmpty, false) => "Is Empty",
            (Self::IsEmpty, true) => "Is Not Empty",
            (Self::Matches, false) => "Matches",
            (Self::Matches, true) => "Not Matches",
        }
    }
}

/// What `operator` asks, its operand converted to what a field of `kind` holds.
fn test(operator: Operator, kind: Type, selector: &str, operand: String) -> Result<Test, String> {
    let unfit = |why: &str| format!("Failed to coerce value {operand:?} for selector {selector:?}: {why}");
    match (operator, kind) {
        (Operator::IsEmpty, _) => Ok(Test::IsEmpty),
        (Operator::In, _) => Ok(Test::Contains(operand)),
        (Operator::Equal, Type::Number) => {
            let invalid = || unfit(&format!("strconv.ParseInt: parsing {operand:?}: invalid syntax"));
            integer(&operand).map(|number| Test::Equals(Operand::Number(number))).ok_or_else(invalid)
        }
        (Operator::Equal, Type::Flag) => {
            let flag = match operand.as_str() {
                "1" | "t" | "T" | "TRUE" | "true" | "True" => true,
                "0" | "f" | "F" | "FALSE" | "false" | "False" => false,
                _ => return Err(unfit(&format!("strconv.ParseBool: parsing {operand:?}: invalid syntax"))),
            };
            Ok(Test::Equals(Operand::Flag(flag)))
        }
        (Operator::Equal, _) => Ok(Test::Equals(Operand::Text(operand))),
        (Operator::Matches, _) => {
            let regex = RegexBuilder::new(&operand).size_limit(REGEX_LIMIT).build();
            let last = |error: regex::Error| error.to_string().lines().last().unwrap_or_default().to_owned();
            let unusable =
                |error| format!("Failed to compile regular expression {operand:?}: {}", last(error));
            regex.map(Test::Matches).map_err(unusable)
        }
    }
}

/// An integer as Go reads one with any base: `80`, `0x50`, `0b101`, `0o17`, `017`.
fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let number = i64::from_str_radix(digits, base).ok()?;
    Some(if negative { -number } else { number })
}

/// The selectors that there are, for who named another.
fn known(path: &str) -> String {
    match path.split('.').next() {
        Some("Service" | "Node" | "Checks") => {
            "; an instance has Service.ID, Service.Service, Service.Tags, Service.Meta.KEY, Service.Address, \
             Service.Port, Service.Weights.Passing, Node.Node, Node.Address, Node.Datacenter, Node.Meta.KEY, \
             Checks.Status and what else Consul's health entry has"
                .to_owned()
        }
        _ => "; selectors begin with Service, Node or Checks, such as Service.Meta.version".to_owned(),
    }
}
