//! `bad-site`: three hosts, broken on purpose. `ferry-install check` finds each fault by the check that is for it and by no
//! other, says what fixes it, passes again when it is healed; `install` changes nothing on hosts that are not fit.
//!
//! ```text
//! healthy ─check─► findings ─┐
//! break ──check─► findings ─┴─► what changed = what the trial lists, exactly ──heal──► next trial … ─check─► as at first
//! ```

mod trials;
mod verdict;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use trials::{ALWAYS, IN_PROCESS, TRIALS, Trial};
use verdict::{Findings, Shows};

use crate::error::Error;
use crate::hosts::{Driver as _, Fault};
use crate::installer;
use crate::program::Ended;
use crate::run::{Bench, Bundle, Shipped};

const HOSTS: u8 = 3;
const MANIFEST: &str = "kubernetes-1.34-core.yaml";

pub(super) fn run(bench: &Bench) -> Result<(), Error> {
    let shipped = bench.step("build the programs", Shipped::made)?;
    let bundle = Bundle::made(bench, &shipped, MANIFEST)?;
    bench.step("hosts: three, as new", || {
        bench.driver.prepare()?;
        bench.driver.up(HOSTS)?;
        (1..=HOSTS).try_for_each(|host| bench.driver.reset(host))
    })?;
    let reasons: Vec<&str> = IN_PROCESS.iter().map(|(id, _)| *id).collect();
    bench.evidence.note("checks that are tried in process alone", reasons.join(", "));
    let bed = Bed { bench, shipped, bundle, site: site(bench)? };
    let healthy = bed.healthy("healthy")?;
    let stands: Vec<String> = failures(&healthy).map(|(check, place)| format!("{check} {place}")).collect();
    bench.check(
        "nothing stands in the way on the healthy site",
        stands.is_empty() && healthy.len() > 200,
        stands.join(", "),
    );
    for trial in &TRIALS {
        bed.trial(trial, &healthy)?;
    }
    let healed = bed.healthy("healed")?;
    let differs = verdict::changed(&healthy, &healed);
    bench.check("healed, everything passes as before", differs.is_empty(), format!("{differs:?}"));
    bed.strange_key()
}

/// What the trials share.
struct Bed<'a> {
    bench: &'a Bench,
    shipped: Shipped,
    bundle: Bundle,
    /// The healthy site's file, with the host keys named `NODE1` to `NODE3`.
    site: String,
}

