//! What a verb works with: the site, its state folder, secrets, hosts, journal; and, for those that need it, bundle and vault.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferry_bundle_format::{Arch, Digest};
use ferry_engine::event::Event;
use ferry_engine::facts::{self, Facts};
use ferry_engine::host::known::KnownKeys;
use ferry_engine::host::ssh::{Answer, FirstSight, Secrets as _, Settings, SshHost, Trace};
use ferry_engine::host::{self, Command, Host, HostError, HostErrorKind, Output, Redactor, Secret, SecretStore, Stdin};
use ferry_engine::journal::Journal;
use ferry_engine::pki;
use ferry_engine::registry::ProbeImage;
use ferry_engine::run::{self, Gone, Guarded, OwnerError, Stop, Workshop};
use ferry_engine::site::file::{Role, SecretRef, Vault as VaultEntry};
use ferry_engine::site::{self, Site};
use ferry_engine::supply::Supply;
use ferry_engine::vault::{Vault, VaultKey};

use crate::addresses;
use crate::cli::{Common, TrustArgs};
use crate::console::Console;
use crate::failure::{self, ExitCode, Failure};
use crate::{show, state};

/// Between two signs of life of a host while it is accepted: nothing large travels then, so a host that lost its power is
/// noticed after five of them, not after as many of the usual ones, which leave room for slow links.
const ACCEPTED_KEEPALIVE: Duration = Duration::from_secs(4);

/// The most of a command's words that the journal keeps, in bytes.
const SAID: usize = 4096;

/// What a verb works with.
pub(crate) struct Session {
    /// The site.
    pub(crate) site: Site,
    /// The state folder.
    pub(crate) state: PathBuf,
    /// The journal.
    pub(crate) journal: Journal,
    /// The hosts.
    pub(crate) hosts: BTreeMap<String, Arc<dyn Host>>,
    /// The wish to end early.
    pub(crate) stop: Stop,
    /// The hosts that are left alone, because their lease was not had or was lost.
    pub(crate) gone: Gone,
    /// Who can be asked.
    pub(crate) console: Console,
    /// Whose leases these are: the same in every run from this state folder.
    pub(crate) owner: String,
    /// Whether output is for programs.
    pub(crate) json: bool,
    secrets: Arc<SecretStore>,
    settings: Settings,
    redactor: Redactor,
    /// One run at a time in a state folder.
    _lock: File,
}

