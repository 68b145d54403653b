//! Chains deeper and wider than anyone means them: they compile, or say clearly why not.

use crate::chain::check_all;
use crate::chain::fixtures::{Entries, leads, name, redirect, split, target_ids};

const DEEP: usize = 10_000;

fn conflicts(entries: &Entries) -> usize {
    check_all(&entries.0, &name("dc1"), &name("td.consul")).len()
}

#[test]
fn ten_thousand_redirects_in_a_row_are_followed() {
    let entries = (0..DEEP).fold(Entries::default(), |entries, i| {
        entries.redirect(&format!("s{i}"), redirect(&format!("s{}", i + 1)))
    });
    assert_eq!(target_ids(&entries.chain("s0")), [format!("s{DEEP}.default.default.dc1")]);
    assert_eq!(conflicts(&entries), 0);
}

#[test]
fn a_circle_of_ten_thousand_redirects_is_found() {
    let entries = (0..DEEP).fold(Entries::default(), |entries, i| {
        entries.redirect(&format!("s{i}"), redirect(&format!("s{}", (i + 1) % DEEP)))
    });
    assert!(entries.error("s0").to_string().starts_with("detected circular resolver redirect: [s0."));
    assert_eq!(conflicts(&entries), 1);
}

#[test]
fn ten_thousand_nested_splitters_become_one() {
    let entries = (0..DEEP).fold(Entries::http(), |entries, i| {
        entries.splitter(&format!("s{i}"), [split(100.0, &format!("s{}", i + 1))])
    });
    let chain = entries.chain("s0");
    assert_eq!(
        leads(&chain, "splitter:s0.default.default"),
        [format!("100% resolver:s{DEEP}.default.default.dc1")]
    );
    assert_eq!(chain.nodes.len(), 2);
    assert_eq!(conflicts(&entries), 0);
}

#[test]
fn a_circle_of_ten_thousand_splitters_is_found() {
    let entries = (0..DEEP).fold(Entries::http(), |entries, i| {
        entries.splitter(&format!("s{i}"), [split(100.0, &format!("s{}", (i + 1) % DEEP))])
    });
    assert!(entries.error("s0").to_string().starts_with("detected circular reference: [splitter:s0."));
    assert_eq!(conflicts(&entries), 1);
}

#[test]
fn splitters_that_multiply_beyond_measure_are_refused() {
    // Each of 40 layers has two splitters that both split between the two of the next: 2^40 legs.
    let entries = (0..40).fold(Entries::http(), |entries, i| {
        let next = || [split(50.0, &format!("a{}", i + 1)), split(50.0, &format!("b{}", i + 1))];
        entries.splitter(&format!("a{i}"), next()).splitter(&format!("b{i}"), next())
    });
    let error = entries.error("a0");
    assert_eq!(
        error.to_string(),
        "discovery chain \"a0\" has more than 100000 splits to flatten; nest splitters less"
    );
    assert_eq!(error.at_fault().to_string(), "service-splitter \"a0\"");
}
