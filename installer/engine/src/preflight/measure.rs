//! Active probing: brings the probe to each host, has ports, syncs a disk, listens on the real ports and dials them from
//! every host that will, and takes everything away again.
//!
//! Works with the [`Host`] contract alone. What can't be measured is said as such, in [`Measurements`]; nothing is
//! assumed to be well.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use ferry_bundle_format::Digest;
use futures_util::stream::{self, StreamExt as _};

use super::on_host::{self, Probe, Target};
use super::{Bind, Dial, Dialled, HostMeasurement, Measurements, dials, listens};
use crate::facts::{Facts, Protocol};
use crate::host::{Host, Source};
use crate::site::file::Role;
use crate::site::{self, Site};

/// Hosts to which the probe is brought at once, or taken away from: each holds about a megabyte of it in memory.
const BROUGHT: usize = 32;
/// Hosts that listen or dial at once: who dials last must still find the listeners, which end by themselves.
const ASKED: usize = 128;

/// All of them, so many at once, in their order.
async fn some_at_once<T>(count: usize, work: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    stream::iter(work).buffered(count).collect().await
}

/// Bytes of a big TCP payload: many full segments each way.
const BIG: u32 = 60_000;

/// The probe's program for one architecture, out of the bundle.
#[derive(Clone)]
pub struct ProbeFile {
    /// Its bytes.
    pub source: Arc<dyn Source>,
    /// Their digest.
    pub digest: Digest,
}

/// Measures what facts can't tell. `probes` are by architecture; a host without one is not measured, and neither is one
/// without facts. Changes nothing that it does not take away again: a folder with the probe, and a file for the disk's test.
/// `owner` names that folder: what a run of the same owner had to leave goes first, as [`sweep`] does it.
///
/// Where ferry has built already the real services hold the ports, and the disk has work to do: such a host listens on nothing and
/// its disk is left alone, but it dials the hosts that are new.
pub async fn measure(
    site: &Site,
    hosts: &BTreeMap<String, Arc<dyn Host>>,
    facts: &BTreeMap<String, Facts>,
    probes: &BTreeMap<String, ProbeFile>,
    owner: &str,
) -> Measurements {
    let mut measurements = Measurements::default();
    let built: Vec<&str> =
        site.hosts.iter().map(|host| host.name.as_str()).filter(|name| is_built(facts, name)).collect();
    measurements.built = built.iter().map(|name| (*name).to_owned()).collect();
    if !built.is_empty() && facts.keys().all(|name| measurements.built.contains(name)) {
        measurements.not_measured = Some(format!("ferry has already built on {}", built.join(", ")));
        return measurements;
    }
    let token = format!("{:016x}", std::collections::hash_map::RandomState::new().build_hasher().finish());
    let mut placed = BTreeMap::new();
    sweep(site, hosts, facts, owner).await;
    for (entry, facts, probe) in place(site, hosts, facts, probes, owner, &token).await {
        let mut one = HostMeasurement::default();
        match probe {
            Ok(probe) => drop(placed.insert(entry.name.as_str(), (entry, facts, probe))),
            Err(why) => one.problems.push(why),
        }
        measurements.hosts.insert(entry.name.clone(), one);
    }
    if placed.is_empty() {
        let said = measurements.hosts.values().flat_map(|one| one.problems.iter()).next();
        measurements.not_measured = Some(said.cloned().unwrap_or_else(|| "no host could be probed".into()));
        return measurements;
    }
    let fresh = placed.values().filter(|(entry, ..)| !measurements.built.contains(&entry.name));
    let alone: Vec<_> = fresh.map(|(entry, facts, probe)| on_its_own(site, entry, facts, probe)).collect();
    let alone = alone.into_iter();
    for (name, one) in some_at_once(ASKED, alone).await {
        measurements.hosts.insert(name, one);
    }
    let built = measurements.built.clone();
    measurements.dialled = matrix(site, &placed, &built, &mut measurements.hosts, &token).await;
    let leaving = placed.values().map(|(entry, _, probe)| async { (&entry.name, probe.remove().await) });
    for problem in some_at_once(BROUGHT, leaving).await {
        if let (name, Err(why)) = problem {
            measurements.hosts.entry(name.clone()).or_default().problems.push(why);
        }
    }
    measurements
}

