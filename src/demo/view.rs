//! The demo on a terminal: who serves, how fast, in which state, and the story beside it.
//!
//! [`picture`] draws a [`Picture`] and knows nothing else, so that it can be drawn without a terminal in tests.

mod picture;

use std::io;
use std::time::{Duration, Instant};

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::DefaultTerminal;
use tokio::time::sleep;

use self::picture::{Picture, Server, draw};
use super::mesh::{FRONTEND, Port, WEB};
use super::setup::{app_of, sidecar_of};
use super::stage::Stage;
use super::{DemoError, admin, story};

/// Between two pictures.
const FRAME: Duration = Duration::from_millis(100);

/// Between two looks at the admin API.
const LOOK: Duration = Duration::from_millis(500);

/// Envoy's name for the application beside a sidecar: web's is the demo's own traffic.
const OWN_APPLICATION: &str = "local_app";

/// Over how many seconds rates and latencies are taken.
const RATE_SECONDS: usize = 2;

/// Plays the story on the terminal and goes on until `q` or Ctrl-C.
pub(crate) async fn show(stage: &Stage) -> Result<(), DemoError> {
    let io = |source| DemoError::Io { what: "draw on the terminal".into(), source };
    let mut screen = Screen(ratatui::try_init().map_err(io)?);
    stage.telling.borrow_mut().drawn = true;
    tokio::select! {
        outcome = run(stage, &mut screen.0) => outcome.map_err(io),
        never = look(stage) => never,
        never = tell(stage) => never,
    }
}

/// The terminal in the demo's hands; given back when dropped, however the demo ends.
struct Screen(DefaultTerminal);

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

async fn tell(stage: &Stage) -> ! {
    if let Err(error) = story::play(stage).await {
        stage.say(format!("The story ends here: {error}"));
        sleep(Duration::from_secs(5)).await;
    }
    let ending = stage.telling.borrow().lines.last().cloned();
    stage.chapter("The mesh stays up. Break it: k kills frontend-1, r starts again what has ended. Try:");
    for line in ending.into_iter().chain(super::suggestions(stage)) {
        stage.say(line);
    }
    std::future::pending().await
}

async fn look(stage: &Stage) -> ! {
    loop {
        let mut endpoints = admin::endpoints(stage.mesh.address(&WEB, Port::Admin)).await;
        endpoints.retain(|endpoint| endpoint.cluster != OWN_APPLICATION);
        *stage.endpoints.borrow_mut() = endpoints;
        sleep(LOOK).await;
    }
}

async fn run(stage: &Stage, terminal: &mut DefaultTerminal) -> io::Result<()> {
    loop {
        while event::poll(Duration::ZERO)? {
            if let Event::Key(key) = event::read()?
                && key.kind == KeyEventKind::Press
                && act(stage, key)
            {
                return Ok(());
            }
        }
        for loss in stage.fleet.borrow_mut().losses() {
            stage.say(loss.to_string());
        }
        let picture = take(stage, Instant::now());
        terminal.draw(|frame| draw(frame, &picture))?;
        sleep(FRAME).await;
    }
}

/// Does what a key asks for; true when that is to leave.
fn act(stage: &Stage, key: KeyEvent) -> bool {
    match key.code {
        KeyCode::Char('c') => return key.modifiers.contains(KeyModifiers::CONTROL),
        KeyCode::Char('q') | KeyCode::Esc => return true,
        KeyCode::Char('k') => {
            let mut fleet = stage.fleet.borrow_mut();
            fleet.kill(&app_of(&FRONTEND));
            fleet.kill(&sidecar_of(&FRONTEND));
            stage.say("killed frontend-1, application and sidecar");
        }
        KeyCode::Char('r') => match stage.fleet.borrow_mut().restart_ended() {
            Ok(names) if names.is_empty() => stage.say("nothing has ended"),
            Ok(names) => stage.say(format!("restarted {}", names.join(", "))),
            Err(error) => stage.say(error.to_string()),
        },
        _ => {}
    }
    false
}

fn take(stage: &Stage, now: Instant) -> Picture {
    let mut record = stage.record.borrow_mut();
    let totals = record.totals().clone();
    let servers = totals.served.iter().map(|(name, total)| {
        let recent: u32 = record.recent(RATE_SECONDS, now).filter_map(|s| s.served.get(name)).sum();
        Server { name: name.to_string(), rate: f64::from(recent) / RATE_SECONDS as f64, total: *total }
    });
    let servers = servers.collect();
    let history = record
        .recent(super::record::SECONDS_KEPT, now)
        .map(|second| {
            let of = |cluster: &str| {
                second
                    .served
                    .iter()
                    .filter(|(name, _)| name.starts_with(cluster))
                    .map(|(_, count)| count)
                    .sum()
            };
            [of("cluster-01/"), of("cluster-02/")]
        })
        .collect();
    let telling = stage.telling.borrow();
    Picture {
        servers,
        history,
        latency: record.latency(RATE_SECONDS, now),
        failed: totals.failed,
        endpoints: stage.endpoints.borrow().clone(),
        title: telling.title.clone(),
        lines: telling.lines.clone(),
    }
}
