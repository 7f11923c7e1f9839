//! The way in: whether the host answers, as whom, and what its shell and sshd add.

use super::check::{Run, Seen};
use super::{Check, Limit, Severity};
use crate::site::file::Role;

/// How many commands and connections ferry has open on a host at once.
const FAN_OUT: f64 = 4.0;

/// Nothing can be said of a host that says nothing.
pub(super) const REACH: Check = Check {
    id: "ssh.reach",
    title: "every host was reached, and said what it is like",
    severity: Severity::Strict,
    limit: None,
    fix: "see the error of the connection; `ssh -v` to the same address shows more",
    run: Run::Site(|whole| {
        let silent = || whole.site.hosts.iter().filter(|host| !whole.facts.contains_key(&host.name));
        let names: Vec<&str> = silent().map(|host| host.name.as_str()).collect();
        if names.is_empty() {
            return Seen::good(format!("{} hosts", whole.site.hosts.len()));
        }
        let evidence = format!("nothing is known of {}", names.join(", "));
        // The cluster can be built without a worker, not without any other.
        if silent().all(|host| host.roles == [Role::Worker]) {
            return Seen::planned(evidence, "left out, and owed its steps: run the same command again when it is back");
        }
        Seen::bad(evidence)
    }),
};

pub(super) const ROOT: Check = Check {
    id: "ssh.root",
    title: "commands run as root",
    severity: Severity::Strict,
    limit: None,
    fix: "set ssh.privilege in the site file: sudo, sudoPassword or su",
    run: Run::Host(|on| {
        let account = &on.facts.account;
        let uid = account.uid.map_or_else(|| "unknown".to_owned(), |uid| uid.to_string());
        Seen::judge(account.uid == Some(0), format!("user {}, id {uid}", account.user))
    }),
};

/// What a shell prints by itself stands before every answer.
pub(super) const NOISE: Check = Check {
    id: "ssh.noise",
    title: "the login shell says nothing by itself",
    severity: Severity::Warn,
    limit: None,
    fix: "let the shell's start files print only on a terminal: [ -t 1 ] || return",
    run: Run::Host(|on| match on.facts.account.noise.as_slice() {
        [] => Seen::good("silent"),
        noise => Seen::bad(format!("{:?}", noise.join(" / "))),
    }),
};

/// It ends shells, and it ends long commands on some systems.
pub(super) const TMOUT: Check = Check {
    id: "ssh.tmout",
    title: "no TMOUT ends idle shells",
    severity: Severity::Warn,
    limit: None,
    fix: "take TMOUT out of the profile for the time of the installation",
    run: Run::Host(|on| match on.facts.account.tmout.as_slice() {
        [] => Seen::good("not set"),
        set => Seen::bad(set.join(", ")),
    }),
};

/// Commands and uploads share one connection.
pub(super) const SESSIONS: Check = Check {
    id: "ssh.sessions",
    title: "sshd allows several sessions a connection",
    severity: Severity::Warn,
    limit: Some(Limit { value: FAN_OUT, unit: "sessions" }),
    fix: "set MaxSessions 10 in sshd_config",
    run: Run::Host(|on| match on.facts.sshd.max_sessions {
        Some(sessions) => Seen::judge(f64::from(sessions) >= on.limit(), format!("MaxSessions {sessions}")),
        None => Seen::good("the default, 10"),
    }),
};

/// The API and the registry are reached through the host's connection.
pub(super) const FORWARDING: Check = Check {
    id: "ssh.forwarding",
    title: "sshd passes connections on",
    severity: Severity::Warn,
    limit: None,
    fix: "set AllowTcpForwarding local in sshd_config",
    run: Run::Host(|on| match on.facts.sshd.tcp_forwarding {
        Some(false) => Seen::bad("AllowTcpForwarding no"),
        Some(true) => Seen::good("AllowTcpForwarding yes"),
        None => Seen::good("the default, yes"),
    }),
};

/// Uploads go by a shell where there is none; it is slower on long ways.
pub(super) const SFTP: Check = Check {
    id: "ssh.sftp",
    title: "sshd has the sftp subsystem",
    severity: Severity::Warn,
    limit: None,
    fix: "add Subsystem sftp internal-sftp to sshd_config",
    run: Run::Host(|on| match &on.facts.sshd.sftp {
        Some(sftp) => Seen::good(sftp.clone()),
        None => Seen::planned("no sftp subsystem", "uploads through a shell"),
    }),
};
