//! `kill-resume` and `kill-resume-ha`: installs that are killed, cut off and left without power on the way come to the same
//! end as one that was left in peace.
//!
//! One undisturbed install gives the end (a snapshot of each host) and the time line. Then, on fresh hosts each round, with the
//! same vault, the moments of a round strike one after the other, each on one of the hosts; what was ended is run again, at
//! once. At the end of a round the cluster is accepted, the snapshots are the same, and nothing was done twice that is not
//! safe twice. On several hosts the installer is killed where each stage begins, too.

mod sites;

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ferry_engine::plan;

use self::sites::{fresh, site_of};
use crate::error::Error;
use crate::hosts::{Driver as _, Nspawn};
use crate::installer::{self, HostLine};
use crate::program::Program;
use crate::run::snapshot::{describe, rules};
use crate::run::trouble::{
    HELD, Moment, Run, Second, Strike, Timeline, Visit, both_at_work, may_end, moments, repeated,
};
use crate::run::{Bench, Bundle, Shipped, Snapshot};

const MANIFEST: &str = "kubernetes-1.34-core.yaml";
/// How long any run may take. An undisturbed one takes a few minutes.
const PATIENCE: Duration = Duration::from_secs(900);
/// How often a run that was struck is begun again without a strike until it ends well.
const RERUNS: usize = 3;
/// The name of the engineer whose runs these are, as the second one is told it.
const WHO: &str = "anna";
/// For how long a lease may be in the way whose holder has died, in seconds: its own 90, and the start of a run that finds it gone.
const LAPSES: f64 = 120.0;

/// On what it is tried.
#[derive(Clone, Copy)]
struct Course {
    /// The hosts; one alone has all roles.
    hosts: &'static [HostLine],
    /// Moments in all, unless `--moments` says otherwise.
    moments: usize,
    /// Moments of a round, but for its Ctrl-C and the beginnings of stages.
    each: usize,
    /// Whether the installer is killed where each stage begins, too.
    stages: bool,
}

const ONE: Course = Course {
    hosts: &[HostLine { host: 1, name: "node1", roles: "control-plane, worker, etcd, registry" }],
    moments: 30,
    each: 6,
    stages: false,
};

const SEVERAL: Course = Course { hosts: &super::install_ha::THREE, moments: 20, each: 5, stages: true };

/// What all rounds share.
struct Tried<'a> {
    bench: &'a Bench,
    course: Course,
    shipped: &'a Shipped,
    bundle: &'a Bundle,
    /// The vault of the undisturbed install.
    vault: PathBuf,
    timeline: Timeline,
    /// The hosts' snapshots, in their order.
    end: Vec<Snapshot>,
    seed: u64,
    /// Since when a lease of the second engineer's has been in the way.
    in_the_way: Cell<Option<Instant>>,
    /// What came of all visits of the second engineer.
    visits: RefCell<Vec<Visit>>,
}

/// One host with all roles.
pub(super) fn one(bench: &Bench) -> Result<(), Error> {
    run(bench, ONE)
}

/// Three control planes that are workers, too.
pub(super) fn several(bench: &Bench) -> Result<(), Error> {
    run(bench, SEVERAL)
}

fn run(bench: &Bench, course: Course) -> Result<(), Error> {
    let seed = bench.options.seed.unwrap_or_else(|| u64::from(std::process::id()) ^ clock());
    let each = course.each;
    let rounds = bench.options.moments.unwrap_or(course.moments).div_ceil(each).max(1);
    bench.ui.say(format!("seed {seed}: --seed {seed} strikes at the same moments again"));
    bench.evidence.note("seed", seed);
    bench.evidence.save("snapshot-rules.txt", &rules());
    let shipped = bench.step("build the programs", Shipped::made)?;
    let bundle = Bundle::made(bench, &shipped, MANIFEST)?;
    let count = u8::try_from(course.hosts.len()).unwrap_or(u8::MAX);
    bench.step("hosts", || bench.driver.prepare().and_then(|_| bench.driver.up(count)))?;
    let Some(tried) = undisturbed(bench, course, &shipped, &bundle, seed)? else { return Ok(()) };
    let mut struck = [0; 4];
    let hosts: Vec<u8> = course.hosts.iter().map(|line| line.host).collect();
    let mut all = moments(&tried.timeline, &hosts, rounds, each, seed);
    if course.stages {
        // Neighbouring stages go to different rounds.
        for (n, moment) in tried.timeline.stages().into_iter().enumerate() {
            all[n % rounds].push(moment);
        }
        for round in &mut all {
            round.sort_by_key(|moment| moment.at);
        }
    }
    let planned: usize = all.iter().map(Vec::len).sum();
    for (n, moments) in all.into_iter().enumerate() {
        tried.round(n + 1, moments, &mut struck)?;
    }
    tried.second_has_come();
    let [installer, connection, power, interrupted] = struck;
    let seen = format!(
        "{installer} installers killed, {connection} connections cut, {power} power cuts, {interrupted} Ctrl-C"
    );
    bench.evidence.note("strikes", seen.as_str());
    let all = installer + connection + power;
    bench.check("the moments have struck", all + rounds >= planned && struck.iter().all(|one| *one > 0), seen);
    Ok(())
}

