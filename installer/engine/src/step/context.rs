//! What steps are built from.

use std::collections::BTreeMap;

use ferry_bundle_format::{Arch, Digest};

use crate::action::{Action, Content, File, Unit};
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
}

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

impl Context<'_> {
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
        let name = format!("rendered/{}{path}", host.name);
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

    /// The addresses of all members of etcd as the API server should call them: its own member where each control-plane
    /// host has one (a failing member then takes only its own API server along), else all.
    pub(super) fn etcd_endpoints(&self) -> Vec<String> {
        let site = self.site;
        if site.with(Role::ControlPlane).all(|host| host.is(Role::Etcd)) {
            return vec!["https://127.0.0.1:2379".into()];
        }
        site.with(Role::Etcd).map(|host| format!("https://{}", authority(host, 2379))).collect()
    }
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

/// An executable of the bundle.
pub(super) fn program(path: &str, content: Content) -> Action {
    Action::File(File { path: path.to_owned(), mode: 0o755, owner: "root:root".into(), content })
}
