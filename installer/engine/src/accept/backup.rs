//! etcd's backup: the timer is on, and the newest snapshot is young and can be read.

use std::time::Duration;

use serde::Deserialize;

use super::context::{Context, Unseen, output};
use super::finding::Finding;
use crate::host::{Command, Host, quote};
use crate::site::file::Role;

const TIMER: &str = "ferry-etcd-snapshot.timer";
const SERVICE: &str = "ferry-etcd-snapshot.service";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Snapshot {
    hash: u32,
    revision: i64,
    total_key: i64,
    total_size: i64,
}

pub(super) async fn timer(context: &Context<'_>) -> Vec<Finding> {
    context
        .each(
            |host| host.is(Role::Etcd),
            |host, connection| async move {
                let fix = "run the installer again, or `systemctl enable --now ferry-etcd-snapshot.timer`";
                let script = format!(
                    "systemctl is-active {TIMER} || true; systemctl is-enabled {TIMER} 2>&1 || true; \
                     systemctl list-timers --all --no-pager --no-legend {TIMER} || true"
                );
                vec![match output(connection, &Command::root(script)).await {
                    Err(why) => Finding::failed(&host.name, why, fix),
                    Ok(text) => {
                        let mut lines = text.lines().map(str::trim);
                        let well = lines.next() == Some("active") && lines.next() == Some("enabled");
                        Finding::judged(well, &host.name, text.trim(), fix)
                    }
                }]
            },
        )
        .await
}

pub(super) async fn snapshot(context: &Context<'_>) -> Vec<Finding> {
    let hours = f64::from(context.site.etcd.snapshot_hours.get());
    // A timer may be late by its accuracy and by how long the snapshot takes.
    let limit = context.site.threshold("backup.snapshot", hours + 1.0);
    context
        .each(
            |host| host.is(Role::Etcd),
            |host, connection| async move {
                let fix = "see `journalctl -u ferry-etcd-snapshot` on that host, and that its disk is not full";
                vec![match look(connection, &context.site.etcd.snapshot_dir).await {
                    Err(why) => Finding::failed(&host.name, why, fix),
                    Ok((file, age, snapshot)) => {
                        let well = snapshot.revision > 0 && snapshot.total_key > 0 && age <= limit;
                        let Snapshot { hash, revision, total_key, total_size } = snapshot;
                        let evidence = format!(
                            "{file}: {total_key} keys, revision {revision}, {total_size} bytes, hash {hash:08x}, {age:.1} hours old; the limit is {limit} hours"
                        );
                        Finding::judged(well, &host.name, evidence, fix)
                    }
                }]
            },
        )
        .await
}

/// The newest snapshot, its age in hours, and what it holds. Where there is none yet, one is made, by the timer's own service.
async fn look(host: &dyn Host, folder: &str) -> Result<(String, f64, Snapshot), Unseen> {
    let folder = quote(folder);
    let script = format!(
        "newest() {{ find {folder} -type f \\( -name '*.db' -o -name '*.snapshot' \\) -printf '%T@ %p\\n' 2>/dev/null | sort -n | tail -n 1; }}\n\
         if [ -z \"$(newest)\" ]; then systemctl start {SERVICE} >&2 || {{ journalctl -u {SERVICE} -n 10 --no-pager >&2; exit 1; }}; fi\n\
         found=$(newest); [ -n \"$found\" ] || {{ echo \"no snapshot lies in {folder}\" >&2; exit 1; }}\n\
         date +%s; echo \"$found\"\n\
         /usr/local/bin/etcdutl snapshot status \"${{found#* }}\" -w json"
    );
    let text = output(host, &Command::root(script).within(Duration::from_secs(120))).await?;
    parse(&text).ok_or_else(|| format!("the snapshot can't be understood: {}", text.trim()))
}

fn parse(text: &str) -> Option<(String, f64, Snapshot)> {
    let mut lines = text.lines();
    let now: f64 = lines.next()?.parse().ok()?;
    let (at, file) = lines.next()?.split_once(' ')?;
    let snapshot = serde_json::from_str(lines.next()?).ok()?;
    Some((file.to_owned(), (now - at.parse::<f64>().ok()?).max(0.0) / 3600.0, snapshot))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_snapshot_is_understood() {
        let text = "1795000000\n1794996400.5 /var/backups/ferry/etcd/one.db\n\
                    {\"hash\":255,\"revision\":812,\"totalKey\":990,\"totalSize\":4202496,\"version\":\"3.6.0\"}\n";
        let (file, age, snapshot) = parse(text).unwrap();
        assert_eq!(
            (file.as_str(), snapshot.revision, snapshot.total_key),
            ("/var/backups/ferry/etcd/one.db", 812, 990)
        );
        assert!((age - 1.0).abs() < 0.01);
        assert!(parse("").is_none());
    }
}