/// A host, what is known of it, and the probe there or why it is not.
type Brought<'a> = (&'a site::Host, &'a Facts, Result<Probe<'a>, String>);

/// Brings the probe to all hosts. It crosses the operator's link once for each architecture: the first host on which it runs
/// gives it to the others, and a host that can't take it from there gets it over its connection.
async fn place<'a>(
    site: &'a Site,
    hosts: &'a BTreeMap<String, Arc<dyn Host>>,
    facts: &'a BTreeMap<String, Facts>,
    probes: &BTreeMap<String, ProbeFile>,
    owner: &str,
    token: &str,
) -> Vec<Brought<'a>> {
    let mut all: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for entry in &site.hosts {
        if let (Some(host), Some(facts)) = (hosts.get(&entry.name), facts.get(&entry.name)) {
            all.entry(&facts.arch).or_default().push((entry, host.as_ref(), facts));
        }
    }
    let mut brought: Vec<Brought<'a>> = Vec::new();
    for (arch, same) in all {
        let Some(file) = probes.get(arch) else {
            let none = format!("the bundle has no probe for {arch}");
            brought.extend(same.into_iter().map(|(entry, _, facts)| (entry, facts, Err(none.clone()))));
            continue;
        };
        let (mut same, mut giver) = (VecDeque::from(same), None);
        while let Some((entry, host, facts)) = same.pop_front() {
            let probe = Probe::place(host, file, owner, None).await;
            if let (Ok(probe), false) = (&probe, same.is_empty()) {
                giver = probe.give(entry.internal, token).await.ok();
            }
            let runs = probe.is_ok();
            brought.push((entry, facts, probe));
            if runs {
                break;
            }
        }
        let giver = giver.as_ref();
        let placing = same
            .into_iter()
            .map(|(entry, host, facts)| async move { (entry, facts, Probe::place(host, file, owner, giver).await) });
        brought.extend(some_at_once(BROUGHT, placing).await);
    }
    brought
}

/// Takes away what a measurement of this owner had to leave on the hosts that facts are known of, because it was killed or
/// lost a host on the way. A host that can't be reached keeps it until the next time.
pub async fn sweep(site: &Site, hosts: &BTreeMap<String, Arc<dyn Host>>, facts: &BTreeMap<String, Facts>, owner: &str) {
    let there = site.hosts.iter().filter(|entry| facts.contains_key(&entry.name));
    let there = there.filter_map(|entry| hosts.get(&entry.name));
    futures_util::future::join_all(there.map(|host| on_host::sweep(host.as_ref(), owner, &site.etcd.data_dir))).await;
}

/// Whether ferry has built something on a host.
fn is_built(facts: &BTreeMap<String, Facts>, name: &str) -> bool {
    facts.get(name).is_some_and(|facts| !facts.ferry.is_empty())
}

/// Ports and disk of one host.
async fn on_its_own(site: &Site, entry: &site::Host, facts: &Facts, probe: &Probe<'_>) -> (String, HostMeasurement) {
    let mut one = HostMeasurement::default();
    // What is taken already is ports.free's finding; what ferry has started is its own.
    let taken: BTreeSet<_> = facts.sockets.iter().map(|socket| (socket.protocol, socket.port)).collect();
    let wanted = listens(site, entry).map(|port| (port.protocol, port.number(site)));
    let any: IpAddr = if entry.internal.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let wanted: Vec<Target> = wanted.filter(|port| !taken.contains(port)).map(|port| Target::of(any, port)).collect();
    if !facts.has_ledger() {
        match probe.bind(&wanted).await {
            Ok(answers) => {
                let bind = |answer: super::on_host::Answer| {
                    let (protocol, port) = (answer.protocol?, answer.port?);
                    Some(Bind { protocol, port, error: answer.error })
                };
                one.binds = answers.into_iter().filter_map(bind).collect();
            }
            Err(why) => one.problems.push(why),
        }
    }
    if entry.is(Role::Etcd) {
        match probe.fsync(&site.etcd.data_dir).await {
            Ok(fsync) => one.fsync = Some(fsync),
            Err(why) => one.problems.push(why),
        }
    }
    (entry.name.clone(), one)
}

