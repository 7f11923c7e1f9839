//! `restore`: the cluster goes back to a snapshot of etcd.

use std::path::{Path, PathBuf};

use ferry_bundle_format::digest::digest_reader;
use ferry_bundle_format::store::write_atomically;
use ferry_engine::host::{Command, quote};
use ferry_engine::rounds;
use ferry_engine::site::file::Role;
use ferry_engine::snapshot::{self, Found, Restore};

use serde::{Deserialize, Serialize};

use super::backup::{fetched, place};
use super::uninstall::confirmed;
use crate::cli::Common;
use crate::failure::{self, ExitCode, Failure};
use crate::leased::Lease;
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
    // It is a run of this verb when it has been confirmed: before that nothing is changed.
    session.began("look", None, None);
    if arguments.show {
        // Only shows.
        return session.ended(under_lease(&session, arguments, common).await);
    }
    session.ended(Lease::of(&session).hold(under_lease(&session, arguments, common)).await)
}

/// What is noted in the state folder from the moment on in which the cluster comes back, until the restore has ended well.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Unfinished {
    /// What `--snapshot` was.
    asked: String,
    /// The digest of the snapshot.
    sha256: String,
    /// The restore's stamp: seconds since 1970.
    stamp: String,
}

/// The file in the state folder.
const UNFINISHED: &str = "restore.json";

impl Unfinished {
    /// What an earlier run of the same command has left. A file that was exchanged meanwhile is another snapshot.
    fn of(state: &Path, asked: &str) -> Result<Option<Self>, Failure> {
        let path = state.join(UNFINISHED);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failure::file("read", &path)(error)),
        };
        let known: Self = serde_json::from_slice(&text).map_err(|error| {
            let mut failure = Failure::of(ExitCode::Input, &error);
            failure.causes.insert(0, format!("can't use {}", path.display()));
            failure.hint(format!("remove {}: then the restore begins from the start", path.display()))
        })?;
        let same = known.asked == asked
            && (asked == "latest"
                || std::fs::File::open(asked)
                    .and_then(digest_reader)
                    .is_ok_and(|(digest, _)| digest.hex() == known.sha256));
        Ok(Some(known).filter(|_| same))
    }

    fn write(&self, state: &Path) -> Result<(), Failure> {
        let path = state.join(UNFINISHED);
        let text = serde_json::to_vec_pretty(self).map_err(|error| Failure::of(ExitCode::Bug, &error))?;
        write_atomically(&path, &text).map_err(failure::file("write", &path))
    }

    /// Nothing is left to do.
    fn forget(state: &Path) -> Result<(), Failure> {
        let path = state.join(UNFINISHED);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failure::file("remove", &path)(error)),
            _ => Ok(()),
        }
    }
}

async fn under_lease(session: &Session, arguments: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let site = &session.site;
    let folder = format!("{}/restore", site.etcd.snapshot_dir);
    let unfinished = Unfinished::of(&session.state, &arguments.snapshot)?;
    let stamp = unfinished.as_ref().map_or_else(|| session::now().to_string(), |known| known.stamp.clone());
    let restore = Restore { file: format!("{folder}/snapshot.db"), stamp };
    let all = snapshot::rounds(site, &restore);
    if arguments.show {
        show::text(&rounds::show(&all));
        return Ok(ExitCode::Success);
    }
    let back = snapshot::comes_back(&all);
    let some = |which| rounds::run_some(&all, which, &session.hosts, &session.journal, &session.stop);
    if let Some(known) = unfinished {
        show::aside(&format!(
            "  the snapshot sha256 {} is restored already, and the restore has not ended: it goes on at \"{}\"\n  \
             (to restore it again from the start, remove {} first)",
            known.sha256,
            all.get(back).map_or("", |round| &round.name),
            session.state.join(UNFINISHED).display()
        ));
        session.began("restore", None, None);
        return ended(session, &some(back..all.len()).await, &[]);
    }
    all_there(session).await?;
    let file = match arguments.snapshot.as_str() {
        "latest" => latest(session).await?,
        path => PathBuf::from(path),
    };
    let opened = std::fs::File::open(&file).map_err(failure::file("open", &file))?;
    let (digest, size) = digest_reader(opened).map_err(failure::file("read", &file))?;
    show::aside(&format!("  snapshot {}, {size} bytes, sha256 {}", file.display(), digest.hex()));
    show::aside(
        "  What has been written to the cluster since then is lost. Volumes keep what is in them, of whatever time.",
    );
    let what = "This puts the cluster back.";
    confirmed(session, what, arguments.confirm.as_ref(), common).await?;
    session.began("restore", None, None);
    for host in site.with(Role::Etcd) {
        session.go_on()?;
        let prepare = format!("mkdir -p -m 700 {}", quote(&folder));
        place(session, &host.name, &file, &digest.hex(), &restore.file, &prepare).await?;
    }
    let done = some(0..back).await;
    if let Some((step, error)) = done.failed.first() {
        return Err(
            Failure::at_step(step, error).hint("run the same command again: nothing of before has been removed")
        );
    }
    if done.stopped {
        return Ok(ExitCode::Interrupted);
    }
    let asked = arguments.snapshot.clone();
    Unfinished { asked, sha256: digest.hex(), stamp: restore.stamp.clone() }.write(&session.state)?;
    ended(session, &some(back..all.len()).await, &done.said)
}

/// What the second part of a restore came to, in which the cluster comes back; `said` is what the first part printed.
fn ended(session: &Session, done: &rounds::Done, said: &[(String, String, String)]) -> Result<ExitCode, Failure> {
    session.journal.keep(&done.ended());
    if let Some((step, error)) = done.failed.first() {
        return Err(Failure::at_step(step, error).hint(
            "the snapshot is restored; run the same command again: it goes on at this step, and restores nothing twice",
        ));
    }
    if done.stopped {
        return Ok(ExitCode::Interrupted);
    }
    if done.owed.is_empty() {
        Unfinished::forget(&session.state)?;
    }
    for (host, task, text) in said.iter().chain(&done.said) {
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
    use super::*;

    #[test]
    fn the_same_command_goes_on_and_another_snapshot_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (state, file) = (folder.path(), folder.path().join("a.db"));
        let asked = file.display().to_string();
        assert_eq!(Unfinished::of(state, &asked).unwrap(), None);
        std::fs::write(&file, "snapshot").unwrap();
        let (digest, _) = digest_reader(&b"snapshot"[..]).unwrap();
        let note = |asked: &str| Unfinished { asked: asked.into(), sha256: digest.hex(), stamp: "7".into() };
        note(&asked).write(state).unwrap();
        assert_eq!(Unfinished::of(state, &asked).unwrap(), Some(note(&asked)));
        assert_eq!(Unfinished::of(state, "latest").unwrap(), None);
        std::fs::write(&file, "another").unwrap();
        assert_eq!(Unfinished::of(state, &asked).unwrap(), None);
        note("latest").write(state).unwrap();
        assert_eq!(Unfinished::of(state, "latest").unwrap(), Some(note("latest")));
        std::fs::write(state.join(UNFINISHED), "{").unwrap();
        let failure = Unfinished::of(state, "latest").unwrap_err();
        assert!(failure.hints[0].contains("remove"), "{failure:?}");
        Unfinished::forget(state).unwrap();
        Unfinished::forget(state).unwrap();
        assert_eq!(Unfinished::of(state, "latest").unwrap(), None);
    }

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
