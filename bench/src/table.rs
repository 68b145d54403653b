//! The table of a run: medians over its rounds, and ratios that are each taken within one round.
//!
//! The machine drifts by more than proxies differ, so only what was measured side by side is divided.

use std::fmt::Write;
use std::time::Duration;

use crate::load::Answered;
use crate::peers::Peer;

/// One round of one proxy.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// CPU time that its sides used, in order, while `amount` was done.
    pub(crate) sides: Vec<Duration>,
    /// And the backend.
    pub(crate) backend: Duration,
    /// How much that was, in the case's unit.
    pub(crate) amount: f64,
    /// And how long it took.
    pub(crate) elapsed: Duration,
    /// What the load generator saw, which began before that and ended after it.
    pub(crate) answered: Answered,
}

impl Sample {
    /// CPU microseconds a unit of one side.
    fn of_side(&self, side: usize) -> f64 {
        self.sides.get(side).map_or(f64::NAN, |cpu| micros(*cpu) / self.amount)
    }

    /// CPU microseconds a unit of all sides.
    pub(crate) fn cost(&self) -> f64 {
        micros(self.sides.iter().sum()) / self.amount
    }

    /// What half of the requests took, in milliseconds; not a number when none was done in time.
    pub(crate) fn p50(&self) -> f64 {
        self.millis(self.answered.p50)
    }

    /// What 99 of 100 requests took.
    fn p99(&self) -> f64 {
        self.millis(self.answered.p99)
    }

    fn millis(&self, latency: Duration) -> f64 {
        if self.answered.requests == 0 { f64::NAN } else { micros(latency) / 1e3 }
    }
}

/// One proxy at one case.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Which case.
    pub(crate) label: String,
    /// Who.
    pub(crate) peer: Peer,
    /// Its rounds, in order: at one index stands for every proxy what ran side by side.
    pub(crate) rounds: Vec<Sample>,
    /// System calls a unit of each side, where they could be counted.
    pub(crate) calls: Vec<Option<f64>>,
    /// Resident bytes of each side after the last round.
    pub(crate) resident: Vec<u64>,
}

impl Row {
    /// One without a round yet.
    pub(crate) fn new(label: &str, peer: Peer) -> Self {
        Self { label: label.to_owned(), peer, rounds: Vec::new(), calls: Vec::new(), resident: Vec::new() }
    }

    /// The median over rounds.
    pub(crate) fn middle(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        median(self.rounds.iter().map(of).collect())
    }

    /// Its ratios to another's, round by round.
    pub(crate) fn ratios(&self, other: &Self, of: impl Fn(&Sample) -> f64) -> Vec<f64> {
        self.rounds.iter().zip(&other.rounds).map(|(own, other)| of(own) / of(other)).collect()
    }
}

const HEADER: [&str; 12] = [
    "case",
    "proxy",
    "CPU µs",
    "backend µs",
    "CPU ratio (range)",
    "p50 ms",
    "ratio",
    "p99 ms",
    "ratio",
    "units/s",
    "system calls",
    "RSS MiB",
];

/// All rows; ratios are to `base`, in the same round.
pub(crate) fn render(rows: &[Row], base: Peer) -> String {
    let mut cells = vec![HEADER.map(str::to_owned).to_vec()];
    for row in rows {
        let base = rows.iter().find(|it| it.peer == base && it.label == row.label);
        cells.push(line(row, base));
    }
    let mut table = grid(&cells);
    for row in rows {
        let failed: u64 = row.rounds.iter().map(|round| round.answered.failed).sum();
        if failed > 0 {
            let Row { peer, label, .. } = row;
            let _ = write!(table, "\n{failed} requests through {peer} failed: {label}.\n");
        }
    }
    table
}

fn line(row: &Row, base: Option<&Row>) -> Vec<String> {
    let ratios = |of: fn(&Sample) -> f64| base.map(|base| row.ratios(base, of)).unwrap_or_default();
    let sides: Vec<String> =
        (0..row.resident.len()).map(|side| number(row.middle(|sample| sample.of_side(side)), 1)).collect();
    let calls = row.calls.iter().map(|calls| number(calls.unwrap_or(f64::NAN), 1));
    let resident = row.resident.iter().map(|bytes| number(mib(*bytes), 1));
    vec![
        row.label.clone(),
        row.peer.to_string(),
        sides.join(" / "),
        number(row.middle(|sample| micros(sample.backend) / sample.amount), 1),
        with_range(ratios(Sample::cost)),
        number(row.middle(Sample::p50), 3),
        number(median(ratios(Sample::p50)), 2),
        number(row.middle(Sample::p99), 3),
        number(median(ratios(Sample::p99)), 2),
        number(row.middle(|sample| sample.amount / sample.elapsed.as_secs_f64()), 0),
        calls.collect::<Vec<_>>().join(" / "),
        resident.collect::<Vec<_>>().join(" / "),
    ]
}

