//! `single`: one node with everything, from a bundle made here, with no way out.
//!
//! What must hold is looked up on the host over plain SSH, not asked of ferry: nodes, versions, images by digest,
//! traffic, a volume; nothing has tried to leave; a second install changes nothing; no planted secret is anywhere.

use std::path::Path;

use ferry_engine::event::Event;
use ferry_engine::{journal, plan};

use crate::error::Error;
use crate::hosts::{self, Driver as _};
use crate::installer::{self, SiteOptions};
use crate::run::{Bench, Bundle, Shipped, cluster};

const HOST: u8 = 1;
const MANIFEST: &str = "kubernetes-1.34-core.yaml";

pub(super) fn run(bench: &Bench) -> Result<(), Error> {
    let shipped = bench.step("build the programs", Shipped::made)?;
    bench.evidence.note("ferry-install is", shipped.linked.as_str());
    let bundle = Bundle::made(bench, &shipped, MANIFEST)?;
    bench.step("hosts: one, as new", || {
        bench.driver.prepare()?;
        bench.driver.up(HOST)?;
        bench.driver.reset(HOST)
    })?;
    let counted = bench.step("hosts: what leaves is counted", || hosts::self_test(&bench.driver, HOST))?;
    bench.check("attempts to leave are counted", counted.packets > 0, format!("{} packets of a test", counted.packets));

    let site = bench.work.join("single.yaml");
    let text = installer::single_node_site(&bench.driver, HOST, &SiteOptions::default())?;
    std::fs::write(&site, &text).map_err(Error::file("write", &site))?;
    bench.evidence.save("site.yaml", &text);
    let install = |name: &str| {
        let log = bench.evidence.path(&format!("ferry-install-{name}.log"));
        let program =
            installer::with_bundle(&bench.driver, &shipped.install, "install", &site, &bundle.file, &bundle.key);
        let code = bench.step(&format!("ferry-install: {name}"), || program.logged(&log));
        bench.evidence.copy(&installer::state_of(&site), "site");
        code
    };
    let code = install("first")?;
    bench.check("ferry-install ends with 0", code == 0, format!("exit code {code}"));
    // Where ferry does not accept its own work (12) it is all the more worth looking at.
    if code != 0 && code != 12 {
        return cluster::egress(bench);
    }
    cluster::all(bench, HOST, &bundle)?;
    explained(bench, &installer::state_of(&site))?;

    let before = cluster::snapshot(&bench.driver, HOST)?;
    let code = install("again")?;
    let after = cluster::snapshot(&bench.driver, HOST)?;
    bench.evidence.save("snapshot-before.txt", &before);
    bench.evidence.save("snapshot-after.txt", &after);
    let changed: Vec<&str> = after.lines().filter(|line| !before.lines().any(|old| old == *line)).take(5).collect();
    bench.check("a second install ends with 0", code == 0, format!("exit code {code}"));
    bench.check("a second install changes nothing", before == after, changed.join("; "));

    cluster::egress(bench)?;
    secrets(bench)?;
    Ok(())
}

/// What ran is what the plan listed, in its order, and nothing else that changes something.
fn explained(bench: &Bench, state: &Path) -> Result<(), Error> {
    let mut plan = plan::load(&state.join("plan.json")).map_err(|error| Error::Asked(error.to_string()))?;
    // Where nothing is to do, the same script looks and finds that: listed as if nothing were known of the host.
    for planned in plan.stages.iter_mut().flat_map(|stage| &mut stage.steps).flat_map(|step| &mut step.actions) {
        planned.before = None;
    }
    let path = state.join("journal.jsonl");
    let records = journal::read(&path).map_err(Error::file("read", &path))?.records;
    let listed: Vec<(String, String)> = plan::commands(&plan).into_iter().map(|one| (one.script, one.input)).collect();
    let mut ran: Vec<(String, String)> = records
        .into_iter()
        .filter_map(|record| match record.event {
            Event::Command { script, input, .. } if script.contains("f_log begin ") => Some((script, input)),
            _ => None,
        })
        .collect();
    // What is tried again runs twice in a row.
    ran.dedup();
    let mut rest = listed.iter();
    let strange = ran.iter().filter(|one| !rest.any(|listed| listed == *one)).count();
    let seen = format!("{} listed, {} ran, {strange} of them not in the plan's order", listed.len(), ran.len());
    bench.check("what ran is what the plan lists, in order", strange == 0 && ran.len() > 20, seen);
    Ok(())
}

/// Planted secrets must stand nowhere: not in what was collected, not on the host.
fn secrets(bench: &Bench) -> Result<(), Error> {
    let planted = [installer::VAULT_PASSPHRASE, installer::KEY_PASSPHRASE];
    for secret in planted {
        let script = format!("grep -rlsF -e '{secret}' /etc /var /root /home /run /tmp 2>/dev/null | head -5; true");
        let on_host = bench.driver.must(HOST, &script)?;
        let folder = bench.evidence.path("");
        let here = crate::program::Program::new("grep").args(["-rlsF", "-e", secret]).arg(&folder).ended()?.stdout;
        let seen = format!("{on_host}{here}");
        bench.check("a planted secret is nowhere", seen.trim().is_empty(), seen);
    }
    Ok(())
}
