//! Texts as a tree of their bytes: all that a value begins with are found by reading the value once.
//!
//! What that costs depends on the value and on how often texts part, hardly on how many there are. Nodes stand in one
//! array and not in each other, so that no text, however long, makes a tree deep enough to exhaust the stack. Texts
//! are in lower case; what is looked up is read as if it were.

use std::collections::BTreeMap;
use std::ops::Range;

/// Up to so many children, as after a digit, comparing one after the other is the cheaper way.
const FEW_CHILDREN: usize = 16;

/// What hangs at each of many texts.
#[derive(Debug)]
pub(super) struct Trie<T> {
    /// The root first. The children of a node stand side by side, ascending by their first byte.
    nodes: Box<[Node<T>]>,
    /// One a node: the byte that leads to it.
    firsts: Box<[u8]>,
    /// All texts, one after the other, which the nodes point into.
    bytes: Box<[u8]>,
}

#[derive(Debug)]
struct Node<T> {
    /// Of the bytes: what follows the one that leads here, up to where texts end or part.
    rest: Range<usize>,
    children: Range<usize>,
    /// What hangs at the text that ends here.
    value: Option<T>,
}

impl<T> Default for Trie<T> {
    fn default() -> Self {
        Self::new(BTreeMap::new())
    }
}

impl<T> Trie<T> {
    pub(super) fn new(texts: BTreeMap<Box<[u8]>, T>) -> Self {
        let mut bytes = Vec::new();
        let mut spans = Vec::with_capacity(texts.len());
        let mut values = Vec::with_capacity(texts.len());
        for (text, value) in texts {
            spans.push(bytes.len()..bytes.len() + text.len());
            bytes.extend_from_slice(&text);
            values.push(Some(value));
        }
        let mut made = Making { bytes: &bytes, spans: &spans, nodes: Vec::new(), firsts: vec![0] };
        // Those still to be looked into: which texts begin as the node does, and how far they have been read.
        made.nodes.push((0..spans.len(), 0));
        let mut nodes = Vec::with_capacity(spans.len() + 1);
        while let Some((texts, read)) = made.nodes.get(nodes.len()).cloned() {
            nodes.push(made.node(texts, read, &mut values));
        }
        let firsts = made.firsts.into();
        Self { nodes: nodes.into(), firsts, bytes: bytes.into() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.nodes.iter().all(|node| node.value.is_none())
    }

    /// Calls `found` with what hangs at each text that `value`, in any case, begins with, shortest first, and whether it
    /// is the whole value.
    pub(super) fn prefixes_of<'a>(&'a self, value: &[u8], found: impl FnMut(&'a T, bool)) {
        let is = |read: usize, rest: &[u8]| {
            let part = value.get(read..).and_then(|value| value.get(..rest.len()));
            part.is_some_and(|part| part == rest || part.eq_ignore_ascii_case(rest))
        };
        self.walk(is, |read| value.get(read).copied(), found);
    }

    /// The same with each text that `value` ends with, in a tree of texts read backwards.
    pub(super) fn suffixes_of<'a>(&'a self, value: &[u8], found: impl FnMut(&'a T, bool)) {
        let backwards = |read: usize| value.iter().rev().skip(read);
        let is = |read: usize, rest: &[u8]| {
            let part = backwards(read).take(rest.len());
            read + rest.len() <= value.len()
                && part.zip(rest).all(|(byte, wanted)| byte.to_ascii_lowercase() == *wanted)
        };
        self.walk(is, |read| backwards(read).next().copied(), found);
    }

    /// Goes down as far as the value does, of which `is` says whether a text follows what was read of it, and `byte`
    /// which byte does.
    #[inline]
    fn walk<'a>(
        &'a self,
        is: impl Fn(usize, &[u8]) -> bool,
        byte: impl Fn(usize) -> Option<u8>,
        mut found: impl FnMut(&'a T, bool),
    ) {
        let (mut node, mut read) = (&self.nodes[0], 0);
        loop {
            if !node.rest.is_empty() && !is(read, &self.bytes[node.rest.clone()]) {
                return;
            }
            read += node.rest.len();
            let next = byte(read).map(|byte| byte.to_ascii_lowercase());
            if let Some(hanging) = &node.value {
                found(hanging, next.is_none());
            }
            let Some(child) = next.and_then(|next| self.child(node, next)) else { return };
            (node, read) = (child, read + 1);
        }
    }

    fn child(&self, node: &Node<T>, first: u8) -> Option<&Node<T>> {
        let firsts = &self.firsts[node.children.clone()];
        let index = match firsts.len() {
            0..=FEW_CHILDREN => firsts.iter().position(|other| *other == first),
            _ => firsts.binary_search(&first).ok(),
        };
        self.nodes[node.children.clone()].get(index?)
    }
}

/// A tree under construction, breadth first.
struct Making<'a> {
    bytes: &'a [u8],
    /// Where each text stands, ascending by text.
    spans: &'a [Range<usize>],
    /// What each node is made of: texts that begin alike, and how much of them leads to the node.
    nodes: Vec<(Range<usize>, usize)>,
    firsts: Vec<u8>,
}

