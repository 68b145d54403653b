//! Waiting for what must come true, instead of sleeping for as long as it usually takes.

use std::time::Duration;

/// Longer than anything takes that comes at all, also on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(2);

/// Waits until `condition` holds.
///
/// # Panics
/// When it does not in time; `what` says what was waited for.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let holds = async {
        while !condition() {
            tokio::time::sleep(LOOK).await;
        }
    };
    within(what, holds).await;
}

/// What `future` comes to.
///
/// # Panics
/// When it comes to nothing in time; `what` says what was waited for.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited for {PATIENCE:?}, in vain: {what}"),
    }
}
