//! Snapshots of etcd on a timer, from the first hour: taken, verified, and old ones removed only after a good new one.

use super::base::PROGRAMS;
use super::context::{Context, unit};
use super::etcd::CTL;
use crate::action::{Action, DataKind, File, Folder, Run, Subject};
use crate::host::quote;
use crate::plan::Step;
use crate::site::Host;

/// The unit that takes a snapshot.
const NAME: &str = "ferry-etcd-snapshot";

/// The step of an etcd host.
pub(super) fn step(context: &Context<'_>, host: &Host) -> Step {
    let etcd = &context.site.etcd;
    let (folder, keep) = (&etcd.snapshot_dir, etcd.snapshot_keep.get());
    let quoted = quote(folder);
    let script = format!(
        "#!/bin/sh
# Takes a snapshot of this host's member, checks it, and then removes all but the newest {keep}.
set -eu
umask 077
folder={quoted}
name=etcd-$(date -u +%Y%m%dT%H%M%SZ).db
{CTL} snapshot save \"$folder/$name.part\" >/dev/null
/usr/local/bin/etcdutl snapshot status \"$folder/$name.part\" -w json >\"$folder/$name.json.part\"
sync
mv -f \"$folder/$name.json.part\" \"$folder/$name.json\"
mv -f \"$folder/$name.part\" \"$folder/$name\"
rm -f \"$folder\"/etcd-????????T??????Z.db.part \"$folder\"/etcd-????????T??????Z.db.json.part
ls -1 \"$folder\" | grep -x 'etcd-[0-9]\\{{8\\}}T[0-9]\\{{6\\}}Z\\.db' | sort -r | tail -n +{first_old} | while read -r old; do rm -f \"$folder/$old\" \"$folder/$old.json\"; done
",
        first_old = keep + 1,
    );
    let service = format!(
        "[Unit]\nDescription=A verified snapshot of etcd\nAfter=etcd.service\n\n[Service]\nType=oneshot\nExecStart={PROGRAMS}/etcd-snapshot\n"
    );
    let timer = format!(
        "[Unit]\nDescription=Snapshots of etcd\n\n[Timer]\nOnBootSec=5min\nOnUnitActiveSec={}h\nAccuracySec=1min\n\n[Install]\nWantedBy=timers.target\n",
        etcd.snapshot_hours
    );
    let parent = folder.parent();
    let reads = vec![
        Action::File(File::text(format!("{PROGRAMS}/etcd-snapshot"), script).mode(0o755)),
        Action::File(File::text(format!("/etc/systemd/system/{NAME}.service"), service)),
        Action::File(File::text(format!("/etc/systemd/system/{NAME}.timer"), timer)),
    ];
    let enabled = unit(&format!("{NAME}.timer"), true, &reads);
    let mut actions = vec![
        // The folder above may be the site's own.
        Action::Folder(Folder::new(parent, 0o755).keeping()),
        Action::Folder(Folder::new(folder.as_str(), 0o700).data(DataKind::Snapshots)),
    ];
    actions.extend(reads);
    actions.push(enabled);
    actions.push(Action::Run(Run::unless(
        "a first snapshot of etcd",
        Subject::Other,
        format!("ls {quoted}/etcd-*.db.json"),
        format!(
            "systemctl start {NAME}.service || {{ journalctl -u {NAME}.service -n 20 --no-pager -o cat >&2; exit 1; }}"
        ),
    )));
    Step::new("backup.etcd", &host.name, "snapshots of etcd", actions)
}
