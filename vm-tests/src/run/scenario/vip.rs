//! `vip`: three hosts with every role, and a virtual address before the API. Its holder loses its power while the others read
//! five times a second; the address moves, and stays where it is when the host is back. Then the same site with a balancer on
//! every node instead: another kind of endpoint, without a new certificate.

use std::time::Duration;

use super::install_ha::THREE;
use crate::error::Error;
use crate::hosts::{self, Driver as _};
use crate::installer::{self, SiteOptions};
use crate::run::window::{self, Watch, until};
use crate::run::{Bench, Bundle, Shipped, cluster};

const MANIFEST: &str = "kubernetes-1.34-networks.yaml";

/// The virtual address: of the hosts' network, and no host's.
const ADDRESS: &str = "10.77.0.200";

/// The longest time, in seconds, during which a read may fail.
const LONGEST: f64 = 10.0;

pub(super) fn run(bench: &Bench) -> Result<(), Error> {
    let driver = &bench.driver;
    let shipped = bench.step("build the programs", Shipped::made)?;
    let bundle = Bundle::made(bench, &shipped, MANIFEST)?;
    bench.step("hosts: three, as new", || {
        driver.prepare()?;
        driver.down()?;
        driver.up(3)
    })?;
    bench.step("hosts: what leaves is counted", || hosts::self_test(driver, 1))?;
    let site = bench.work.join("vip.yaml");
    let write = |kind: &str| -> Result<(), Error> {
        let shape =
            format!("endpoint: {{kind: {kind}, address: {ADDRESS}, port: 8443}}\nnetwork: {{kind: host-routes}}\n");
        let text = installer::site_shaped(driver, "vip", &THREE, &SiteOptions::default(), &shape)?;
        std::fs::write(&site, text).map_err(Error::file("write", &site))
    };
    let install = |name: &str| {
        let log = bench.evidence.path(&format!("ferry-install-{name}.log"));
        let program = installer::with_bundle(driver, &shipped.install, "install", &site, &bundle.file, &bundle.key);
        let code = bench.step(&format!("ferry-install: {name}"), || program.logged(&log));
        bench.evidence.copy(&installer::state_of(&site), "site");
        code
    };
    write("vip")?;
    let code = install("first")?;
    bench.check("ferry-install ends with 0", code == 0, format!("exit code {code}"));
    if code != 0 && code != 12 {
        return cluster::egress(bench);
    }
    cluster::several(bench, 1, 3, &bundle)?;
    let holders = holders(bench);
    bench.check("one host holds the address", holders.len() == 1, format!("{holders:?}"));
    if let [owner] = holders.as_slice() {
        power_cut(bench, *owner)?;
    }

    let certificate = |host| driver.must(host, "sha256sum </etc/kubernetes/pki/apiserver.crt");
    let before = THREE.iter().map(|line| certificate(line.host)).collect::<Result<Vec<_>, _>>()?;
    write("local")?;
    let code = install("local")?;
    bench.check("a balancer on every node instead: ferry-install ends with 0", code == 0, format!("exit code {code}"));
    let after = THREE.iter().map(|line| certificate(line.host)).collect::<Result<Vec<_>, _>>()?;
    bench.check("the API servers keep their certificates", before == after, "");
    bench.check("nobody holds the address any more", self::holders(bench).is_empty(), "");
    cluster::nodes(bench, 1, 3)?;
    cluster::egress(bench)
}

/// The hosts with power that have the address.
fn holders(bench: &Bench) -> Vec<u8> {
    let has = |host: u8| {
        let script = format!("ip -o addr show | grep -q ' {ADDRESS}/'");
        bench.driver.is_up(host) && bench.driver.run(host, &script).is_ok_and(|ended| ended.code == 0)
    };
    THREE.iter().map(|line| line.host).filter(|host| has(*host)).collect()
}

fn power_cut(bench: &Bench, owner: u8) -> Result<(), Error> {
    let driver = &bench.driver;
    let others: Vec<u8> = THREE.iter().map(|line| line.host).filter(|host| *host != owner).collect();
    let watches: Vec<Watch> =
        others.iter().map(|host| Watch::begin(driver, *host, Duration::from_secs(40))).collect::<Result<_, _>>()?;
    std::thread::sleep(Duration::from_secs(8));
    let since = window::now();
    bench.step(&format!("host {owner}, which holds the address: power cut"), || driver.kill(owner))?;
    let moved = until(Duration::from_secs(30), || holders(bench).len() == 1);
    bench.check(
        "the address moves",
        moved.is_some(),
        moved.map_or(String::new(), |seconds| format!("after {seconds:.1} s")),
    );
    for watch in watches {
        let host = watch.host;
        let (window, text) = watch.end(since)?;
        bench.evidence.save(&format!("probes-{host}.txt"), &text);
        bench.check(
            &format!("reads fail for at most {LONGEST} s on host {host}"),
            window.probes > 100 && window.seconds <= LONGEST,
            format!(
                "{:.1} s, {} of {} probes failed, the last of them issued {:.1} s after the cut; the slowest that succeeded took {:.1} s",
                window.seconds, window.failed, window.probes, window.last, window.slowest
            ),
        );
    }
    let now = holders(bench);
    bench.step("power on", || driver.boot(owner))?;
    let back = until(Duration::from_secs(180), || {
        let ready =
            format!("get node {} -o jsonpath='{{.status.conditions[?(@.type==\"Ready\")].status}}'", name(owner));
        let up = cluster::kubectl(driver, others[0], &ready).is_ok_and(|text| text == "True");
        up && driver
            .run(owner, "systemctl is-active -q ferry-virtual-address ferry-balancer")
            .is_ok_and(|ended| ended.code == 0)
    });
    bench.check(
        "the host comes back by itself",
        back.is_some(),
        back.map_or(String::new(), |s| format!("after {s:.0} s")),
    );
    std::thread::sleep(Duration::from_secs(10));
    bench.check("the address stays where it is", holders(bench) == now, format!("{now:?}, then {:?}", holders(bench)));
    Ok(())
}

fn name(host: u8) -> &'static str {
    THREE.iter().find(|line| line.host == host).map_or("", |line| line.name)
}
