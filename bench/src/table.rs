//! The table of a run: medians over its rounds, and ratios that are each taken within one round.
//!
//! The machine drifts by more than proxies differ, so only what was measured side by side is divided.

use std::fmt::Write;
use std::time::Duration;

use crate::load::Answered;
use crate::peers::Peer;

/// One round of one proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// CPU time that client side, server side and backend used while `requests` were answered.
    pub(crate) cpu: [Duration; 3],
    /// How many those were.
    pub(crate) requests: u64,
    /// What the load generator saw, which began before that and ended after it.
    pub(crate) answered: Answered,
}

impl Sample {
    /// CPU microseconds a request: client side, server side, backend.
    fn cost(&self) -> [f64; 3] {
        self.cpu.map(|cpu| micros(cpu) / self.requests.max(1) as f64)
    }

    fn pair_cost(&self) -> f64 {
        let [client, server, _] = self.cost();
        client + server
    }
}

/// One proxy at one number of connections.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// How many asked at once.
    pub(crate) connections: usize,
    /// Who.
    pub(crate) peer: Peer,
    /// Its rounds, in order: at one index stands for every proxy what ran side by side.
    pub(crate) rounds: Vec<Sample>,
    /// System calls a request of client and server side, where they could be counted.
    pub(crate) calls: Option<[f64; 2]>,
    /// Resident bytes of client and server side after the last round.
    pub(crate) resident: [u64; 2],
}

const HEADER: [&str; 14] = [
    "connections",
    "proxy",
    "CPU client µs",
    "server µs",
    "backend µs",
    "CPU ratio (range)",
    "p50 ms",
    "ratio",
    "p99 ms",
    "ratio",
    "answers/s",
    "calls client",
    "server",
    "RSS MiB client / server",
];

/// All rows; ratios are to `base`, in the same round.
pub(crate) fn render(rows: &[Row], base: Peer) -> String {
    let mut cells = vec![HEADER.map(str::to_owned).to_vec()];
    for row in rows {
        let base = rows.iter().find(|it| it.peer == base && it.connections == row.connections);
        cells.push(line(row, base));
    }
    let mut table = grid(&cells);
    for row in rows {
        let failed: u64 = row.rounds.iter().map(|round| round.answered.failed).sum();
        if failed > 0 {
            let Row { peer, connections, .. } = row;
            let _ =
                write!(table, "\n{failed} requests through {peer} failed at {connections} connections.\n");
        }
    }
    table
}

fn line(row: &Row, base: Option<&Row>) -> Vec<String> {
    let middle = |of: &dyn Fn(&Sample) -> f64| median(row.rounds.iter().map(of).collect());
    let ratios = |of: &dyn Fn(&Sample) -> f64| -> Vec<f64> {
        let base = base.into_iter().flat_map(|base| &base.rounds);
        row.rounds.iter().zip(base).map(|(own, other)| of(own) / of(other)).collect()
    };
    let p50 = |sample: &Sample| micros(sample.answered.p50) / 1e3;
    let p99 = |sample: &Sample| micros(sample.answered.p99) / 1e3;
    let cost = |side: usize| number(middle(&|sample| sample.cost()[side]), 1);
    let calls = |side: usize| row.calls.map_or_else(|| "-".to_owned(), |calls| number(calls[side], 1));
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    vec![
        row.connections.to_string(),
        row.peer.to_string(),
        cost(0),
        cost(1),
        cost(2),
        with_range(ratios(&Sample::pair_cost)),
        number(middle(&p50), 3),
        number(median(ratios(&p50)), 2),
        number(middle(&p99), 3),
        number(median(ratios(&p99)), 2),
        number(middle(&|sample| sample.answered.per_second()), 0),
        calls(0),
        calls(1),
        format!("{:.1} / {:.1}", mib(row.resident[0]), mib(row.resident[1])),
    ]
}

/// A Markdown table that also reads well as it stands. The first line is its head.
fn grid(lines: &[Vec<String>]) -> String {
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

fn number(value: f64, digits: usize) -> String {
    if value.is_finite() { format!("{value:.digits$}") } else { "-".to_owned() }
}

/// Not a number when there are none.
fn median(mut values: Vec<f64>) -> f64 {
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
        Sample { cpu: [client, server, 5].map(Duration::from_millis), requests: 1_000, answered }
    }

    fn row(peer: Peer, rounds: Vec<Sample>) -> Row {
        Row { connections: 64, peer, rounds, calls: None, resident: [3 << 20, 1 << 19] }
    }

    #[test]
    fn a_ratio_is_the_median_of_those_within_each_round() {
        // The machine is twice as slow in the second round.
        let ours = row(Peer::Spillway, vec![round(10, 10, 500), round(22, 20, 900), round(10, 11, 400)]);
        let theirs = row(Peer::Nginx, vec![round(20, 20, 1_000), round(40, 40, 1_000), round(20, 20, 1_000)]);
        let cells = line(&ours, Some(&theirs));
        let expected = [
            "64",
            "spillway",
            "10.0",
            "11.0",
            "5.0",
            "0.53 (0.50 to 0.53)",
            "0.500",
            "0.50",
            "2.000",
            "1.00",
        ];
        assert_eq!(cells[..expected.len()], expected);
        assert_eq!(cells[expected.len()..], ["1300", "-", "-", "3.0 / 0.5"]);
        assert_eq!(line(&ours, None)[5..8], ["-", "0.500", "-"]);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_failures_are_told() {
        let cells = [vec!["a".to_owned(), "µs".to_owned()], vec!["123".to_owned(), "4".to_owned()]];
        assert_eq!(grid(&cells), "|   a | µs |\n|----:|---:|\n| 123 |  4 |\n");
        let mut failing = round(1, 1, 1);
        failing.answered.failed = 7;
        let table = render(&[row(Peer::Haproxy, vec![failing])], Peer::Nginx);
        assert!(table.ends_with("\n7 requests through haproxy failed at 64 connections.\n"), "{table}");
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        for (values, middle) in [(vec![3.0], 3.0), (vec![4.0, 1.0], 2.5), (vec![9.0, 1.0, 2.0], 2.0)] {
            assert_eq!(median(values.clone()), middle, "{values:?}");
        }
        assert!(median(Vec::new()).is_nan());
    }
}
