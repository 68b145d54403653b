//! Texts as a tree of their bytes: all that a value begins with are found by reading the value once.
//!
//! What that costs depends on the value and on how often texts part, hardly on how many there are. Nodes stand in one
//! array and not in each other, so that no text, however long, makes a tree deep enough to exhaust the stack. Texts
//! are in lower case and so must be what is looked up.

use std::collections::BTreeMap;
use std::ops::Range;

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

    /// Calls `found` with what hangs at each text that `value` begins with, shortest first, and whether it is the whole
    /// value.
    pub(super) fn prefixes_of<'a>(
        &'a self,
        value: impl IntoIterator<Item = u8>,
        mut found: impl FnMut(&'a T, bool),
    ) {
        let mut value = value.into_iter();
        let mut node = &self.nodes[0];
        loop {
            if self.bytes[node.rest.clone()].iter().any(|wanted| value.next() != Some(*wanted)) {
                return;
            }
            let next = value.next();
            if let Some(hanging) = &node.value {
                found(hanging, next.is_none());
            }
            let firsts = &self.firsts[node.children.clone()];
            let Some(child) = next.and_then(|next| firsts.binary_search(&next).ok()) else { return };
            node = &self.nodes[node.children.start + child];
        }
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
