//! etcd: members, leader, alarms, data, and how fast its disks are.
//!
//! Disk times are the p99 of etcd's own histograms since it started, interpolated as [`super::metrics`] says; the evidence
//! also has the p99 of the time of these checks. The limits (10 and 25 ms) are those of etcd's own hardware guide.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use futures_util::future::join_all;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::context::{Context, Unseen, said};
use super::finding::Finding;
use super::metrics::{self, Metrics};
use crate::host::{Command, Host as _};
use crate::site::file::Role;

const ETCDCTL: &str = "/usr/local/bin/etcdctl --cacert=/etc/kubernetes/pki/etcd/ca.crt \
                       --cert=/etc/kubernetes/pki/etcd/healthcheck-client.crt \
                       --key=/etc/kubernetes/pki/etcd/healthcheck-client.key --command-timeout=10s";
const FSYNC: &str = "etcd_disk_wal_fsync_duration_seconds";
const COMMIT: &str = "etcd_disk_backend_commit_duration_seconds";
const LEADER_CHANGES: &str = "etcd_server_leader_changes_seen_total";

/// How the counters of each host stood.
pub(super) type Baseline = BTreeMap<String, Metrics>;

#[derive(Debug, Deserialize)]
struct Health {
    endpoint: String,
    #[serde(rename = "health")]
    well: bool,
    #[serde(default)]
    took: String,
    #[serde(default)]
    error: String,
}

