//! Drives the engine over a site, as `check`, `plan` and `apply` do, up to the stage that prepares the operating systems.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ferry_bundle_format::Arch;
use ferry_bundle_format::lock::Timestamp;
use ferry_bundle_format::sign::secret::generate_identity;
use ferry_engine::action::{Action, Content};
use ferry_engine::event::{Display, Event};
use ferry_engine::facts::{self, Facts};
use ferry_engine::host::known::KnownKeys;
use ferry_engine::host::ssh::{Answer, Settings, SshHost, Trace};
use ferry_engine::host::{self, Command, Host, HostError, Output, Redactor, Secret, SecretStore};
use ferry_engine::journal::Journal;
use ferry_engine::pki;
use ferry_engine::plan::{self, Plan};
use ferry_engine::preflight::{self, Dialled, Measurements, Needs, Severity};
use ferry_engine::registry::ProbeImage;
use ferry_engine::run::{self, Workshop, lease};
use ferry_engine::site::{self, Site};
use ferry_engine::step::Context;
use ferry_engine::vault::{Vault, VaultKey};

use super::bundle;
use super::cost::{Cost, own_memory, own_processor};
use super::farm::Farm;
use super::site::{PASSWORD, entries, text};

type Failure = Box<dyn std::error::Error>;
type Hosts = BTreeMap<String, Arc<dyn Host>>;

/// For how many seconds the leases are taken: longer than the drive.
const LEASE: u64 = 600;

struct Nobody;
impl Display for Nobody {
    fn show(&self, _: &Event) {}
}

/// Writes every command into the journal, as the installer does.
struct Journaling(Journal, AtomicU64, Mutex<BTreeMap<u64, String>>);

impl Trace for Journaling {
    fn began(&self, host: &str, command: &Command) -> u64 {
        let id = self.1.fetch_add(1, Ordering::SeqCst);
        self.2.lock().unwrap_or_else(PoisonError::into_inner).insert(id, host.to_owned());
        let (host, script) = (host.to_owned(), command.script.clone());
        self.0.record(&Event::Command { host, id, script, input: "something".into(), root: command.root });
        id
    }

    fn ended(&self, id: u64, result: &Result<Output, HostError>, took: Duration) {
        let host = self.2.lock().unwrap_or_else(PoisonError::into_inner).remove(&id).unwrap_or_default();
        let status = result.as_ref().ok().map(|output| output.status);
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.0.record(&Event::CommandEnded { host, id, status, said: String::new(), ms });
    }
}

/// How long each phase took.
struct Watch {
    since: Instant,
    phases: Vec<(String, f64)>,
}

impl Watch {
    fn lap(&mut self, phase: &str) {
        self.phases.push((phase.to_owned(), self.since.elapsed().as_secs_f64()));
        self.since = Instant::now();
    }
}

