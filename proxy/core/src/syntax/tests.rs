//! What the three formats mean, and what hostile text comes to.

mod faults;

use std::fmt::Write;

use proptest::prelude::*;

use super::*;

fn read(format: Format, text: impl AsRef<[u8]>) -> (Vec<Node>, Vec<String>) {
    let (documents, problems) = parse(&Arc::new("f".into()), format, text.as_ref());
    (documents, problems.iter().map(ToString::to_string).collect())
}

/// A value as text, for comparing: maps in braces, lists in brackets.
fn shown(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(bool) => bool.to_string(),
        Value::Number(number) => number.as_str().to_owned(),
        Value::String(text) => format!("{text:?}"),
        Value::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::Map(pairs) => {
            let pairs: Vec<_> =
                pairs.iter().map(|(key, node)| format!("{}={}", key.name, shown(node))).collect();
            format!("{{{}}}", pairs.join(" "))
        }
    }
}

fn check(format: Format, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let (documents, problems) = read(format, text);
        assert_eq!(problems, Vec::<String>::new(), "{text}");
        assert_eq!(documents.iter().map(shown).collect::<Vec<_>>().join(" / "), *expected, "{text}");
    }
}

/// Each text has one problem.
fn check_fault(format: Format, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(read(format, text).1, [*expected], "{text}");
    }
}

