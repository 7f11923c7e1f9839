//! What steps are built from.

use std::cell::RefCell;
use std::collections::BTreeMap;

use ferry_bundle_format::{Arch, Digest};

use crate::action::{Action, Content, File, PushedFile, Unit};
use crate::facts::{CgroupVersion, Facts};
use crate::registry::ProbeImage;
use crate::site::file::Role;
use crate::site::{Host, Site};
use crate::supply::{Supply, SupplyError};
use crate::vault::Vault;

/// What steps are built from.
pub struct Context<'a> {
    /// The site.
    pub site: &'a Site,
    /// What is known of each host.
    pub facts: &'a BTreeMap<String, Facts>,
    /// What the bundle supplies.
    pub supply: &'a Supply,
    /// The cluster's keys; files that hold secrets are put in, too.
    pub vault: &'a mut Vault,
    /// The probe's image for each architecture.
    pub probe_images: &'a BTreeMap<Arch, ProbeImage>,
    /// The files that hosts fetch from the registry, gathered while steps are built.
    fetched: RefCell<BTreeMap<Digest, PushedFile>>,
    /// Each node's place among the shares of the pod addresses.
    pub(super) places: BTreeMap<String, u32>,
}

/// Files below this size, in bytes, are sent to each host: asking the registry costs as much.
const SMALL: u64 = 64 << 10;

/// Why no plan can be built.
#[derive(Debug, thiserror::Error)]
pub enum StepBuildError {
    /// The bundle lacks something.
    #[error(transparent)]
    Supply(#[from] SupplyError),
    /// Nothing is known of a host.
    #[error("nothing is known of host {0}: facts have not been gathered")]
    Facts(String),
    /// A host's architecture is not one that bundles are made for.
    #[error("host {host} is of architecture {arch}, for which there are no bundles")]
    Arch {
        /// The host.
        host: String,
        /// What it says.
        arch: String,
    },
    /// The vault lacks something.
    #[error("the vault holds no {0}")]
    Vault(String),
    /// The site asks for something that this version can't do.
    #[error("{0}")]
    Unsupported(String),
}

impl<'a> Context<'a> {
    /// What steps of a site are built from.
    pub fn new(
        site: &'a Site,
        facts: &'a BTreeMap<String, Facts>,
        supply: &'a Supply,
        vault: &'a mut Vault,
        probe_images: &'a BTreeMap<Arch, ProbeImage>,
    ) -> Self {
        Self { site, facts, supply, vault, probe_images, fetched: RefCell::default(), places: BTreeMap::new() }
    }
}

impl Context<'_> {
    /// Whether anything is known of a host: the steps of one that can't be reached are owed.
    pub(super) fn is_reached(&self, host: &Host) -> bool {
        self.facts.contains_key(&host.name)
    }

