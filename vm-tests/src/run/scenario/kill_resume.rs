//! `kill-resume`: installs that are killed, cut off and left without power on the way come to the same end as one that was
//! left in peace.
//!
//! One undisturbed install gives the end (a snapshot of the host) and the time line. Then, on a fresh host each round, with the
//! same vault, the moments of a round strike one after the other; what was ended is run again, at once. At the end of a
//! round the cluster is accepted, the snapshot is the same, and nothing was done twice that is not safe twice.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ferry_engine::plan;

use crate::error::Error;
use crate::hosts::Driver as _;
use crate::installer::{self, SiteOptions};
use crate::run::snapshot::{describe, rules};
use crate::run::trouble::{Moment, Run, Strike, Timeline, may_end, moments, repeated};
use crate::run::{Bench, Bundle, Shipped, Snapshot};

const HOST: u8 = 1;
const MANIFEST: &str = "kubernetes-1.34-core.yaml";
/// Moments of a round, but for its Ctrl-C.
const EACH: usize = 6;
/// Moments in all, unless `--moments` says otherwise.
const MOMENTS: usize = 30;
/// How long any run may take. An undisturbed one takes a minute or two.
const PATIENCE: Duration = Duration::from_secs(900);
/// How often a run that was struck is begun again without a strike until it ends well.
const RERUNS: usize = 3;
/// The name of the engineer whose runs these are, as the second one is told it.
const WHO: &str = "anna";

/// What all rounds share.
struct Tried<'a> {
    bench: &'a Bench,
    shipped: &'a Shipped,
    bundle: &'a Bundle,
    /// The vault of the undisturbed install.
    vault: PathBuf,
    timeline: Timeline,
    end: Snapshot,
}

pub(super) fn run(bench: &Bench) -> Result<(), Error> {
    let seed = bench.options.seed.unwrap_or_else(|| u64::from(std::process::id()) ^ clock());
    let rounds = bench.options.moments.unwrap_or(MOMENTS).div_ceil(EACH).max(1);
    bench.ui.say(format!("seed {seed}: --seed {seed} strikes at the same moments again"));
    bench.evidence.note("seed", seed);
    bench.evidence.save("snapshot-rules.txt", &rules());
    let shipped = bench.step("build the programs", Shipped::made)?;
    let bundle = Bundle::made(bench, &shipped, MANIFEST)?;
    bench.step("hosts: one", || bench.driver.prepare().and_then(|_| bench.driver.up(HOST)))?;
    let Some(tried) = undisturbed(bench, &shipped, &bundle)? else { return Ok(()) };
    let mut struck = [0; 4];
    for (n, moments) in moments(&tried.timeline, rounds, EACH, seed).into_iter().enumerate() {
        tried.round(n + 1, moments, &mut struck)?;
    }
    let [installer, connection, power, interrupted] = struck;
    let seen = format!(
        "{installer} installers killed, {connection} connections cut, {power} power cuts, {interrupted} Ctrl-C"
    );
    bench.evidence.note("strikes", seen.as_str());
    let all = installer + connection + power;
    bench.check("the moments have struck", all + rounds >= rounds * EACH && struck.iter().all(|one| *one > 0), seen);
    Ok(())
}

/// The install that nothing happens to: its end and its time line.
fn undisturbed<'a>(bench: &'a Bench, shipped: &'a Shipped, bundle: &'a Bundle) -> Result<Option<Tried<'a>>, Error> {
    let site = fresh(bench, "undisturbed", None)?;
    let mut run = start(bench, shipped, bundle, &site, "undisturbed")?;
    let code = bench.step("ferry-install, undisturbed", || run.end(PATIENCE))?;
    bench.check("undisturbed, ferry-install ends with 0", code == 0, format!("exit code {code}"));
    let timeline = run.timeline();
    bench.evidence.note("an undisturbed install takes seconds", timeline.whole.as_secs());
    let end = bench.step("snapshot", || Snapshot::take(&bench.driver, HOST))?;
    bench.evidence.save("snapshot-undisturbed.txt", &end.text());
    bench.check(
        "the snapshot sees files, images and objects",
        end.len() > 5000,
        format!("{} entries, {}", end.len(), end.digest()),
    );
    let vault = installer::state_of(&site).join("vault.age");
    Ok((code == 0).then_some(Tried { bench, shipped, bundle, vault, timeline, end }))
}