type Placed<'a> = BTreeMap<&'a str, (&'a site::Host, &'a Facts, Probe<'a>)>;

/// Listens everywhere but where something is `built`, then dials from everywhere, small and big.
async fn matrix(
    site: &Site,
    placed: &Placed<'_>,
    built: &BTreeSet<String>,
    hosts: &mut BTreeMap<String, HostMeasurement>,
    token: &str,
) -> Vec<Dialled> {
    let mut required = dials(site);
    required.retain(|dial| !built.contains(&dial.to));
    let serving = placed.iter().filter(|(name, _)| !built.contains(**name)).map(|(name, (entry, _, probe))| {
        let ports: BTreeSet<_> =
            required.iter().filter(|dial| dial.to == *name).map(|dial| (dial.protocol, dial.port)).collect();
        let targets: Vec<Target> = ports.into_iter().map(|port| Target::of(entry.internal, port)).collect();
        async move { (*name, probe.serve(&targets, token).await) }
    });
    let mut listening = BTreeSet::new();
    for (name, served) in some_at_once(ASKED, serving).await {
        match served {
            Ok(ports) => listening.extend(ports.into_iter().map(|(protocol, port)| (name, protocol, port))),
            Err(why) => hosts.entry(name.to_owned()).or_default().problems.push(why),
        }
    }
    let dialling = placed.iter().map(|(name, (_, facts, probe))| {
        let mine: Vec<&Dial> = required
            .iter()
            .filter(|dial| dial.from == *name && listening.contains(&(dial.to.as_str(), dial.protocol, dial.port)))
            .collect();
        let mtu = site.host(name).and_then(|host| facts.network.holding(host.internal)).map_or(0, |(_, i, _)| i.mtu);
        // Where it is not known, what most have.
        let mtu = if mtu == 0 { 1500 } else { mtu };
        async move { (*name, rounds(site, probe, &mine, mtu, token).await) }
    });
    let mut dialled = Vec::new();
    for (name, (found, problems)) in some_at_once(ASKED, dialling).await {
        dialled.extend(found);
        hosts.entry(name.to_owned()).or_default().problems.extend(problems);
    }
    dialled
}

/// One host's dials: a question alone to every port, then as much as the MTU allows in one datagram, and many full TCP
/// segments. Linux forbids fragments of such datagrams by itself, so a smaller MTU on the way loses them.
async fn rounds(site: &Site, probe: &Probe<'_>, mine: &[&Dial], mtu: u32, token: &str) -> (Vec<Dialled>, Vec<String>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    let address = |dial: &Dial| site.host(&dial.to).map(|host| host.internal);
    let six = mine.iter().filter_map(|dial| address(dial)).any(|address| address.is_ipv6());
    let datagram = mtu.min(9000).saturating_sub(if six { 48 } else { 28 });
    for (bytes, protocols) in
        [(0, &[Protocol::Tcp, Protocol::Udp][..]), (datagram, &[Protocol::Udp]), (BIG, &[Protocol::Tcp])]
    {
        let round: Vec<&Dial> = mine.iter().copied().filter(|dial| protocols.contains(&dial.protocol)).collect();
        let target = |dial: &&Dial| Some(Target::of(address(dial)?, (dial.protocol, dial.port)));
        let targets: Vec<Target> = round.iter().filter_map(target).collect();
        if targets.is_empty() {
            continue;
        }
        match probe.dial(&targets, bytes, token).await {
            // One answer a target, in their order.
            Ok(answers) => found.extend(round.iter().zip(answers).map(|(dial, answer)| Dialled {
                dial: (*dial).clone(),
                bytes,
                ms: answer.ms,
                error: answer.error,
            })),
            Err(why) => problems.push(why),
        }
    }
    (found, problems)
}
