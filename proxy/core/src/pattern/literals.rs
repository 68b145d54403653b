//! Which texts a value has in it when an expression matches it, read off the expression.
//!
//! `/v[0-9]+/orders/.*` can match only what begins with `/v` and has `/orders/` in it, so an index need not try it on
//! anything else. What is said here is necessary and never sufficient: the expression still has to be tried.

use regex_syntax::hir::{Class, Hir, HirKind};

/// Texts of which any value that matches has at least one, all in lower case (ASCII): to be compared with a value in
/// lower case. They are few, so that an index holds a route a few times at most.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Clue {
    pub(crate) at: At,
    pub(crate) texts: Box<[Box<[u8]>]>,
}

/// Where the texts of a [`Clue`] stand.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum At {
    /// The value is the text.
    Whole,
    Start,
    End,
    Within,
}

/// How many alternatives a clue may have: `/(a|b|c)/` is worth three, `[a-z]` is not worth 26.
const MOST_TEXTS: usize = 8;

/// Texts are cut off here: enough to tell apart what people tell apart, and a bound on what comparing them costs.
const LONGEST: usize = 64;

/// How many clues an expression gives at most.
const MOST_CLUES: usize = 8;

impl Clue {
    pub(crate) fn new(at: At, text: &[u8]) -> Self {
        Self::any_of(at, [text])
    }

    pub(crate) fn any_of<'a>(at: At, texts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut texts: Vec<Box<[u8]>> =
            texts.into_iter().map(|text| text.to_ascii_lowercase().into()).collect();
        texts.sort_unstable();
        texts.dedup();
        Self { at, texts: texts.into() }
    }
}

/// The clues of an expression that has to match whole values.
pub(super) fn clues(hir: &Hir) -> Box<[Clue]> {
    let mut reading = Reading::from(Run { starts: true, texts: vec![Vec::new()] });
    reading.read(hir);
    let at = if reading.run.starts { At::Whole } else { At::End };
    reading.keep(at);
    reading.clues.into()
}

/// Pieces that follow each other without a gap: every way in which they can read.
#[derive(Clone)]
struct Run {
    /// Whether the value starts here.
    starts: bool,
    texts: Vec<Vec<u8>>,
}

struct Reading {
    run: Run,
    /// How many runs ended before this one.
    gaps: usize,
    /// How the first of them read.
    first: Option<Vec<Vec<u8>>>,
    clues: Vec<Clue>,
}

impl From<Run> for Reading {
    fn from(run: Run) -> Self {
        Self { run, gaps: 0, first: None, clues: Vec::new() }
    }
}

impl Reading {
    fn read(&mut self, hir: &Hir) {
        match hir.kind() {
            // Anchors take no room.
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => self.append(&[literal.0.to_ascii_lowercase()]),
            HirKind::Class(class) => match members(class) {
                Some(members) => self.append(&members),
                None => self.gap(),
            },
            HirKind::Capture(capture) => self.read(&capture.sub),
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.read(part)),
            HirKind::Repetition(repetition) => {
                // The first time is right here, the others are who knows where.
                if repetition.min > 0 {
                    self.read(&repetition.sub);
                }
                self.gap();
            }
            HirKind::Alternation(branches) => self.read_branches(branches),
        }
    }

    /// Each branch goes on with the run, which ends here unless none of them has a gap.
    fn read_branches(&mut self, branches: &[Hir]) {
        let mut texts = Vec::new();
        let mut gaps = false;
        for branch in branches {
            let mut reading = Self::from(self.run.clone());
            reading.read(branch);
            gaps |= reading.gaps > 0;
            texts.extend(reading.first.unwrap_or(reading.run.texts));
            if texts.len() > MOST_TEXTS {
                return self.gap();
            }
        }
        self.run.texts = texts;
        if gaps {
            self.gap();
        }
    }

    /// The run goes on in one of these ways.
    fn append(&mut self, ways: &[Vec<u8>]) {
        let longest = |texts: &[Vec<u8>]| texts.iter().map(Vec::len).max().unwrap_or_default();
        if self.run.texts.len() * ways.len() > MOST_TEXTS
            || longest(&self.run.texts) + longest(ways) > LONGEST
        {
            self.gap();
        }
        let cut = |way: &[u8]| way[..way.len().min(LONGEST)].to_vec();
        let both =
            |text: &Vec<u8>| ways.iter().map(|way| [&text[..], &cut(way)].concat()).collect::<Vec<_>>();
        self.run.texts = self.run.texts.iter().flat_map(both).collect();
        if longest(ways) > LONGEST {
            self.gap();
        }
    }

    /// The run ends: what follows it may be anything.
    fn gap(&mut self) {
        let at = if self.run.starts { At::Start } else { At::Within };
        self.keep(at);
        let next = Run { starts: false, texts: vec![Vec::new()] };
        let ended = std::mem::replace(&mut self.run, next);
        self.gaps += 1;
        self.first.get_or_insert(ended.texts);
    }

    /// Notes what the run gives away, unless that is nothing.
    fn keep(&mut self, at: At) {
        let says_something = at == At::Whole || self.run.texts.iter().all(|text| !text.is_empty());
        if says_something && self.clues.len() < MOST_CLUES {
            self.clues.push(Clue::any_of(at, self.run.texts.iter().map(Vec::as_slice)));
        }
    }
}

