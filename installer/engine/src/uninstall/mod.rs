//! Takes an install back, from what each host itself has recorded: nothing but the site file is needed, no bundle, no plan.
//!
//! ```text
//! host: ledger, undo/ ──read──► Record ──rounds──► sweeps    what programs of the cluster have left: pods, links, rules, data
//!                                                  back      each entry of the ledger, last first (action::back)
//!                                                  end       units that ran before run again; ferry's own state goes last
//! ```
//! What the ledger does not name is not touched, but for what the sweeps list, each only where ferry has brought the program
//! that makes it, and never what was there before. Data folders are given back by the paths and marks that the ledger has. Cut off anywhere it is simply run again: what is taken back is entered in the ledger, too.

mod read;
mod sweep;

pub use read::{READ, Record, parse};

use std::collections::BTreeMap;

use crate::action::{back, record_key, taking_back};
use crate::rounds::{Round, Task};
use crate::site::Site;

/// The longest script that is sent, in bytes: half of what a host takes.
const LONGEST: usize = 32 << 10;

/// What is kept or not.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Whether snapshots of etcd and the content of volumes go, too.
    pub wipe_data: bool,
}

/// What will be done, in order. `records` are those of the hosts that have one.
#[must_use]
pub fn rounds(site: &Site, records: &BTreeMap<String, Record>, options: Options) -> Vec<Round> {
    let mut sweeps = Vec::new();
    let mut undos = Vec::new();
    let mut ends = Vec::new();
    for (host, record) in records {
        sweeps.extend(sweep::tasks(site, host, record, options));
        undos.extend(batches(host, record));
        ends.push(Task::new("uninstall.end", host, "units of before, and ferry's own state", end(record)).owed());
    }
    [("what the cluster has left", sweeps), ("everything in the ledger, last first", undos), ("the end", ends)]
        .into_iter()
        .filter(|(_, tasks)| !tasks.is_empty())
        .map(|(name, tasks)| Round { name: name.to_owned(), tasks })
        .collect()
}

/// The entries of a ledger, last first, in as few scripts as the host takes; units and commands alone, as they may take long.
fn batches(host: &str, record: &Record) -> Vec<Task> {
    let bodies: Vec<(&str, String)> = record
        .open()
        .filter_map(|what| Some((what, back(what, record.undo.get(&record_key(what)).map(String::as_str))?)))
        .collect();
    let mut batches: Vec<Vec<&(&str, String)>> = Vec::new();
    let mut size = 0;
    for one in &bodies {
        let alone = one.0.starts_with("unit:") || one.0.starts_with("run:");
        let next = one.0.len() * 3 + one.1.len() + 64;
        if let Some(batch) = batches.last_mut().filter(|_| !alone && size > 0 && size + next <= LONGEST) {
            batch.push(one);
            size += next;
        } else {
            batches.push(vec![one]);
            size = if alone { 0 } else { next };
        }
    }
    let task = |batch: Vec<&(&str, String)>| {
        let (title, seconds) = match batch.as_slice() {
            [one] => (one.0.split_once(':').map_or(one.0, |(_, rest)| rest).to_owned(), 240),
            many => (format!("{} files and folders", many.len()), 300),
        };
        let script = taking_back(batch.iter().map(|one| (one.0, one.1.as_str())));
        Task::new("uninstall.back", host, title, script).within(seconds).owed()
    };
    batches.into_iter().map(task).collect()
}

/// What ferry keeps in its own folder on a host. It is removed by name: what others have put there stays.
const STATE: &str = "before stamps undo blocks install install.part kept mirror restart other-namespaces other-namespaces.part ledger lock";

