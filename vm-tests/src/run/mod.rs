//! Scenarios: each one file, from the origin to the evidence, with the programs as they are shipped.
//!
//! ```text
//! shipped   builds ferry-bundle, ferry-install, ferry-probe
//! bundle    origin ─► make, sign, verify
//! scenario  what is done and what must hold         cluster   looks at the result without asking ferry
//! sampler   what processes show while something goes on    secrets   where what must stay secret stands
//! trouble   installs that are struck on their way
//! snapshot  a host as text, normalized: two of them can be compared
//! evidence  everything that was seen, in one folder, and the verdict
//! ```

mod bundle;
mod cluster;
mod evidence;
mod sampler;
mod scenario;
mod secrets;
mod shipped;
pub mod snapshot;
pub mod trouble;
mod window;

use std::path::{Path, PathBuf};

pub use bundle::Bundle;
pub use evidence::Evidence;
pub use shipped::Shipped;
pub use snapshot::Snapshot;

use crate::error::Error;
use crate::hosts::{Driver, Lab, Nspawn};
use crate::place::Place;
use crate::ui::Ui;

/// How a scenario is run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Leave the hosts up.
    pub keep: bool,
    /// Where the evidence goes.
    pub out: Option<PathBuf>,
    /// How many moments strike, where a scenario has such.
    pub moments: Option<usize>,
    /// What their choice depends on.
    pub seed: Option<u64>,
    /// On how many hosts, where a scenario leaves the choice.
    pub hosts: Option<u8>,
}

/// What a scenario works with.
#[derive(Debug)]
pub struct Bench {
    /// The bed's folder.
    pub place: Place,
    /// The hosts.
    pub driver: Nspawn,
    /// What was seen.
    pub evidence: Evidence,
    /// What is said.
    pub ui: Ui,
    /// A folder for what is made on the way.
    pub work: PathBuf,
    /// How it is run.
    pub options: Options,
}

impl Bench {
    /// One step of the scenario: said, timed, and noted if it fails.
    pub fn step<T>(&self, what: &str, act: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.ui.say(what);
        self.evidence.timed(what, act)
    }

    /// Something that must hold.
    pub fn check(&self, what: &str, holds: bool, seen: impl AsRef<str>) {
        let seen = seen.as_ref().trim_end();
        self.ui.say(format!(
            "{} {what}{}",
            if holds { "ok  " } else { "FAIL" },
            if seen.is_empty() { String::new() } else { format!(": {seen}") }
        ));
        self.evidence.check(what, holds, seen);
    }
}

/// The scenarios, for people.
#[must_use]
pub fn list() -> String {
    scenario::ALL.iter().map(|one| format!("  {:<14} {}\n", one.name, one.says)).collect()
}

/// Runs a scenario; fails unless all of it holds.
pub fn run(place: &Place, lab: Lab, name: &str, options: &Options) -> Result<(), Error> {
    let Some(scenario) = scenario::ALL.iter().find(|scenario| scenario.name == name) else {
        return Err(Error::Asked(format!("there is no scenario {name:?}; there are:\n{}", list())));
    };
    let driver = Nspawn::take(place, lab)?;
    let folder = options.out.clone().unwrap_or_else(|| place.path(&format!("runs/{name}")));
    let bench = Bench {
        place: place.clone(),
        driver,
        evidence: Evidence::begin(name, &folder)?,
        ui: Ui::default(),
        work: fresh(&folder.join("work"))?,
        options: options.clone(),
    };
    let result = (scenario.run)(&bench);
    if let Err(error) = &result {
        bench.check("the scenario came to its end", false, error.full());
    }
    for host in 1..=scenario.hosts {
        if bench.driver.is_up(host) {
            evidence::collect(&bench, host);
        }
    }
    if !options.keep {
        bench.step("hosts down", || bench.driver.down())?;
    }
    let verdict = bench.evidence.close(&bench.ui.said());
    bench.ui.say(format!("evidence: {}", folder.display()));
    // A machine that can't do it has not failed.
    match result {
        Err(error @ Error::CannotRun(_)) => Err(error),
        _ => verdict,
    }
}

/// An empty folder.
fn fresh(path: &Path) -> Result<PathBuf, Error> {
    if path.exists() {
        std::fs::remove_dir_all(path).map_err(Error::file("remove", path))?;
    }
    std::fs::create_dir_all(path).map_err(Error::file("create", path))?;
    Ok(path.to_owned())
}
