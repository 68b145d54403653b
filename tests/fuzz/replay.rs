//! Every fuzz target over a small fixed corpus, so that none of them rots between two rounds of fuzzing.
//!
//! Seeds are valid inputs and what fuzzing found before; mutations of them come from a fixed sequence of numbers.

mod seeds;
#[expect(unreachable_pub, reason = "the same file is the library of the fuzz package")]
mod targets;

use std::thread;

/// Mutated inputs a seed.
const ROUNDS: usize = 60;

#[test]
fn no_input_of_the_fixed_corpus_breaks_a_parser() {
    for (name, target) in targets::TARGETS {
        let seeds = seeds::of(name);
        assert!(!seeds.is_empty(), "the target {name} has no seeds");
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        for seed in &seeds {
            run(name, target, seed);
            for _ in 0..ROUNDS {
                run(name, target, &mutated(seed, &seeds, &mut numbers));
            }
        }
    }
}

fn run(name: &str, target: fn(&[u8]), input: &[u8]) {
    let shown = Shown { name, input };
    target(input);
    drop(shown);
}

/// Says which input was at work when a target panics.
struct Shown<'a> {
    name: &'a str,
    input: &'a [u8],
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{} was given b\"{}\"", self.name, self.input.escape_ascii());
        }
    }
}

/// Xorshift: the same numbers every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or_default() % end.max(1)
    }
}

/// One to four changes: a byte, a piece taken out or doubled, a hostile piece put in, the rest of another seed.
fn mutated(seed: &[u8], seeds: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    const PIECES: [&[u8]; 12] = [
        b"\0",
        b"\xff",
        b"\xed\xa0\x80",
        b"\n",
        b"\r\n",
        b"\"",
        b"{{",
        b"[[[[",
        b"&a *a",
        b"-1",
        b"1e999",
        b"\xef\xbb\xbf",
    ];
    let mut bytes = seed.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len());
        let end = (at + 1 + numbers.below(16)).min(bytes.len());
        match numbers.below(5) {
            0 if at < bytes.len() => bytes[at] = bytes[at].wrapping_add(1 << numbers.below(8)),
            1 if at < end => drop(bytes.drain(at..end)),
            2 if at < end => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            3 => drop(bytes.splice(at..at, PIECES[numbers.below(PIECES.len())].iter().copied())),
            _ => {
                let other = &seeds[numbers.below(seeds.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[numbers.below(other.len())..]);
            }
        }
    }
    bytes
}
