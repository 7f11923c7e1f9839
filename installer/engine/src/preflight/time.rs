//! Clocks: whether something keeps them right, and whether they agree.

use super::check::{OnHost, Run, Seen, Whole};
use super::{Check, Limit, Severity};
use crate::step::{time_is_wanted, time_masters, time_sources};

/// A clock that nothing keeps right drifts by seconds a week, until certificates and elections fail.
pub(super) const SOURCE: Check = Check {
    id: "time.source",
    title: "a time server is configured and answers",
    severity: Severity::Fail,
    limit: None,
    fix: "point chrony at a time server of the site; without one, let all hosts follow one of them",
    run: Run::Host(source),
};

fn source(on: &OnHost<'_>) -> Seen {
    let time = &on.facts.time;
    if let Some(planned) = planned(on) {
        return planned;
    }
    if time.service.is_empty() {
        return Seen::bad("no time service runs");
    }
    match (time.sources.as_slice(), time.reachable.as_slice()) {
        ([], _) => Seen::bad(format!("{} has no source", time.service)),
        (sources, []) => Seen::bad(format!("{}: none of {} answers", time.service, sources.join(", "))),
        (_, reachable) => Seen::good(format!("{} follows {}", time.service, reachable.join(", "))),
    }
}

/// That the plan configures chrony, or why it can't; `None` where the site says nothing of whom to follow.
fn planned(on: &OnHost<'_>) -> Option<Seen> {
    let (site, time) = (on.site(), &on.facts.time);
    if !time_is_wanted(site) {
        return None;
    }
    let sources = time_sources(site, on.host);
    if !on.facts.has("chronyc") {
        let fix = "install the package chrony from the distribution's medium, or take `time` out of the site file";
        return Some(Seen::bad_fixed_by("chrony is not installed, and the site file says whom to follow", fix));
    }
    if !time.service.is_empty() && !time.service.starts_with("chron") && !time.service.contains("timesyncd") {
        let fix = format!("systemctl disable --now {}", time.service);
        return Some(Seen::bad_fixed_by(format!("{} runs, and would fight with chrony", time.service), fix));
    }
    if !on.facts.capabilities.contains("CAP_SYS_TIME") {
        let fix = "let what runs around this container keep the clock, and waive this check with that reason";
        return Some(Seen::bad_fixed_by("root may not set the clock here (no CAP_SYS_TIME)", fix));
    }
    if on.is_ours() && !time.reachable.is_empty() {
        return Some(Seen::good(format!("{} follows {}", time.service, time.reachable.join(", "))));
    }
    let whom =
        if sources.is_empty() { "its own clock, as the one that all others follow".into() } else { sources.join(", ") };
    let now = if time.service.is_empty() { "no time service runs".into() } else { format!("{} runs", time.service) };
    Some(Seen::planned(now, format!("configures chrony to follow {whom}")))
}

/// What the system itself says.
pub(super) const SYNCHRONIZED: Check = Check {
    id: "time.synchronized",
    title: "the clock is synchronized",
    severity: Severity::Fail,
    limit: None,
    fix: "see `timedatectl` and `chronyc sources`; a firewall may stand between the host and UDP 123",
    run: Run::Host(|on| match on.facts.time.synchronized {
        Some(false) if matches!(planned(on), Some(Seen::Planned { .. })) => {
            Seen::planned("not synchronized", "configures chrony")
        }
        Some(synchronized) => Seen::judge(synchronized, if synchronized { "synchronized" } else { "not synchronized" }),
        None => Seen::skipped("nothing on the host says so"),
    }),
};

/// Half a second makes logs and alarms hard to read.
pub(super) const SKEW_SMALL: Check = Check {
    id: "time.skew-small",
    title: "clocks agree closely",
    severity: Severity::Warn,
    limit: Some(Limit { value: 0.5, unit: "seconds apart" }),
    fix: "wait until the hosts have settled on the same time server, or correct the one that is off",
    run: Run::Site(skew),
};

/// More than that, and leases and elections suffer.
pub(super) const SKEW: Check = Check {
    id: "time.skew",
    title: "clocks agree",
    severity: Severity::Fail,
    limit: Some(Limit { value: 2.0, unit: "seconds apart" }),
    fix: "set the clock that is off (chronyc makestep), and keep it right with a time server",
    run: Run::Site(skew),
};

