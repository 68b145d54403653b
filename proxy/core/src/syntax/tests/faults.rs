//! Faults seeded into texts: each is found, and at its line and column.
//!
//! `§` marks the place that the problem is to name; it is taken out before the text is read.

use super::*;

/// Reads each text without its mark; its one problem stands at the mark and says what is expected.
fn check_places(format: Format, cases: &[(&str, &str)]) {
    for (marked, expected) in cases {
        let at = marked.find('§').unwrap_or_else(|| panic!("{marked}: no mark"));
        let line = marked[..at].matches('\n').count() + 1;
        let column = marked[..at].chars().rev().take_while(|c| *c != '\n').count() + 1;
        let (_, problems) = read(format, marked.replace('§', ""));
        let [problem] = &problems[..] else { panic!("{marked}: {problems:#?}") };
        assert_eq!(problem, &format!("f:{line}:{column}: {expected}"), "{marked}");
    }
}

#[test]
fn a_fault_in_hcl_is_found_at_its_line_and_column() {
    check_places(
        Format::Hcl,
        &[
            ("Kind = \"a\"\nName = §web\n", "`web` is not a value: strings are quoted, write \"web\""),
            ("a {\n  b = 1\n  c {\n    d = 2\n  }\n§", "ends inside a block: a `}` is missing"),
            ("a {\n}\n§}\n", "closes a block that was not opened"),
            ("a = [\n  1,\n  2\n  §3\n]", "`3` stands where a comma or the end of the list is expected"),
            (
                "a = [\n  { b = 1 }\n  §{ b = 2 }\n]",
                "`{` stands where a comma or the end of the list is expected",
            ),
            ("é = \"ü\" §: 2", "`:` stands where `=` is expected"),
            ("a = 1\r\nb = §'x'\r\n", "strings are quoted with \", not with '"),
            ("\u{feff}a = 1\n§= 2", "`=` stands where a key is expected"),
            ("a = §\"x\nb = 2", "the string is not closed: a `\"` is missing on this line"),
            ("a = §\"x ${ y\nb = 2", "a `${` in the string is not closed by a `}`"),
            ("a = \"\\n\\t§\\q\"", "is no escape that a string can hold"),
            ("a = \"§\\u12g4\"", "is no escape that a string can hold"),
            ("a = \"§\\777\"", "is no escape that a string can hold"),
            ("a = §\"\\xff\"", "its escapes are not UTF-8 text"),
            ("a = §0x", "`0x` is not a number; a string is quoted"),
            ("a = §1.2.3", "`1.2.3` is not a number; a string is quoted"),
            ("a = §99x", "`99x` is not a number; a string is quoted"),
            ("a = 1 /* c\n */ b = §", "the file ends where a value is expected"),
            ("a = 1\n  §/* c", "the comment is not closed: `*/` is missing"),
            (
                "a = §<<EOF\nx\n EOFX\n",
                "the heredoc is not closed: its word does not stand on a line of its own",
            ),
            ("a = §<<EOF x\nEOF\n", "a heredoc starts with `<<` and a word, such as <<EOT"),
            ("a \"b\" §= 1", "`=` stands after a label, which only a block has: write `{`"),
            ("a {\n  b §\"c\"\n}", "a `=` is missing between `b` and its value"),
            ("a = { b = 1 §] }", "`]` stands where a key is expected"),
            ("# x\n\n\ta = §?", "'?' has no meaning here"),
            ("a = \"x\"\n# y §\0 z", "holds a NUL character, which no text does"),
        ],
    );
}

