//! wrk: how it is asked, and what its report means.

use std::time::Duration;

use super::{Answered, Load, THREADS};

/// The arguments for a load. wrk counts whole seconds.
pub(super) fn args(load: &Load) -> Vec<String> {
    let seconds = load.duration.as_secs() + u64::from(load.duration.subsec_nanos() > 0);
    let threads = THREADS.min(load.connections);
    vec![
        format!("-t{threads}"),
        format!("-c{}", load.connections),
        format!("-d{}s", seconds.max(1)),
        "--latency".to_owned(),
        load.target.to_string(),
    ]
}

/// The figures of a report made with `--latency`.
pub(super) fn read(report: &str) -> Option<Answered> {
    let lines = || report.lines().map(str::trim);
    let quantile = |name: &str| lines().find_map(|line| duration(line.strip_prefix(name)?.trim()));
    let (requests, rest) = lines().find_map(|line| line.split_once(" requests in "))?;
    let failed = lines().map(|line| failures(line).unwrap_or(0)).sum();
    Some(Answered {
        requests: requests.parse().ok()?,
        failed,
        elapsed: duration(rest.split(',').next()?)?,
        p50: quantile("50%")?,
        p99: quantile("99%")?,
    })
}

/// What a line adds to the requests that failed.
fn failures(line: &str) -> Option<u64> {
    if let Some(count) = line.strip_prefix("Non-2xx or 3xx responses:") {
        return count.trim().parse().ok();
    }
    let counts = line.strip_prefix("Socket errors:")?.split(',');
    Some(counts.filter_map(|it| it.trim().rsplit(' ').next()?.parse::<u64>().ok()).sum())
}

fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let seconds = match &text[unit..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(text[..unit].parse::<f64>().ok()? * seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\
Running 3s test @ http://127.0.0.1:8080/
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     3.10ms    1.20ms  20.01ms   90.12%
    Req/Sec    10.31k   512.00    11.20k    80.00%
  Latency Distribution
     50%    2.95ms
     75%    3.40ms
     90%    4.00ms
     99%  950.00us
  61234 requests in 3.10s, 71.30MB read
Requests/sec:  19752.90
Transfer/sec:     23.00MB
";

    #[test]
    fn a_report_gives_count_time_and_quantiles() {
        let answered = Answered {
            requests: 61_234,
            failed: 0,
            elapsed: Duration::from_millis(3_100),
            p50: Duration::from_micros(2_950),
            p99: Duration::from_micros(950),
        };
        assert_eq!(read(REPORT), Some(answered));
        let faults =
            "  Socket errors: connect 1, read 20, write 0, timeout 3\n  Non-2xx or 3xx responses: 100\n";
        assert_eq!(read(&format!("{REPORT}{faults}")), Some(Answered { failed: 124, ..answered }));
        for cut in ["", "unable to connect", &REPORT[..300], &REPORT.replace("99%", "98%")] {
            assert_eq!(read(cut), None, "{cut}");
        }
    }

    #[test]
    fn every_connection_has_a_thread_and_every_run_a_second() {
        let target: super::super::Target = "http://127.0.0.1:1/x".parse().expect("a URL");
        let args = |connections, millis| {
            let duration = Duration::from_millis(millis);
            args(&Load { target: target.clone(), how: super::super::How::Plain, connections, duration })
                .join(" ")
        };
        assert_eq!(args(1, 300), "-t1 -c1 -d1s --latency http://127.0.0.1:1/x");
        assert_eq!(args(64, 2_001), "-t2 -c64 -d3s --latency http://127.0.0.1:1/x");
    }
}