/// The install that nothing happens to: its end and its time line.
fn undisturbed<'a>(
    bench: &'a Bench,
    course: Course,
    shipped: &'a Shipped,
    bundle: &'a Bundle,
    seed: u64,
) -> Result<Option<Tried<'a>>, Error> {
    let site = fresh(bench, course, "undisturbed", None)?;
    let mut run = start(bench, shipped, bundle, &site, "undisturbed")?;
    let code = bench.step("ferry-install, undisturbed", || run.end(PATIENCE))?;
    bench.check("undisturbed, ferry-install ends with 0", code == 0, format!("exit code {code}"));
    let timeline = run.timeline();
    bench.evidence.note("an undisturbed install takes seconds", timeline.whole.as_secs());
    let end = bench.step("snapshot", || snapshots(bench, course))?;
    for (line, snapshot) in course.hosts.iter().zip(&end) {
        bench.evidence.save(&format!("snapshot-undisturbed-{}.txt", line.name), &snapshot.text());
        let seen = format!("{}: {} entries, {}", line.name, snapshot.len(), snapshot.digest());
        bench.check("the snapshot sees files, images and objects", snapshot.len() > 5000, seen);
    }
    let vault = installer::state_of(&site).join("vault.age");
    let (in_the_way, visits) = (Cell::new(None), RefCell::new(Vec::new()));
    let tried = Tried { bench, course, shipped, bundle, vault, timeline, end, seed, in_the_way, visits };
    Ok((code == 0).then_some(tried))
}

/// All hosts' snapshots.
fn snapshots(bench: &Bench, course: Course) -> Result<Vec<Snapshot>, Error> {
    course.hosts.iter().map(|line| Snapshot::take(&bench.driver, line.host)).collect()
}

/// Starts `ferry-install install` for a site with its own state folder.
fn start(bench: &Bench, shipped: &Shipped, bundle: &Bundle, site: &Path, log: &str) -> Result<Run, Error> {
    let program = installer::with_bundle(&bench.driver, &shipped.install, "install", site, &bundle.file, &bundle.key);
    let log = bench.evidence.path(&format!("ferry-install-{log}.log"));
    Run::start(program.env("USER", WHO), &installer::state_of(site), &log)
}

