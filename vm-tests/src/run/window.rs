//! How long a client can't reach the API: a real read by the node's own identity through the host's balancer, five times a
//! second, each over a new connection.

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::hosts::Driver;
use crate::program::Program;

/// Reads this node's own object: quorum read, TLS and authorization included. One line a probe: issued, took, status.
const SCRIPT: &str = r#"name=$(uname -n); url=$(sed -n 's/^ *server: //p' /etc/kubernetes/kubelet.conf | head -1)
pem=/var/lib/kubelet/pki/kubelet-client-current.pem
end=$(( $(date +%s) + {seconds} ))
while [ $(date +%s) -lt $end ]; do
  ( t=$(date +%s.%N)
    out=$(curl -s -o /dev/null -w '%{http_code} %{time_total}' --max-time 10 --cacert /etc/kubernetes/pki/ca.crt --cert $pem --key $pem "$url/api/v1/nodes/$name")
    echo "probe $t $out" ) &
  sleep 0.2
done; wait"#;

/// Probes that run on one host.
pub(super) struct Watch {
    /// The host.
    pub(super) host: u8,
    thread: std::thread::JoinHandle<Result<String, Error>>,
}

/// What one host saw.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    /// How many probes there were.
    pub(super) probes: usize,
    /// How many of them failed.
    pub(super) failed: usize,
    /// Seconds from the first that failed to the moment when the last that failed was issued and its next one began.
    pub(super) seconds: f64,
    /// Seconds after `since` when the last that failed was issued.
    pub(super) last: f64,
    /// The longest time, in seconds, that one which succeeded took.
    pub(super) slowest: f64,
}

impl Watch {
    /// Begins to probe from a host, for some time.
    pub(super) fn begin(driver: &dyn Driver, host: u8, during: Duration) -> Result<Self, Error> {
        let script = SCRIPT.replace("{seconds}", &during.as_secs().to_string());
        let program: Program = driver.ssh(host, "root")?.arg("sh -s").input(script);
        Ok(Self { host, thread: std::thread::spawn(move || program.run()) })
    }

    /// Waits for its end. `since` is when things began to go wrong, in seconds since 1970.
    pub(super) fn end(self, since: f64) -> Result<(Window, String), Error> {
        let text = self.thread.join().map_err(|_| Error::Asked("the probing thread panicked".into()))??;
        Ok((window(&text, since), text))
    }
}

/// Now, in seconds since 1970: all hosts of the bed share the clock.
pub(super) fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn window(text: &str, since: f64) -> Window {
    let mut probes: Vec<(f64, bool, f64)> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.strip_prefix("probe ")?.split(' ');
            let issued: f64 = words.next()?.parse().ok()?;
            let status = words.next()?;
            let took: f64 = words.next()?.parse().ok()?;
            Some((issued, status == "200", took))
        })
        .collect();
    probes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let bad: Vec<usize> = (0..probes.len()).filter(|n| !probes[*n].1).collect();
    let (first, last) = (bad.first().map(|n| probes[*n].0), bad.last().copied());
    let after = last.map(|n| probes.get(n + 1).map_or(probes[n].0 + probes[n].2, |next| next.0));
    Window {
        probes: probes.len(),
        failed: bad.len(),
        seconds: first.zip(after).map_or(0.0, |(first, after)| after - first),
        last: last.map_or(0.0, |n| probes[n].0 - since),
        slowest: probes.iter().filter(|one| one.1).map(|one| one.2).fold(0.0, f64::max),
    }
}

/// Waits until something is so; gives the seconds it took.
pub(super) fn until(limit: Duration, mut holds: impl FnMut() -> bool) -> Option<f64> {
    let began = Instant::now();
    while began.elapsed() < limit {
        if holds() {
            return Some(began.elapsed().as_secs_f64());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_reaches_from_the_first_failure_to_the_probe_after_the_last() {
        let text = "noise\nprobe 100.4 000 1.0\nprobe 100.0 200 0.01\nprobe 100.2 200 0.5\nprobe 100.6 200 0.02\nprobe 100.8 000 0.1\nprobe 101.1 200 0.3\n";
        let seen = window(text, 100.3);
        assert_eq!((seen.probes, seen.failed), (6, 2));
        assert!(
            (seen.seconds - 0.7).abs() < 1e-6 && (seen.last - 0.5).abs() < 1e-6 && (seen.slowest - 0.5).abs() < 1e-6
        );
        assert_eq!(window("probe 1 200 0.1\n", 0.0).failed, 0);
        assert!((window("probe 1 000 10\n", 0.0).seconds - 10.0).abs() < 1e-6, "nothing came after");
    }
}
