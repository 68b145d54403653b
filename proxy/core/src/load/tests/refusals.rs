//! What Consul's community edition says of each fault of a single entry, and what it lets pass.
//!
//! [`faults`](super::faults) has places and fields; here only Consul's words count, for every check that it makes.

mod access;
mod routing;
mod settings;

use super::*;

/// Reads the body of an entry and compares: with words, they stand in an error; without, there is no error.
#[track_caller]
fn check(kind: &str, cases: &[(&str, Option<&str>)]) {
    for (body, expected) in cases {
        let name = match kind {
            "mesh" => "",
            "proxy-defaults" => "Name = \"global\"",
            "exported-services" => "Name = \"default\"",
            _ => "Name = \"web\"",
        };
        let (_, problems) = read(&[("e.hcl", &format!("Kind = \"{kind}\"\n{name}\n{body}"))]);
        let errors: Vec<_> = problems.iter().filter(|it| !it.contains(": warning: ")).collect();
        match expected {
            Some(words) => {
                assert!(errors.iter().any(|it| it.contains(words)), "{body}\n{words}\n{problems:?}");
            }
            None => assert_eq!(errors, Vec::<&String>::new(), "{body}"),
        }
    }
}

#[test]
fn free_form_meta_has_consuls_bounds() {
    let pairs = |count: usize, key: usize, value: usize| {
        let pair = |i: usize| format!("\"{i:0key$}\" = \"{}\"\n", "v".repeat(value));
        format!("Meta {{\n{}}}", (0..count).map(pair).collect::<String>())
    };
    check(
        "service-router",
        &[
            (&pairs(64, 128, 512), None),
            (&pairs(65, 5, 5), Some("Meta exceeds maximum element count 64")),
            (&pairs(1, 129, 5), Some("exceeds maximum length 128")),
            (&pairs(1, 5, 513), Some("exceeds maximum length 512")),
        ],
    );
}
