//! containerd, runc and the CNI plugins of a node, and the way to the site's registry.

use std::collections::BTreeSet;

use super::base::FILES;
use super::context::{Context, StepBuildError, unit};
use super::images;
use crate::action::{Action, File, Folder};
use crate::pki::PULL_LOGIN;
use crate::plan::Step;
use crate::site::file::Role;
use crate::site::{Host, Site};
use crate::supply::Supply;

/// Where containerd looks for registries.
pub(super) const CERTS: &str = "/etc/containerd/certs.d";

/// The plugins that are brought: what the networks and kubeadm's portmap need. A vendor's archive may hold fewer.
const PLUGINS: [&str; 9] =
    ["bridge", "host-local", "loopback", "portmap", "firewall", "bandwidth", "tuning", "ptp", "static"];

const UNIT: &str = "[Unit]
Description=containerd container runtime
After=network.target local-fs.target

[Service]
ExecStartPre=-/sbin/modprobe overlay
ExecStart=/usr/local/bin/containerd
Type=notify
Delegate=yes
KillMode=process
Restart=always
RestartSec=5
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
OOMScoreAdjust=-999

[Install]
WantedBy=multi-user.target
";

/// The steps of a node's runtime.
pub(super) fn steps(context: &mut Context<'_>, host: &Host) -> Result<Vec<Step>, StepBuildError> {
    let arch = context.arch(host)?;
    let archive = context.supply.file("containerd.tar.gz", arch)?;
    let mut reads = Vec::new();
    for name in ["containerd", "containerd-shim-runc-v2", "ctr"] {
        reads.push(context.program(host, &format!("/usr/local/bin/{name}"), context.supply.member(archive, name)?)?);
    }
    let runc = context.supply.any_file(&["runc", "runc.amd64", "runc.arm64"], arch)?;
    let mut actions = vec![context.program(host, "/usr/local/sbin/runc", Supply::content(runc))?];
    for path in ["/etc/containerd", CERTS] {
        actions.push(Action::Folder(Folder::new(path, 0o755)));
    }
    let pinned = images::pinned(context, host)?;
    let config = config(&pause(context, host)?, &pinned, context.lacks_sys_resource(host)?);
    reads.push(Action::File(File::text("/etc/containerd/config.toml", config)));
    reads.push(Action::File(File::text("/etc/systemd/system/containerd.service", UNIT)));
    let containerd = unit("containerd.service", true, &reads);
    actions.extend(reads);
    actions.push(containerd);
    let steps = vec![
        Step::new("runtime.mirrors", &host.name, "the way to the site's registry", mirrors(context, host)?),
        Step::new("runtime.plugins", &host.name, "CNI plugins", plugins(context, host)?),
        Step::new("runtime.containerd", &host.name, "containerd and runc", actions),
    ];
    Ok(steps)
}

/// The pause image's full name, as the bundle carries it.
pub(super) fn pause(context: &Context<'_>, host: &Host) -> Result<String, StepBuildError> {
    Ok(context.supply.image("registry.k8s.io/pause", context.arch(host)?)?.name.to_string())
}

fn plugins(context: &Context<'_>, host: &Host) -> Result<Vec<Action>, StepBuildError> {
    let archive = context.supply.file("cni-plugins.tgz", context.arch(host)?)?;
    let mut actions: Vec<Action> = ["/opt/cni", "/opt/cni/bin", "/etc/cni", "/etc/cni/net.d"]
        .map(|path| Action::Folder(Folder::new(path, 0o755)))
        .into();
    for member in context.supply.members(archive)?.iter() {
        let name = member.path.rsplit('/').next().unwrap_or_default();
        if PLUGINS.contains(&name) {
            actions.push(context.program(host, &format!("/opt/cni/bin/{name}"), member.content(archive.digest))?);
        }
    }
    Ok(actions)
}

