//! The site's registry: the distribution server, twice over the same folder. One port serves all hosts and can only read;
//! the other listens on loopback, accepts content, and is reached through SSH.

use std::collections::BTreeSet;

use ferry_bundle_format::{Arch, Digest};

use super::base::{FILES, PROGRAMS};
use super::context::{Context, StepBuildError, authority, executable, unit};
use crate::action::{Action, DataKind, File, Folder, Push, PushedImage, Run, Subject};
use crate::host::quote;
use crate::plan::Step;
use crate::registry::PROBE_REPOSITORY;
use crate::site::Host;
use crate::site::types::DataDir;

const USER: &str = "ferry-registry";
const OWNED: &str = "root:ferry-registry";

/// The loopback port that accepts content: the one after the public one.
pub(super) fn push_port(context: &Context<'_>) -> u16 {
    context.site.registry.push_port()
}

/// The servers of a registry host.
pub(super) fn server_step(context: &mut Context<'_>, host: &Host) -> Result<Step, StepBuildError> {
    Ok(Step::new("registry.server", &host.name, "the registry's servers", server(context, host)?))
}

/// What hosts take from the registry, over the operator's link.
pub(super) fn content_step(context: &Context<'_>, host: &Host) -> Result<Step, StepBuildError> {
    let content = Action::Push(content(context)?);
    Ok(Step::new("registry.content", &host.name, "what hosts take from the registry", vec![content]))
}

fn server(context: &mut Context<'_>, host: &Host) -> Result<Vec<Action>, StepBuildError> {
    let arch = context.arch(host)?;
    let archive = context.supply.file("registry.tar.gz", arch)?;
    let binary = context.supply.member(archive, "registry")?;
    let data = context.site.registry.data_dir.clone();
    let home = quote(&data);
    let folder = format!("{FILES}/registry");
    let mut actions = vec![
        Action::Run(
            Run::unless(
                format!("user {USER}"),
                Subject::User,
                format!("id {USER} && getent group {USER}"),
                format!("id {USER} >/dev/null 2>&1 || {{ : >/var/lib/ferry/before/user-{USER}.made; useradd --system --user-group --no-create-home --home-dir {home} --shell /usr/sbin/nologin {USER}; }}"),
            )
            .undone_by(format!("[ ! -e /var/lib/ferry/before/user-{USER}.made ] || ! id {USER} >/dev/null 2>&1 || userdel {USER}")),
        ),
        Action::Folder(Folder::new(data.as_str(), 0o750).owner("ferry-registry:ferry-registry").data(DataKind::Registry)),
        Action::Folder(Folder::new(&folder, 0o750).owner(OWNED)),
    ];
    let mut shared = vec![executable(&format!("{PROGRAMS}/registry"), binary)];
    for (file, name) in
        [("tls.crt", format!("registry/{}.crt", host.name)), ("tls.key", format!("registry/{}.key", host.name))]
    {
        shared.push(Action::File(context.secret_file(&format!("{folder}/{file}"), &name, 0o640)?.owner(OWNED)));
    }
    let mut units = Vec::new();
    for (unit_name, kind, address, read_only) in [
        ("ferry-registry", "pull", authority(host, context.site.registry.port), true),
        ("ferry-registry-push", "push", format!("127.0.0.1:{}", push_port(context)), false),
    ] {
        let htpasswd =
            context.secret_file(&format!("{folder}/{kind}.htpasswd"), &format!("registry/{kind}.htpasswd"), 0o640)?;
        let secret = context.secret(&format!("registry/{kind}.password"))?;
        // Upload sessions are signed with it; derived, so that it is the same in every plan.
        let secret = Digest::of(format!("ferry upload secret {secret}").as_bytes()).hex();
        let text = configuration(&data, &folder, kind, &address, read_only, &secret);
        let config = context.rendered_file(host, &format!("{folder}/{kind}.yml"), text, 0o640)?.owner(OWNED);
        let file = File::text(format!("/etc/systemd/system/{unit_name}.service"), unit_text(&folder, kind, &data));
        let mut reads = shared.clone();
        reads.extend([Action::File(htpasswd.owner(OWNED)), Action::File(config), Action::File(file)]);
        units.push(unit(&format!("{unit_name}.service"), true, &reads));
        actions.extend(reads.into_iter().filter(|action| !shared.contains(action)));
    }
    actions.extend(shared);
    actions.extend(units);
    for port in [context.site.registry.port, push_port(context)] {
        let listens = format!("ss -Hltn 'sport = :{port}' | grep .");
        let wait = format!(
            "for i in $(seq 30); do {listens} >/dev/null && exit 0; sleep 1; done; journalctl -u 'ferry-registry*' -n 20 --no-pager -o cat >&2; exit 1"
        );
        actions.push(Action::Run(Run::unless(
            format!("the registry listens on port {port}"),
            Subject::Wait,
            listens,
            wait,
        )));
    }
    Ok(actions)
}

