//! What expressions match, what is refused, and what neither costs.

use std::time::{Duration, Instant};

use super::*;

fn check(pattern: &str, cases: &[(&str, bool)]) {
    let compiled = Pattern::new(pattern).expect(pattern);
    for (value, expected) in cases {
        assert_eq!(compiled.matches(value.as_bytes()), *expected, "{pattern} {value}");
    }
}

#[test]
fn an_expression_matches_the_whole_value() {
    check(
        "/a|/b",
        &[("/a", true), ("/b", true), ("/ab", false), ("x/b", false), ("/a\n", false), ("", false)],
    );
    check("a|ab", &[("ab", true), ("a", true)]);
    check("", &[("", true), ("a", false)]);
    check("^/a$", &[("/a", true), ("/a/", false)]);
    check("(?m)^/a$", &[("/a", true), ("/a\n/a", false)]);
}

#[test]
fn the_syntax_is_that_of_re2() {
    check(r"/\Qa.b\E.*", &[("/a.b/c", true), ("/axb", false)]);
    check("/users/{id}", &[("/users/{id}", true), ("/users/7", false)]);
    check(r"\d+", &[("12", true), ("١٢", false)]);
    check(r"\w+", &[("a_1", true), ("é", false)]);
    check(".", &[("é", true), ("\n", false)]);
    check("(?s).", &[("\n", true)]);
    check(r"\pL\p{Greek}", &[("éα", true), ("1a", false)]);
    check("[[:alpha:]]+[[:^digit:]]", &[("ab-", true), ("ab1", false)]);
    check("(?P<version>v[0-9])(?i:x)(?U)a+?", &[("v1Xaa", true), ("v1xa", true)]);
    check(r"a\b-\Bb?", &[("a-", true)]);
    check("(?i)straße", &[("STRAßE", true), ("ſtraße", true)]);
}

#[test]
fn bytes_that_are_not_utf8_match_only_any_byte() {
    for (pattern, expected) in [(".", false), ("[^a]", false), (r"\C", true), (r"(?s-u:.)", true)] {
        assert_eq!(Pattern::new(pattern).expect(pattern).matches(b"\xff"), expected, "{pattern}");
    }
}

#[test]
fn an_unusable_expression_is_refused_with_its_reason() {
    for (pattern, reason) in [
        ("(", "unclosed group"),
        ("a)|(b", "unopened group"),
        ("[a", "unclosed character class"),
        (r"(?=x)", "look-around, including look-ahead and look-behind, is not supported"),
        (r"(a)\1", "backreferences are not supported"),
        ("*", "repetition operator missing expression"),
        ("(a{1000}){1000}", "it compiles to more than 1 MiB"),
        (r"\pL{1000}", "it compiles to more than 1 MiB"),
        (&"a".repeat(LONGEST + 1), "it is longer than 64 KiB"),
        (
            &["(".repeat(10_000), ")".repeat(10_000)].concat(),
            "exceed the maximum number of nested parentheses/brackets (250)",
        ),
    ] {
        assert_eq!(Pattern::check(pattern).expect_err(pattern).reason, reason);
        assert_eq!(Pattern::new(pattern).expect_err(pattern).reason, reason);
    }
    assert_eq!(Pattern::check("a|b"), Ok(()));
}

#[test]
fn an_expression_with_too_many_states_matches_as_well() {
    let compiled = Pattern::new(".*a[ab]{20}").expect("a small expression");
    assert!(matches!(compiled.engine, Engine::Lazy(_)));
    check(".*a[ab]{20}", &[("abbbbbbbbbbbbbbbbbbbb", true), ("bbbbbbbbbbbbbbbbbbbbb", false), ("", false)]);
    check(r".*a\C{20}", &[("abbbbbbbbbbbbbbbbbbbb", true), ("bbbbbbbbbbbbbbbbbbbbb", false)]);
    let common = Pattern::new("/v[0-9]+/[^/]+/(items|orders)/.*").expect("a small expression");
    assert!(matches!(common.engine, Engine::Automaton(_)));
}

/// Whoever backtracks takes longer than the world will last. How long it takes in fact is for benchmarks to say.
#[test]
fn a_long_value_takes_time_in_proportion_whatever_the_expression() {
    let value = "a".repeat(100_000);
    for pattern in ["(a*)*b", "(a|aa)+b", "(a|a)*b", "a*a*a*a*a*a*b", ".*.*.*=.*", ".*a[ab]{20}b", "(x+x+)+y"]
    {
        let compiled = Pattern::new(pattern).expect(pattern);
        let start = Instant::now();
        assert!(!compiled.matches(value.as_bytes()), "{pattern}");
        assert!(start.elapsed() < Duration::from_secs(10), "{pattern} took {:?}", start.elapsed());
    }
}
