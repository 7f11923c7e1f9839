//! `owed`: a site whose worker is down. The install goes on without it, ends with 14 and says what is owed, also in the
//! report, which is no delivery yet; when the worker is back the same command pays, and changes nothing after that.
//!
//! The worker's absence may be no refusal and no failure; its share must not be forgotten either.

use ferry_engine::{journal, report};

use crate::error::Error;
use crate::hosts::Driver as _;
use crate::installer::{self, HostLine, SiteOptions};
use crate::run::{Bench, Bundle, Shipped, cluster};

const MANIFEST: &str = "kubernetes-1.34-core.yaml";

/// One host with everything, and the worker.
const LINES: [HostLine; 2] = [
    HostLine { host: 1, name: "one", roles: "control-plane, etcd, worker, registry" },
    HostLine { host: 2, name: "worker1", roles: "worker" },
];

pub(super) fn run(bench: &Bench) -> Result<(), Error> {
    let [one, worker] = LINES;
    let shipped = bench.step("build the programs", Shipped::made)?;
    let bundle = Bundle::made(bench, &shipped, MANIFEST)?;
    bench.step("hosts: two, as new", || {
        bench.driver.prepare()?;
        bench.driver.down()?;
        bench.driver.up(2)
    })?;
    let site = bench.work.join("owed.yaml");
    let text = installer::site(&bench.driver, "owed", &LINES, &SiteOptions::default())?;
    std::fs::write(&site, &text).map_err(Error::file("write", &site))?;
    bench.evidence.save("site.yaml", &text);
    bench.step("the worker loses its power", || bench.driver.kill(worker.host))?;

    let state = installer::state_of(&site);
    let install = |name: &str| {
        let log = bench.evidence.path(&format!("ferry-install-{name}.log"));
        let program =
            installer::with_bundle(&bench.driver, &shipped.install, "install", &site, &bundle.file, &bundle.key);
        let code = bench.step(&format!("ferry-install: {name}"), || program.logged(&log))?;
        bench.evidence.copy(&state, &format!("site-{name}"));
        let path = state.join("journal.jsonl");
        let records = journal::read(&path).map_err(Error::file("read", &path))?;
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        Ok::<_, Error>((code, said, report::fold(&records)))
    };

    let (code, said, told) = install("without-the-worker")?;
    let line = said.lines().find(|line| line.contains("left out, and owed its steps")).unwrap_or("nobody was named");
    bench.check("without the worker, ferry-install ends with 14", code == 14, format!("exit code {code}"));
    bench.check("and says at once who is left out", line.contains(worker.name), line);
    bench.check("the report names who is owed", told.owed == [worker.name], format!("{:?}", told.owed));
    bench.check("and is no delivery", !told.deliverable(), "");
    let Some(accepted) = told.acceptance() else {
        bench.check("what is there was accepted", false, "there was no acceptance");
        return Ok(());
    };
    let tally = format!("{} of {} failed", accepted.tally.failed, accepted.checks.len());
    bench.check("what is there was accepted", accepted.tally.failed == 0 && !accepted.checks.is_empty(), tally);
    cluster::nodes(bench, one.host, 1)?;

    bench.step("the worker is back", || bench.driver.boot(worker.host))?;
    let (code, _, told) = install("with-the-worker")?;
    bench.check("with the worker, ferry-install ends with 0", code == 0, format!("exit code {code}"));
    bench.check("nothing is owed any more", told.owed.is_empty(), format!("{:?}", told.owed));
    bench.check("the report is a delivery", told.deliverable(), "");
    cluster::several(bench, one.host, 2, &bundle)?;

    let seen = || LINES.iter().map(|line| cluster::snapshot(&bench.driver, line.host)).collect::<Result<Vec<_>, _>>();
    let before = seen()?;
    let (code, _, _) = install("again")?;
    bench.check("once more, ferry-install ends with 0", code == 0, format!("exit code {code}"));
    bench.check("and changes nothing on either host", before == seen()?, "");
    cluster::egress(bench)
}
