//! YAML 1.2: several documents, anchors and merge keys; scalars by the core schema.
//!
//! Built from the parser's events on a stack of our own, so nesting costs no call stack. What an alias repeats
//! counts as often as it is repeated, which is what stops a file of a few lines from becoming gigabytes.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::text::{Source, too_deep, too_many};
use super::{Key, Node, Number, Value, limit};
use crate::problem::{Place, Problem};

pub(super) fn parse(source: &Source<'_>) -> (Vec<Node>, Vec<Problem>) {
    let mut flow = source.text.bytes().enumerate().filter(|(_, b)| matches!(b, b',' | b'[' | b'{'));
    if let Some((offset, _)) = flow.nth(limit::YAML_FLOW) {
        let message = format!(
            "holds more than {} commas and brackets: write lists with `-`, or the file as JSON",
            limit::YAML_FLOW
        );
        return (Vec::new(), vec![source.error(offset, message)]);
    }
    let mut builder = Builder::new(source);
    for event in Parser::new_from_str(source.text) {
        let step = match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => {
                let place = source.at(error.marker().line(), error.marker().col() + 1);
                Err(Problem::error(&place, "", format!("is not YAML: {}", error.info())))
            }
        };
        if let Err(problem) = step {
            builder.slips.push(problem);
            return (Vec::new(), builder.slips);
        }
    }
    (builder.documents, builder.slips)
}

/// A collection that is not complete yet.
enum Open {
    List(Vec<Node>),
    Map(Vec<(Key, Node)>, Option<Key>),
}

struct Frame {
    open: Open,
    place: Place,
    anchor: usize,
}

struct Anchored {
    node: Node,
    /// How many values it holds, itself included.
    values: usize,
    /// How many maps and lists stand within each other.
    depth: usize,
}

struct Builder<'a> {
    source: &'a Source<'a>,
    documents: Vec<Node>,
    stack: Vec<Frame>,
    /// By the parser's number; 0 is none.
    anchors: HashMap<usize, Anchored>,
    values: usize,
    /// Errors that leave no doubt about where the text goes on.
    slips: Vec<Problem>,
}