/// A host as new, its site file, and a state folder with nothing but the vault, if one is given.
fn fresh(bench: &Bench, name: &str, vault: Option<&Path>) -> Result<PathBuf, Error> {
    bench.step(&format!("hosts: one as new, {name}"), || bench.driver.reset(HOST))?;
    let folder = bench.work.join(name);
    let site = folder.join("single.yaml");
    let state = installer::state_of(&site);
    std::fs::create_dir_all(&state).map_err(Error::file("create", &state))?;
    let text = installer::single_node_site(&bench.driver, HOST, &SiteOptions::default())?;
    std::fs::write(&site, text).map_err(Error::file("write", &site))?;
    if let Some(vault) = vault {
        std::fs::copy(vault, state.join("vault.age")).map_err(Error::file("copy", vault))?;
    }
    Ok(site)
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
        let site = fresh(bench, &name, Some(&self.vault))?;
        // One Ctrl-C a round, halfway between two other moments: other two in each round.
        let at = 1 + number % moments.len().saturating_sub(1).max(1);
        if let [Some(before), Some(after)] = [moments.get(at - 1), moments.get(at)].map(|one| one.map(|one| one.at)) {
            moments.insert(at, self.timeline.moment((before + after) / 2, Strike::Interrupt));
        }
        let mut run = self.start(&site, &name)?;
        let mut pending = None;
        for moment in moments {
            if let Some(code) = run.ended()? {
                self.judge(&moment, pending.take(), code);
                run = self.start(&site, &name)?;
            }
            if number == 1 && struck.iter().sum::<usize>() == 2 {
                self.second_engineer(&mut run)?;
            }
            if !run.reaches(&moment, PATIENCE)? {
                bench.ui.say(format!("not struck, it had ended: {moment}"));
                continue;
            }
            bench.step(&format!("round {number}: {moment}"), || moment.strike.strike(&mut run, &bench.driver, HOST))?;
            struck[usize::from(moment.strike.class())] += 1;
            pending = Some(moment.strike);
            if matches!(moment.strike, Strike::Installer | Strike::Interrupt) {
                let code = run.end(PATIENCE)?;
                self.judge(&moment, pending.take(), code);
                run = self.start(&site, &name)?;
            }
        }
        self.finish(&name, &site, run, pending)
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
        bench.check(
            "a run that was struck ends with a code that says so",
            may_end(strike, code),
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
        let end = bench.step(&format!("{name}: snapshot"), || Snapshot::take(&bench.driver, HOST))?;
        let differences = self.end.differences(&end);
        bench.evidence.save(&format!("snapshot-{name}.txt"), &end.text());
        bench.evidence.save(&format!("differences-{name}.txt"), &describe(&differences, usize::MAX));
        let seen = if differences.is_empty() { end.digest().to_string() } else { describe(&differences, 12) };
        bench.check(
            "the host is as after the undisturbed install",
            end.digest() == self.end.digest(),
            format!("{name}: {seen}"),
        );
        self.twice(name, &installer::state_of(site))
    }

    /// What the host's own ledger says was done twice.
    fn twice(&self, name: &str, state: &Path) -> Result<(), Error> {
        let plan = plan::load(&state.join("plan.json")).map_err(|error| Error::Asked(error.to_string()))?;
        let ledger = self.bench.driver.must(HOST, "cat /var/lib/ferry/ledger")?;
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

    /// While the first engineer's run goes on, a second one with a state folder of his own is turned away.
    fn second_engineer(&self, first: &mut Run) -> Result<(), Error> {
        let (bench, folder) = (self.bench, self.bench.work.join("second"));
        let site = folder.join("single.yaml");
        let state = installer::state_of(&site);
        std::fs::create_dir_all(&state).map_err(Error::file("create", &state))?;
        let text = installer::single_node_site(&bench.driver, HOST, &SiteOptions::default())?;
        std::fs::write(&site, text).map_err(Error::file("write", &site))?;
        std::fs::copy(&self.vault, state.join("vault.age")).map_err(Error::file("copy", &self.vault))?;
        let held = |driver: &dyn crate::hosts::Driver| {
            driver.run(HOST, "test -s /run/ferry/lease").is_ok_and(|ended| ended.code == 0)
        };
        while !held(&bench.driver) && first.ended()?.is_none() {
            std::thread::sleep(Duration::from_millis(100));
        }
        let log = bench.evidence.path("ferry-install-second.log");
        let program = installer::with_bundle(
            &bench.driver,
            &self.shipped.install,
            "install",
            &site,
            &self.bundle.file,
            &self.bundle.key,
        );
        let code = bench.step("a second engineer", || program.env("USER", "bert").logged(&log))?;
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        let told = said.lines().find(|line| line.contains("being worked on by")).unwrap_or("nobody was named");
        let goes_on = first.ended()?.is_none();
        bench.check("a second engineer is turned away with 13", code == 13, format!("exit code {code}"));
        bench.check("and told who is at work", told.contains(WHO), told.trim());
        bench.check("while the first run goes on", goes_on, "");
        Ok(())
    }
}

fn clock() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) ^ now.as_secs()
}
