//! The virtual address of the API: keepalived under systemd on the control planes, from the bundle's image. It speaks VRRP with
//! the other control planes only, one by one (unicast), under a router id and a password of the site's own.
//!
//! Whoever holds the address must have a balancer that reaches an API server, or gives the address up. A host that comes back
//! does not take the address away again (`nopreempt`): one failure costs one interruption, not two.

use std::net::IpAddr;

use ferry_bundle_format::Digest;

use super::balancer::health_port;
use super::base::{FILES, PROGRAMS};
use super::context::{Context, StepBuildError, unit};
use super::image_files::{retired, unpacked};
use crate::action::{Action, File, Folder};
use crate::pki::VRRP_PASSWORD;
use crate::plan::Step;
use crate::site::Host;
use crate::site::file::{EndpointKind, Role};

/// The image that keepalived comes from.
const IMAGE: &str = "docker.io/osixia/keepalived";
/// Where its files lie unpacked, each version in a folder of its own.
const ROOTS: &str = "/var/lib/ferry-virtual-address";
/// The unit.
const UNIT: &str = "ferry-virtual-address.service";

/// The step of a control plane.
pub(super) fn steps(context: &mut Context<'_>, host: &Host) -> Result<Vec<Step>, StepBuildError> {
    if !host.is(Role::ControlPlane) {
        return Ok(Vec::new());
    }
    if context.site.endpoint.kind != EndpointKind::Vip {
        let ends = Action::Run(retired(UNIT, "virtual address"));
        return Ok(vec![Step::new("runtime.virtual-address", &host.name, "no virtual address", vec![ends])]);
    }
    let image = context.supply.image(IMAGE, context.arch(host)?)?;
    let root = format!("{ROOTS}/{}", &image.carried().digest.hex()[..16]);
    let folder = format!("{FILES}/virtual-address");
    let mut actions = vec![
        Action::Folder(Folder::new(ROOTS, 0o755)),
        Action::Run(unpacked(&image.name.to_string(), ROOTS, &root, "usr/local/sbin/keepalived")),
        Action::Folder(Folder::new(&folder, 0o700)),
    ];
    let text = configuration(context, host)?;
    let reads = vec![
        Action::File(context.rendered_file(host, &format!("{folder}/keepalived.conf"), text, 0o600)?),
        Action::File(File::text(format!("/etc/systemd/system/{UNIT}"), unit_text(&root, &folder))),
    ];
    let start = unit(UNIT, true, &reads);
    actions.extend(reads);
    actions.push(start);
    let step = Step::new("runtime.virtual-address", &host.name, "the API's virtual address", actions);
    Ok(vec![step])
}

fn unit_text(root: &str, folder: &str) -> String {
    format!(
        "[Unit]
Description=Virtual address of the API servers
After=network-online.target ferry-balancer.service
Wants=network-online.target

[Service]
RootDirectory={root}
MountAPIVFS=yes
BindReadOnlyPaths={folder} {PROGRAMS}
RuntimeDirectory=ferry-virtual-address
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW CAP_NET_BROADCAST CAP_SETUID CAP_SETGID CAP_DAC_OVERRIDE CAP_KILL
NoNewPrivileges=yes
ExecStart=/usr/local/sbin/keepalived --dont-fork --log-console --vrrp --use-file={folder}/keepalived.conf --pid=/run/ferry-virtual-address/keepalived.pid --vrrp_pid=/run/ferry-virtual-address/vrrp.pid
KillMode=mixed
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
"
    )
}

/// The interface that carries the address on a host: the one that the site names, else the one in the address's network, else
/// the one by which the other hosts reach this one.
fn interface(context: &Context<'_>, host: &Host, address: IpAddr) -> Result<String, StepBuildError> {
    if let Some(name) = &context.site.endpoint.interface {
        return Ok(name.to_string());
    }
    let network = &context.facts_of(host)?.network;
    let beside = |(own, prefix): &(IpAddr, u8)| {
        *own != address
            && own.is_ipv4() == address.is_ipv4()
            && crate::site::Cidr::holding(*own, *prefix).contains(address)
    };
    let found = network.interfaces.iter().find(|(_, interface)| interface.addresses.iter().any(beside));
    let found = found.map(|(name, _)| name.as_str()).or_else(|| network.holding(host.internal).map(|(name, ..)| name));
    let none =
        || StepBuildError::Unsupported(format!("{} has no interface for {address}: set endpoint.interface", host.name));
    found.map(str::to_owned).ok_or_else(none)
}

fn configuration(context: &Context<'_>, host: &Host) -> Result<String, StepBuildError> {
    let site = context.site;
    let address = site.endpoint.address.as_deref().and_then(|text| text.parse::<IpAddr>().ok());
    let address = address.ok_or_else(|| StepBuildError::Unsupported("endpoint.address is no IP address".into()))?;
    let password = context.secret(VRRP_PASSWORD)?;
    let id = site.endpoint.router_id.unwrap_or_else(|| router_id(&password));
    let interface = interface(context, host, address)?;
    let masters: Vec<&Host> = site.with(Role::ControlPlane).collect();
    // The first of the site file gets the address while nobody has it.
    let place = masters.iter().position(|one| one.name == host.name).unwrap_or_default();
    let priority = 200 - place;
    let others: String =
        masters.iter().filter(|one| one.name != host.name).map(|one| format!("    {}\n", one.internal)).collect();
    let peers = if others.is_empty() {
        String::new()
    } else {
        format!("  unicast_src_ip {}\n  unicast_peer {{\n{others}  }}\n", host.internal)
    };
    // VRRP for IPv6 knows no passwords.
    let secret = if address.is_ipv4() {
        format!("  authentication {{\n    auth_type PASS\n    auth_pass {password}\n  }}\n")
    } else {
        String::new()
    };
    let prefix = if address.is_ipv4() { 32 } else { 128 };
    Ok(format!(
        "global_defs {{
  router_id {name}
  script_user root
  enable_script_security
}}
vrrp_script balancer {{
  script \"{PROGRAMS}/ferry-probe get http://127.0.0.1:{health}/healthz\"
  interval 2
  timeout 2
  fall 2
  rise 2
}}
vrrp_instance api {{
  state BACKUP
  nopreempt
  interface {interface}
  virtual_router_id {id}
  priority {priority}
  advert_int 1
{peers}{secret}  virtual_ipaddress {{
    {address}/{prefix} dev {interface}
  }}
  track_script {{
    balancer
  }}
}}
",
        name = host.name,
        health = health_port(site),
    ))
}

/// A router id of the site's own, 1 to 255: as likely another site's in the same network as any other.
fn router_id(password: &str) -> u8 {
    let digest = Digest::of(format!("ferry virtual router {password}").as_bytes()).hex();
    u8::from_str_radix(&digest[..2], 16).unwrap_or(1).max(1)
}
