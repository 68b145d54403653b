//! One picture of the demo. It reads a [`Picture`] and draws; nothing is measured or asked here.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Cell, Chart, Dataset, GraphType, Paragraph, Row, Table, Wrap};

use super::super::admin::EndpointState;
use super::super::record::Latency;
use super::super::story::{milliseconds, thousands};

/// Everything that is drawn.
pub(super) struct Picture {
    pub(super) servers: Vec<Server>,
    /// Answers of cluster-01 and of cluster-02, a second each, the newest last.
    pub(super) history: Vec<[u32; 2]>,
    pub(super) latency: Latency,
    pub(super) failed: u64,
    pub(super) endpoints: Vec<EndpointState>,
    pub(super) title: String,
    pub(super) lines: Vec<String>,
}

/// An instance that serves.
pub(super) struct Server {
    /// `CLUSTER/INSTANCE`
    pub(super) name: String,
    /// Answers a second.
    pub(super) rate: f64,
    pub(super) total: u64,
}

const ONE: Color = Color::Cyan;
const TWO: Color = Color::Magenta;

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, picture: &Picture) {
    let rows = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
    let [top, second, middle, story, keys] = Layout::vertical([
        Constraint::Length(rows(picture.servers.len() + 2)),
        Constraint::Length(rows(picture.endpoints.len() + 3)),
        Constraint::Fill(1),
        Constraint::Length(10),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    servers(frame, top, picture);
    endpoints(frame, second, picture);
    if middle.height >= 5 {
        history(frame, middle, picture);
    }
    telling(frame, story, picture);
    let help = " q ends the demo   k kills frontend-1   r starts again what has ended";
    frame.render_widget(Paragraph::new(help).style(Style::new().add_modifier(Modifier::REVERSED)), keys);
}

fn colour(instance: &str) -> Color {
    if instance.starts_with("cluster-01/") { ONE } else { TWO }
}

fn servers(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    const BAR: f64 = 40.0;
    let all: f64 = picture.servers.iter().map(|server| server.rate).sum();
    let rows = picture.servers.iter().map(|server| {
        let share = if all > 0.0 { server.rate / all } else { 0.0 };
        let bar = "█".repeat((share * BAR).round() as usize);
        Row::new([
            Cell::from(server.name.clone()),
            Cell::from(format!("{:>5.0}/s {:>5.1} %", server.rate, share * 100.0)),
            Cell::from(bar),
            Cell::from(format!("{:>9}", thousands(server.total))),
        ])
        .style(Style::new().fg(colour(&server.name)))
    });
    let widths = [Constraint::Length(21), Constraint::Length(15), Constraint::Fill(1), Constraint::Length(9)];
    let title = format!(
        " Who serves http://frontend/   p50 {}  p99 {}   {} failed ",
        milliseconds(picture.latency.p50),
        milliseconds(picture.latency.p99),
        thousands(picture.failed)
    );
    let title_style = Style::new().fg(if picture.failed == 0 { Color::Green } else { Color::Red });
    let block = Block::bordered().title(Span::styled(title, title_style));
    frame.render_widget(Table::new(rows, widths).block(block), area);
}

fn endpoints(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let rows = picture.endpoints.iter().map(|endpoint| {
        let (state, colour) = match (endpoint.ejected, endpoint.healthy) {
            (true, _) => ("EJECTED", Color::Red),
            (false, true) => ("healthy", Color::Green),
            (false, false) => ("unhealthy", Color::Yellow),
        };
        Row::new([
            Cell::from(short(&endpoint.cluster)),
            Cell::from(endpoint.address.clone()),
            Cell::from(state).style(Style::new().fg(colour)),
            Cell::from(format!("{:>6}", endpoint.connect_failures)),
        ])
    });
    let widths = [Constraint::Fill(1), Constraint::Length(17), Constraint::Length(9), Constraint::Length(6)];
    let header = Row::new(["target", "endpoint", "state", "failed"]).style(Style::new().bold());
    let block = Block::bordered().title(" What web's sidecar sees ");
    frame.render_widget(Table::new(rows, widths).header(header).block(block), area);
}

/// A cluster's name without its trust domain, which would fill the line.
fn short(cluster: &str) -> String {
    let end = [".internal.", ".external."].iter().find_map(|mark| cluster.find(mark));
    cluster[..end.unwrap_or(cluster.len())].to_owned()
}

fn history(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let line = |side: usize| -> Vec<(f64, f64)> {
        let newest = picture.history.len() as f64;
        let points = picture.history.iter().enumerate();
        points.map(|(at, counts)| (at as f64 + 1.0 - newest, f64::from(counts[side]))).collect()
    };
    let (one, two) = (line(0), line(1));
    let peak = picture.history.iter().flatten().copied().max().unwrap_or(0).max(10);
    let dataset = |name, points, colour| {
        let style = Style::new().fg(colour);
        let marked = Dataset::default().name(name).marker(Marker::Braille).graph_type(GraphType::Line);
        marked.style(style).data(points)
    };
    let chart = Chart::new(vec![dataset("cluster-01", &one[..], ONE), dataset("cluster-02", &two[..], TWO)])
        .block(Block::bordered().title(" Answers a second, the last two minutes "))
        .x_axis(Axis::default().bounds([-(super::super::record::SECONDS_KEPT as f64), 0.0]))
        .y_axis(
            Axis::default().bounds([0.0, f64::from(peak) * 1.1]).labels(["0".to_owned(), peak.to_string()]),
        );
    frame.render_widget(chart, area);
}

fn telling(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let shown = newest(&picture.lines, area.width.saturating_sub(2), area.height.saturating_sub(2));
    let lines: Vec<Line<'_>> = shown.iter().map(|line| Line::from(line.as_str())).collect();
    let title = Span::styled(format!(" {} ", picture.title), Style::new().bold());
    let story = Paragraph::new(lines).wrap(Wrap { trim: false }).block(Block::bordered().title(title));
    frame.render_widget(story, area);
}

/// As many of the last lines as have room when they are wrapped; where words break is left out of account.
fn newest(lines: &[String], width: u16, height: u16) -> &[String] {
    let rows = |line: &String| line.chars().count().div_ceil(usize::from(width.max(1))).max(1);
    let mut room = usize::from(height);
    let fitting = lines.iter().rev().take_while(|line| {
        let fits = rows(line) <= room;
        room = room.saturating_sub(rows(line));
        fits
    });
    &lines[lines.len() - fitting.count()..]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn picture() -> Picture {
        Picture {
            servers: vec![
                Server { name: "cluster-01/frontend-1".into(), rate: 200.0, total: 1_234 },
                Server { name: "cluster-02/frontend-2".into(), rate: 200.0, total: 1_235 },
            ],
            history: vec![[200, 200], [0, 400]],
            latency: Latency { p50: Duration::from_micros(800), p99: Duration::from_millis(3) },
            failed: 0,
            endpoints: vec![EndpointState {
                cluster: "failover-target~0~frontend.default.cluster-01.internal.a.consul".into(),
                address: "127.0.1.20:21000".into(),
                ejected: true,
                healthy: false,
                connect_failures: 5,
                requests: 9,
            }],
            title: "3. kill -9".into(),
            lines: (0..40).map(|n| format!("line {n}")).collect(),
        }
    }

    fn drawn(width: u16, height: u16) -> String {
        let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
        let Ok(_) = terminal.draw(|frame| draw(frame, &picture()));
        let cells: Vec<_> = terminal.backend().buffer().content().iter().map(|cell| cell.symbol()).collect();
        cells.chunks(usize::from(width)).map(|row| row.concat() + "\n").collect()
    }

    #[test]
    fn a_picture_shows_shares_states_and_the_newest_words() {
        let text = drawn(140, 40);
        for shown in [
            "cluster-01/frontend-1   200/s  50.0 %",
            "p50 0.8 ms  p99 3.0 ms   0 failed",
            "failover-target~0~frontend.default.cluster-01 ",
            "EJECTED",
            "3. kill -9",
            "line 39",
            "k kills frontend-1",
        ] {
            assert!(text.contains(shown), "{shown:?} is missing:\n{text}");
        }
    }

    #[test]
    fn the_newest_words_stay_in_view_when_lines_are_wrapped() {
        let lines = ["one".to_owned(), "x".repeat(25), "two".to_owned(), "three".to_owned()];
        for (width, height, first) in [(10, 9, 0), (10, 5, 1), (10, 4, 2), (30, 3, 1), (10, 0, 4), (0, 1, 4)]
        {
            assert_eq!(newest(&lines, width, height), &lines[first..], "{width}x{height}");
        }
    }

    #[test]
    fn a_terminal_of_any_size_can_be_drawn_on() {
        for (width, height) in [(1, 1), (20, 5), (80, 24), (80, 60), (300, 100)] {
            drawn(width, height);
        }
    }
}
