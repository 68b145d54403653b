//! Random kills, resets, refusals and stalls, in small: what `spillway-bench soak` does with millions of requests.

use std::path::PathBuf;

use spillway_bench::soak::Soak;

#[test]
fn whatever_fails_no_post_is_done_twice_and_nothing_unsent_is_lost() -> Result<(), Box<dyn std::error::Error>>
{
    let soak = Soak {
        requests: 4_000,
        connections: 16,
        instances: 4,
        seed: 7,
        keep: false,
        spillway: PathBuf::from(env!("CARGO_BIN_EXE_spillway")),
    };
    let judgement = soak.run()?;
    assert_eq!(judgement.violations, 0, "{judgement}");
    assert!(judgement.served() > 3_000, "{judgement}");
    Ok(())
}
