//! `all`: every shape, and what came of each target that the project has set itself.
//!
//! A target is a ratio to a peer of the same run, a ratio of our own figures, or a figure that no machine changes
//! (memory, system calls). Where there is no such peer, nothing is judged.

use crate::compare::Comparison;
use crate::error::BenchError;
use crate::idle::{self, Held};
use crate::peers::{Peer, Protocol};
use crate::shape::Shape;
use crate::table::{Row, Sample, grid, median, mib, number};

/// How many connections idle.
pub(crate) const IDLE: usize = 10_000;

/// What `all` measures.
const SHAPES: [Shape; 7] = [
    Shape::Pair(Protocol::Http),
    Shape::Hop,
    Shape::Sni,
    Shape::Handshake,
    Shape::Bulk,
    Shape::Routes,
    Shape::H2,
];

/// What is wanted of a figure: at most this.
struct Target {
    what: String,
    must: Option<f64>,
    goal: Option<f64>,
    /// Not a number where it could not be measured.
    measured: f64,
}

/// Measures everything, and prints table after table, the targets last.
pub(crate) async fn run(comparison: &Comparison) -> Result<(), BenchError> {
    let (mut targets, mut report) = (Vec::new(), String::new());
    for shape in SHAPES {
        let rows = comparison.rows(shape).await?;
        targets.extend(targets_of(shape, &rows));
        report.push_str(&comparison.report(shape, &rows));
        report.push('\n');
    }
    let held = idle::held(&comparison.contenders, IDLE).await?;
    targets.extend(memory(&held));
    report.push_str(&idle::report(comparison, &held));
    report.push_str("\n# Targets: each figure is to be at most this\n\n");
    report.push_str(&table(&targets));
    report.push_str("\nThe decision alone is timed by `cargo bench -p spillway-bench --bench micro`.\n");
    comparison.publish("all", &report)
}

fn targets_of(shape: Shape, rows: &[Row]) -> Vec<Target> {
    let target = |what: &str, must, goal, measured| Target {
        what: format!("{}: {what}", shape.name()),
        must,
        goal,
        measured,
    };
    let cpu = |label: &str, peer| ratio(rows, label, peer, Sample::cost);
    let (nginx, haproxy, floor) = (Peer::Nginx, Peer::Haproxy, Peer::Floor);
    let better = |label: &str| cpu(label, nginx).max(cpu(label, haproxy));
    match shape {
        Shape::Pair(_) => {
            let one = "1 connections";
            let mut targets = vec![
                target("CPU at 1 connection, of nginx", Some(0.75), Some(0.60), cpu(one, nginx)),
                target(
                    "p50 at 1 connection, of nginx",
                    Some(1.0),
                    Some(0.70),
                    ratio(rows, one, nginx, Sample::p50),
                ),
            ];
            for many in ["64 connections", "512 connections"] {
                let named = |peer: &str| format!("CPU at {many}, of {peer}");
                targets.push(target(&named("nginx"), Some(0.60), Some(0.35), cpu(many, nginx)));
                targets.push(target(&named("HAProxy"), Some(0.50), None, cpu(many, haproxy)));
            }
            targets
        }
        Shape::Hop => {
            let calls =
                rows.iter().find(|row| row.peer == Peer::Spillway).and_then(|row| *row.calls.first()?);
            vec![
                target("CPU, of nginx", Some(0.75), None, cpu("64 connections", nginx)),
                target("CPU, of the floor", None, Some(1.2), cpu("64 connections", floor)),
                target("system calls", None, Some(4.3), calls.unwrap_or(f64::NAN)),
            ]
        }
        Shape::Sni => vec![
            target("CPU a connection, of the floor", None, Some(1.1), cpu("handshakes", floor)),
            target("CPU a connection, of nginx", Some(1.0), None, cpu("handshakes", nginx)),
            target("CPU a MiB, of nginx", Some(0.75), None, cpu("64 MiB bodies", nginx)),
        ],
        Shape::Handshake => vec![
            target(
                "CPU, full, of nginx (the target: with AWS-LC)",
                Some(0.9),
                Some(0.80),
                cpu("full", nginx),
            ),
            target(
                "CPU, resumed, of nginx (the target: with AWS-LC)",
                Some(0.9),
                Some(0.70),
                cpu("resumed", nginx),
            ),
        ],
        Shape::Bulk => {
            vec![target("CPU a MiB, of nginx", Some(0.55), Some(0.40), cpu("64 MiB bodies", nginx))]
        }
        Shape::Routes => {
            let cost = |label: &str| own(rows, label).map_or(f64::NAN, |row| row.middle(Sample::cost));
            let of_nginx = ["10 rules", "1000 rules", "10000 rules"].map(|label| cpu(label, nginx));
            vec![
                target(
                    "CPU at 10,000 rules, of that at 10",
                    Some(1.1),
                    None,
                    cost("10000 rules") / cost("10 rules"),
                ),
                target(
                    "CPU at the worst size, of nginx",
                    None,
                    Some(0.65),
                    of_nginx.into_iter().fold(f64::NAN, f64::max),
                ),
            ]
        }
        Shape::H2 => vec![target("CPU, of the better peer", Some(1.0), Some(0.5), better("64 connections"))],
    }
}

