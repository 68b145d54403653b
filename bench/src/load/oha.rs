//! oha: how it is asked, and what its JSON report means.

use std::time::Duration;

use serde_json::Value;

use super::{Answered, Load};

/// What oha says of requests that were under way when the time was over: nothing went wrong with those.
const CUT_OFF: &str = "aborted due to deadline";

/// The arguments for a load.
pub(super) fn args(load: &Load) -> Vec<String> {
    let duration = format!("{}ms", load.duration.as_millis());
    let flags = ["--no-tui", "--output-format", "json", "-c", &load.connections.to_string(), "-z", &duration]
        .map(str::to_owned);
    flags.into_iter().chain([load.target.to_string()]).collect()
}

/// The figures of a report.
pub(super) fn read(report: &str) -> Option<Answered> {
    let report: Value = serde_json::from_str(report).ok()?;
    let seconds = |value: &Value| Duration::try_from_secs_f64(value.as_f64()?).ok();
    let count = |of: &str, wanted: fn(&str) -> bool| -> u64 {
        let counts = report[of].as_object().into_iter().flatten();
        counts.filter(|(name, _)| wanted(name)).filter_map(|(_, count)| count.as_u64()).sum()
    };
    let refused = count("statusCodeDistribution", |status| !status.starts_with('2'));
    Some(Answered {
        requests: count("statusCodeDistribution", |_| true),
        failed: refused + count("errorDistribution", |error| error != CUT_OFF),
        elapsed: seconds(&report["summary"]["total"])?,
        p50: seconds(&report["latencyPercentiles"]["p50"])?,
        p99: seconds(&report["latencyPercentiles"]["p99"])?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_gives_count_time_and_quantiles() {
        let report = r#"{
            "summary": {"successRate": 1.0, "total": 2.5, "requestsPerSec": 44.0},
            "latencyPercentiles": {"p10": 0.001, "p50": 0.002, "p99": 0.0105, "p99.9": null},
            "statusCodeDistribution": {"200": 100, "503": 10},
            "errorDistribution": {"aborted due to deadline": 64, "connection refused": 1}
        }"#;
        let answered = Answered {
            requests: 110,
            failed: 11,
            elapsed: Duration::from_millis(2_500),
            p50: Duration::from_millis(2),
            p99: Duration::from_micros(10_500),
        };
        assert_eq!(read(report), Some(answered));
        for wrong in ["", "{}", &report.replace("0.002", "null")] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