impl Making<'_> {
    fn text(&self, index: usize) -> &[u8] {
        &self.bytes[self.spans[index].clone()]
    }

    /// The node of texts that agree in their first `read` bytes, which puts its children in line.
    fn node<T>(&mut self, texts: Range<usize>, read: usize, values: &mut [Option<T>]) -> Node<T> {
        if texts.is_empty() {
            return Node { rest: 0..0, children: 0..0, value: None };
        }
        // Sorted as they are, what the first and the last of them begin with all of them do.
        let (first, last) = (&self.text(texts.start)[read..], &self.text(texts.end - 1)[read..]);
        let same = first.iter().zip(last).take_while(|(a, b)| a == b).count();
        let start = self.spans[texts.start].start + read;
        let read = read + same;
        let ends_here = self.spans[texts.start].len() == read;
        let value = if ends_here { values[texts.start].take() } else { None };
        let mut begun = texts.start + usize::from(ends_here);
        let children = self.nodes.len();
        while begun < texts.end {
            let byte = self.text(begun)[read];
            let begins_so = |span: &Range<usize>| self.bytes[span.start + read] == byte;
            let end = begun + self.spans[begun..texts.end].partition_point(begins_so);
            self.nodes.push((begun..end, read + 1));
            self.firsts.push(byte);
            begun = end;
        }
        Node { rest: start..start + same, children: children..self.nodes.len(), value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(texts: &[&str], value: &str, expected: &[(&str, bool)]) {
        let hung = texts.iter().map(|text| (text.as_bytes().into(), *text)).collect();
        let mut found = Vec::new();
        Trie::new(hung).prefixes_of(value.as_bytes(), |text, whole| found.push((*text, whole)));
        assert_eq!(found, expected, "{value} of {texts:?}");
    }

    #[test]
    fn all_texts_that_a_value_begins_with_are_found_shortest_first() {
        let texts = ["/", "/a", "/ab/", "/abc", "/b", "x"];
        check(&texts, "/ab/c", &[("/", false), ("/a", false), ("/ab/", false)]);
        check(&texts, "/a", &[("/", false), ("/a", true)]);
        check(&texts, "/c", &[("/", false)]);
        check(&texts, "y", &[]);
        check(&texts, "", &[]);
        check(&["", "a"], "", &[("", true)]);
        check(&["", "a"], "ab", &[("", false), ("a", false)]);
        check(&[], "a", &[]);
    }

    #[test]
    fn as_many_children_as_there_are_bytes_are_told_apart() {
        let hung: BTreeMap<Box<[u8]>, u8> = (0..=u8::MAX).map(|byte| ([b'/', byte].into(), byte)).collect();
        let trie = Trie::new(hung);
        for byte in 0..=u8::MAX {
            let mut found = Vec::new();
            trie.prefixes_of(&[b'/', byte, 0], |hung, whole| found.push((*hung, whole)));
            // No text has upper case, so none is found by it: it stands for the lower one.
            assert_eq!(found, [(byte.to_ascii_lowercase(), false)]);
        }
    }

    #[test]
    fn a_text_in_a_text_in_a_text_makes_no_deep_stack() {
        let hung: BTreeMap<Box<[u8]>, usize> =
            (0..5_000).map(|len| (vec![b'a'; len].into_boxed_slice(), len)).collect();
        let mut count = 0;
        Trie::new(hung).prefixes_of(&[b'a'; 10_000], |_, _| count += 1);
        assert_eq!(count, 5_000);
    }

    #[test]
    fn what_is_looked_up_may_be_in_any_case() {
        check(&["/a", "/ab/c"], "/AB/C", &[("/a", false), ("/ab/c", true)]);
    }

    #[test]
    fn texts_read_backwards_are_what_a_value_ends_with() {
        let hung = ["", "lmth.", "lmth.a", "x"].map(|text| (text.as_bytes().into(), text)).into();
        let trie = Trie::new(hung);
        for (value, expected) in [
            ("/a.HTML", &[("", false), ("lmth.", false), ("lmth.a", false)][..]),
            (".html", &[("", false), ("lmth.", true)]),
            ("tml", &[("", false)]),
            ("", &[("", true)]),
        ] {
            let mut found = Vec::new();
            trie.suffixes_of(value.as_bytes(), |text, whole| found.push((*text, whole)));
            assert_eq!(found, expected, "{value}");
        }
    }
}