#[derive(Debug, Deserialize)]
struct EndpointStatus {
    #[serde(rename = "Endpoint")]
    endpoint: String,
    #[serde(rename = "Status")]
    status: Status,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    header: Header,
    version: String,
    #[serde(default)]
    db_size: u64,
    #[serde(default)]
    leader: u64,
    #[serde(default)]
    is_learner: bool,
    #[serde(default)]
    errors: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Header {
    #[serde(default)]
    member_id: u64,
    #[serde(default)]
    revision: i64,
}

#[derive(Debug, Deserialize)]
struct EndpointHash {
    #[serde(rename = "Endpoint")]
    endpoint: String,
    #[serde(rename = "HashKV")]
    hash: HashKv,
}

#[derive(Debug, Deserialize)]
struct HashKv {
    hash: u32,
    #[serde(default)]
    compact_revision: i64,
    #[serde(default)]
    hash_revision: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Alarms {
    alarms: Vec<Alarm>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alarm {
    #[serde(default, rename = "memberID")]
    member_id: u64,
    /// 1: no space, 2: corrupt.
    alarm: i32,
}

/// What `etcdctl` on the first etcd host says about all members. It also speaks when a member is ill, with a status other
/// than 0: the JSON on standard output counts. Standard error has a log of its own, in JSON lines.
async fn ask<T: DeserializeOwned>(context: &Context<'_>, arguments: &str) -> Result<T, Unseen> {
    let mut members = context.site.with(Role::Etcd).filter_map(|host| context.hosts.get(&host.name));
    let first =
        members.find(|host| !host.is_gone()).ok_or_else(|| "no etcd host is connected, or none answers".to_owned())?;
    let endpoint = |host: &crate::site::Host| format!("https://{}", SocketAddr::new(host.internal, 2379));
    let endpoints: Vec<String> = context.site.with(Role::Etcd).map(endpoint).collect();
    let command = Command::root(format!("{ETCDCTL} --endpoints={} {arguments} -w json", endpoints.join(",")));
    let output = first.run(&command).await.map_err(|error| said(&error))?;
    let said = || format!("etcdctl {arguments} ends with {}: {}", output.status, output.errors().trim());
    serde_json::from_slice(&output.stdout).map_err(|_| said())
}

const RUNS: &str =
    "see `journalctl -u etcd` on that host, and that ports 2379 and 2380 are open between the etcd hosts";

fn unseen(why: Unseen) -> Vec<Finding> {
    vec![Finding::failed("", why, RUNS)]
}

pub(super) async fn health(context: &Context<'_>) -> Vec<Finding> {
    let members = match ask::<Vec<Health>>(context, "endpoint health").await {
        Ok(members) => members,
        Err(why) => return unseen(why),
    };
    let mut findings: Vec<Finding> = members
        .iter()
        .map(|one| {
            Finding::judged(one.well, place(context, &one.endpoint), format!("{} {}", one.took, one.error), RUNS)
        })
        .collect();
    findings.push(match ask::<Vec<EndpointStatus>>(context, "endpoint status").await {
        Err(why) => Finding::failed("", why, RUNS),
        Ok(all) => judge(&all, context.site.with(Role::Etcd).count()),
    });
    findings
}

fn judge(all: &[EndpointStatus], wanted: usize) -> Finding {
    let leaders: BTreeSet<u64> = all.iter().map(|one| one.status.leader).collect();
    let leads = all.iter().filter(|one| one.status.leader == one.status.header.member_id).count();
    let ill = all.iter().any(|one| !one.status.errors.is_empty() || one.status.is_learner);
    let line = |one: &EndpointStatus| {
        let Status { header, version, db_size, leader, is_learner, errors } = &one.status;
        let role = match (*leader == header.member_id, is_learner) {
            (true, _) => "leader",
            (_, true) => "learner",
            _ => "follower",
        };
        let mib = db_size >> 20;
        format!("{} {version} {role}, {mib} MiB, revision {} {}", one.endpoint, header.revision, errors.join(" "))
    };
    let evidence: Vec<String> = all.iter().map(line).collect();
    let well = all.len() == wanted && leaders.len() == 1 && leads == 1 && !ill && !leaders.contains(&0);
    Finding::judged(
        well,
        "",
        evidence.join("\n"),
        "there must be one leader that all members follow; see `journalctl -u etcd`",
    )
}

pub(super) async fn alarms(context: &Context<'_>) -> Vec<Finding> {
    let fix =
        "no space: compact, defragment, then `etcdctl alarm disarm`; corrupt: take the member out and add it anew";
    vec![match ask::<Alarms>(context, "alarm list").await {
        Err(why) => Finding::failed("", why, RUNS),
        Ok(Alarms { alarms }) if alarms.is_empty() => Finding::passed("", "none"),
        Ok(Alarms { alarms }) => {
            let kind = |alarm: &Alarm| match alarm.alarm {
                1 => "no space".to_owned(),
                2 => "corrupt".to_owned(),
                other => other.to_string(),
            };
            let line = |one: &Alarm| format!("member {:x}: {}", one.member_id, kind(one));
            Finding::failed("", alarms.iter().map(line).collect::<Vec<_>>().join("\n"), fix)
        }
    }]
}

pub(super) async fn hash(context: &Context<'_>) -> Vec<Finding> {
    // Members may be a few revisions apart at the same moment; the same revision must give the same hash.
    let revision = match ask::<Vec<EndpointStatus>>(context, "endpoint status").await {
        Err(why) => return unseen(why),
        Ok(all) => all.iter().map(|one| one.status.header.revision).min().unwrap_or_default(),
    };
    vec![match ask::<Vec<EndpointHash>>(context, &format!("endpoint hashkv --rev={revision}")).await {
        Err(why) => Finding::failed("", why, RUNS),
        Ok(all) => {
            let sums: BTreeSet<(u32, i64)> = all.iter().map(|one| (one.hash.hash, one.hash.compact_revision)).collect();
            let hashes: BTreeSet<u32> = sums.iter().map(|sum| sum.0).collect();
            // Members that have compacted up to different revisions can't be compared at this moment.
            let compared = sums.len() == hashes.len();
            let line = |one: &EndpointHash| {
                let HashKv { hash, compact_revision, hash_revision } = &one.hash;
                let at = if *hash_revision > 0 { *hash_revision } else { revision };
                format!("{} {hash:08x} at revision {at}, compacted at {compact_revision}", one.endpoint)
            };
            let evidence: Vec<String> = all.iter().map(line).collect();
            let well = all.len() == context.site.with(Role::Etcd).count() && hashes.len() == 1;
            let fix = if compared {
                "a member holds other data: take it out and add it anew"
            } else {
                "the members were just compacting: run this check again"
            };
            Finding::judged(well, "", evidence.join("\n"), fix)
        }
    }]
}

/// The metrics of every etcd host, now.
pub(super) async fn baseline(context: &Context<'_>) -> Baseline {
    let hosts =
        context.site.with(Role::Etcd).filter_map(|host| Some((host.name.clone(), context.hosts.get(&host.name)?)));
    let all = join_all(hosts.map(|(name, host)| async move { Some((name, metrics::fetch(host).await.ok()?)) }));
    all.await.into_iter().flatten().collect()
}

pub(super) async fn fsync(context: &Context<'_>) -> Vec<Finding> {
    slowness(context, "etcd.fsync", FSYNC, 10.0).await
}

pub(super) async fn commit(context: &Context<'_>) -> Vec<Finding> {
    slowness(context, "etcd.commit", COMMIT, 25.0).await
}

async fn slowness(context: &Context<'_>, id: &str, name: &str, usual: f64) -> Vec<Finding> {
    let limit = context.site.threshold(id, usual);
    let judge = |subject: &str, seen: Result<Metrics, Unseen>| {
        let fix = "give etcd a disk of its own, an SSD; see `ferry-probe fsync` on its data folder; \
                   a slower disk can be allowed for by `thresholds` in the site file";
        let whole = match seen.and_then(|seen| seen.histogram(name).ok_or_else(|| format!("there is no {name}"))) {
            Ok(whole) => whole,
            Err(why) => return Finding::failed(subject, why, RUNS),
        };
        let ms = |part: Option<std::time::Duration>| part.map(|one| one.as_secs_f64() * 1000.0);
        let Some(p99) = ms(whole.quantile(0.99)) else {
            return Finding::failed(subject, "nothing has been written yet", RUNS);
        };
        let mut evidence = format!("p99 {p99:.1} ms of {} since etcd started; the limit is {limit} ms", whole.count());
        let before = context.baseline.get(subject).and_then(|before| before.histogram(name));
        if let Some(recent) = before.and_then(|before| whole.since(&before)) {
            let p99 = ms(recent.quantile(0.99)).map_or("-".to_owned(), |p99| format!("{p99:.1} ms"));
            evidence += &format!("\np99 {p99} of {} during these checks", recent.count());
        }
        Finding::judged(p99 <= limit, subject, evidence, fix)
    };
    let judge = &judge;
    context
        .each(
            |host| host.is(Role::Etcd),
            |host, connection| async move { vec![judge(&host.name, metrics::fetch(connection).await)] },
        )
        .await
}

pub(super) async fn leader(context: &Context<'_>) -> Vec<Finding> {
    let limit = context.site.threshold("etcd.leader", 0.0);
    let now = baseline(context).await;
    let one = |host: &crate::site::Host| {
        let count = |when: &Baseline| when.get(&host.name)?.number(LEADER_CHANGES);
        match (count(&context.baseline), count(&now)) {
            (Some(before), Some(after)) => {
                let changes = after - before;
                let evidence = format!("{changes} changes during these checks, {after} since etcd started");
                let fix = "look for a slow disk or a slow network between the etcd hosts";
                Finding::judged((0.0..=limit).contains(&changes), &host.name, evidence, fix)
            }
            _ => Finding::failed(&host.name, "its metrics can't be read at 127.0.0.1:2381", RUNS),
        }
    };
    context.site.with(Role::Etcd).map(one).collect()
}

/// The host whose address an endpoint has.
fn place(context: &Context<'_>, endpoint: &str) -> String {
    let address = endpoint.trim_start_matches("https://");
    let found = context.site.hosts.iter().find(|host| SocketAddr::new(host.internal, 2379).to_string() == address);
    found.map_or_else(|| endpoint.to_owned(), |host| host.name.clone())
}