/// Version 3 of containerd's configuration: containerd 2.0 or newer.
fn config(pause: &str, pinned: &[String], restrict_oom_score: bool) -> String {
    let pinned: String = (1..).zip(pinned).map(|(n, name)| format!("    image-{n} = \"{name}\"\n")).collect();
    let restrict = if restrict_oom_score {
        "  # The host's root lacks CAP_SYS_RESOURCE: without this no pod starts.\n  restrict_oom_score_adj = true\n"
    } else {
        ""
    };
    format!(
        r#"version = 3
root = "/var/lib/containerd"
state = "/run/containerd"

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{pause}"
{pinned}  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "{CERTS}"

[plugins."io.containerd.cri.v1.runtime"]
{restrict}  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        BinaryName = "/usr/local/sbin/runc"
        SystemdCgroup = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/opt/cni/bin"]
    conf_dir = "/etc/cni/net.d"
"#
    )
}

/// Every registry that an image of the bundle names is found at the site's own, under its name as first path segment; so is
/// every other, so that nothing ever dials out.
fn mirrors(context: &mut Context<'_>, host: &Host) -> Result<Vec<Action>, StepBuildError> {
    let authority = context.site.registry.authority();
    let login = context.secret(PULL_LOGIN)?;
    let ca = format!("{FILES}/registry-ca.crt");
    let registries: BTreeSet<String> =
        context.supply.lock().images.iter().map(|image| image.name.registry().to_owned()).collect();
    let mut actions: Vec<Action> =
        ["/etc/containerd", CERTS].map(|path| Action::Folder(Folder::new(path, 0o755))).into();
    let servers = servers(context.site, host);
    let mut add = |context: &mut Context<'_>, folder: &str, path: &str| -> Result<(), StepBuildError> {
        let folder = format!("{CERTS}/{folder}");
        let urls: Vec<String> = servers.iter().map(|server| format!("https://{server}{path}")).collect();
        let text = hosts_toml(&format!("https://{authority}{path}"), &urls, !path.is_empty(), &ca, &login);
        actions.push(Action::Folder(Folder::new(&folder, 0o700)));
        let file = context.rendered_file(host, &format!("{folder}/hosts.toml"), text, 0o600)?;
        actions.push(Action::File(file));
        Ok(())
    };
    for registry in registries {
        add(context, &registry, &format!("/v2/{registry}"))?;
    }
    add(context, &authority.replace(':', "_"), "")?;
    add(context, "_default", "")?;
    Ok(actions)
}

/// The registries' authorities, in the order in which a host asks them. Several are called by their hosts' names, its own
/// first, and every other host begins with the next one, so that they share the work.
fn servers(site: &Site, host: &Host) -> Vec<String> {
    let all: Vec<&Host> = site.with(Role::Registry).collect();
    if all.len() < 2 {
        return vec![site.registry.authority()];
    }
    let own = all.iter().position(|one| one.name == host.name);
    let place = site.hosts.iter().position(|one| one.name == host.name).unwrap_or_default();
    let first = own.unwrap_or(place % all.len());
    let named = |one: &&Host| format!("{}:{}", one.name, site.registry.port);
    all.iter().cycle().skip(first).take(all.len()).map(named).collect()
}

/// What stands at the top level answers when no host entry does: it is one of the same places, with the same authority.
fn hosts_toml(server: &str, urls: &[String], whole: bool, ca: &str, login: &str) -> String {
    let override_path = if whole { "  override_path = true\n" } else { "" };
    let mut text = format!("server = \"{server}\"\nca = \"{ca}\"\n");
    for url in urls {
        text.push_str(&format!(
            "\n[host.\"{url}\"]\n  capabilities = [\"pull\", \"resolve\"]\n{override_path}  ca = \"{ca}\"\n  [host.\"{url}\".header]\n    authorization = \"Basic {login}\"\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_pins_what_the_bundle_brings() {
        let names = ["docker.io/shop/web:2.0".to_owned(), "r:5000/db:1".to_owned()];
        let text = config("registry.k8s.io/pause:3.10", &names, false);
        let table = "    sandbox = \"registry.k8s.io/pause:3.10\"\n    image-1 = \"docker.io/shop/web:2.0\"\n    image-2 = \"r:5000/db:1\"\n  [";
        assert!(text.contains(table), "{text}");
    }
}
