//! Clocks: how far each host's is from the operator's, and whether it follows a server.

use super::context::{Context, Unseen, now, output};
use super::finding::Finding;
use crate::host::{Command, Host};
use crate::step::{time_is_wanted, time_masters};

/// How chrony names a host's own clock.
const OWN: &str = "7F7F0101";
/// How often a clock is asked: the median forgives one slow answer.
const ROUNDS: usize = 5;

/// Prints what knows the time and whether it has found a server: `program yes|no`.
const SOURCE: &str = r#"if command -v chronyc >/dev/null 2>&1 && chronyc -n tracking >/dev/null 2>&1; then
  id=$(chronyc -n tracking | sed -n 's/^Reference ID *: *\([0-9A-F]*\).*/\1/p')
  case $id in ''|00000000|7F7F0101) echo "chrony no $id" ;; *) echo "chrony yes $(chronyc -n tracking | sed -n 's/^Reference ID *: *//p')" ;; esac
elif systemctl is-active -q systemd-timesyncd 2>/dev/null; then
  if [ -e /run/systemd/timesync/synchronized ]; then echo "systemd-timesyncd yes"; else echo "systemd-timesyncd no"; fi
elif systemctl is-active -q ntpd 2>/dev/null || systemctl is-active -q ntpsec 2>/dev/null; then
  echo "ntpd $(timedatectl show -p NTPSynchronized --value 2>/dev/null || echo no)"
else echo "nothing no"; fi"#;

pub(super) async fn skew(context: &Context<'_>) -> Vec<Finding> {
    let limit = context.site.threshold("clock.skew", 0.5);
    context
        .each(
            |_| true,
            |host, connection| async move {
                let fix = "set the clock, and let it follow a time server of the site (`time.servers` in the site file)";
                vec![match measure(connection).await {
                    Err(why) => Finding::failed(&host.name, why, fix),
                    Ok((skew, trip)) => {
                        let evidence = format!(
                            "{:+.0} ms against this machine, median of {ROUNDS} round trips of {:.0} ms; the limit is {limit} s",
                            skew * 1000.0,
                            trip * 1000.0
                        );
                        Finding::judged(skew.abs() <= limit, &host.name, evidence, fix)
                    }
                }]
            },
        )
        .await
}

/// The median of how far a host's clock is ahead, and of the round trips, in seconds. The host is taken to look at its clock in
/// the middle of the round trip.
async fn measure(host: &dyn Host) -> Result<(f64, f64), Unseen> {
    let (mut skews, mut trips) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begin = now();
        let text = output(host, &Command::new("date +%s.%N")).await?;
        let end = now();
        let there: f64 = text.trim().parse().map_err(|_| format!("`date` says {text:?}"))?;
        skews.push(there - f64::midpoint(begin, end));
        trips.push(end - begin);
    }
    Ok((median(skews), median(trips)))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

pub(super) async fn source(context: &Context<'_>) -> Vec<Finding> {
    if !time_is_wanted(context.site) {
        return vec![Finding::skipped("", "the site names no time server: the hosts keep what they have")];
    }
    context
        .each(
            |_| true,
            |host, connection| async move {
                let fix = "see `chronyc sources` on the host, and that UDP port 123 is open to the time server";
                vec![match output(connection, &Command::root(SOURCE)).await {
                    Err(why) => Finding::failed(&host.name, why, fix),
                    Ok(text) => {
                        let mut words = text.split_whitespace().skip(1);
                        let (found, id) = (words.next() == Some("yes"), words.next());
                        // An elected host may go by its own clock when nothing better answers; nobody else may.
                        let own = id == Some(OWN) && time_masters(context.site).iter().any(|one| one.name == host.name);
                        let well = found || own;
                        Finding::judged(well, &host.name, text.trim(), fix)
                    }
                }]
            },
        )
        .await
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_slow_answer_is_forgiven() {
        assert!((super::median(vec![0.01, 9.0, 0.02, 0.0, 0.01]) - 0.01).abs() < 1e-9);
    }
}