    /// The hosts on which a kubelet runs and of which something is known.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Host> {
        self.site.hosts.iter().filter(|host| host.is_node() && self.is_reached(host))
    }

    /// An executable of the bundle on a host. What is large crosses the operator's link once, into the registry; every host
    /// takes it from there, if it can, and so does the registry's own where another host needs it from there, too.
    pub(super) fn program(&self, host: &Host, path: &str, content: Content) -> Result<Action, StepBuildError> {
        let fetches = content.size() >= SMALL && self.facts_of(host)?.has("curl") && self.is_shared(host);
        let content = if fetches {
            let (digest, size) = (content.digest(), content.size());
            let name = path.rsplit('/').next().unwrap_or(path).to_owned();
            self.fetched.borrow_mut().entry(digest).or_insert(PushedFile { name, content });
            Content::Fetched { url: crate::registry::file_url(&self.site.registry, &digest), digest, size }
        } else {
            content
        };
        Ok(executable(path, content))
    }

    /// Whether what a host takes from the registry is there for others as well: for the host of the registry alone it would
    /// be stored twice.
    fn is_shared(&self, host: &Host) -> bool {
        let arch = |host: &Host| self.facts.get(&host.name).map(|facts| facts.arch.as_str());
        let fetches = |one: &Host| self.facts.get(&one.name).is_some_and(|facts| facts.has("curl"));
        !host.is(Role::Registry)
            || self.site.hosts.iter().any(|one| one.name != host.name && arch(one) == arch(host) && fetches(one))
    }

    /// The images of the bundle by the names under which hosts have them, `registry/path:tag`.
    pub(super) fn carried_images(&self) -> Vec<String> {
        self.supply.lock().images.iter().map(|image| image.name.to_string()).collect()
    }

    /// The files that hosts fetch from the registry, once all their steps have been built.
    pub(super) fn fetched(&self) -> Vec<PushedFile> {
        self.fetched.borrow().values().cloned().collect()
    }

    /// What is known of a host.
    pub(super) fn facts_of(&self, host: &Host) -> Result<&Facts, StepBuildError> {
        self.facts.get(&host.name).ok_or_else(|| StepBuildError::Facts(host.name.clone()))
    }

    /// A host's architecture.
    pub(super) fn arch(&self, host: &Host) -> Result<Arch, StepBuildError> {
        let arch = &self.facts_of(host)?.arch;
        let known = Arch::ALL.into_iter().find(|one| one.as_str() == arch);
        known.ok_or_else(|| StepBuildError::Arch { host: host.name.clone(), arch: arch.clone() })
    }

    /// The Kubernetes version that the bundle carries.
    pub(super) fn kubernetes(&self) -> Result<String, StepBuildError> {
        let missing = || StepBuildError::Unsupported("the bundle carries no Kubernetes".into());
        self.supply.version("kubernetes").map(str::to_owned).ok_or_else(missing)
    }

    /// The minor version of the Kubernetes that the bundle carries: 34 for v1.34.4.
    pub(super) fn minor(&self) -> Result<u32, StepBuildError> {
        let version = self.kubernetes()?;
        let minor = version.split('.').nth(1).and_then(|text| text.parse().ok());
        minor.ok_or_else(|| StepBuildError::Unsupported(format!("{version} is no Kubernetes version")))
    }

    /// A file of the vault.
    pub(super) fn secret_file(&self, path: &str, name: &str, mode: u32) -> Result<File, StepBuildError> {
        let content = self.vault.content(name).ok_or_else(|| StepBuildError::Vault(name.to_owned()))?;
        Ok(File { path: path.to_owned(), mode, owner: "root:root".into(), content })
    }

    /// A text that holds secrets, as a file: kept in the vault under the host and path.
    pub(super) fn rendered_file(
        &mut self,
        host: &Host,
        path: &str,
        text: String,
        mode: u32,
    ) -> Result<File, StepBuildError> {
        let name = format!("{}{}{path}", crate::vault::RENDERED, host.name);
        if self.vault.get(&name).is_none_or(|known| known.expose() != text) {
            self.vault.put(&name, text);
        }
        self.secret_file(path, &name, mode)
    }

    /// The text of a public entry of the vault.
    pub(super) fn public(&self, name: &str) -> Result<String, StepBuildError> {
        let text = self.vault.get(name).ok_or_else(|| StepBuildError::Vault(name.to_owned()))?;
        Ok(text.expose().to_owned())
    }

    /// A secret of the vault, for rendering.
    pub(super) fn secret(&self, name: &str) -> Result<String, StepBuildError> {
        self.public(name)
    }

    /// Whether root lacks CAP_SYS_RESOURCE on a host: then no process may lower its OOM score.
    pub(super) fn lacks_sys_resource(&self, host: &Host) -> Result<bool, StepBuildError> {
        Ok(!self.facts_of(host)?.capabilities.contains("CAP_SYS_RESOURCE"))
    }

    /// Whether a host has control groups of version 1.
    pub(super) fn cgroup_v1(&self, host: &Host) -> Result<bool, StepBuildError> {
        Ok(self.facts_of(host)?.cgroups.version == CgroupVersion::V1)
    }

    /// Whether any node's kernel settings belong to a machine around it: kube-proxy must then leave conntrack's alone.
    pub(super) fn any_contained(&self) -> bool {
        let machines =
            ["none", "kvm", "qemu", "vmware", "microsoft", "xen", "oracle", "amazon", "bochs", "parallels", ""];
        self.facts.values().any(|facts| !machines.contains(&facts.virtualization.as_str()))
    }

    /// Whether a host has a name server that pods could ask.
    pub(super) fn has_nameserver(&self, host: &Host) -> Result<bool, StepBuildError> {
        Ok(!self.facts_of(host)?.usable_nameservers().is_empty())
    }

    /// The addresses of etcd as the API server of a host should call it: its own member where it has one (a failing member
    /// then takes only its own API server along, and others may come and go), else all.
    pub(super) fn etcd_endpoints(&self, host: &Host) -> Vec<String> {
        if host.is(Role::Etcd) {
            return vec!["https://127.0.0.1:2379".into()];
        }
        self.site.with(Role::Etcd).map(|host| format!("https://{}", authority(host, 2379))).collect()
    }
}

/// An executable that is sent to its host, which can't take it from a registry.
pub(super) fn executable(path: &str, content: Content) -> Action {
    Action::File(File { path: path.to_owned(), mode: 0o755, owner: "root:root".into(), content })
}

/// `address:port`, with brackets around an IPv6 address.
pub(super) fn authority(host: &Host, port: u16) -> String {
    std::net::SocketAddr::new(host.internal, port).to_string()
}

/// A running unit that is restarted when any of these change.
pub(super) fn unit(name: &str, running: bool, reads: &[Action]) -> Action {
    let texts: Vec<String> = reads
        .iter()
        .map(|action| match action {
            Action::File(file) => format!("{} {}", file.path, file.content.digest()),
            other => other.title(),
        })
        .collect();
    let inputs = Digest::of(texts.join("\n").as_bytes()).hex()[..16].to_owned();
    Action::Unit(Unit { name: name.to_owned(), inputs, running })
}
