//! `uninstall`: takes everything back that ferry has done to the hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use ferry_engine::host::Command;
use ferry_engine::rounds;
use ferry_engine::uninstall::{self, Options, READ, Record};

use crate::cli::Common;
use crate::failure::{self, ExitCode, Failure};
use crate::leased::Lease;
use crate::session::{self, Session};
use crate::show;

/// Take everything back that ferry has done to the hosts, after the cluster's name has been typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The site file. Neither a bundle nor a plan is needed: each host knows what was done to it.
    #[arg(value_name = "SITE.yaml")]
    site: PathBuf,
    /// Only show every script that would run on each host, in order.
    #[arg(long, conflicts_with_all = ["confirm"])]
    show: bool,
    /// The cluster's name, instead of typing it when asked.
    #[arg(long, value_name = "CLUSTER")]
    confirm: Option<String>,
    /// Remove snapshots of etcd and the content of volumes, too. Without it they stay on the hosts.
    #[arg(long)]
    wipe_data: bool,
}

/// Runs it.
pub(crate) async fn run(arguments: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let session = Session::open(&arguments.site, common)?;
    // It is a run of this verb when it has been confirmed: before that nothing is changed.
    session.began("look", None, None);
    if arguments.show {
        // Only looks.
        return session.ended(under_lease(&session, arguments, common).await);
    }
    session.ended(Lease::of(&session).hold(under_lease(&session, arguments, common)).await)
}

async fn under_lease(session: &Session, arguments: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let (records, away) = records(session).await?;
    let options = Options { wipe_data: arguments.wipe_data };
    let all = uninstall::rounds(&session.site, &records, options);
    if arguments.show {
        show::text(&rounds::show(&all));
        return Ok(ExitCode::Success);
    }
    for host in &session.site.hosts {
        let text = match records.get(&host.name) {
            Some(record) => record.summary(),
            None if away.contains(&host.name) => "can't be reached: owed".to_owned(),
            None => "nothing of ferry's is here".to_owned(),
        };
        show::aside(&format!("  {:<20} {text}", host.name));
    }
    if !records.is_empty() {
        confirmed(session, "This ends the cluster and its data.", arguments.confirm.as_ref(), common).await?;
        session.began("uninstall", None, None);
        keep_ledgers(session, &records)?;
        let done = rounds::run(&all, &session.hosts, &session.journal, &session.stop).await;
        session.journal.keep(&done.ended());
        if let Some((step, error)) = done.failed.first() {
            return Err(
                Failure::at_step(step, error).hint("run the same command again: what was taken back is not done twice")
            );
        }
        if done.stopped {
            return Ok(ExitCode::Interrupted);
        }
        if let Some(owed) = done.owed.iter().next() {
            return Err(owing(owed));
        }
    }
    match away.iter().next() {
        Some(host) => Err(owing(host)),
        None => Ok(ExitCode::Success),
    }
}

fn owing(host: &str) -> Failure {
    Failure::new(ExitCode::Owed, format!("{host} could not be reached, and keeps what ferry did to it"))
        .hint("run the same command again when it is back")
}

/// What every host has recorded, and the hosts that are away.
pub(super) async fn records(session: &Session) -> Result<(BTreeMap<String, Record>, BTreeSet<String>), Failure> {
    let (mut records, mut away) = (BTreeMap::new(), BTreeSet::new());
    let command = Command::root(READ);
    let asked = session.hosts.iter().map(|(name, host)| {
        let command = &command;
        async move { (name, host.run(command).await.and_then(|output| output.ok(name, command))) }
    });
    for (name, result) in futures_util::future::join_all(asked).await {
        match result {
            Ok(output) => drop(uninstall::parse(&output.text()).map(|record| records.insert(name.clone(), record))),
            Err(error) if error.is_absence() => drop(away.insert(name.clone())),
            Err(error) => return Err(error.into()),
        }
    }
    Ok((records, away))
}

/// The cluster's name has to be typed, or given on the command line: `--yes` alone does not do.
pub(super) async fn confirmed(
    session: &Session,
    what: &str,
    given: Option<&String>,
    common: &Common,
) -> Result<(), Failure> {
    let cluster = &session.site.cluster;
    let typed = match given {
        Some(name) => name.clone(),
        None if common.yes => String::new(),
        None => session.console.typed(&format!("{what} Type the cluster's name, {cluster}, to go on:")).await,
    };
    if typed == *cluster {
        return Ok(());
    }
    Err(Failure::new(ExitCode::Interrupted, "nothing was changed: the cluster's name was not typed")
        .hint(format!("type {cluster} when asked, or give --confirm {cluster}; to see what would be done: --show")))
}

/// The ledgers leave the hosts with ferry: here they stay as evidence, on disk before anything is taken back.
fn keep_ledgers(session: &Session, records: &BTreeMap<String, Record>) -> Result<(), Failure> {
    let folder = session.state.join(format!("uninstalled-{}", session::now()));
    std::fs::create_dir_all(&folder).map_err(failure::file("make", &folder))?;
    for (name, record) in records {
        let path = folder.join(format!("{name}.ledger"));
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(record.ledger.as_bytes())?;
            file.sync_all()
        });
        written.map_err(failure::file("write", &path))?;
    }
    for one in [&folder, &session.state] {
        File::open(one).and_then(|folder| folder.sync_all()).map_err(failure::file("write", one))?;
    }
    Ok(())
}
