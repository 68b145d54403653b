//! The nearest of several names: what a hint in a message says was meant.

/// The candidate with the fewest edits (insert, delete, replace, swap neighbours; case is free) from `name`,
/// if it is near enough to have been meant: one edit, and another for every four letters of the longer name.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A hint is not worth more: past so many candidates one is as good as none.
    const MOST: usize = 1_000;
    // A name longer than any that we know is not a slip of the finger, and comparing costs its length.
    if name.len() > 256 {
        return None;
    }
    let plain = fold(name);
    candidates
        .into_iter()
        .take(MOST)
        .filter_map(|candidate| {
            let other = fold(candidate);
            let allowed = 1 + plain.len().max(other.len()) / 4;
            let near = plain.len().abs_diff(other.len()) <= allowed;
            let edits = if near { distance(&plain, &other) } else { usize::MAX };
            (edits <= allowed && edits < plain.len().max(1)).then_some((edits, candidate))
        })
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

fn fold(name: &str) -> Vec<char> {
    name.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect()
}

/// Optimal string alignment, row by row.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let replaced = above[j] + usize::from(x != y);
            let mut best = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_what_was_meant_and_a_stranger_finds_nothing() {
        for (name, expected) in [
            ("Wieght", Some("Weight")),
            ("weight", Some("Weight")),
            ("Servce", Some("Service")),
            ("service_subst", Some("ServiceSubset")),
            ("ServiceSubset", Some("ServiceSubset")),
            ("Zebra", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, ["Weight", "Service", "ServiceSubset"]), expected, "{name}");
        }
    }
}
