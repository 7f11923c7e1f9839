//! Prometheus' text format, as far as etcd's counters and histograms need it.
//!
//! A histogram counts how many observations were at most as long as each bound. A quantile is estimated as Prometheus does:
//! the bucket that holds it is found, and within it the observations are taken to lie evenly (linear interpolation from the
//! bound below, or 0, to the bound above). What lies in the last, boundless bucket is put at the bound below it.

use std::time::Duration;

use super::context::{Unseen, said};
use super::http;
use crate::host::Host;

/// Where etcd serves its metrics: plain HTTP, on loopback only.
const PLACE: (&str, u16) = ("127.0.0.1", 2381);

/// A text of metrics.
#[derive(Debug, Clone, Default)]
pub(super) struct Metrics(String);

/// How many observations were at most as long as each bound, in seconds.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Histogram(Vec<(f64, f64)>);

/// etcd's metrics on a host.
pub(super) async fn fetch(host: &dyn Host) -> Result<Metrics, Unseen> {
    let (address, port) = PLACE;
    let mut stream = host.dial(address, port).await.map_err(|error| said(&error))?;
    let (status, body) = http::get(&mut stream, "localhost", "/metrics", None).await?;
    if status == 200 { Ok(Metrics(body)) } else { Err(format!("{address}:{port}/metrics answers {status}")) }
}

impl Metrics {
    /// A number without labels.
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
    }

    /// A histogram without labels but its bounds.
    pub(super) fn histogram(&self, name: &str) -> Option<Histogram> {
        let prefix = format!("{name}_bucket{{le=\"");
        let bucket = |line: &str| {
            let (bound, count) = line.strip_prefix(&prefix)?.split_once("\"} ")?;
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
            Some((bound, count.trim().parse().ok()?))
        };
        let mut buckets: Vec<(f64, f64)> = self.0.lines().filter_map(bucket).collect();
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        (!buckets.is_empty()).then_some(Histogram(buckets))
    }
}

impl Histogram {
    /// How many observations there are.
    pub(super) fn count(&self) -> f64 {
        self.0.last().map_or(0.0, |last| last.1)
    }

    /// The observations since an earlier state. None if the counts began anew in between.
    pub(super) fn since(&self, earlier: &Self) -> Option<Self> {
        let same = self.0.len() == earlier.0.len();
        let pairs = self.0.iter().zip(&earlier.0);
        let grown = pairs.clone().all(|(now, then)| now.1 >= then.1);
        let parts = pairs.map(|(now, then)| (now.0, now.1 - then.1)).collect();
        (same && grown).then_some(Self(parts))
    }

    /// The duration that a share of the observations do not exceed. None without observations.
    pub(super) fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = share * self.count();
        if self.count() <= 0.0 {
            return None;
        }
        let at = self.0.iter().position(|bucket| bucket.1 >= wanted)?;
        let (above, counted) = self.0[at];
        let (below, before) = if at == 0 { (0.0, 0.0) } else { self.0[at - 1] };
        let part = if counted > before { (wanted - before) / (counted - before) } else { 1.0 };
        let seconds = if above.is_finite() { below + (above - below) * part } else { below };
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(buckets: &[(f64, f64)]) -> Histogram {
        Histogram(buckets.to_vec())
    }

    #[test]
    fn quantiles_are_interpolated() {
        let one = histogram(&[(0.001, 50.0), (0.002, 90.0), (0.004, 100.0), (f64::INFINITY, 100.0)]);
        let near = |share: f64, ms: f64| {
            let found = one.quantile(share).unwrap().as_secs_f64() * 1000.0;
            assert!((found - ms).abs() < 1e-6, "{share}: {found} is not {ms}");
        };
        near(0.5, 1.0);
        near(0.25, 0.5);
        near(0.7, 1.5);
        near(0.99, 3.8);
        // Beyond the last bound nothing is known but that it is longer.
        let slow = histogram(&[(8.192, 1.0), (f64::INFINITY, 100.0)]);
        assert_eq!(slow.quantile(0.99), Some(Duration::from_secs_f64(8.192)));
        assert_eq!(histogram(&[(1.0, 0.0), (f64::INFINITY, 0.0)]).quantile(0.99), None);
    }

    #[test]
    fn a_part_of_the_time_can_be_looked_at() {
        let (then, now) = (histogram(&[(1.0, 5.0), (2.0, 5.0)]), histogram(&[(1.0, 5.0), (2.0, 9.0)]));
        assert_eq!(now.since(&then), Some(histogram(&[(1.0, 0.0), (2.0, 4.0)])));
        assert_eq!(then.since(&now), None);
    }
}
