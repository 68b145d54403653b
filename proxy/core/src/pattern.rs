//! Regular expressions that operators write, to match whole values: paths, headers, query parameters.
//!
//! The syntax is RE2's, as Consul's users know it from Envoy (`re2` says where Rust's differs). An expression becomes
//! a finite automaton when tables are built, so a match reads each byte once, allocates nothing and takes no lock: the
//! caches that the `regex` crate fills as it goes are shared by threads. `literals` tells an index which texts a match
//! must contain. Kept out: go-bexpr's `matches`, which looks for a part of a value.

mod literals;
mod re2;

use regex_automata::dfa::{Automaton, dense, sparse};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::{Anchored, Input, MatchKind, meta};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

pub(crate) use literals::{At, Clue};

/// The longest expression that is looked at. All longer ones would exceed [`NFA_LIMIT`], and reading one of 50 MB to
/// find that out would take gigabytes.
const LONGEST: usize = 64 << 10;

/// The most memory that one expression may compile to, so that no entry can exhaust the process.
const NFA_LIMIT: usize = 1 << 20;

/// How many states that is at most, at 32 bytes each.
const MOST_STEPS: usize = NFA_LIMIT / 32;

/// The most memory that an automaton may take while it is being made. What routes ask for stays far below; an
/// expression such as `.*a.{20}` has a million states, and is matched with the states that a value happens to need.
const DFA_LIMIT: usize = 32 << 10;

/// A compiled expression.
pub struct Pattern {
    engine: Engine,
    clues: Box<[Clue]>,
}

enum Engine {
    Automaton(Box<sparse::DFA<Vec<u8>>>),
    /// For the few expressions whose automaton would be too large. Linear in time as well, but shares a cache.
    Lazy(meta::Regex),
}

/// A regular expression that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{pattern:?} is not a usable regular expression: {reason}")]
pub struct InvalidPattern {
    /// As written.
    pub pattern: String,
    /// What is wrong with it, on one line.
    pub reason: String,
}

impl Pattern {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn new(pattern: &str) -> Result<Self, InvalidPattern> {
        let (hir, nfa) = parse(pattern)?;
        let engine = match automaton(&nfa) {
            Some(automaton) => Engine::Automaton(Box::new(automaton)),
            None => Engine::Lazy(lazy(&hir).map_err(|reason| invalid(pattern, reason))?),
        };
        Ok(Self { engine, clues: literals::clues(&hir) })
    }

    /// Whether `pattern` can be used, without the costlier half of compiling it.
    ///
    /// # Errors
    /// When it is not in RE2's syntax (look-around, back-references), or compiles to more than 1 MiB.
    pub fn check(pattern: &str) -> Result<(), InvalidPattern> {
        parse(pattern).map(|_| ())
    }

    /// Whether it matches the whole of `value`, in time linear in its length. What is not UTF-8 in a value matches `\C`
    /// and nothing else.
    pub fn matches(&self, value: &[u8]) -> bool {
        let input = Input::new(value).anchored(Anchored::Yes);
        match &self.engine {
            // It has no bytes to give up at, so it does not fail.
            Engine::Automaton(automaton) => matches!(automaton.try_search_fwd(&input), Ok(Some(_))),
            Engine::Lazy(regex) => regex.is_match(input),
        }
    }

    /// What any value that matches has in it, for an index. Each of these holds; none may be known.
    pub(crate) fn clues(&self) -> &[Clue] {
        &self.clues
    }
}

/// Without the automaton, which fills pages.
impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pattern").field("clues", &self.clues).finish_non_exhaustive()
    }
}

fn invalid(pattern: &str, reason: String) -> InvalidPattern {
    InvalidPattern { pattern: pattern.to_owned(), reason }
}

/// The expression, and what it compiles to when it has to match from the first byte to the last.
fn parse(pattern: &str) -> Result<(Hir, NFA), InvalidPattern> {
    if pattern.len() > LONGEST {
        return Err(invalid(pattern, format!("it is longer than {} KiB", LONGEST >> 10)));
    }
    let hir = ParserBuilder::new().utf8(false).build().parse(&re2::translate(pattern)).map_err(|error| {
        // The last line says why; those before draw the expression.
        let text = error.to_string();
        invalid(pattern, text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned())
    })?;
    let too_large = || invalid(pattern, format!("it compiles to more than {} MiB", NFA_LIMIT >> 20));
    if steps(&hir) > MOST_STEPS {
        return Err(too_large());
    }
    let nfa = COMPILER.with(|compiler| {
        compiler.build_from_hir(&whole(&hir)).map_err(|error| {
            error.size_limit().map_or_else(|| invalid(pattern, error.to_string()), |_| too_large())
        })
    })?;
    Ok((hir, nfa))
}

thread_local! {
    /// Kept, because a new one spends 180 µs on making room for its caches before it compiles anything.
    static COMPILER: thompson::Compiler = {
        let config = thompson::Config::new().utf8(false).nfa_size_limit(Some(NFA_LIMIT));
        let mut compiler = thompson::Compiler::new();
        compiler.configure(config.which_captures(WhichCaptures::None));
        compiler
    };
}

/// About how many states an expression compiles to. Told without compiling it, as `(\pL{100}){100}` takes seconds to
/// reach a limit.
fn steps(hir: &Hir) -> usize {
    let sum = |parts: &[Hir]| parts.iter().map(steps).fold(0, usize::saturating_add);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(Class::Unicode(class)) => class.ranges().len(),
        HirKind::Class(Class::Bytes(class)) => class.ranges().len(),
        HirKind::Capture(capture) => steps(&capture.sub),
        HirKind::Concat(parts) => sum(parts),
        HirKind::Alternation(branches) => sum(branches).saturating_add(branches.len()),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            steps(&repetition.sub).saturating_add(1).saturating_mul(times as usize)
        }
    }
}

fn whole(hir: &Hir) -> Hir {
    Hir::concat(vec![Hir::look(Look::Start), hir.clone(), Hir::look(Look::End)])
}

/// None when it would be too large.
fn automaton(nfa: &NFA) -> Option<sparse::DFA<Vec<u8>>> {
    let config = dense::Config::new()
        .start_kind(regex_automata::dfa::StartKind::Anchored)
        // Whether it matches is all that is asked, so which of several ways is the first need not be told apart.
        .match_kind(MatchKind::All)
        .accelerate(false)
        .dfa_size_limit(Some(DFA_LIMIT))
        .determinize_size_limit(Some(DFA_LIMIT));
    dense::Builder::new().configure(config).build_from_nfa(nfa).ok()?.to_sparse().ok()
}

fn lazy(hir: &Hir) -> Result<meta::Regex, String> {
    let config = meta::Config::new().utf8_empty(false).nfa_size_limit(Some(NFA_LIMIT));
    meta::Builder::new().configure(config).build_from_hir(&whole(hir)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
