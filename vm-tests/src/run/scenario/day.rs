//! `day`: what a person does with ferry on a day on site, on four hosts, with an application of his own: questions about host keys,
//! an install, a taint that somebody sets, a part of the acceptance, a node behind a closed port, an upgrade while a worker is
//! down, two restores, a report, an uninstall. Each step once went wrong or said something that was not so.

mod maker;
mod terminal;

use std::path::{Path, PathBuf};

use ferry_engine::{journal, report};
use serde_json::Value;

use crate::error::Error;
use crate::hosts::{Driver as _, Fault};
use crate::installer::{self, HostLine, SiteOptions};
use crate::program::{Ended, Program};
use crate::run::{Bench, Bundle, Shipped, cluster};

const A: HostLine = HostLine { host: 1, name: "mgr-a", roles: "control-plane, etcd, worker, registry" };
const B: HostLine = HostLine { host: 2, name: "mgr-b", roles: "control-plane, etcd, worker" };
const C: HostLine = HostLine { host: 3, name: "mgr-c", roles: "control-plane, etcd, worker" };
const D: HostLine = HostLine { host: 4, name: "work-d", roles: "worker" };
const CLUSTER: &str = "day";
/// A taint as kubeadm writes its own: without a value.
const TAINT: &str = "taints: [\"lager.example/only:PreferNoSchedule\"]";

/// What a day needs.
struct Day<'a> {
    bench: &'a Bench,
    shipped: &'a Shipped,
    site: PathBuf,
    state: PathBuf,
    /// The first delivery.
    first: Bundle,
    /// The upgrade package on it.
    upgrade: Bundle,
}

pub(super) fn run(bench: &Bench) -> Result<(), Error> {
    let shipped = bench.step("build the programs", Shipped::made)?;
    let (first, upgrade) = maker::deliveries(bench, &shipped)?;
    bench.step("hosts: four, as new", || {
        bench.driver.prepare()?;
        bench.driver.down()?;
        bench.driver.up(4)
    })?;
    let site = bench.work.join("day.yaml");
    let state = installer::state_of(&site);
    let day = Day { bench, shipped: &shipped, site, state, first, upgrade };
    day.site_file()?;
    day.first_sight()?;
    if !day.install()? {
        return Ok(());
    }
    day.taint_of_somebody()?;
    day.image_pulled_always()?;
    day.node_behind_a_closed_port()?;
    day.upgrade_without_the_worker()?;
    day.restore_twice()?;
    day.end()?;
    cluster::egress(bench)
}