/// Bytes in the unit that memory is told in.
pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// A Markdown table that also reads well as it stands. The first line is its head.
pub(crate) fn grid(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut table = String::new();
    for (index, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(&widths) {
            // Writing to a string cannot fail.
            let _ = write!(table, "| {cell:>width$} ");
        }
        table.push_str("|\n");
        if index == 0 {
            widths.iter().for_each(|width| {
                let _ = write!(table, "|{:->1$}", ":", width + 2);
            });
            table.push_str("|\n");
        }
    }
    table
}

fn with_range(values: Vec<f64>) -> String {
    let (low, high) =
        values.iter().fold((f64::MAX, f64::MIN), |(low, high), &it| (low.min(it), high.max(it)));
    match values.len() {
        0 => "-".to_owned(),
        _ => format!("{:.2} ({low:.2} to {high:.2})", median(values)),
    }
}

pub(crate) fn number(value: f64, digits: usize) -> String {
    if value.is_finite() { format!("{value:.digits$}") } else { "-".to_owned() }
}

/// Not a number when there are none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.len() % 2, values.get(middle)) {
        (_, None) => f64::NAN,
        (0, Some(upper)) => f64::midpoint(values[middle - 1], *upper),
        (_, Some(value)) => *value,
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(client: u64, server: u64, p50: u64) -> Sample {
        let answered = Answered {
            requests: 1_300,
            failed: 0,
            elapsed: Duration::from_secs(1),
            p50: Duration::from_micros(p50),
            p99: Duration::from_millis(2),
        };
        Sample {
            sides: [client, server].map(Duration::from_millis).into(),
            backend: Duration::from_millis(5),
            amount: 1_000.0,
            elapsed: Duration::from_millis(500),
            answered,
        }
    }

    fn row(peer: Peer, rounds: Vec<Sample>) -> Row {
        let (calls, resident) = (vec![None, Some(4.06)], vec![3 << 20, 1 << 19]);
        Row { label: "full".to_owned(), peer, rounds, calls, resident }
    }

    #[test]
    fn a_ratio_is_the_median_of_those_within_each_round() {
        // The machine is twice as slow in the second round.
        let ours = row(Peer::Spillway, vec![round(10, 10, 500), round(22, 20, 900), round(10, 11, 400)]);
        let theirs = row(Peer::Nginx, vec![round(20, 20, 1_000), round(40, 40, 1_000), round(20, 20, 1_000)]);
        let cells = line(&ours, Some(&theirs));
        let expected = [
            "full",
            "spillway",
            "10.0 / 11.0",
            "5.0",
            "0.53 (0.50 to 0.53)",
            "0.500",
            "0.50",
            "2.000",
            "1.00",
        ];
        assert_eq!(cells[..expected.len()], expected);
        assert_eq!(cells[expected.len()..], ["2000", "- / 4.1", "3.0 / 0.5"]);
        assert_eq!(line(&ours, None)[4..7], ["-", "0.500", "-"]);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_failures_are_told() {
        let cells = [vec!["a".to_owned(), "µs".to_owned()], vec!["123".to_owned(), "4".to_owned()]];
        assert_eq!(grid(&cells), "|   a | µs |\n|----:|---:|\n| 123 |  4 |\n");
        let mut failing = round(1, 1, 1);
        failing.answered.failed = 7;
        let table = render(&[row(Peer::Haproxy, vec![failing])], Peer::Nginx);
        assert!(table.ends_with("\n7 requests through haproxy failed: full.\n"), "{table}");
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        for (values, middle) in [(vec![3.0], 3.0), (vec![4.0, 1.0], 2.5), (vec![9.0, 1.0, 2.0], 2.0)] {
            assert_eq!(median(values.clone()), middle, "{values:?}");
        }
        assert!(median(Vec::new()).is_nan());
    }
}