impl Bed<'_> {
    /// Writes the trial's site file.
    fn write(&self, name: &str, edits: &[(&str, &str)]) -> Result<PathBuf, Error> {
        let mut text = self.site.clone();
        for (old, new) in edits {
            if !text.contains(old) {
                return Err(Error::Asked(format!("the site file has no {old:?}")));
            }
            text = text.replace(old, new);
        }
        for host in 1..=HOSTS {
            let key = installer::fingerprint(&self.bench.driver.host_key(host)?)?;
            text = text.replace(&format!("NODE{host}"), &key);
        }
        let name = name.replace(' ', "-");
        let path = self.bench.work.join(format!("{name}.yaml"));
        std::fs::write(&path, &text).map_err(Error::file("write", &path))?;
        self.bench.evidence.save(&format!("site-{name}.yaml"), &text);
        Ok(path)
    }

    fn ferry(&self, verb: &str, site: &Path, json: bool) -> Result<Ended, Error> {
        let program = installer::with_bundle(
            &self.bench.driver,
            &self.shipped.install,
            verb,
            site,
            &self.bundle.file,
            &self.bundle.key,
        );
        let what = site.file_stem().unwrap_or_default().to_string_lossy().replace('-', " ");
        let ended = self.bench.step(&format!("ferry-install {verb}: {what}"), || {
            if json { program.arg("--json").ended() } else { program.ended() }
        })?;
        let kind = if json { "jsonl" } else { "txt" };
        let said = format!("{}{}", ended.stdout, ended.stderr);
        self.bench.evidence.save(&format!("{verb}-{}.{kind}", what.replace(' ', "-")), &said);
        Ok(ended)
    }

    fn broken(&self, faults: &[(u8, &str)]) -> Result<(), Error> {
        for (host, fault) in ALWAYS.iter().chain(faults) {
            self.bench.driver.fault(*host, &Fault::of(fault)?)?;
        }
        Ok(())
    }

    fn healed(&self) -> Result<(), Error> {
        self.bench.step("heal", || (1..=HOSTS).try_for_each(|host| self.bench.driver.heal(host)))
    }

    /// The check of hosts with nothing but what is always so.
    fn healthy(&self, name: &str) -> Result<Findings, Error> {
        let site = self.write(name, &[])?;
        self.broken(&[])?;
        let ended = self.ferry("check", &site, true)?;
        self.healed()?;
        self.bench.check(&format!("{name}: check ends with 0"), ended.code == 0, format!("exit code {}", ended.code));
        Ok(verdict::findings(&ended.stdout))
    }

    /// Breaks, checks, compares, heals.
    fn trial(&self, trial: &Trial, healthy: &Findings) -> Result<(), Error> {
        let (bench, name) = (self.bench, trial.name);
        let site = self.write(name, trial.site)?;
        bench.step(&format!("{name}: {} faults", trial.faults.len()), || self.broken(trial.faults))?;
        let ended = self.ferry("check", &site, true)?;
        bench.check(
            &format!("{name}: check ends with {}", trial.code),
            ended.code == trial.code,
            format!("exit code {} {}", ended.code, ended.stderr.lines().last().unwrap_or_default()),
        );
        let mut changed = verdict::changed(healthy, &verdict::findings(&ended.stdout));
        for found in trial.found {
            let key = (found.check.to_owned(), found.place.to_owned());
            let told = changed.remove(&key);
            let right = told.as_ref().is_some_and(|told| {
                let cured = matches!(told.shows, Shows::Passed | Shows::Skipped) || !told.fix.is_empty();
                told.shows == found.shows && told.evidence.contains(found.evidence) && cured
            });
            let seen = told.map_or_else(
                || "as on the healthy site".to_owned(),
                |told| format!("{:?}: {} | {}", told.shows, told.evidence, told.fix),
            );
            bench.check(&format!("{} on {} is {:?}", found.check, found.place, found.shows), right, seen);
        }
        let unknown = |place: &str| trial.unknown.iter().any(|host| place.contains(host) || place == "site");
        changed.retain(|(_, place), told| told.shows != Shows::Skipped || !unknown(place));
        let others: Vec<String> =
            changed.iter().map(|((check, place), told)| format!("{check} on {place} {told:?}")).collect();
        bench.check(&format!("{name}: no other check comes out otherwise"), others.is_empty(), others.join("; "));
        if trial.site.is_empty() {
            self.refused(&site, name)?;
        }
        self.healed()
    }

    /// `install` on hosts that are not fit says so and has changed nothing.
    fn refused(&self, site: &Path, name: &str) -> Result<(), Error> {
        let before = self.untouched()?;
        let ended = self.ferry("install", site, false)?;
        let after = self.untouched()?;
        let says = ended.code == 11 && ended.stderr.contains("the site is not fit; nothing was changed");
        let seen =
            format!("exit code {}: {}", ended.code, ended.stderr.lines().rev().take(2).collect::<Vec<_>>().join(" / "));
        self.bench.check(&format!("{name}: install ends with 11"), says, seen);
        let old: HashSet<&str> = before.lines().collect();
        let differs: Vec<&str> = after.lines().filter(|line| !old.contains(line)).take(5).collect();
        self.bench.check(&format!("{name}: install has changed nothing"), before == after, differs.join("; "));
        Ok(())
    }

    /// All files of the hosts and what else an installation would change; not what a login or a look changes.
    fn untouched(&self) -> Result<String, Error> {
        let look = "for top in / /var; do
                find $top -xdev \\( -path /var/log -o -path /var/tmp -o -path /tmp -o -path /var/lib/systemd -o -path /run \\) -prune \
                  -o -type d -printf '%p %m %u:%g\\n' -o -printf '%p %m %u:%g %s %T@ %l\\n'
            done | sort -u
            ls -A /var/tmp /tmp | grep -v systemd-private; pgrep -a probe
            ip -o addr; ip route; nft list ruleset; sysctl -a 2>/dev/null | grep -E '^net\\.(ipv4\\.(ip_forward|conf)|bridge)' | sort
            systemctl list-unit-files --no-legend --no-pager | grep -v transient; true";
        (1..=HOSTS).map(|host| Ok(format!("host {host}\n{}", self.bench.driver.must(host, look)?))).collect()
    }

    /// Other host keys than the pinned ones: last, because they stay. The table for people shows it, too.
    fn strange_key(&self) -> Result<(), Error> {
        let site = self.write("a strange key", &[])?;
        self.bench.driver.fault(1, &Fault::of("changed-host-key")?)?;
        let ended = self.ferry("check", &site, false)?;
        let (_, table) = ended.stdout.split_once("\nok     site.availability").unwrap_or(("", &ended.stdout));
        let words = table.split_whitespace().collect::<Vec<_>>().join(" ");
        let says = [
            "STRICT ssh.reach",
            "the host shows other keys",
            "is pinned in the site file",
            "fix: if the host was reinstalled",
        ];
        let missing: Vec<&str> = says.into_iter().filter(|text| !words.contains(text)).collect();
        let seen = format!("exit code {}, missing: {missing:?}", ended.code);
        self.bench.check("a strange host key is named as such", ended.code == 7 && missing.is_empty(), seen);
        let wide = table.lines().filter(|line| line.chars().count() > 100).count();
        self.bench.check("the table fits into 100 columns", wide == 0, format!("{wide} lines are wider"));
        Ok(())
    }
}

