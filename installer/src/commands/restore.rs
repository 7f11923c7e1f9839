//! `restore`: the cluster goes back to a snapshot of etcd.

use std::path::{Path, PathBuf};

use ferry_bundle_format::digest::digest_reader;
use ferry_engine::host::{Command, quote};
use ferry_engine::rounds;
use ferry_engine::site::file::Role;
use ferry_engine::snapshot::{self, Found, Restore};

use super::backup::{fetched, place};
use super::uninstall::confirmed;
use crate::cli::Common;
use crate::failure::{self, ExitCode, Failure};
use crate::leased::leased;
use crate::session::{self, Session};
use crate::show;

/// Put the cluster back to what a snapshot of etcd holds, after the cluster's name has been typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The site file.
    #[arg(value_name = "SITE.yaml")]
    site: PathBuf,
    /// The snapshot: a file here, or `latest`: the newest that any host or this machine has.
    #[arg(long, value_name = "FILE|latest")]
    snapshot: String,
    /// Only show every script that would run on each host, in order.
    #[arg(long, conflicts_with_all = ["confirm"])]
    show: bool,
    /// The cluster's name, instead of typing it when asked.
    #[arg(long, value_name = "CLUSTER")]
    confirm: Option<String>,
}

/// Runs it.
pub(crate) async fn run(arguments: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let session = Session::open(&arguments.site, common)?;
    session.began("restore", None, None);
    let site = &session.site;
    let folder = format!("{}/restore", site.etcd.snapshot_dir);
    let restore = Restore { file: format!("{folder}/snapshot.db"), stamp: format!("{}", session::now()) };
    let all = snapshot::rounds(site, &restore);
    if arguments.show {
        show::text(&rounds::show(&all));
        return Ok(ExitCode::Success);
    }
    all_there(&session).await?;
    let file = match arguments.snapshot.as_str() {
        "latest" => latest(&session).await?,
        path => PathBuf::from(path),
    };
    let opened = std::fs::File::open(&file).map_err(failure::file("open", &file))?;
    let (digest, size) = digest_reader(opened).map_err(failure::file("read", &file))?;
    show::aside(&format!("  snapshot {}, {size} bytes, sha256 {}", file.display(), digest.hex()));
    show::aside(
        "  What has been written to the cluster since then is lost. Volumes keep what is in them, of whatever time.",
    );
    let what = "This puts the cluster back.";
    confirmed(&session, what, arguments.confirm.as_ref(), common).await?;
    let work = async {
        for host in site.with(Role::Etcd) {
            let prepare = format!("mkdir -p -m 700 {}", quote(&folder));
            place(&session, &host.name, &file, &digest.hex(), &restore.file, &prepare).await?;
        }
        Ok::<_, Failure>(rounds::run(&all, &session.hosts, &session.journal, &session.stop).await)
    };
    let done = leased(&session, work).await??;
    if let Some((step, error)) = done.failed.first() {
        return Err(
            Failure::at_step(step, error).hint("run the same command again: nothing of before has been removed")
        );
    }
    if done.stopped {
        return Ok(ExitCode::Interrupted);
    }
    for (host, task, text) in &done.said {
        let keys = text.lines().find_map(|line| line.strip_prefix("keys "));
        match (task.as_str(), keys) {
            ("restore.rehearse", Some(keys)) => show::text(&format!("the rehearsal on {host} found {keys} keys\n")),
            ("restore.look", Some(keys)) => show::text(&format!("{host} has {keys} keys now, and its API answers\n")),
            _ => {}
        }
    }
    Ok(if done.owed.is_empty() { ExitCode::Success } else { ExitCode::Owed })
}

/// Every etcd host has to be there before anything is begun; all that are not are named together.
async fn all_there(session: &Session) -> Result<(), Failure> {
    let command = Command::new("true");
    let asked = session.site.with(Role::Etcd).filter_map(|host| {
        let (host, command) = (session.hosts.get(&host.name)?, &command);
        Some(async move { host.run(command).await.err() })
    });
    let away: Vec<_> = futures_util::future::join_all(asked).await.into_iter().flatten().collect();
    if away.is_empty() {
        return Ok(());
    }
    let text =
        format!("{} etcd hosts can't be worked on, and a restore needs all of them; nothing was changed", away.len());
    let mut failure = Failure::new(ExitCode::Host, text);
    failure.causes.extend(away.iter().map(ToString::to_string));
    Err(failure
        .hint("power them on; one that is lost for good has to leave the site first: `ferry-install nodes remove`"))
}

/// The newest snapshot that any reachable host has, brought here; or the newest that is here already.
async fn latest(session: &Session) -> Result<PathBuf, Failure> {
    let command = Command::root(snapshot::list(&session.site));
    let asked = session.hosts.iter().map(|(name, host)| {
        let command = &command;
        async move { Some(snapshot::found(name, &host.run(command).await.ok()?.text())).flatten() }
    });
    let mut found: Vec<Found> = futures_util::future::join_all(asked).await.into_iter().flatten().collect();
    found.sort();
    let here = newest_here(&session.state.join("snapshots"));
    match (found.last(), here) {
        (Some(there), Some((at, path))) if at >= there.at => Ok(path),
        (Some(there), _) => fetched(session, there).await,
        (None, Some((_, path))) => Ok(path),
        (None, None) => {
            Err(Failure::new(ExitCode::Input, "there is no snapshot: no reachable host has one, nor this machine")
                .hint("name a file with --snapshot"))
        }
    }
}

/// The newest `etcd-TIME-HOST.db` of a folder.
fn newest_here(folder: &Path) -> Option<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let named = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let at = name.strip_prefix("etcd-")?.strip_suffix(".db")?.split('-').next()?.to_owned();
        Some((at, entry.path()))
    });
    named.max()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_newest_of_a_folder_is_found_by_its_name() {
        let folder = std::env::temp_dir().join(format!("ferry-newest-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["etcd-20260101T000000Z-a.db", "etcd-20260103T000000Z-b.part", "etcd-20260102T000000Z-b-1.db", "x"]
        {
            std::fs::write(folder.join(name), "").unwrap();
        }
        let (at, path) = super::newest_here(&folder).unwrap();
        assert_eq!(
            (at.as_str(), path.file_name().unwrap().to_str().unwrap()),
            ("20260102T000000Z", "etcd-20260102T000000Z-b-1.db")
        );
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(super::newest_here(&folder), None);
    }
}