/// kubeadm's certificates begin five minutes before they are made: beyond that hosts do not believe each other.
pub(super) const SKEW_STRICT: Check = Check {
    id: "time.skew-strict",
    title: "clocks agree well enough for certificates",
    severity: Severity::Strict,
    limit: Some(Limit { value: 300.0, unit: "seconds apart" }),
    fix: "set the clock that is off (date -s, hwclock -w)",
    run: Run::Site(skew),
};

/// The two clocks that are farthest apart, by what can be known in spite of the time on the way.
fn skew(whole: &Whole<'_>) -> Seen {
    let clocks: Vec<_> = whole.known().map(|(host, facts)| (host.name.as_str(), &facts.clock)).collect();
    let clocks: Vec<_> = clocks.into_iter().filter(|(_, clock)| clock.epoch_ns > 0).collect();
    if clocks.len() < 2 {
        return Seen::skipped("there is no second clock to compare with");
    }
    let pairs = clocks.iter().flat_map(|one| clocks.iter().map(move |two| (one, two)));
    let apart = pairs.map(|(one, two)| {
        let doubt = one.1.uncertainty_seconds + two.1.uncertainty_seconds;
        let sure = (one.1.offset_seconds - two.1.offset_seconds).abs() - doubt;
        (sure.max(0.0), one.0, two.0)
    });
    let Some((seconds, one, two)) = apart.max_by(|a, b| a.0.total_cmp(&b.0)) else {
        return Seen::skipped("there is no second clock to compare with");
    };
    let limit = whole.limit();
    if seconds <= limit {
        return Seen::good(format!("{seconds:.1} s apart, at most {limit}"));
    }
    Seen::bad(format!("{one} and {two} are {seconds:.1} s apart, at most {limit}"))
}

/// A host of before the bundle makes certificates that others take for future ones.
pub(super) const SANE: Check = Check {
    id: "time.sane",
    title: "the clock is not before the bundle was made",
    severity: Severity::Fail,
    limit: None,
    fix: "set the clock (date -s, hwclock -w)",
    run: Run::Host(|on| {
        let Some(made) = on.whole.needs.made_at else { return Seen::skipped("the bundle does not say when") };
        let seconds = on.facts.clock.epoch_ns / 1_000_000_000 - i128::from(made);
        let when = if seconds < 0 { "before" } else { "after" };
        let (count, unit) = match seconds.abs() {
            seconds @ ..172_800 => (seconds / 60, "minutes"),
            seconds => (seconds / 86_400, "days"),
        };
        Seen::judge(seconds >= 0, format!("{count} {unit} {when} the bundle"))
    }),
};

/// All hosts that follow their own clocks look synchronized and drift apart.
pub(super) const LOCAL_STRATUM: Check = Check {
    id: "time.local-stratum",
    title: "no clock follows itself",
    severity: Severity::Fail,
    limit: None,
    fix: "take `local stratum` out of chrony.conf on all but the one host that the others follow",
    run: Run::Site(|whole| {
        let own: Vec<&str> =
            whole.known().filter(|(_, facts)| facts.time.local_reference).map(|(host, _)| host.name.as_str()).collect();
        let hosts = whole.site.hosts.len();
        if own.is_empty() {
            return Seen::good("none does");
        }
        // Of those that ferry has elected one may, when nothing better answers.
        let elected = time_masters(whole.site);
        let elected = !elected.is_empty() && own.iter().all(|name| elected.iter().any(|host| host.name == *name));
        Seen::judge(
            own.len() == 1 && (hosts > 1 || elected),
            format!("{} of {hosts} follow themselves: {}", own.len(), own.join(", ")),
        )
    }),
};

/// Logs of hosts in different zones can't be laid side by side.
pub(super) const ZONE: Check = Check {
    id: "time.zone",
    title: "all hosts have the same time zone",
    severity: Severity::Warn,
    limit: None,
    fix: "timedatectl set-timezone ZONE",
    run: Run::Site(|whole| {
        let mut zones: Vec<String> = whole.known().map(|(_, facts)| facts.time.zone.clone()).collect();
        zones.sort_unstable();
        zones.dedup();
        Seen::judge(zones.len() <= 1, zones.join(", "))
    }),
};