fn memory(held: &[Held]) -> Vec<Target> {
    let own = held.iter().find(|it| it.peer == Peer::Spillway);
    let target = |what: &str, must, goal, measured: Option<f64>| Target {
        what: format!("idle: {what}"),
        must: Some(must),
        goal: Some(goal),
        measured: measured.unwrap_or(f64::NAN),
    };
    vec![
        target("MiB without a connection", 12.0, 10.0, own.map(|it| mib(it.idle))),
        target("KiB a connection", 12.0, 9.0, own.map(Held::each)),
    ]
}

/// Ours of the case that is called so, whatever else is said of it.
fn own<'r>(rows: &'r [Row], label: &str) -> Option<&'r Row> {
    row_of(rows, label, Peer::Spillway)
}

fn row_of<'r>(rows: &'r [Row], label: &str, peer: Peer) -> Option<&'r Row> {
    rows.iter().find(|row| row.peer == peer && row.label.starts_with(label))
}

/// Ours to a peer's, the median over rounds.
fn ratio(rows: &[Row], label: &str, peer: Peer, of: fn(&Sample) -> f64) -> f64 {
    match own(rows, label).zip(row_of(rows, label, peer)) {
        Some((own, other)) => median(own.ratios(other, of)),
        None => f64::NAN,
    }
}

fn table(targets: &[Target]) -> String {
    let head = ["target", "must", "goal", "measured", "reached"].map(str::to_owned).to_vec();
    let wanted = |value: Option<f64>| value.map_or_else(String::new, |value| number(value, 2));
    let lines = targets.iter().map(|it| {
        let measured = number(it.measured, 2);
        vec![it.what.clone(), wanted(it.must), wanted(it.goal), measured, it.reached().to_owned()]
    });
    grid(&std::iter::once(head).chain(lines).collect::<Vec<_>>())
}

impl Target {
    fn reached(&self) -> &'static str {
        let keeps = |limit: Option<f64>| limit.map(|limit| self.measured <= limit);
        match (keeps(self.must), keeps(self.goal)) {
            _ if self.measured.is_nan() => "not measured",
            (_, Some(true)) => "goal",
            (Some(true), _) => "must",
            (Some(false), _) => "no",
            (None, _) => "not the goal",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::Answered;

    #[test]
    fn a_target_is_reached_as_far_as_its_figure_is_low() {
        for (must, goal, measured, reached) in [
            (Some(0.6), Some(0.35), 0.35, "goal"),
            (Some(0.6), Some(0.35), 0.36, "must"),
            (Some(0.6), Some(0.35), 0.61, "no"),
            (Some(0.5), None, 0.4, "must"),
            (None, Some(4.3), 4.1, "goal"),
            (None, Some(4.3), 5.0, "not the goal"),
            (Some(0.5), None, f64::NAN, "not measured"),
        ] {
            let target = Target { what: String::new(), must, goal, measured };
            assert_eq!(target.reached(), reached, "{must:?} {goal:?} {measured}");
        }
    }

    /// A name that no case has would never be measured.
    #[test]
    fn every_target_is_found_among_the_cases_of_its_shape() {
        for shape in SHAPES {
            let cases = shape.cases(&[]).into_iter();
            let peers = [Peer::Spillway, Peer::Nginx, Peer::Haproxy, Peer::Floor];
            let rows: Vec<Row> = cases
                .flat_map(|case| peers.map(|peer| Row::new(&case.label, peer)))
                .map(|row| Row { rounds: vec![sample()], calls: vec![Some(4.0)], ..row })
                .collect();
            let targets = targets_of(shape, &rows);
            assert!(targets.iter().all(|it| it.reached() != "not measured"), "{}", table(&targets));
        }
    }

    fn sample() -> Sample {
        let second = Duration::from_secs(1);
        let answered = Answered { requests: 1, failed: 0, elapsed: second, p50: second, p99: second };
        Sample { sides: vec![second], backend: second, amount: 1.0, elapsed: second, answered }
    }

    #[test]
    fn what_was_not_measured_is_said_to_be_so() {
        for shape in
            [Shape::Pair(Protocol::Http), Shape::Hop, Shape::Sni, Shape::Handshake, Shape::Routes, Shape::H2]
        {
            let targets = targets_of(shape, &[]);
            assert!(targets.iter().all(|it| it.reached() == "not measured"), "{}", table(&targets));
        }
    }
}