/// The site as a technician writes it.
fn site(bench: &Bench) -> Result<String, Error> {
    let mut hosts = String::new();
    for host in 1..=HOSTS {
        let roles = if host == 1 { "control-plane, etcd, registry" } else { "worker" };
        let address = bench.driver.address(host)?;
        hosts.push_str(&format!(
            "- name: node{host}\n  address: {address}\n  roles: [{roles}]\n  hostKey: NODE{host}\n"
        ));
    }
    Ok(format!(
        "apiVersion: ferry.dev/v1\nkind: Site\ncluster: bad\nvault: {{passphrase: {{env: FERRY_VAULT}}}}\nssh:\n  user: root\n  \
         auth:\n  - key: {{file: {}}}\nhosts:\n{hosts}{}",
        bench.driver.identity().display(),
        installer::WAIVERS
    ))
}

/// What would stop an installation.
fn failures(findings: &Findings) -> impl Iterator<Item = &(String, String)> {
    let stops = |told: &verdict::Told| matches!(told.shows, Shows::Strict | Shows::Fail);
    findings.iter().filter(move |(_, told)| stops(told)).map(|(key, _)| key)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use ferry_engine::preflight::{CHECKS, Severity};

    use super::*;

    const BEGIN: &str = "<!-- real hosts: made from the trials of bad-site -->\n";
    const END: &str = "<!-- end of real hosts -->\n";

    /// Checks by id, and in which trials a real host makes them come out otherwise.
    fn real() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
        let mut real = BTreeMap::from([("ssh.reach", BTreeSet::from(["a strange key"]))]);
        for trial in &TRIALS {
            for found in trial.found.iter().filter(|found| found.shows != Shows::Skipped) {
                real.entry(found.check).or_default().insert(trial.name);
            }
        }
        real
    }

    #[test]
    fn every_check_is_tried_on_real_hosts_or_says_why_not() {
        let all: BTreeSet<&str> = CHECKS.iter().map(|check| check.id).collect();
        let real: BTreeSet<&str> = real().into_keys().collect();
        let inside: BTreeSet<&str> = IN_PROCESS.iter().map(|(id, _)| *id).collect();
        assert_eq!(real.intersection(&inside).collect::<Vec<_>>(), Vec::<&&str>::new(), "both real and in process");
        let known: BTreeSet<&str> = real.union(&inside).copied().collect();
        assert_eq!(all.difference(&known).collect::<Vec<_>>(), Vec::<&&str>::new(), "no trial and no reason");
        assert_eq!(known.difference(&all).collect::<Vec<_>>(), Vec::<&&str>::new(), "there is no such check");
    }

    #[test]
    fn trials_weigh_as_the_registry_does_and_break_what_can_be_broken() {
        for trial in &TRIALS {
            for (host, fault) in trial.faults {
                assert!((1..=HOSTS).contains(host), "{}: {fault}", trial.name);
                Fault::of(fault).unwrap_or_else(|error| panic!("{}: {}", trial.name, error.full()));
            }
            for found in trial.found {
                let severity = CHECKS.iter().find(|check| check.id == found.check).expect(found.check).severity;
                let right = match found.shows {
                    Shows::Strict => severity == Severity::Strict,
                    Shows::Fail => severity == Severity::Fail,
                    Shows::Warn => severity == Severity::Warn,
                    Shows::Planned | Shows::Passed | Shows::Skipped => true,
                    Shows::Waived => false,
                };
                assert!(right, "{}: {} is {severity:?}", trial.name, found.check);
            }
        }
    }

    /// The table in the documentation is that of the trials. `FERRY_WRITE_DOCS=1` writes it anew.
    #[test]
    fn the_documentation_says_what_is_tried_on_real_hosts() {
        let real = real();
        let row = |id: &str| match (real.get(id), IN_PROCESS.iter().find(|(one, _)| *one == id)) {
            (Some(trials), _) => {
                format!("| `{id}` | yes: {} |\n", trials.iter().copied().collect::<Vec<_>>().join("; "))
            }
            (None, Some((_, why))) => format!("| `{id}` | no: {why} |\n"),
            (None, None) => format!("| `{id}` | |\n"),
        };
        let rows: String = CHECKS.iter().map(|check| row(check.id)).collect();
        let table = format!("| id | a real host in `bad-site` |\n|---|---|\n{rows}");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/preflight.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let (head, rest) = text.split_once(BEGIN).expect("the beginning of the table");
        let (old, tail) = rest.split_once(END).expect("the end of the table");
        if std::env::var_os("FERRY_WRITE_DOCS").is_some() {
            std::fs::write(&path, format!("{head}{BEGIN}{table}{END}{tail}")).unwrap();
            return;
        }
        assert!(old == table, "docs/preflight.md is out of date: run this test with FERRY_WRITE_DOCS=1");
    }
}