impl Session {
    /// Reads the site and opens its state; connects to nothing yet.
    pub(crate) fn open(file: &Path, common: &Common) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(file).map_err(failure::file("read", file))?;
        let (site, found) = addresses::read(file, &text, common.state.as_deref(), &|_, _| ())?;
        let state = addresses::state_of(file, &site.cluster, common.state.as_deref());
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&state).map_err(failure::file("make", &state))?;
        state::private(&state)?;
        let lock = state::lock(&state)?;
        addresses::record(&state, &found)?;
        let redactor = common.redactor.clone();
        let display = show::display(common.json, common.verbose);
        let path = state.join("journal.jsonl");
        let journal = Journal::open(&path, display, redactor.clone()).map_err(failure::file("open", &path))?;
        let stop = Stop::default();
        let console = Console::open(stop.clone());
        let asked = console.clone();
        let ask = Arc::new(move |prompt: &str| asked.secret(prompt));
        let secrets = Arc::new(SecretStore::new(site.folder(), ask, redactor.clone()));
        let mut settings = Settings::new(site.folder(), secrets.clone(), KnownKeys::new(state.join("host-keys")));
        settings.redactor = redactor.clone();
        settings.trace = Arc::new(Journaling {
            journal: journal.clone(),
            next: AtomicU64::new(1),
            running: Mutex::default(),
            keys: Mutex::default(),
        });
        settings.first_sight = first_sight(common, &console);
        settings.cancel = stop.token();
        if let Some(room) = host::make_room(site.hosts.len()) {
            show::aside(&format!(
                "this system lets one program connect to {room} hosts at once, and the site has {}: raise the limit on open files (ulimit -n)",
                site.hosts.len()
            ));
        }
        let gone = Gone::default();
        let hosts = idle(&site, &settings, &gone);
        let owner = owner(&state)?;
        Ok(Self {
            site,
            state,
            journal,
            hosts,
            stop,
            gone,
            console,
            owner,
            json: common.json,
            secrets,
            settings,
            redactor,
            _lock: lock,
        })
    }

    /// The hosts over connections of their own, on which it is noticed soon when one is gone.
    pub(crate) fn watched(&self) -> BTreeMap<String, Arc<dyn Host>> {
        idle(&self.site, &Settings { keepalive: ACCEPTED_KEEPALIVE, ..self.settings.clone() }, &self.gone)
    }

    /// What every host is like. A worker that can't be reached is owed its steps; all other hosts that can't be worked on are
    /// named together.
    pub(crate) async fn facts(&self) -> Result<BTreeMap<String, Facts>, Failure> {
        self.facts_but(|host| host.roles == [Role::Worker]).await
    }

    /// Likewise, where `may_be_away` says which hosts may be.
    pub(crate) async fn facts_but(
        &self,
        may_be_away: impl Fn(&site::Host) -> bool,
    ) -> Result<BTreeMap<String, Facts>, Failure> {
        let (known, mut failures) = self.gathered().await;
        self.go_on()?;
        failures.retain(|name, error| {
            let away = error.is_absence() && self.site.host(name).is_some_and(&may_be_away);
            if away {
                show::aside(&format!("{error}; it is left out, and owed its steps"));
            }
            !away
        });
        if failures.is_empty() { Ok(known) } else { Err(self.unreached(failures.values())) }
    }

    /// What every host is like that says so, and why the others do not.
    pub(crate) async fn gathered(&self) -> (BTreeMap<String, Facts>, BTreeMap<String, HostError>) {
        let (mut known, mut failures) = (BTreeMap::new(), BTreeMap::new());
        for (name, result) in facts::gather_all(&self.site, &self.hosts).await {
            match result {
                Ok(facts) => drop(known.insert(name, facts)),
                Err(error) => drop(failures.insert(name, error)),
            }
        }
        (known, failures)
    }

    /// That these hosts can't be worked on.
    pub(crate) fn unreached<'a>(&self, failures: impl ExactSizeIterator<Item = &'a HostError> + Clone) -> Failure {
        Failure::of_hosts(failures, self.hosts.len())
    }

    /// Nothing more is begun once Ctrl-C was pressed.
    pub(crate) fn go_on(&self) -> Result<(), Failure> {
        if self.stop.asked() { Err(Failure::new(ExitCode::Interrupted, "stopped by Ctrl-C")) } else { Ok(()) }
    }

    /// A secret's failure names no host.
    async fn secret(&self, reference: &SecretRef) -> Result<Secret, Failure> {
        let got = tokio::select! {
            biased;
            () = self.stop.when_aborted() => Err(HostError::new("", HostErrorKind::Cancelled)),
            got = self.secrets.get(reference) => got,
        };
        self.go_on()?;
        got.map_err(|error| {
            Failure::new(ExitCode::Secret, error.kind.to_string())
                .hint("the site file says where each secret comes from")
        })
    }

    /// Opens the vault, and makes the keys that it does not hold yet, and the certificates that no longer fit the site or end
    /// soon: for a plan, and for what applies it.
    pub(crate) async fn prepared_vault(&self) -> Result<Vault, Failure> {
        let mut vault = self.vault().await?;
        let again = pki::prepare(&self.site, &mut vault, ferry_bundle_format::lock::Timestamp::from_unix(now()))?;
        if !again.is_empty() {
            let text =
                format!("certificates made again, because names have changed or they end soon: {}", again.join(", "));
            self.journal.record(&Event::Note { text });
        }
        vault.teach(&self.redactor);
        Ok(vault)
    }

    /// Opens the vault as it is.
    pub(crate) async fn vault(&self) -> Result<Vault, Failure> {
        let key = match &self.site.vault {
            VaultEntry::Passphrase(reference) => VaultKey::Passphrase(self.secret(reference).await?),
            VaultEntry::Identity(file) => {
                let path = self.site.folder().join(file);
                let text = std::fs::read_to_string(&path).map_err(failure::file("read", &path))?;
                VaultKey::Identity(Secret::new(text))
            }
        };
        let vault = Vault::open(&self.state.join("vault.age"), key)?;
        vault.teach(&self.redactor);
        Ok(vault)
    }

    /// The bundle, every byte checked, and the probe's images for the hosts' architectures.
    pub(crate) fn supply(&self, trust: &TrustArgs, common: &Common) -> Result<Arc<Supply>, Failure> {
        let bundle = trust.open(&self.state, !common.json)?;
        self.go_on()?;
        Ok(Arc::new(Supply::of(bundle)?))
    }

    /// The probe's image for each of the hosts' architectures.
    pub(crate) fn probe_images(
        supply: &Supply,
        facts: &BTreeMap<String, Facts>,
    ) -> Result<BTreeMap<Arch, ProbeImage>, Failure> {
        let mut images = BTreeMap::new();
        for arch in Arch::ALL.into_iter().filter(|arch| facts.values().any(|facts| facts.arch == arch.as_str())) {
            images.insert(arch, ProbeImage::make(supply, arch)?);
        }
        Ok(images)
    }

    /// What the workers of a run share.
    pub(crate) fn workshop(&self, supply: Arc<Supply>, vault: Vault, images: BTreeMap<Arch, ProbeImage>) -> Workshop {
        let mut workshop = Workshop::new(supply, Arc::new(vault), self.journal.clone(), images.into_values().collect());
        workshop.stop = self.stop.clone();
        workshop
    }

    /// Writes down what begins. What went before it in the same command has come to its end by that.
    pub(crate) fn began(&self, verb: &str, supply: Option<&Supply>, plan: Option<&ferry_engine::plan::Plan>) {
        self.began_only(verb, supply, plan, &[]);
    }

    /// Likewise, where only these checks were asked for.
    pub(crate) fn began_only(
        &self,
        verb: &str,
        supply: Option<&Supply>,
        plan: Option<&ferry_engine::plan::Plan>,
        only: &[String],
    ) {
        self.end(true, &format!("it went on with `{verb}`"));
        let product = |supply: &Supply| {
            let product = &supply.lock().product;
            format!("{} {} serial {}", product.name.as_str(), product.version.as_str(), supply.lock().serial)
        };
        self.journal.record(&Event::Began {
            verb: verb.to_owned(),
            cluster: self.site.cluster.clone(),
            site: self.site.digest.to_string(),
            bundle: supply.map(|supply| supply.bundle().id().to_string()),
            product: supply.map(product),
            plan: plan.map(|plan| plan.id().to_string()),
            ferry: env!("CARGO_PKG_VERSION").to_owned(),
            only: only.to_vec(),
        });
    }

    /// Writes down how the run ended, unless that is written already: a run without an end was cut off.
    pub(crate) fn end(&self, well: bool, summary: &str) {
        if self.journal.is_open() {
            let summary = summary.to_owned();
            self.journal.keep(&Event::Ended { well, changed: 0, already: 0, owed: Vec::new(), summary });
        }
    }

    /// Writes down how the run ended, from what its command came to.
    pub(crate) fn ended(&self, result: Result<ExitCode, Failure>) -> Result<ExitCode, Failure> {
        match &result {
            Ok(code) => self.end(matches!(code, ExitCode::Success), code.describe()),
            Err(failure) => self.end(false, &failure.causes.join(": ")),
        }
        result
    }
}