/// The members of a class of few, in lower case; None when there are more. Both cases of a letter are one text, though
/// of `(?i)s` the long s is another.
fn members(class: &Class) -> Option<Vec<Vec<u8>>> {
    let mut members: Vec<Vec<u8>> = match class {
        Class::Unicode(class) => {
            let chars = class.ranges().iter().flat_map(|range| range.start()..=range.end());
            chars.take(MOST_TEXTS + 1).map(|member| member.to_string().into_bytes()).collect()
        }
        Class::Bytes(class) => {
            let bytes = class.ranges().iter().flat_map(|range| range.start()..=range.end());
            bytes.take(MOST_TEXTS + 1).map(|member| vec![member]).collect()
        }
    };
    if members.is_empty() || members.len() > MOST_TEXTS {
        return None;
    }
    members.iter_mut().for_each(|member| member.make_ascii_lowercase());
    members.sort_unstable();
    members.dedup();
    Some(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, expected: &[(At, &[&str])]) {
        let hir = regex_syntax::parse(pattern).expect("a valid expression");
        let found = clues(&hir);
        let shown: Vec<(At, Vec<String>)> = found
            .iter()
            .map(|clue| {
                (clue.at, clue.texts.iter().map(|it| String::from_utf8_lossy(it).into_owned()).collect())
            })
            .collect();
        let expected: Vec<(At, Vec<String>)> = expected
            .iter()
            .map(|(at, texts)| (*at, texts.iter().map(|it| (*it).to_owned()).collect()))
            .collect();
        assert_eq!(shown, expected, "{pattern}");
    }

    #[test]
    fn what_must_be_in_a_match_is_read_off_the_expression() {
        use At::{End, Start, Whole, Within};
        check("/a", &[(Whole, &["/a"])]);
        check("^/A$", &[(Whole, &["/a"])]);
        check("", &[(Whole, &[""])]);
        check("/v[0-9]+/orders/.*", &[(Start, &["/v"]), (Within, &["/orders/"])]);
        check(".*/orders/[^/]+", &[(Within, &["/orders/"])]);
        check("/a/.*[.]json", &[(Start, &["/a/"]), (End, &[".json"])]);
        check("/(a|b)/(?:c|d)", &[(Whole, &["/a/c", "/a/d", "/b/c", "/b/d"])]);
        check("/a/.*|/b/.*", &[(Start, &["/a/", "/b/"])]);
        check("/x/(a/.*|b)/y", &[(Start, &["/x/a/", "/x/b"]), (End, &["/y"])]);
        check("(?i)/foo", &[(Whole, &["/foo"])]);
        check("(?i)/S", &[(Whole, &["/s", "/ſ"])]);
        check("/a(bc)+d", &[(Start, &["/abc"]), (End, &["d"])]);
        check("/a(bc)*d", &[(Start, &["/a"]), (End, &["d"])]);
        check("/a(bc)?d", &[(Start, &["/a"]), (End, &["d"])]);
        check("/[ab]/", &[(Whole, &["/a/", "/b/"])]);
        for nothing in [".*", "[a-z]+", "(a.*|.*)", "(?:|a).*"] {
            check(nothing, &[]);
        }
    }

    #[test]
    fn clues_are_few_and_short_whatever_is_written() {
        let long = "x".repeat(1_000);
        let many: String = (0..100).map(|number| format!("/{number}.*")).collect();
        let alternatives: Vec<String> = (0..100).map(|number| format!("a{number}")).collect();
        for pattern in [&long, &many, &alternatives.join("|"), &"(a|b)".repeat(20), &"[ab]{20}".to_owned()] {
            let hir = regex_syntax::parse(pattern).expect("a valid expression");
            let found = clues(&hir);
            assert!(found.len() <= MOST_CLUES);
            for clue in &found {
                assert!(
                    clue.texts.len() <= MOST_TEXTS && clue.texts.iter().all(|text| text.len() <= LONGEST)
                );
            }
        }
    }
}
