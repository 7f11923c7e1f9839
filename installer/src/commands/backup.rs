//! `backup`: a snapshot of etcd now, verified, and copies of it off its host.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferry_bundle_format::Digest;
use ferry_bundle_format::archive::Region;
use ferry_engine::action::{self, DataKind};
use ferry_engine::event::Event;
use ferry_engine::host::{Command, FileRange, Host, Upload, quote};
use ferry_engine::rounds::{self, Round};
use ferry_engine::site::file::Role;
use ferry_engine::snapshot::{self, Found};

use crate::cli::Common;
use crate::failure::{self, ExitCode, Failure};
use crate::session::Session;
use crate::show;

/// Take a snapshot of etcd now, verify it, and copy it here and to a second host.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The site file.
    #[arg(value_name = "SITE.yaml")]
    site: PathBuf,
}

/// Runs it.
pub(crate) async fn run(arguments: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let session = Session::open(&arguments.site, common)?;
    session.ended(backed_up(&session).await)
}

async fn backed_up(session: &Session) -> Result<ExitCode, Failure> {
    session.began("backup", None, None);
    let site = &session.site;
    let tasks = site.with(Role::Etcd).map(|host| snapshot::take(site, host).owed()).collect();
    let round = Round { name: "snapshots".into(), tasks };
    let done = rounds::run(&[round], &session.hosts, &session.journal, &session.stop).await;
    if let Some((step, error)) = done.failed.first() {
        return Err(Failure::at_step(step, error));
    }
    let newest = done.said.iter().find_map(|(host, _, text)| snapshot::found(host, text));
    let Some(newest) = newest else {
        return Err(Failure::new(ExitCode::Host, "no etcd host could be reached")
            .hint("power the hosts on, or see what stands between them and here"));
    };
    let here = fetched(session, &newest).await?;
    show::text(&format!("{} of {}: {} bytes, sha256 {}\n", newest.path, newest.host, newest.size, newest.sha256));
    show::text(&format!("a copy is at {}\n", here.display()));
    match snapshot::keeper(site, &newest.host) {
        Some(keeper) => {
            let folder = format!("{}/from-{}", site.etcd.snapshot_dir, newest.host);
            let path = format!("{folder}/etcd-{}.db", newest.at);
            // Where the host has no etcd, nobody has taken the folder yet.
            let take = action::take_folder(DataKind::Snapshots, site.etcd.snapshot_dir.as_ref(), 0o700);
            let prepare = format!("{take}\nmkdir -p -m 700 {}", quote(&folder));
            place(session, &keeper.name, &here, &newest.sha256, &path, &prepare).await?;
            prune(session, &keeper.name, &folder).await?;
            show::text(&format!("a copy is at {path} of {}\n", keeper.name));
        }
        None => show::text("the site has one host only: carry the copy that is here to another place\n"),
    }
    Ok(if done.owed.is_empty() { ExitCode::Success } else { ExitCode::Owed })
}

/// Brings a snapshot here, below the state folder.
pub(crate) async fn fetched(session: &Session, found: &Found) -> Result<PathBuf, Failure> {
    let folder = session.state.join("snapshots");
    std::fs::create_dir_all(&folder).map_err(failure::file("make", &folder))?;
    let to = folder.join(format!("etcd-{}-{}.db", found.at, found.host));
    let host = connection(session, &found.host)?;
    snapshot::fetch(host.as_ref(), found, &to).await.map_err(|error| Failure::of(ExitCode::Host, &error))?;
    Ok(to)
}

/// Places a file of this machine on a host, 0600, after `prepare` has run there.
pub(crate) async fn place(
    session: &Session,
    name: &str,
    file: &Path,
    sha256: &str,
    path: &str,
    prepare: &str,
) -> Result<(), Failure> {
    let host = connection(session, name)?;
    let command = Command::root(prepare.to_owned());
    host.run(&command).await.and_then(|output| output.ok(name, &command))?;
    let opened = File::open(file).map_err(failure::file("open", file))?;
    let length = opened.metadata().map_err(failure::file("look at", file))?.len();
    let upload = Upload {
        source: Arc::new(FileRange(Region::new(Arc::new(opened), 0, length))),
        digest: Digest::from_hex(sha256).map_err(|error| Failure::of(ExitCode::Bug, &error))?,
        path: path.to_owned(),
        mode: 0o600,
        owner: "root:root".into(),
    };
    let tick = |bytes| session.journal.record(&Event::Moved { host: name.to_owned(), bytes });
    Ok(host.upload(&upload, &tick).await?)
}

/// As many copies stay as a host keeps of its own.
async fn prune(session: &Session, name: &str, folder: &str) -> Result<(), Failure> {
    let first_old = session.site.etcd.snapshot_keep.get() + 1;
    let script = format!(
        "cd {} && ls -1 | grep -x 'etcd-[0-9]\\{{8\\}}T[0-9]\\{{6\\}}Z\\.db' | sort -r | tail -n +{first_old} | while read -r old; do rm -f \"$old\"; done",
        quote(folder)
    );
    let command = Command::root(script);
    connection(session, name)?.run(&command).await.and_then(|output| output.ok(name, &command))?;
    Ok(())
}

fn connection(session: &Session, name: &str) -> Result<Arc<dyn Host>, Failure> {
    let none = || Failure::new(ExitCode::Input, format!("{name} is no host of the site"));
    session.hosts.get(name).cloned().ok_or_else(none)
}
