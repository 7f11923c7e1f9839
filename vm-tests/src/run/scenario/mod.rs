//! The scenarios, one a file: what is done, and what must hold.

mod bad_site;
mod bed;
mod by_hand;
mod calico;
mod day;
mod firewalld;
mod flannel;
mod hostile_user;
mod install_ha;
mod kill_resume;
mod neighbours;
mod nodes;
mod owed;
mod restore;
mod single;
mod sudo_bastion;
mod uninstall;
mod vip;

use super::Bench;
use crate::error::Error;

/// A scenario.
pub(super) struct Scenario {
    /// Its name.
    pub(super) name: &'static str,
    /// What it shows.
    pub(super) says: &'static str,
    /// How many hosts it uses.
    pub(super) hosts: u8,
    /// Runs it. Checks that do not hold are noted; an error ends it.
    pub(super) run: fn(&Bench) -> Result<(), Error>,
}

/// All of them.
pub(super) const ALL: [Scenario; 19] = [
    Scenario {
        name: "bed",
        says: "the bed itself: every fault shows and heals, power cuts, what leaves is counted",
        hosts: 3,
        run: bed::run,
    },
    Scenario {
        name: "bad-site",
        says: "hosts broken on purpose: each fault is found by its check, and nothing is changed",
        hosts: 3,
        run: bad_site::run,
    },
    Scenario {
        name: "firewalld",
        says: "firewalld stays on: a node and a registry behind it, and what each lets in, by who asks",
        hosts: 3,
        run: firewalld::run,
    },
    Scenario {
        name: "single",
        says: "one node from a bundle, with no way out: made, signed, carried, installed, accepted",
        hosts: 1,
        run: single::run,
    },
    Scenario {
        name: "install-ha",
        says: "three control planes, a worker, a registry (--hosts 3: merged); each control plane loses its power in turn",
        hosts: 5,
        run: install_ha::run,
    },
    Scenario {
        name: "by-hand",
        says: "the same cluster by ferry and by a script of what an expert types, on the same hosts: how long each takes",
        hosts: 5,
        run: by_hand::run,
    },
    Scenario {
        name: "sudo-bastion",
        says: "one node through a bastion, by password, with a sudo that asks; no secret shows anywhere",
        hosts: 2,
        run: sudo_bastion::run,
    },
    Scenario {
        name: "kill-resume",
        says: "one node, killed, cut off and without power at 30 moments: it comes to the same end",
        hosts: 1,
        run: kill_resume::one,
    },
    Scenario {
        name: "kill-resume-ha",
        says: "three control planes, struck at 20 moments on any of them, and killed where each stage begins",
        hosts: 3,
        run: kill_resume::several,
    },
    Scenario {
        name: "nodes",
        says: "a cluster of one host grows by a worker and two control planes, and loses a live worker and a dead control plane",
        hosts: 4,
        run: nodes::run,
    },
    Scenario {
        name: "restore",
        says: "etcd on three hosts loses two members: back from a snapshot, also when the restore is killed on the way",
        hosts: 3,
        run: restore::run,
    },
    Scenario {
        name: "owed",
        says: "a worker that is down is left out and owed its steps; the same command pays when it is back",
        hosts: 2,
        run: owed::run,
    },
    Scenario {
        name: "uninstall",
        says: "one node, installed and taken back: the host is as before but for a list, also when it is killed on the way",
        hosts: 1,
        run: uninstall::run,
    },
    Scenario {
        name: "neighbours",
        says: "three hosts full of other people's things: install, removal of a node, uninstall that wipes data; each byte stays",
        hosts: 3,
        run: neighbours::run,
    },
    Scenario {
        name: "hostile-user",
        says: "three hosts with a local user who races every verb for root's rights, and gains nothing",
        hosts: 3,
        run: hostile_user::run,
    },
    Scenario {
        name: "day",
        says: "a person's day on four hosts: first sight, taints, a closed port, an upgrade without a worker, two restores",
        hosts: 4,
        run: day::run,
    },
    Scenario {
        name: "flannel",
        says: "two nodes with flannel, and two registries: the second is filled by the first, and serves when that is gone",
        hosts: 2,
        run: flannel::run,
    },
    Scenario {
        name: "vip",
        says: "three hosts with a virtual address, whose holder loses its power; then the same site with local balancers",
        hosts: 3,
        run: vip::run,
    },
    Scenario {
        name: "calico",
        says: "two nodes with Calico, where its images can be had (FERRY_VM_CALICO)",
        hosts: 2,
        run: calico::run,
    },
];