#[test]
fn hcl_is_read_as_consul_reads_it() {
    check(
        Format::Hcl,
        &[
            ("", ""),
            ("# a\n// b\n/* c\nd */ ## e", "{}"),
            ("a = 1 b = \"x\"\nc = true", "{a=1 b=\"x\" c=true}"),
            ("a { b { c = 1 } }", "{a={b={c=1}}}"),
            ("a \"x\" \"y\" { b = 1 }", "{a={x={y={b=1}}}}"),
            ("a { b = 1 }\na { b = 2 }", "{a={b=1} a={b=2}}"),
            ("\"*\" = { \"a b\" = [] }", "{*={a b=[]}}"),
            (
                "a = [1, 2.5, -3, \"x\", { b = 1 c { d = 2 } }, [true],]",
                "{a=[1 2.5 -3 \"x\" {b=1 c={d=2}} [true]]}",
            ),
            ("a = { b = 1, c = 2 d = 3\ne = 4 }", "{a={b=1 c=2 d=3 e=4}}"),
            ("a-b.c_d = 0x1F\noct = 0600\nexp = 1e3", "{a-b.c_d=31 oct=384 exp=1e3}"),
            (r#"a = "q\"\\\n\t\u00e9\x41""#, r#"{a="q\"\\\n\té A"}"#.replace("é A", "éA").as_str()),
            ("a = \"${b(\"c\")}\"", r#"{a="${b(\"c\")}"}"#),
            ("a = <<EOT\nx\n  y\nEOT\nb = 1", r#"{a="x\n  y\n" b=1}"#),
            ("a = <<-EOT\n    x\n      y\n    EOT\n", r#"{a="x\n  y\n"}"#),
            ("a = \"{{ GetInterfaceIP \"eth0\" }}\"", r#"{a="{{ GetInterfaceIP \"eth0\" }}"}"#),
            ("a = \"{{ GetInterfaceIP \\\"eth0\\\" }}\"", r#"{a="{{ GetInterfaceIP \"eth0\" }}"}"#),
            ("a = \"{{\"", r#"{a="{{"}"#),
            ("a = <<EOT\nx\n  EOT\nb = 1", r#"{a="x\n  " b=1}"#),
            ("a = <<-EOT\n    x\n\n    EOT\n", r#"{a="    x\n\n"}"#),
            ("a = <<EOT\r\nx\r\nEOT \r\nEOT\r\n", r#"{a="x\nEOT \n"}"#),
            ("a = [<<A\nx\nA\n, <<B\ny\nB\n]", r#"{a=["x\n" "y\n"]}"#),
            ("a = [,1,,2,] b = [[1] [2]]", "{a=[1 2] b=[[1] [2]]}"),
            (
                r#"a = "\xc3\xa9\303\251\U0001f600""#,
                r#"{a="éé\u{1f600}"}"#.replace(r"\u{1f600}", "\u{1f600}").as_str(),
            ),
            ("a = \"${ f(\n\"x\") }$\"", r#"{a="${ f(\n\"x\") }$"}"#),
            ("a = .5 b = 1. c = -0x10 d = 1E-3", "{a=.5 b=1. c=-16 d=1E-3}"),
            ("é = 1 \"\" = 2 true = 3", "{é=1 =2 true=3}"),
            ("\u{feff}a = 1\r\nb = 2\r\n", "{a=1 b=2}"),
            ("{\"a\": [1]}", "{a=[1]}"),
        ],
    );
}

#[test]
fn a_fault_in_hcl_is_named_with_its_place() {
    check_fault(
        Format::Hcl,
        &[
            ("a = b", "f:1:5: `b` is not a value: strings are quoted, write \"b\""),
            ("a = 'b'", "f:1:5: strings are quoted with \", not with '"),
            ("a: 1", "f:1:2: `:` stands where `=` is expected"),
            ("a 1", "f:1:3: `1` stands where `=` or a block is expected after `a`"),
            ("a \"b\"", "f:1:3: a `=` is missing between `a` and its value"),
            ("a = \"b\n\"", "f:1:5: the string is not closed: a `\"` is missing on this line"),
            ("a = \"é\\q\"", "f:1:7: is no escape that a string can hold"),
            ("a {\n b = 1", "f:2:7: ends inside a block: a `}` is missing"),
            ("a = 1\n}", "f:2:1: closes a block that was not opened"),
            ("a = [1 2]", "f:1:8: `2` stands where a comma or the end of the list is expected"),
            ("a = ]", "f:1:5: `]` stands where a value is expected"),
            ("a =", "f:1:4: the file ends where a value is expected"),
            ("a = 1x", "f:1:5: `1x` is not a number; a string is quoted"),
            ("a = 089", "f:1:5: `089` is not a number; a string is quoted"),
            (
                "a = <<EOT\nx\n",
                "f:1:5: the heredoc is not closed: its word does not stand on a line of its own",
            ),
            ("a = <<\n", "f:1:5: a heredoc starts with `<<` and a word, such as <<EOT"),
            ("/* a", "f:1:1: the comment is not closed: `*/` is missing"),
            ("a = \u{1f600}", "f:1:5: '\u{1f600}' has no meaning here"),
            ("\"\" ", "f:1:4: the file ends where `=` or a block is expected after ``"),
        ],
    );
    let (_, problems) = read(Format::Hcl, "a = b\nc = d");
    assert_eq!(problems.len(), 2, "a slip does not hide the next: {problems:?}");
}

#[test]
fn json_is_strict_and_keeps_places() {
    check(
        Format::Json,
        &[
            ("", ""),
            (" \n", ""),
            (r#"{"a": [1, -2.50, 1e3, true, null, "\u00e9\n"]}"#, r#"{a=[1 -2.50 1e3 true null "é\n"]}"#),
            (r#"{"a": 1, "a": 2}"#, "{a=1 a=2}"),
            ("12345678901234567890", "12345678901234567890"),
        ],
    );
    check_fault(
        Format::Json,
        &[
            ("{\"a\": 1,}", "f:1:8: is not JSON: trailing commas are not allowed"),
            ("{\n // a\n}", "f:2:2: is not JSON: comments are not allowed"),
            ("{\"a\": NaN}", "f:1:7: is not JSON: `NaN` is not a value; a string is quoted"),
            ("{a: 1}", "f:1:2: is not JSON: a key is a string in double quotes"),
            ("{\"a\": 'b'}", "f:1:7: is not JSON: single-quoted strings are not allowed"),
            ("{} {}", "f:1:4: is not JSON: one value is all that a file can hold, and here another begins"),
            ("{\"a\": [1", "f:1:7: is not JSON: this list is not closed"),
        ],
    );
    let (documents, _) = read(Format::Json, "{\n  \"é\": \"é\", \"b\": [\n 7]}");
    let Value::Map(pairs) = &documents[0].value else { panic!("{documents:?}") };
    let places: Vec<_> = pairs.iter().map(|(key, node)| format!("{} {}", key.place, node.place)).collect();
    assert_eq!(places, ["f:2:3 f:2:8", "f:2:13 f:2:18"]);
}

#[test]
fn yaml_is_read_by_the_core_schema_document_by_document() {
    check(
        Format::Yaml,
        &[
            ("", ""),
            ("---\n# a\n", ""),
            ("a: 1\nb: [x, 'y', \"z\"]\n---\nc: {d: true}\n", "{a=1 b=[\"x\" \"y\" \"z\"]} / {c={d=true}}"),
            (
                "a: ~\nb: 'true'\nc: yes\nd: .nan\ne: 1.10\nf: 0x10\ng: 15s",
                r#"{a=null b="true" c="yes" d=".nan" e=1.10 f=16 g="15s"}"#,
            ),
            ("a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  b: 2\n  e: 3", "{a={b=1} c={b=1} d={b=2 e=3}}"),
            ("a: |\n  x\n  y\nb: >\n  x\n  y\n", r#"{a="x\ny\n" b="x y\n"}"#),
            ("'*':\n  - 1\n1: x\ntrue: y", r#"{*=[1] 1="x" true="y"}"#),
            ("a: !!str 5\nb: !!int '5'\nc: !mine 5\nd: !!null x", r#"{a="5" b=5 c=5 d="x"}"#),
            ("\u{feff}a: |-\r\n  x\r\n  y\r\nb: >+\r\n  z\r\n\r\n", r#"{a="x\ny" b="z\n\n"}"#),
            ("--- # a\n...\n---\na: &x [1]\nb: [*x, *x]\n...\n---\n", "{a=[1] b=[[1] [1]]}"),
            (
                "x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz:\n  <<: [*x, *y]\n  a: 0",
                "{x={a=1 b=2} y={b=3 c=4} z={a=0 b=2 c=4}}",
            ),
            (
                "a: 1_000\nb: 0o17\nc: .inf\nd: -.5\ne: 2001-01-01\nf: '010'",
                r#"{a="1_000" b=15 c=".inf" d=-.5 e="2001-01-01" f="010"}"#,
            ),
        ],
    );
    for (text, place) in [
        ("a: [1", "f:2:1: is not YAML: while parsing a flow sequence, expected ',' or ']'"),
        ("a: b: c", "f:1:"),
        ("a:\n\t- 1", "f:2:"),
        ("a: *x", "f:1:"),
        ("? [a]\n: 1", "f:1:3: a key is a text, not a list or a map"),
        ("a: &x [*x]", "f:1:8: an alias stands inside of what it repeats"),
    ] {
        let (_, problems) = read(Format::Yaml, text);
        assert!(problems.len() == 1 && problems[0].starts_with(place), "{text}: {problems:?}");
    }
}

#[test]
fn hostile_text_ends_in_one_problem() {
    let deep = |open: &str| open.repeat(10_000);
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..30 {
        let _ = writeln!(bomb, "a{i}: &a{i} [{}]", vec![format!("*a{}", i - 1); 10].join(", "));
    }
    // Each alias stands as deep as can be and repeats something as deep.
    let mut tower = format!("a0: &a0 {}{}\n", "[".repeat(60), "]".repeat(60));
    for i in 1..200 {
        let _ = writeln!(tower, "a{i}: &a{i} {}*a{}{}", "[".repeat(60), i - 1, "]".repeat(60));
    }
    let deepest = "is nested more than 100 deep";
    let most = "holds more than 3000000 values";
    for (format, text, expected) in [
        (Format::Hcl, "a = ".to_owned() + &deep("["), deepest),
        (Format::Hcl, deep("a {"), deepest),
        (Format::Hcl, "a ".to_owned() + &deep("\"b\" ") + "{}", deepest),
        (Format::Json, deep("["), deepest),
        (Format::Json, deep("{\"a\":"), deepest),
        (Format::Yaml, deep("["), "is not YAML: recursion limit exceeded"),
        (Format::Yaml, deep("- "), deepest),
        (Format::Yaml, deep("? "), "a key is a text, not a list or a map"),
        (Format::Yaml, deep("{a: "), "is not YAML: recursion limit exceeded"),
        (Format::Yaml, bomb, most),
        (Format::Yaml, tower, deepest),
        (
            Format::Yaml,
            format!("[{}1]", "1,".repeat(1_000_001)),
            "holds more than 1000000 commas and brackets",
        ),
        (Format::Hcl, "#".repeat((64 << 20) + 1), "is 67108865 bytes long; at most 67108864 are read"),
    ] {
        let (documents, problems) = read(format, &text);
        assert!(documents.is_empty(), "{:.40}", text);
        assert!(problems.len() == 1 && problems[0].contains(expected), "{:.40}: {problems:?}", text);
    }
    assert_eq!(read(Format::Hcl, b"a = 1\nb\xc3\xa9\xff").1, ["f:2:3: is not UTF-8 text"]);
}

#[test]
fn numbers_keep_what_was_written() {
    for (text, integer, float) in [
        ("9223372036854775807", Some(i64::MAX), Some(9_223_372_036_854_775_807.0)),
        ("5.0", Some(5), Some(5.0)),
        ("5.5", None, Some(5.5)),
        ("-1e2", Some(-100), Some(-100.0)),
        ("1e999", None, None),
        ("99999999999999999999", None, Some(1e20)),
    ] {
        let number = Number::decimal(text).expect("a number");
        assert_eq!((number.as_str(), number.as_i64(), number.as_f64()), (text, integer, float));
    }
    for text in ["NaN", "inf", "", "1x", "--1", "1_000"] {
        assert_eq!(Number::decimal(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_reader_panic(text in "[a-c\"'{}\\[\\]=:,#*&!|>?<\\-\\\\$ \n\t0-9.~é]{0,120}", which in 0..3) {
        let format = [Format::Hcl, Format::Json, Format::Yaml][which as usize];
        let _ = read(format, text);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), which in 0..3) {
        let format = [Format::Hcl, Format::Json, Format::Yaml][which as usize];
        let _ = read(format, bytes);
    }
}