impl Tried<'_> {
    fn start(&self, site: &Path, log: &str) -> Result<Run, Error> {
        start(self.bench, self.shipped, self.bundle, site, log)
    }

    /// One install with all its moments, and what must hold at its end.
    fn round(&self, number: usize, mut moments: Vec<Moment>, struck: &mut [usize; 4]) -> Result<(), Error> {
        let (bench, name) = (self.bench, format!("round{number}"));
        let site = fresh(bench, self.course, &name, Some(&self.vault))?;
        // One Ctrl-C a round, halfway between two other moments: other two in each round.
        let at = 1 + number % moments.len().saturating_sub(1).max(1);
        if let [Some(before), Some(after)] = [moments.get(at - 1), moments.get(at)].map(|one| one.map(|one| one.at)) {
            let host = self.course.hosts[0].host;
            moments.insert(at, self.timeline.moment((before + after) / 2, Strike::Interrupt, host));
        }
        let mut run = self.start(&site, &name)?;
        let second = self.second_engineer(number, &name)?;
        let mut pending = None;
        for moment in moments {
            if let Some(code) = run.ended()? {
                if !self.is_in_the_way(code) {
                    self.judge(&moment, pending.take(), code);
                }
                run = self.start(&site, &name)?;
            }
            if !self.comes_to(&mut run, &moment, &mut pending, || self.start(&site, &name))? {
                bench.ui.say(format!("not struck, it had ended: {moment}"));
                continue;
            }
            bench.step(&format!("round {number}: {moment}"), || {
                moment.strike.strike(&mut run, &bench.driver, moment.host)
            })?;
            struck[usize::from(moment.strike.class())] += 1;
            pending = Some(moment.strike);
            if matches!(moment.strike, Strike::Installer | Strike::Interrupt) {
                let code = run.end(PATIENCE)?;
                self.judge(&moment, pending.take(), code);
                run = self.start(&site, &name)?;
            }
        }
        // Left in peace means by the second engineer, too.
        let visits = second.end()?;
        self.visits.borrow_mut().extend(visits);
        let other = installer::state_of(&bench.work.join(format!("{name}-second/site.yaml")));
        let both = both_at_work(&installer::state_of(&site).join("journal.jsonl"), &other.join("journal.jsonl"))?;
        bench.evidence.copy(&other, &format!("{name}-second"));
        bench.check("never two at work on one host", both.is_empty(), format!("{name}: {}", both.join("; ")));
        self.finish(&name, &site, run, pending)
    }

    /// Waits for a moment. A run that an earlier strike ends before it is begun again, and comes there too; false if the
    /// install was past it.
    fn comes_to(
        &self,
        run: &mut Run,
        moment: &Moment,
        pending: &mut Option<Strike>,
        again: impl Fn() -> Result<Run, Error>,
    ) -> Result<bool, Error> {
        while !run.reaches(moment, PATIENCE)? {
            let code = run.end(PATIENCE)?;
            if self.is_in_the_way(code) {
                *run = again()?;
                continue;
            }
            let struck = pending.take();
            self.judge(moment, struck, code);
            *run = again()?;
            if struck.is_none() {
                return Ok(false);
            }
        }
        self.is_in_the_way(0);
        Ok(true)
    }

    /// Whether a run was turned away because of the second engineer: it is begun again until his lease has lapsed, which must be
    /// soon.
    fn is_in_the_way(&self, code: i32) -> bool {
        if code == HELD {
            let since = self.in_the_way.get().unwrap_or_else(Instant::now);
            self.in_the_way.set(Some(since));
            std::thread::sleep(Duration::from_secs(1));
            return true;
        }
        if let Some(since) = self.in_the_way.take() {
            let seconds = since.elapsed().as_secs_f64();
            self.bench.check(
                "a lease of somebody who has died lapses",
                seconds < LAPSES,
                format!("in the way for {seconds:.0} s"),
            );
        }
        false
    }

    /// An end that says why is well; a crash, a refusal or a lease in the way is not.
    fn judge(&self, moment: &Moment, strike: Option<Strike>, code: i32) {
        let what = strike.map_or("nothing".to_owned(), |strike| strike.to_string());
        self.bench.check(
            "a run that was struck ends with a code that says so",
            may_end(strike, code),
            format!("exit code {code} after {what}, before {moment}"),
        );
    }

    /// Runs it to its end, and looks at what it came to.
    fn finish(&self, name: &str, site: &Path, mut run: Run, strike: Option<Strike>) -> Result<(), Error> {
        let bench = self.bench;
        let mut code = bench.step(&format!("{name}: to the end"), || run.end(PATIENCE))?;
        while self.is_in_the_way(code) {
            code = bench.step(&format!("{name}: to the end"), || self.start(site, name)?.end(PATIENCE))?;
        }
        bench.check(
            "a run that was struck ends with a code that says so",
            may_end(strike, code) || [7, 10, 12, 14].contains(&code) && strike.is_some(),
            format!("exit code {code}, the last of {name}"),
        );
        let mut codes = vec![code];
        // One that was struck is no run in peace, however it ended.
        let mut peace = strike.is_none();
        while (code != 0 || !peace) && codes.len() <= RERUNS {
            code = bench.step(&format!("{name}: again"), || self.start(site, name)?.end(PATIENCE))?;
            peace = true;
            codes.push(code);
        }
        bench.evidence.copy(&installer::state_of(site), name);
        bench.check(
            "left in peace, the install comes to its end and is accepted",
            code == 0,
            format!("{name}: exit codes {codes:?}"),
        );
        let ends = bench.step(&format!("{name}: snapshot"), || snapshots(bench, self.course))?;
        for ((line, undisturbed), end) in self.course.hosts.iter().zip(&self.end).zip(&ends) {
            let name = format!("{name}-{}", line.name);
            let differences = undisturbed.differences(end);
            bench.evidence.save(&format!("snapshot-{name}.txt"), &end.text());
            bench.evidence.save(&format!("differences-{name}.txt"), &describe(&differences, usize::MAX));
            let seen = if differences.is_empty() { end.digest().to_string() } else { describe(&differences, 12) };
            bench.check(
                "the host is as after the undisturbed install",
                end.digest() == undisturbed.digest(),
                format!("{name}: {seen}"),
            );
            self.twice(&name, line.host, &installer::state_of(site))?;
        }
        Ok(())
    }

    /// What the host's own ledger says was done twice.
    fn twice(&self, name: &str, host: u8, state: &Path) -> Result<(), Error> {
        let plan = plan::load(&state.join("plan.json")).map_err(|error| Error::Asked(error.to_string()))?;
        let ledger = self.bench.driver.must(host, "cat /var/lib/ferry/ledger")?;
        self.bench.evidence.save(&format!("ledger-{name}.txt"), &ledger);
        let (safe, unsafe_twice): (Vec<_>, Vec<_>) = repeated(&ledger, &plan).into_iter().partition(|one| one.safe);
        let list = |all: &[crate::run::trouble::Repeated]| {
            all.iter().map(|one| format!("{} ×{}", one.what, one.done)).collect::<Vec<_>>().join(", ")
        };
        let seen = if unsafe_twice.is_empty() {
            format!("{name}: {} lines; again, as may be: {}", ledger.lines().count(), list(&safe))
        } else {
            format!("{name}: {}", list(&unsafe_twice))
        };
        self.bench.check("nothing that is not safe twice was done twice", unsafe_twice.is_empty(), seen);
        Ok(())
    }

    /// A second engineer, who comes at random moments of the round with a state folder of his own.
    fn second_engineer(&self, number: usize, name: &str) -> Result<Second, Error> {
        let bench = self.bench;
        let name = format!("{name}-second");
        let site = site_of(bench, self.course, &name, Some(&self.vault))?;
        let (state, log) = (installer::state_of(&site), bench.evidence.path(&format!("ferry-install-{name}.log")));
        let (lab, install, bundle) = (bench.driver.lab().clone(), self.shipped.install.clone(), self.bundle.clone());
        let place = bench.place.clone();
        let program = move || {
            // His own way to the hosts: the lab is the first engineer's for changes.
            let driver = Nspawn::visit(&place, lab.clone());
            let program = driver
                .map(|driver| installer::with_bundle(&driver, &install, "install", &site, &bundle.file, &bundle.key));
            program.unwrap_or_else(|_| Program::new("false")).env("USER", "bert")
        };
        let number = u64::try_from(number).unwrap_or_default();
        Ok(Second::begin(program, state, log, self.seed ^ (number << 32)))
    }

    /// He was turned away at least once, and told who is at work.
    fn second_has_come(&self) {
        let visits = self.visits.borrow();
        let count = |wanted: &dyn Fn(&Visit) -> bool| visits.iter().filter(|visit| wanted(visit)).count();
        let (refused, worked) = (count(&|visit| visit.code == HELD), count(&|visit| visit.worked));
        let codes: Vec<i32> = visits.iter().map(|visit| visit.code).collect();
        let seen =
            format!("{} visits, {refused} turned away, {worked} got their turn; exit codes {codes:?}", visits.len());
        self.bench.evidence.note("the second engineer", seen.as_str());
        self.bench.check("a second engineer is turned away with 13", refused > 0, seen);
        // Away, cut off, struck with the host, or killed by himself; never a crash or a refusal of another kind.
        let well = visits.iter().all(|visit| visit.worked || [HELD, 0, 7, 10, 11, 12, 14, 137].contains(&visit.code));
        self.bench.check("each of his runs ends with a code that says why", well, format!("{codes:?}"));
        let logs = std::fs::read_dir(self.bench.evidence.path("")).into_iter().flatten().flatten();
        let said: String = logs
            .filter(|entry| entry.file_name().to_string_lossy().ends_with("-second.log"))
            .filter_map(|entry| std::fs::read_to_string(entry.path()).ok())
            .collect();
        let told = said.lines().find(|line| line.contains("being worked on by")).unwrap_or("nobody was named");
        self.bench.check("and told who is at work", told.contains(WHO), told.trim());
    }
}

fn clock() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) ^ now.as_secs()
}