fn configuration(data: &DataDir, folder: &str, kind: &str, address: &str, read_only: bool, secret: &str) -> String {
    format!(
        "version: 0.1
log: {{level: warn, formatter: text}}
storage:
  filesystem: {{rootdirectory: \"{data}\"}}
  maintenance:
    uploadpurging: {{enabled: {}, age: 168h, interval: 24h, dryrun: false}}
    readonly: {{enabled: {read_only}}}
auth:
  htpasswd: {{realm: ferry, path: {folder}/{kind}.htpasswd}}
http:
  addr: \"{address}\"
  secret: {secret}
  tls: {{certificate: {folder}/tls.crt, key: {folder}/tls.key, minimumtls: tls1.2}}
  headers: {{X-Content-Type-Options: [nosniff]}}
",
        !read_only
    )
}

fn unit_text(folder: &str, kind: &str, data: &DataDir) -> String {
    format!(
        "[Unit]
Description=ferry's registry ({kind})
After=network-online.target
Wants=network-online.target

[Service]
User={USER}
ExecStart={PROGRAMS}/registry serve {folder}/{kind}.yml
Environment=OTEL_TRACES_EXPORTER=none
Restart=always
RestartSec=2
NoNewPrivileges=yes
ReadWritePaths={data}

[Install]
WantedBy=multi-user.target
"
    )
}

/// Everything that a registry holds.
pub(super) fn content(context: &Context<'_>) -> Result<Push, StepBuildError> {
    let lock = context.supply.lock();
    let mut images: Vec<PushedImage> = lock
        .images
        .iter()
        .map(|image| PushedImage {
            repository: format!("{}/{}", image.name.registry(), image.name.repository()),
            tag: image.name.tag().map(str::to_owned),
            digest: image.carried().digest,
            made: false,
        })
        .collect();
    let mut bytes = 0;
    let mut seen = BTreeSet::new();
    for pin in
        lock.images.iter().flat_map(|image| &image.manifests).flat_map(|one| one.layers.iter().chain([&one.config]))
    {
        if seen.insert(pin.digest) {
            bytes += pin.size;
        }
    }
    let mut arches: BTreeSet<Arch> = BTreeSet::new();
    for host in context.site.hosts.iter().filter(|host| context.is_reached(host)) {
        arches.insert(context.arch(host)?);
    }
    for arch in arches {
        let Some(image) = context.probe_images.get(&arch) else { continue };
        let tag = Some(arch.as_str().to_owned());
        images.push(PushedImage { repository: PROBE_REPOSITORY.into(), tag, digest: image.digest(), made: true });
        bytes += image.size();
    }
    let server = context.site.registry.name.to_string();
    let files = context.fetched();
    bytes += files.iter().map(|file| file.content.size()).sum::<u64>();
    Ok(Push { server, port: push_port(context), images, files, bytes })
}