/// Starts so many hosts with `farm` (the program) and drives them. What it writes lies below `folder`.
///
/// # Errors
/// When anything fails: what is measured is a run in which all goes well.
pub async fn drive(farm: &Path, folder: &Path, count: usize) -> Result<Cost, Failure> {
    let mut farm = Farm::start(farm, count)?;
    let supply = Arc::new(bundle::supply(&folder.join("site.ferry"))?);
    let resident_before = own_memory("VmHWM");
    let mut watch = Watch { since: Instant::now(), phases: Vec::new() };

    let file = folder.join("site.yaml");
    let site = site::read(&file, &text(&entries(count), &farm.ports)).map_err(|error| error.to_string())?;
    let redactor = Redactor::default();
    let journal = Journal::open(&folder.join("journal.jsonl"), Arc::new(Nobody), redactor.clone())?;
    let hosts = hosts(&site, folder, &redactor, &journal);
    let mut vault =
        Vault::open(&folder.join("vault.age"), VaultKey::Identity(Secret::new(generate_identity().0.as_str())))?;
    let now = Timestamp::from_unix(1_795_242_777);
    pki::prepare(&site, &mut vault, now)?;
    vault.teach(&redactor);
    watch.lap("site, vault");

    let mut facts: BTreeMap<String, Facts> = BTreeMap::new();
    for (name, gathered) in facts::gather_all(&site, &hosts).await {
        facts.insert(name, gathered?);
    }
    watch.lap("login, facts");

    let findings = preflight::check(&site, &facts, &measured(&site), &needs())?;
    let failures = findings
        .failures()
        .iter()
        .filter(|one| one.severity != Severity::Warn)
        .map(|one| format!("{} {:?}: {:?}", one.check, one.host, one.outcome))
        .collect();
    let table = preflight::render(&findings);
    watch.lap("preflight");
    drop(table);
    let findings = findings.findings.len();

    let images = BTreeMap::from([(Arch::Amd64, ProbeImage::make(&supply, Arch::Amd64)?)]);
    let mut plan = plan::build(&mut Context::new(&site, &facts, &supply, &mut vault, &images), now)?;
    vault.save()?;
    watch.lap("plan");
    let content = content(&plan);
    let path = folder.join("plan.json");
    plan::save(&plan, &path)?;
    let size = std::fs::metadata(&path)?.len();
    let saved = plan.id();
    plan = plan::load(&path)?;
    if plan.id() != saved {
        return Err("the plan that was read is not the plan that was written".into());
    }
    watch.lap("plan saved, read");

    plan.stages.retain(|stage| stage.name == "hosts");
    let workshop = Workshop::new(supply, Arc::new(vault), journal.clone(), images.into_values().collect());
    plan::survey(&mut plan, &hosts, &workshop).await?;
    watch.lap("survey");
    let all: Vec<Arc<dyn Host>> = hosts.values().cloned().collect();
    let taken = all.iter().map(|host| lease::take(host.as_ref(), "owner", "somebody", LEASE));
    for taken in futures_util::future::try_join_all(taken).await? {
        taken?;
    }
    watch.lap("leases");
    let changed = apply(&plan, &hosts, &workshop).await?;
    watch.lap("apply `hosts`");
    let changed_again = apply(&plan, &hosts, &workshop).await?;
    watch.lap("apply again");
    futures_util::future::join_all(all.iter().map(|host| lease::release(host.as_ref(), "owner"))).await;

    let traffic = farm.count()?;
    let workers = || traffic.iter().skip(4);
    let range = |values: &mut dyn Iterator<Item = u64>| {
        values.fold((u64::MAX, 0), |(least, most), one| (least.min(one), most.max(one)))
    };
    Ok(Cost {
        hosts: count,
        phases: watch.phases,
        resident: own_memory("VmHWM"),
        resident_before,
        processor: own_processor(),
        received: traffic.iter().map(|one| one.received).sum(),
        sent: traffic.iter().map(|one| one.sent).sum(),
        worker_commands: range(&mut workers().map(|one| one.commands)),
        worker_input: range(&mut workers().map(|one| one.input)),
        input: traffic.iter().map(|one| one.input).sum(),
        content,
        changed,
        changed_again,
        findings,
        failures,
        plan: size,
        journal: std::fs::metadata(journal.path())?.len(),
    })
}

fn hosts(site: &Site, folder: &Path, redactor: &Redactor, journal: &Journal) -> Hosts {
    let _ = host::make_room(site.hosts.len());
    let ask = Arc::new(|_: &str| Some(Secret::new(PASSWORD)));
    let secrets = Arc::new(SecretStore::new(folder, ask, redactor.clone()));
    let mut settings = Settings::new(folder, secrets, KnownKeys::new(folder.join("host-keys")));
    settings.redactor = redactor.clone();
    settings.first_sight = Arc::new(Answer::Accept);
    settings.trace = Arc::new(Journaling(journal.clone(), AtomicU64::new(1), Mutex::default()));
    let host = |one: &site::Host| (one.name.clone(), Arc::new(SshHost::idle(one, &settings)) as Arc<dyn Host>);
    site.hosts.iter().map(host).collect()
}

/// Every connection that has to be possible was.
fn measured(site: &Site) -> Measurements {
    let tried = |dial: preflight::Dial| {
        [0, 1472].map(|bytes| Dialled { dial: dial.clone(), bytes, ms: Some(0.4), error: None })
    };
    Measurements { dialled: preflight::dials(site).into_iter().flat_map(tried).collect(), ..Measurements::default() }
}

fn needs() -> Needs {
    Needs {
        kubernetes: (1, 34),
        architectures: ["amd64".to_owned()].into(),
        registry_bytes: 1 << 30,
        image_bytes: 3 << 30,
        binary_bytes: 1 << 30,
        made_at: None,
    }
}

/// Bytes of the bundle that the whole plan takes over the operator's link.
fn content(plan: &Plan) -> u64 {
    let actions = plan.steps().flat_map(|step| &step.actions).map(|planned| &planned.action);
    let crosses = |action: &&Action| match action {
        Action::File(file) => matches!(file.content, Content::Blob { .. } | Content::Member { .. }),
        Action::Push(_) => true,
        _ => false,
    };
    actions.filter(crosses).map(Action::bytes).sum()
}

async fn apply(plan: &Plan, hosts: &Hosts, workshop: &Workshop) -> Result<usize, Failure> {
    let done = run::apply(plan, hosts, &std::collections::BTreeSet::new(), workshop).await;
    if let Some((step, error)) = done.failed.into_iter().next() {
        return Err(format!("{step}: {error}: {:?}", std::error::Error::source(&error)).into());
    }
    if !done.owed.is_empty() {
        return Err(format!("hosts were away: {:?}", done.owed).into());
    }
    Ok(done.changed)
}