impl<'a> Builder<'a> {
    fn new(source: &'a Source<'a>) -> Self {
        let (documents, stack, anchors, slips) = Default::default();
        Self { source, documents, stack, anchors, values: 0, slips }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let place = self.source.at(span.start.line(), span.start.col() + 1);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_ref().filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str());
                let value = match (tag, style) {
                    (Some("int" | "float" | "bool" | "null"), _) => scalar(&text),
                    (Some("str"), _) => Value::String(text.into_owned()),
                    (_, ScalarStyle::Plain) => {
                        self.doubt_octal(&text, &place);
                        scalar(&text)
                    }
                    _ => Value::String(text.into_owned()),
                };
                self.add(Node { place, value }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.open(Open::List(Vec::new()), place, anchor),
            Event::MappingStart(anchor, _) => self.open(Open::Map(Vec::new(), None), place, anchor),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => {
                let Some(anchored) = self.anchors.get(&anchor) else {
                    return Err(Problem::error(&place, "", "an alias stands inside of what it repeats"));
                };
                // Counted before it is copied: a bomb must not go off first.
                self.values += anchored.values;
                if self.values > limit::VALUES {
                    return Err(Problem::error(&place, "", too_many()));
                }
                if self.stack.len() + anchored.depth > limit::DEPTH {
                    return Err(Problem::error(&place, "", too_deep()));
                }
                let node = Node { place, value: anchored.node.value.clone() };
                self.add(node, 0)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn open(&mut self, open: Open, place: Place, anchor: usize) -> Result<(), Problem> {
        if let Some(Frame { open: Open::Map(_, None), .. }) = self.stack.last() {
            return Err(Problem::error(&place, "", "a key is a text, not a list or a map"));
        }
        if self.stack.len() >= limit::DEPTH {
            return Err(Problem::error(&place, "", too_deep()));
        }
        self.stack.push(Frame { open, place, anchor });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Problem> {
        let Some(Frame { open, place, anchor }) = self.stack.pop() else { return Ok(()) };
        let value = match open {
            Open::List(items) => Value::List(items),
            Open::Map(pairs, _) => {
                self.refuse_repeated(&pairs);
                let mut pairs = merged(pairs);
                // Most maps are small, and there may be millions of them.
                pairs.shrink_to_fit();
                Value::Map(pairs)
            }
        };
        self.add(Node { place, value }, anchor)
    }

    /// A map's keys are unique, says YAML, and so says Kubernetes.
    fn refuse_repeated(&mut self, pairs: &[(Key, Node)]) {
        let mut first: HashMap<&str, u32> = HashMap::with_capacity(pairs.len());
        for (key, _) in pairs.iter().filter(|(key, _)| key.name != "<<") {
            if let Some(line) = first.insert(&key.name, key.place.line) {
                let message = format!("the key {:?} is given twice, first on line {line}", key.name);
                self.slip(&key.place, message);
            }
        }
    }

    /// `010` is ten here and eight where YAML 1.1 is read, as in Kubernetes: no guess is safe.
    fn doubt_octal(&mut self, text: &str, place: &Place) {
        let digits = text.trim_start_matches(['-', '+']);
        if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()) {
            let message =
                format!("{text} is read as octal by some: quote it, or leave the leading zeros out");
            self.slip(place, message);
        }
    }

    fn slip(&mut self, place: &Place, message: String) {
        // Nobody reads more, and a hostile file could have millions.
        const MOST: usize = 1_000;
        if self.slips.len() < MOST {
            self.slips.push(Problem::error(place, "", message));
        }
    }

    /// A complete value: a key, an item, or a whole document.
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        self.values += 1;
        if self.values > limit::VALUES {
            return Err(Problem::error(&node.place, "", too_many()));
        }
        if anchor != 0 {
            let (values, depth) = extent(&node);
            self.values += values;
            self.anchors.insert(anchor, Anchored { node: node.clone(), values, depth });
        }
        match self.stack.last_mut().map(|frame| &mut frame.open) {
            None if node.value == Value::Null => {}
            None => self.documents.push(node),
            Some(Open::List(items)) => items.push(node),
            Some(Open::Map(pairs, key)) => match key.take() {
                Some(key) => pairs.push((key, node)),
                None => *key = Some(key_of(node)?),
            },
        }
        Ok(())
    }
}

fn key_of(node: Node) -> Result<Key, Problem> {
    let name = match node.value {
        Value::String(text) => text,
        Value::Number(number) => number.as_str().to_owned(),
        Value::Bool(bool) => bool.to_string(),
        Value::Null | Value::List(_) | Value::Map(_) => {
            return Err(Problem::error(
                &node.place,
                "",
                format!("a key is a text, not {}", node.value.kind()),
            ));
        }
    };
    Ok(Key { name, place: node.place })
}

/// The number of values in a tree and its depth, which is limited.
fn extent(node: &Node) -> (usize, usize) {
    let children: Vec<&Node> = match &node.value {
        Value::List(items) => items.iter().collect(),
        Value::Map(pairs) => pairs.iter().map(|(_, value)| value).collect(),
        _ => return (1, 0),
    };
    let inner = children.into_iter().map(extent);
    inner.fold((1, 1), |(values, depth), (more, deep)| (values + more, depth.max(deep + 1)))
}

/// `<<: *anchor` adds the pairs of a map, or of a list of maps, that are not given themselves.
fn merged(pairs: Vec<(Key, Node)>) -> Vec<(Key, Node)> {
    if !pairs.iter().any(|(key, _)| key.name == "<<") {
        return pairs;
    }
    let (merges, mut own): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(key, _)| key.name == "<<");
    let mut given: HashSet<String> = own.iter().map(|(key, _)| key.name.clone()).collect();
    for (key, node) in merges {
        let maps = match node.value {
            Value::Map(_) => vec![node],
            Value::List(items) if items.iter().all(|item| matches!(item.value, Value::Map(_))) => items,
            _ => {
                own.push((key, node));
                continue;
            }
        };
        for (key, value) in maps.into_iter().flat_map(|map| match map.value {
            Value::Map(pairs) => pairs,
            _ => Vec::new(),
        }) {
            if given.insert(key.name.clone()) {
                own.push((key, value));
            }
        }
    }
    own
}

/// A plain scalar by the core schema (YAML 1.2, section 10.3.2); infinities and NaN stay texts, which no
/// number's field takes.
fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let based = match text.get(..2) {
        Some("0x") => i64::from_str_radix(&text[2..], 16).ok(),
        Some("0o") => i64::from_str_radix(&text[2..], 8).ok(),
        _ => None,
    };
    match based.map(|value| value.to_string()).as_deref().or(Some(text)).and_then(Number::decimal) {
        Some(number) => Value::Number(number),
        None => Value::String(text.to_owned()),
    }
}
