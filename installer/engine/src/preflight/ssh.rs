//! The way in: whether the host answers, as whom, and what its shell and sshd add.

use super::check::{Run, Seen};
use super::{Check, Limit, Severity, Silence};
use crate::host::Tunnel;
use crate::site::file::Role;

/// How many commands and connections ferry has open on a host at once.
const FAN_OUT: f64 = 4.0;

/// Nothing can be said of a host that says nothing.
pub(super) const REACH: Check = Check {
    id: "ssh.reach",
    title: "the host was reached, and said what it is like",
    severity: Severity::Strict,
    limit: None,
    fix: "see the error of the connection; `ssh -v` to the same address shows more",
    run: Run::Way(|way| match (way.facts, way.silence) {
        (Some(_), _) => Seen::good("it answers"),
        (None, Some(silence)) if silence.reached => Seen::good("it lets us in"),
        // Where nothing depends on it the others are worked on: a worker can follow.
        (None, silence) if way.host.roles == [Role::Worker] && silence.is_none_or(|silence| silence.away) => {
            let why = silence.map_or("nothing is known of it", |silence| silence.why.as_str());
            Seen::planned(why, "left out, and owed its steps: run the same command again when it is back")
        }
        (None, silence) => silent(silence),
    }),
};

/// Everything that is installed needs it.
pub(super) const ROOT: Check = Check {
    id: "ssh.root",
    title: "commands run as root",
    severity: Severity::Strict,
    limit: None,
    fix: "set ssh.privilege in the site file: sudo, sudoPassword or su",
    run: Run::Way(|way| match (way.facts, way.silence) {
        (Some(facts), _) => {
            let account = &facts.account;
            let uid = account.uid.map_or_else(|| "unknown".to_owned(), |uid| uid.to_string());
            Seen::judge(account.uid == Some(0), format!("user {}, id {uid}", account.user))
        }
        (None, Some(silence)) if silence.reached => silent(Some(silence)),
        (None, _) => Seen::skipped("the host was not reached"),
    }),
};

/// The connection's own words, and what helps against them.
fn silent(silence: Option<&Silence>) -> Seen {
    match silence {
        Some(Silence { why, hint: Some(hint), .. }) => Seen::bad_fixed_by(why.as_str(), hint.as_str()),
        Some(silence) => Seen::bad(silence.why.as_str()),
        None => Seen::bad("nothing is known of it"),
    }
}

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
    fix: "set AllowTcpForwarding local in sshd_config, at least for this user",
    run: Run::Host(|on| {
        let set = match on.facts.sshd.tcp_forwarding {
            Some(false) => "AllowTcpForwarding no",
            Some(true) => "AllowTcpForwarding yes",
            None => "no setting was read",
        };
        match (&on.facts.sshd.tunnel, on.facts.sshd.tcp_forwarding) {
            (Some(Tunnel::Forwarding), _) => Seen::good(format!("tried: it does ({set})")),
            (Some(Tunnel::Session), _) => {
                Seen::bad(format!("tried: it does not ({set}); ferry goes through a session instead, which is slower"))
            }
            (Some(Tunnel::None(_)), _) => Seen::bad(format!("tried: it does not ({set})")),
            (None, Some(false)) => Seen::bad(set),
            (None, _) => Seen::good(format!("not tried ({set})")),
        }
    }),
};

/// Without it the registry cannot be filled, whatever else works.
pub(super) const CONTENT: Check = Check {
    id: "ssh.content",
    title: "ports of the host are reached through its connection",
    severity: Severity::Fail,
    limit: None,
    fix: "set AllowTcpForwarding local and MaxSessions 10 in sshd_config, at least for this user",
    run: Run::Host(|on| match (&on.facts.sshd.tunnel, on.facts.sshd.max_sessions) {
        (Some(Tunnel::Forwarding), _) => Seen::good("by forwarding"),
        // A connection to a port takes one session for as long as it lasts; commands need the others.
        (Some(Tunnel::Session), Some(sessions)) if f64::from(sessions) < FAN_OUT => {
            Seen::bad(format!("forwarding is forbidden, and MaxSessions {sessions} leaves no session in its place"))
        }
        (Some(Tunnel::Session), _) => Seen::good("through a session"),
        (Some(Tunnel::None(why)), _) => {
            Seen::bad(format!("forwarding is forbidden, and a session cannot take its place: {why}"))
        }
        (None, _) => Seen::skipped("not tried"),
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