/// The site's hosts, each connected to by the first call that needs it.
fn idle(site: &Site, settings: &Settings, gone: &Gone) -> BTreeMap<String, Arc<dyn Host>> {
    let host = |host: &site::Host| {
        let guarded = Guarded::new(Arc::new(SshHost::idle(host, settings)), gone.clone());
        (host.name.clone(), Arc::new(guarded) as Arc<dyn Host>)
    };
    site.hosts.iter().map(host).collect()
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or_default()
}

/// Whose leases these are.
fn owner(state: &Path) -> Result<String, Failure> {
    let (owner, copied) = run::owner(state).map_err(|error| {
        let code = if matches!(error, OwnerError::Damaged { .. }) { ExitCode::Input } else { ExitCode::Machine };
        Failure::of(code, &error).hints(error.hint())
    })?;
    if copied {
        show::aside(&format!(
            "{} is a copy: to the hosts, who works with it is another engineer from now on",
            state.display()
        ));
    }
    Ok(owner)
}

fn first_sight(common: &Common, console: &Console) -> Arc<dyn FirstSight> {
    if common.accept_host_keys {
        return Arc::new(Answer::Accept);
    }
    if Console::is_there() && !common.yes { Arc::new(console.clone()) } else { Arc::new(Answer::Refuse) }
}

/// Writes every command into the journal before it runs, and how it ended.
struct Journaling {
    journal: Journal,
    next: AtomicU64,
    running: Mutex<BTreeMap<u64, String>>,
    /// The keys that are written down already.
    keys: Mutex<BTreeSet<(String, String)>>,
}

impl Trace for Journaling {
    fn began(&self, host: &str, command: &Command) -> u64 {
        let id = self.next.fetch_add(1, Ordering::SeqCst);
        let input = match &command.stdin {
            Stdin::Empty => "nothing".to_owned(),
            Stdin::Text(text) => format!("{} bytes, {}", text.len(), Digest::of(text.as_bytes()).short()),
            Stdin::Secret(_) => "«secret»".to_owned(),
        };
        let (host, script) = (host.to_owned(), command.script.clone());
        self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(id, host.clone());
        self.journal.record(&Event::Command { host, id, script, input, root: command.root });
        id
    }

    fn ended(&self, id: u64, result: &Result<Output, HostError>, took: Duration) {
        let (status, said) = match result {
            Ok(output) => (Some(output.status), tail(&output.errors())),
            Err(error) => (None, error.to_string()),
        };
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let host =
            self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&id).unwrap_or_default();
        self.journal.record(&Event::CommandEnded { host, id, status, said, ms });
    }

    fn host_key(&self, host: &str, fingerprint: &str) {
        let key = (host.to_owned(), fingerprint.to_owned());
        if self.keys.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(key) {
            self.journal.keep(&Event::HostKey { host: host.to_owned(), fingerprint: fingerprint.to_owned() });
        }
    }
}

/// The last of a text.
fn tail(text: &str) -> String {
    let start = text.len().saturating_sub(SAID);
    let start = (start..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    text[start..].trim().to_owned()
}