/// The last script of a host. Once the ledger has gone there is nothing left to be run again.
fn end(record: &Record) -> String {
    let units: Vec<String> = record.units().map(crate::host::quote).collect();
    format!(
        "set -eu\nS=/var/lib/ferry\nsystemctl daemon-reload\nfor unit in {units}; do systemctl reset-failed \"$unit\" 2>/dev/null || :; done\n\
         if [ -s $S/restart ]; then while read -r unit; do systemctl restart \"$unit\" || echo \"note: $unit, which ran before ferry came, does not start\"; done <$S/restart; fi\n\
         sync\nfor one in {STATE}; do rm -rf --one-file-system $S/$one; done\nrm -rf --one-file-system /run/ferry 2>/dev/null || :\n\
         [ ! -d $S ] || rmdir $S 2>/dev/null || echo \"note: $S stays, with what ferry has not made: $(ls -A $S | tr '\\n' ' ')\"",
        units = units.join(" "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::tests::site::site;

    fn record(lines: &[&str]) -> Record {
        let ledger: String = lines.iter().map(|line| format!("|2026-01-01T00:00:00Z {line}\n")).collect();
        parse(&format!("@ledger\n{ledger}@undo {}\n|userdel etcd\n", record_key("run:user etcd"))).unwrap()
    }

    #[test]
    fn the_last_change_is_taken_back_first_and_only_once() {
        let record = record(&[
            "begin run:user etcd",
            "done run:user etcd",
            "begin folder:/etc/etcd",
            "begin file:/etc/etcd/a",
            "begin unit:etcd.service",
            "done unit:etcd.service",
            "begin file:/etc/etcd/a",
            "begin run:image x",
        ]);
        let tasks = batches("node1", &record);
        let titles: Vec<&str> = tasks.iter().map(|task| task.title.as_str()).collect();
        assert_eq!(titles, ["etcd.service", "2 files and folders", "user etcd"]);
        let (file, folder) = (tasks[1].script.find("undo file:"), tasks[1].script.find("undo folder:"));
        assert!(file.is_some() && file < folder, "{}", tasks[1].script);
        assert!(tasks[2].script.contains("userdel etcd"));
    }

    #[test]
    fn what_was_taken_back_is_done_with_unless_it_was_made_anew() {
        let once = record(&["begin file:/a/b", "done file:/a/b", "undo file:/a/b", "undone file:/a/b"]);
        assert!(batches("node1", &once).is_empty());
        let again = record(&["undone file:/a/b", "begin file:/a/b", "undo file:/a/b"]);
        assert_eq!(batches("node1", &again).len(), 1, "cut off in between");
    }

    #[test]
    fn programs_that_ferry_did_not_bring_are_not_swept_after() {
        let site = site();
        let of = |lines: &[&str], options| -> String {
            let records = BTreeMap::from([("node1".to_owned(), record(lines))]);
            rounds(&site, &records, options)
                .iter()
                .flat_map(|round| &round.tasks)
                .map(|task| task.script.clone())
                .collect()
        };
        let bare = of(&["begin file:/etc/hosts.x"], Options::default());
        assert!(!bare.contains("/var/lib/etcd") && !bare.contains("kubelet") && !bare.contains("KUBE-"), "{bare}");
        let id = "0b2f5a1e-7a5c-4d0e-9d55-1f0a2b3c4d5e";
        let data = [("etcd", "/data/a"), ("snapshots", "/data/b"), ("volumes", "/data/c"), ("registry", "/data/d")]
            .map(|(kind, path)| format!("data {id} {kind} {path}"));
        let mut whole = vec!["begin unit:kubelet.service", "begin unit:etcd.service", "begin unit:containerd.service"];
        whole.extend(data.iter().map(String::as_str));
        let text = of(&whole, Options::default());
        assert!(text.contains("KUBE-") && text.contains(&format!("f_wipe {id} etcd /data/a")), "{text}");
        assert!(text.contains(&format!("f_wipe {id} registry /data/d")));
        assert!(text.contains(&format!("f_leave {id} snapshots /data/b")));
        // What the site file says today is of no account.
        for path in ["/var/lib/etcd", "/var/backups", "/var/lib/ferry-volumes", "/var/lib/ferry-registry"] {
            assert!(!text.contains(path), "{path}");
        }
        let text = of(&whole, Options { wipe_data: true });
        for line in ["snapshots /data/b", "volumes /data/c"] {
            assert!(text.contains(&format!("f_wipe {id} {line}")), "{text}");
        }
    }

    #[test]
    fn a_host_of_a_ferry_without_marks_gives_back_only_what_its_ledger_names() {
        let mut site = site();
        let of = |site: &Site, lines: &[&str]| -> String {
            let records = BTreeMap::from([("node1".to_owned(), record(lines))]);
            let options = Options { wipe_data: true };
            rounds(site, &records, options)
                .iter()
                .flat_map(|round| &round.tasks)
                .map(|task| task.script.clone())
                .collect()
        };
        let lines =
            ["done folder:/var/lib/etcd", "done unit:kubelet.service", "done unit:etcd.service", "begin folder:/srv/x"];
        let text = of(&site, &lines);
        assert!(text.contains("f_wipe - etcd /var/lib/etcd") && text.contains("f_wipe - volumes "), "{text}");
        assert!(!text.contains("f_wipe - registry") && !text.contains("f_wipe - snapshots"), "{text}");
        // Neither a path that was edited since, nor one that was refused.
        site.etcd.data_dir = "/srv/x".parse().unwrap();
        assert!(!of(&site, &lines).contains("f_wipe - etcd"));
    }
}