impl Day<'_> {
    /// Writes the site file; host keys are not in it: a person who sees the hosts for the first time has none.
    fn write(&self, lines: &[HostLine], more: &str) -> Result<(), Error> {
        let options = SiteOptions::default();
        let text = installer::site(&self.bench.driver, CLUSTER, lines, &options)?;
        let line = |line: &str| match line.find(", hostKey: ") {
            Some(at) if line.contains(C.name) => format!("{}, {TAINT}}}\n", &line[..at]),
            Some(at) => format!("{}}}\n", &line[..at]),
            None => format!("{line}\n"),
        };
        let text: String = text.lines().map(line).collect();
        std::fs::write(&self.site, text + more).map_err(Error::file("write", &self.site))
    }

    fn program(&self, verb: &str, bundle: &Bundle) -> Program {
        let program = installer::with_bundle(
            &self.bench.driver,
            &self.shipped.install,
            verb,
            &self.site,
            &bundle.file,
            &bundle.key,
        );
        if bundle.file == self.upgrade.file { program.arg("--base").arg(&self.first.file) } else { program }
    }

    /// As a person types it: what is to be asked, is asked.
    fn asking(&self, verb: &str) -> Program {
        self.verb(verb, &[]).arg("--bundle").arg(&self.first.file).arg("--trust").arg(&self.first.key)
    }

    fn verb(&self, verb: &str, words: &[&str]) -> Program {
        let program = installer::install(&self.bench.driver, &self.shipped.install, verb);
        program.arg(&self.site).args(words).arg("--state").arg(&self.state)
    }

    /// Runs it as a step; what it said, and its code.
    fn ended(&self, name: &str, program: Program) -> Result<Ended, Error> {
        let ended = self.bench.step(&format!("ferry-install: {name}"), || program.ended())?;
        let log = format!("ferry-install-{}.log", name.replace(' ', "-"));
        self.bench
            .evidence
            .save(&log, &format!("{}\n-- stderr\n{}\n-- exit code {}\n", ended.stdout, ended.stderr, ended.code));
        self.bench.evidence.copy(&self.state, "site");
        Ok(ended)
    }

    fn report(&self) -> Result<report::Report, Error> {
        let path = self.state.join("journal.jsonl");
        Ok(report::fold(&journal::read(&path).map_err(Error::file("read", &path))?))
    }

    /// All mistakes of a site file are said at once, unknown keys with what was meant.
    fn site_file(&self) -> Result<(), Error> {
        let wrong = "netwrok: {}\nregistri: {}\nstorrage: {}\n";
        self.write(&[A, B, C], wrong)?;
        let program =
            installer::install(&self.bench.driver, &self.shipped.install, "site").arg("check").arg(&self.site);
        let ended = self.ended("site check", program)?;
        let said = format!("{}{}", ended.stdout, ended.stderr);
        let all = ["netwrok", "registri", "storrage"].iter().all(|word| said.contains(word));
        self.bench.check("all mistakes of a site file are said at once", ended.code == 3 && all, &said);
        self.write(&[A, B, C], "")?;
        let text = std::fs::read_to_string(&self.site).map_err(Error::file("read", &self.site))?;
        let other = self.bench.work.join("no-secret.yaml");
        let text = text.replace("  auth:\n", "  auth:\n  - password: {env: FERRY_NOT_SET}\n");
        std::fs::write(&other, text).map_err(Error::file("write", &other))?;
        let program = installer::with_bundle(
            &self.bench.driver,
            &self.shipped.install,
            "check",
            &other,
            &self.first.file,
            &self.first.key,
        );
        let ended = self.ended("check without a secret", program)?;
        self.bench.check(
            "a secret that is not there ends with 8",
            ended.code == 8,
            format!("exit code {}", ended.code),
        );
        Ok(())
    }

    /// Hosts that are seen for the first time are asked about one after the other.
    fn first_sight(&self) -> Result<(), Error> {
        let log = self.bench.evidence.path("first-sight.log");
        let seen = self.bench.step("ferry-install: check, on a terminal", || {
            terminal::answered(&self.asking("check"), "[y/N]", &["y", "y", "y"], &log)
        })?;
        self.bench.check("there are three questions", seen.questions == 3, format!("{seen:?}"));
        self.bench.check("never two at once", seen.together <= 1, format!("{seen:?}"));
        self.bench.check("and the check ends with 0", seen.code == 0, format!("exit code {}", seen.code));
        // On a terminal, but into a file: no colours there.
        let file = self.bench.work.join("into-a-file.log");
        let command = format!("{} >{}", self.asking("check").line(), file.display());
        let program = Program::new("script")
            .args(["-qec", &command, "/dev/null"])
            .env("TERM", "xterm-256color")
            .env("FERRY_VAULT", installer::VAULT_PASSPHRASE);
        program.ended()?;
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let plain = !text.is_empty() && !text.contains('\u{1b}');
        self.bench.check("a file that the output goes to has no colours", plain, format!("{} bytes", text.len()));
        Ok(())
    }

    fn install(&self) -> Result<bool, Error> {
        let ended = self.ended("install", self.program("install", &self.first))?;
        self.bench.check("ferry-install ends with 0", ended.code == 0, format!("exit code {}", ended.code));
        if ended.code != 0 && ended.code != 12 {
            return Ok(false);
        }
        cluster::nodes(self.bench, 1, 3)?;
        let taints = cluster::kubectl(&self.bench.driver, 1, "get node mgr-c -o jsonpath={.spec.taints}")?;
        self.bench.check("a taint without a value is set", taints.contains("lager.example/only"), taints);
        let told = self.report()?;
        self.bench.check("the report is a delivery", told.deliverable(), "");
        let html = self.html()?;
        self.bench.check("no run of it is said to be cut off", !html.contains("cut off"), "");
        let keys = html
            .split("Host keys")
            .nth(1)
            .map(|rest| rest.split("</table>").next().unwrap_or(rest).to_owned())
            .unwrap_or_default();
        let listed = keys.matches("SHA256:").count();
        self.bench.check("the report lists the host keys", listed >= 3, format!("{listed} keys"));
        Ok(true)
    }

    /// The report as it is printed.
    fn html(&self) -> Result<String, Error> {
        self.ended("report", self.verb("report", &[]))?;
        let path = self.state.join("report/report.html");
        std::fs::read_to_string(&path).map_err(Error::file("read", path))
    }

    /// `report.json` says this of the delivery.
    fn delivered(&self) -> Result<bool, Error> {
        let path = self.state.join("report/report.json");
        let text = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        Ok(value["deliverable"] == true)
    }

    /// Somebody sets a taint: acceptance fails, says what to type, and a part of it does not replace it.
    fn taint_of_somebody(&self) -> Result<(), Error> {
        let bench = self.bench;
        cluster::kubectl(&bench.driver, 1, "taint node mgr-b foo=bar:NoSchedule")?;
        let ended = self.ended("accept with a taint", self.program("accept", &self.first))?;
        bench.check("a taint of somebody fails acceptance", ended.code == 12, format!("exit code {}", ended.code));
        let said = format!("{}{}", ended.stdout, ended.stderr);
        bench.check("with what takes it away", said.contains("kubectl taint node mgr-b foo"), "");
        let last: String = said.lines().rev().take(15).collect::<Vec<_>>().join("\n");
        bench.check("what failed is said again at the end", last.contains("nodes.marks"), &last);
        bench.check("and is no delivery", !self.delivered()?, "");
        let ended = self.ended("accept a part", self.program("accept", &self.first).args(["--only", "dns"]))?;
        bench.check("a part of acceptance ends with 0", ended.code == 0, format!("exit code {}", ended.code));
        bench.check("but replaces no whole one", !self.delivered()? && !self.report()?.deliverable(), "");
        let html = self.html()?;
        bench.check(
            "and is called a part",
            ["partial", "only a part", "only in part"].iter().any(|word| html.to_lowercase().contains(word)),
            "",
        );
        cluster::kubectl(&bench.driver, 1, "taint node mgr-b foo-")?;
        let ended = self.ended("accept without it", self.program("accept", &self.first))?;
        bench.check(
            "without it acceptance ends with 0",
            ended.code == 0 && self.delivered()?,
            format!("exit code {}", ended.code),
        );
        Ok(())
    }

    /// A pod that pulls its image always: the image stays pinned, or the plan says what is no longer so.
    fn image_pulled_always(&self) -> Result<(), Error> {
        let bench = self.bench;
        let pod = format!(
            "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web, namespace: default}}, spec: {{replicas: 1, selector: {{matchLabels: {{app: web}}}}, \
             template: {{metadata: {{labels: {{app: web}}}}, spec: {{nodeName: mgr-b, terminationGracePeriodSeconds: 0, containers: [{{name: web, image: \"{}:1.0\", imagePullPolicy: Always}}]}}}}}}}}",
            maker::IMAGE
        );
        let apply =
            bench.driver.ssh(1, "root")?.arg("kubectl --kubeconfig /etc/kubernetes/admin.conf apply -f -").input(pod);
        apply.run()?;
        let ready = cluster::kubectl(&bench.driver, 1, "rollout status deployment/web --timeout=90s");
        bench.check("the application runs", ready.is_ok(), ready.err().map(|error| error.full()).unwrap_or_default());
        let plan = self.ended("plan after a pull", self.program("plan", &self.first))?;
        bench.check(
            "a pulled image is not planned as missing",
            plan.code == 0 && !plan.stdout.contains("+ image"),
            changes(&plan.stdout),
        );
        let ended = self.ended("install after a pull", self.program("install", &self.first))?;
        bench.check("the next install ends with 0", ended.code == 0, format!("exit code {}", ended.code));
        let listed =
            bench.driver.must(2, &format!("ctr -n k8s.io images ls | grep -F '{}:1.0'; true", maker::IMAGE))?;
        let configured = bench.driver.must(2, "grep -n pinned /etc/containerd/config.toml; true")?;
        let pinned = listed.contains("io.cri-containerd.pinned=pinned") || configured.contains("pinned");
        bench.check("the image is pinned afterwards", pinned, listed);
        Ok(())
    }

    /// A closed port of a new host is found before the host joins.
    fn node_behind_a_closed_port(&self) -> Result<(), Error> {
        let bench = self.bench;
        self.write(&[A, B, C, D], "")?;
        bench.driver.fault(D.host, &Fault::parse("firewall", &["tcp", "10250"])?)?;
        let add = || {
            installer::nodes(
                &bench.driver,
                &self.shipped.install,
                "add",
                &self.site,
                &self.first.file,
                &self.first.key,
                &[D.name],
            )
            .arg("--accept-host-keys")
        };
        let ended = self.ended("nodes add behind a closed port", add())?;
        let said = format!("{}{}", ended.stdout, ended.stderr);
        bench.check("a closed port ends `nodes add` with 11", ended.code == 11, format!("exit code {}", ended.code));
        let named = said.lines().any(|line| line.contains("network.reach") && !line.contains("not measured"));
        bench.check(
            "and is named",
            named && said.contains("10250"),
            said.lines().filter(|line| line.contains("network.reach")).collect::<Vec<_>>().join("; "),
        );
        cluster::nodes(bench, 1, 3)?;
        bench.driver.heal(D.host)?;
        let ended = self.ended("nodes add", add())?;
        bench.check("with the port open the node is added", ended.code == 0, format!("exit code {}", ended.code));
        cluster::nodes(bench, 1, 4)
    }

    /// An upgrade of the application while a worker that has joined is down.
    fn upgrade_without_the_worker(&self) -> Result<(), Error> {
        let bench = self.bench;
        bench.step("the worker loses its power", || bench.driver.kill(D.host))?;
        let plan = self.ended("plan of the upgrade", self.program("plan", &self.upgrade))?;
        let line = plan
            .stdout
            .lines()
            .chain(plan.stderr.lines())
            .find(|line| line.contains(" to send"))
            .unwrap_or_default()
            .to_owned();
        let small = line
            .split(" MB to send")
            .next()
            .and_then(|text| text.split_whitespace().last())
            .and_then(|word| word.parse::<f64>().ok());
        bench.check("the plan says how little is sent", small.is_none_or(|size| size < 60.0), line);
        let ended = self.ended("upgrade without the worker", self.program("install", &self.upgrade))?;
        bench.check("an upgrade without a worker ends with 14", ended.code == 14, format!("exit code {}", ended.code));
        let told = self.report()?;
        bench.check("the report names it", told.owed == [D.name], format!("{:?}", told.owed));
        let accept = self.ended("accept after the upgrade", self.program("accept", &self.upgrade))?;
        let said = format!("{}{}", accept.stdout, accept.stderr);
        let failed: Vec<&str> =
            said.lines().filter(|line| line.contains("images.running") && line.contains("FAIL")).collect();
        bench.check(
            "pods of the version before are no failure",
            failed.is_empty() && !said.is_empty(),
            failed.join("; "),
        );
        bench.step("the worker is back", || bench.driver.boot(D.host))?;
        cluster::kubectl(&bench.driver, 1, &format!("set image deployment/web web={}:2.0", maker::IMAGE))?;
        let ended = self.ended("upgrade with the worker", self.program("install", &self.upgrade))?;
        bench.check("with the worker it ends with 0", ended.code == 0, format!("exit code {}", ended.code));
        bench.check("and is a delivery", self.report()?.deliverable(), "");
        cluster::nodes(bench, 1, 4)
    }

    /// A restore, and another one at once.
    fn restore_twice(&self) -> Result<(), Error> {
        let bench = self.bench;
        let backup = self.ended("backup", self.verb("backup", &[]))?;
        bench.check("the backup ends with 0", backup.code == 0, format!("exit code {}", backup.code));
        for name in ["restore", "restore again"] {
            let ended = self.ended(name, self.verb("restore", &["--snapshot", "latest", "--confirm", CLUSTER]))?;
            bench.check("a restore ends with 0", ended.code == 0, format!("{name}: exit code {}", ended.code));
            bench.check("what was accepted before is no delivery", !self.report()?.deliverable(), name);
        }
        let ended = self.ended("accept after the restores", self.program("accept", &self.upgrade))?;
        bench.check("acceptance afterwards ends with 0", ended.code == 0, format!("exit code {}", ended.code));
        bench.check("and is a delivery again", self.report()?.deliverable(), "");
        Ok(())
    }

    fn end(&self) -> Result<(), Error> {
        let ended = self.ended("uninstall", self.verb("uninstall", &["--wipe-data", "--confirm", CLUSTER]))?;
        self.bench.check("the uninstall ends with 0", ended.code == 0, format!("exit code {}", ended.code));
        self.bench.check("what is gone is no delivery", !self.report()?.deliverable(), "");
        let html = self.html()?;
        self.bench.check("no run of the day is said to be cut off", !html.contains("cut off"), "");
        let rest = (1..=4)
            .map(|host| {
                self.bench.driver.must(host, "ls -d /var/lib/ferry /var/lib/kubelet /etc/kubernetes 2>/dev/null; true")
            })
            .collect::<Result<String, _>>()?;
        self.bench.check("nothing is left on the hosts", rest.is_empty(), rest);
        Ok(())
    }
}

/// The lines of a plan that change something.
fn changes(text: &str) -> String {
    text.lines().filter(|line| line.trim_start().starts_with(['+', '~'])).take(8).collect::<Vec<_>>().join("; ")
}

/// A path as text.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