#[test]
fn a_fault_in_json_is_found_at_its_line_and_column() {
    check_places(
        Format::Json,
        &[
            ("{\n  \"a\": 1§,\n}", "is not JSON: trailing commas are not allowed"),
            ("[1, 2§,]", "is not JSON: trailing commas are not allowed"),
            ("{\n  \"a\": 1\n  §\"b\": 2\n}", "is not JSON: a comma or the end of the map is expected"),
            ("[1 §2]", "is not JSON: a comma or the end of the list is expected"),
            ("{\"a\" §1}", "is not JSON: a `:` is missing between a key and its value"),
            ("{\"a\": §}", "is not JSON: a value is missing here"),
            ("[§,1]", "is not JSON: a value is missing here"),
            ("{§a: 1}", "is not JSON: a key is a string in double quotes"),
            ("{\"a\": 1, §2: 3}", "is not JSON: a key is a string in double quotes"),
            ("{§'a': 1}", "is not JSON: single-quoted strings are not allowed"),
            ("{\"é\": §yes}", "is not JSON: `yes` is not a value; a string is quoted"),
            ("{\"a\": §NaN}", "is not JSON: `NaN` is not a value; a string is quoted"),
            ("[§-Infinity]", "is not JSON: `-Infinity` is not a value; a string is quoted"),
            ("[§01]", "is not JSON: `01` is not a value; a string is quoted"),
            ("[§1.]", "is not JSON: `1.` is not a value; a string is quoted"),
            ("[§+1]", "is not JSON: `+1` is not a value; a string is quoted"),
            ("[§0x10]", "is not JSON: `0x10` is not a value; a string is quoted"),
            ("{\n \"a\": §\"x\n\"}", "is not JSON: the string is not closed on its line"),
            ("{\"a\": \"x§\\q\"}", "is not JSON: this is no escape that a string can hold"),
            ("[\"§\\u+123\"]", "is not JSON: this is no escape that a string can hold"),
            ("[\"§\\ud800 \"]", "is not JSON: this is half of a surrogate pair and no character"),
            ("[\"a§\tb\"]", "is not JSON: a control character in a string is written as \\u00XX"),
            ("{\"a\": 1 §// b\n}", "is not JSON: comments are not allowed"),
            ("{} §{}", "is not JSON: one value is all that a file can hold, and here another begins"),
            ("{\"a\": §[1, {\"b\": 2}", "is not JSON: this list is not closed"),
            ("§{\"a\": 1", "is not JSON: this map is not closed"),
            ("{\"a\":\n§", "is not JSON: the file ends where a value is expected"),
            ("{\"a\": \"§\0\"}", "holds a NUL character, which no text does"),
        ],
    );
}

#[test]
fn a_fault_in_yaml_is_found_at_its_line_and_column() {
    check_places(
        Format::Yaml,
        &[
            ("a: 1\nb: 2\n§a: 3\n", "the key \"a\" is given twice, first on line 1"),
            ("a:\n  - x: {y: 1, §y: 2}\n", "the key \"y\" is given twice, first on line 2"),
            ("a: §010\n", "010 is read as octal by some: quote it, or leave the leading zeros out"),
            ("a:\n  ? §[b]\n  : 1\n", "a key is a text, not a list or a map"),
            ("a: 1\n§~: 2\n", "a key is a text, not null"),
            ("a: &x\n  - §*x\n", "an alias stands inside of what it repeats"),
            ("a: b\n---\nc: §\0", "holds a NUL character, which no text does"),
        ],
    );
    for (text, place) in [
        ("a: [1, 2\nb: 3\n", "f:2:2:"),
        ("a: {b: 1\nc: 2\n", "f:2:2:"),
        ("a: b: c\n", "f:1:5:"),
        ("a:\n\t- 1\n", "f:2:2:"),
        ("a: *x\n", "f:1:4:"),
        ("a: \"x\n\nb: 1\n", "f:1:4:"),
        ("a: 'x\n", "f:1:4:"),
        ("a:\n  b: 1\n c: 2\n", "f:3:2:"),
        ("- a\nb: 1\n", "f:2:1:"),
        ("a: @b\n", "f:1:4:"),
        ("a: `b`\n", "f:1:4:"),
        ("a: !<x y\n", "f:1:4:"),
        ("a: \"\\q\"\n", "f:1:4:"),
        ("%YAML 3.0\n%YAML 1.2\n---\na: 1\n", "f:2:1:"),
        ("a: |x\n  b\n", "f:1:4:"),
    ] {
        let (_, problems) = read(Format::Yaml, text);
        assert!(problems.len() == 1 && problems[0].starts_with(place), "{text}: {problems:?}");
    }
}
