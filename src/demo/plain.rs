//! The demo where there is no terminal: the story as text, then a line of figures now and then, until a signal.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::DemoError;
use super::mesh::Cluster;
use super::stage::Stage;
use super::story;

/// Between two lines of figures.
const EVERY: Duration = Duration::from_secs(5);

/// Tells the story, and goes on. What goes wrong is said, and ends nothing.
pub(crate) async fn show(stage: &Stage) -> Result<(), DemoError> {
    if let Err(error) = story::play(stage).await {
        stage.say(format!("The story ends here: {error}"));
    }
    stage.chapter("The mesh stays up until Ctrl-C. Try:");
    for line in super::suggestions(stage) {
        stage.say(line);
    }
    for (name, pid) in stage.fleet.borrow_mut().running() {
        stage.say(format!("kill -9 {pid:<8} # {name}"));
    }
    loop {
        let mark = stage.totals();
        sleep(EVERY).await;
        for loss in stage.fleet.borrow_mut().losses() {
            stage.say(loss.to_string());
        }
        let window = stage.totals().since(&mark);
        let shares = Cluster::ALL.map(|c| format!("{} {:.1} %", c.as_str(), window.share(c.as_str())));
        let latency = stage.record.borrow_mut().latency(5, Instant::now());
        stage.say(format!(
            "{} requests/s: {}, {} failed; p99 {}",
            window.answers() / EVERY.as_secs(),
            shares.join(", "),
            window.failed,
            story::milliseconds(latency.p99),
        ));
    }
}
