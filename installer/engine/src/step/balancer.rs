//! The balancer of the API servers: haproxy under systemd, from the bundle's image but without a container runtime around it.
//! Kind `local`: on every node, at 127.0.0.1. Kind `vip`: on the control planes, at every address, so at the virtual one, too.
//!
//! A server that is cut off is dropped in two ways: a new connection is tried again at the next server after a second, and the
//! check of `/readyz` marks it down after two failures and ends its sessions, so that clients that hang notice.

use super::base::FILES;
use super::context::{Context, StepBuildError, authority, unit};
use super::image_files::{retired, unpacked};
use crate::action::{Action, File, Folder, Run, Subject};
use crate::plan::Step;
use crate::site::file::{EndpointKind, Role};
use crate::site::{Host, Site};

/// The image that the balancer comes from.
const IMAGE: &str = "docker.io/library/haproxy";
/// Where its files lie unpacked, each version in a folder of its own.
const ROOTS: &str = "/var/lib/ferry-balancer";

/// Whether a host runs a balancer.
pub(super) fn runs_on(context: &Context<'_>, host: &Host) -> bool {
    match context.site.endpoint.kind {
        EndpointKind::Local => host.is_node(),
        EndpointKind::Vip => host.is(Role::ControlPlane),
        EndpointKind::Direct | EndpointKind::External => false,
    }
}

/// The step of a node.
pub(super) fn steps(context: &Context<'_>, host: &Host) -> Result<Vec<Step>, StepBuildError> {
    if !runs_on(context, host) {
        let ends = retired("ferry-balancer.service", "balancer of the API servers");
        return Ok(vec![Step::new("runtime.balancer", &host.name, "no balancer", vec![Action::Run(ends)])]);
    }
    let image = context.supply.image(IMAGE, context.arch(host)?)?;
    let digest = image.carried().digest.hex()[..16].to_owned();
    let root = format!("{ROOTS}/{digest}");
    let folder = format!("{FILES}/balancer");
    let mut actions = vec![
        Action::Folder(Folder::new(ROOTS, 0o755)),
        Action::Run(unpacked(&image.name.to_string(), ROOTS, &root, "usr/local/sbin/haproxy")),
        Action::Folder(Folder::new(&folder, 0o755)),
    ];
    let ca = context.secret_file(&format!("{folder}/ca.crt"), "pki/ca.crt", 0o644)?;
    let reads = vec![
        Action::File(ca),
        Action::File(File::text(format!("{folder}/haproxy.cfg"), configuration(context, &folder))),
        Action::File(File::text("/etc/systemd/system/ferry-balancer.service", unit_text(&root, &folder))),
    ];
    let start = unit("ferry-balancer.service", true, &reads);
    actions.extend(reads);
    actions.push(start);
    let port = context.site.endpoint.port;
    let listens = format!("ss -Hltn 'sport = :{port}' | grep .");
    actions.push(Action::Run(Run::unless(
        format!("the balancer listens on port {port}"),
        Subject::Wait,
        listens.clone(),
        format!("for i in $(seq 20); do {listens} >/dev/null && exit 0; sleep 1; done; journalctl -u ferry-balancer -n 20 --no-pager -o cat >&2; exit 1"),
    )));
    let step = Step::new("runtime.balancer", &host.name, "the balancer of the API servers", actions);
    Ok(vec![step])
}

/// Where a balancer behind a virtual address says whether it reaches any API server.
pub(crate) fn health_port(site: &Site) -> u16 {
    site.endpoint.port.saturating_add(1)
}

fn unit_text(root: &str, folder: &str) -> String {
    format!(
        "[Unit]
Description=Balancer of the API servers
After=network-online.target
Wants=network-online.target

[Service]
RootDirectory={root}
MountAPIVFS=yes
BindReadOnlyPaths={folder}
DynamicUser=yes
NoNewPrivileges=yes
ExecStart=/usr/local/sbin/haproxy -W -db -f {folder}/haproxy.cfg
Restart=always
RestartSec=1
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
"
    )
}

/// Checks leave etcd out: while it elects a leader every server would be marked down at once, and come back one by one.
fn configuration(context: &Context<'_>, folder: &str) -> String {
    let servers: String = context
        .site
        .with(Role::ControlPlane)
        .map(|host| format!("  server {} {}\n", host.name, authority(host, 6443)))
        .collect();
    let port = context.site.endpoint.port;
    // Who holds the virtual address is asked whether it leads anywhere, by a port for the host itself.
    let (bind, health) = if context.site.endpoint.kind == EndpointKind::Vip {
        let health = health_port(context.site);
        let front = format!(
            "frontend health
  mode http
  bind 127.0.0.1:{health}
  acl none nbsrv(servers) lt 1
  monitor fail if none
  monitor-uri /healthz
"
        );
        ("*", front)
    } else {
        ("127.0.0.1", String::new())
    };
    format!(
        "global
  log stdout format raw local0 notice
  maxconn 8192
defaults
  log global
  mode tcp
  option dontlog-normal
  option redispatch 1
  retries 3
  timeout connect 1s
  timeout check 1s
  timeout client 1h
  timeout server 1h
frontend api
  bind {bind}:{port}
  option clitcpka
  default_backend servers
{health}backend servers
  balance leastconn
  option srvtcpka
  option httpchk GET /readyz?exclude=etcd&exclude=etcd-readiness
  http-check expect status 200
  default-server check check-ssl verify required ca-file {folder}/ca.crt inter 2s fastinter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
{servers}"
    )
}
