//! `nodes`: hosts are added to a cluster that stands, or leave it. Only the hosts concerned are touched, and the others only
//! in what follows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clap::Subcommand;
use ferry_engine::facts::Facts;
use ferry_engine::host::Command;
use ferry_engine::leave::{self, Members};
use ferry_engine::plan::{self, Plan};
use ferry_engine::run::Workshop;
use ferry_engine::site::Host;
use ferry_engine::site::file::Role;
use ferry_engine::supply::Supply;
use ferry_engine::{preflight, rounds, step, uninstall};

use super::apply::{self, Applied};
use super::{SiteAndBundle, accept, check, plan as planning, uninstall as uninstalling};
use crate::cli::Common;
use crate::failure::{ExitCode, Failure};
use crate::leased::Lease;
use crate::session::Session;
use crate::show;

/// Add hosts to a cluster that stands, or let one leave it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make hosts that were added to the site file part of the cluster.
    Add(AddArgs),
    /// Let a host leave: its pods go elsewhere, its member leaves etcd, what ferry did there is taken back.
    Remove(RemoveArgs),
}

#[derive(Debug, clap::Args)]
struct AddArgs {
    #[command(flatten)]
    given: SiteAndBundle,
    /// The hosts, by their names in the site file.
    #[arg(required = true, value_name = "HOST")]
    hosts: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct RemoveArgs {
    #[command(flatten)]
    given: SiteAndBundle,
    /// The host, by its name in the site file; it is taken out of the file afterwards.
    #[arg(value_name = "HOST")]
    host: String,
    /// The host will never come back: it is not asked to leave. Needed where it can't be reached.
    #[arg(long)]
    dead: bool,
    /// Go on although volumes lie on the host, whose content goes with it.
    #[arg(long)]
    lose_volumes: bool,
}

/// Runs it.
pub(crate) async fn run(arguments: &Args, common: &Common) -> Result<ExitCode, Failure> {
    match &arguments.verb {
        Verb::Add(arguments) => add(arguments, common).await,
        Verb::Remove(arguments) => remove(arguments, common).await,
    }
}

fn known<'a>(session: &'a Session, name: &str) -> Result<&'a Host, Failure> {
    session.site.host(name).ok_or_else(|| {
        Failure::new(ExitCode::Input, format!("there is no host {name} in {}", session.site.file.display()))
            .hint("give its name as the site file has it")
    })
}

async fn add(arguments: &AddArgs, common: &Common) -> Result<ExitCode, Failure> {
    let session = Session::open(&arguments.given.site, common)?;
    let names: BTreeSet<String> = arguments.hosts.iter().cloned().collect();
    for name in &names {
        known(&session, name)?;
    }
    let supply = session.supply(&arguments.given.trust, common)?;
    session.ended(Lease::of(&session).hold(add_under_lease(&session, &supply, &names, common)).await)
}

async fn add_under_lease(
    session: &Session,
    supply: &Arc<Supply>,
    names: &BTreeSet<String>,
    common: &Common,
) -> Result<ExitCode, Failure> {
    session.began("look", Some(supply), None);
    let facts = session.facts_but(|host| !names.contains(&host.name)).await?;
    let findings = check::find(session, supply, &facts).await?;
    if !common.json {
        show::text(&preflight::render(&findings));
    }
    if findings.verdict() != preflight::Verdict::Ready {
        return Err(Failure::new(ExitCode::Unfit, "the site is not fit; nothing was changed")
            .hint("cure what is said above, or waive it in the site file with the reason, where that can be"));
    }
    let (mut plan, workshop) = planning::make(session, supply, &facts).await?;
    let left_out = plan::narrow(&mut plan, names);
    let applied = narrowed(session, &plan, &left_out, &facts, &workshop, common).await?;
    if !applied.is_whole() {
        return Ok(applied.code);
    }
    let needs = accept::needs(session, &workshop, &facts)?;
    let accepted = accept::execute(session, &workshop.supply, needs, &applied.owed).await?;
    Ok(applied.and(accepted))
}

/// Shows, confirms and applies a plan that was cut down.
async fn narrowed(
    session: &Session,
    plan: &Plan,
    left_out: &[String],
    facts: &BTreeMap<String, Facts>,
    workshop: &Workshop,
    common: &Common,
) -> Result<Applied, Failure> {
    plan::save(plan, &session.state.join("plan.json"))?;
    if !common.json {
        show::text(&planning::summary(plan));
        if !left_out.is_empty() {
            let list = left_out.join(", ");
            show::text(&format!("  left out, because it does not follow from this: {list}; `install` would do it\n"));
        }
    }
    if plan.open() > 0 && !common.yes && !session.console.confirm("Apply this plan?").await {
        return Err(Failure::new(ExitCode::Interrupted, "nothing was changed: the plan was not confirmed"));
    }
    session.began("apply", Some(&workshop.supply), Some(plan));
    apply::execute(session, plan, facts, workshop).await
}

async fn remove(arguments: &RemoveArgs, common: &Common) -> Result<ExitCode, Failure> {
    let mut session = Session::open(&arguments.given.site, common)?;
    let host = known(&session, &arguments.host)?.clone();
    let supply = session.supply(&arguments.given.trust, common)?;
    let lease = Lease::of(&session);
    let result = lease.hold(remove_under_lease(&mut session, &host, &supply, arguments, common)).await;
    session.ended(result)
}

async fn remove_under_lease(
    session: &mut Session,
    host: &Host,
    supply: &Arc<Supply>,
    arguments: &RemoveArgs,
    common: &Common,
) -> Result<ExitCode, Failure> {
    session.began("look", Some(supply), None);
    let mut facts = session.facts_but(|_| true).await?;
    let there = facts.remove(&host.name).is_some();
    if !there && !arguments.dead {
        return Err(Failure::new(ExitCode::Host, format!("{} can't be reached", host.name))
            .hint("make it reachable, so that it can leave in order; or give --dead if it will never come back"));
    }
    let stays = |role: Role| {
        let fits = |one: &&Host| one.is(role) && one.name != host.name && facts.contains_key(&one.name);
        session.site.hosts.iter().find(fits).map(|one| one.name.clone())
    };
    let refused = |why: String| Failure::new(ExitCode::Refused, why).hint("nothing was changed");
    if host.is(Role::Registry) && session.site.with(Role::Registry).count() == 1 {
        return Err(refused(format!("{} is the site's only registry", host.name)));
    }
    let lead = stays(Role::ControlPlane).ok_or_else(|| refused("no other control-plane host can be reached".into()))?;
    let member = stays(Role::Etcd);
    if host.is(Role::Etcd) {
        let member = member.as_ref().ok_or_else(|| refused("no other etcd host can be reached".into()))?;
        let text = ask(session, member, leave::members()).await.map_err(|failure| {
            refused(format!("etcd does not say on {member} how its members stand: {}", failure.causes.join("; ")))
                .hint("bring its members back, or restore it from a snapshot: ferry-install restore")
        })?;
        Members::parse(&text).allows(host).map_err(refused)?;
    }
    if host.is_node() {
        let volumes = ask(session, &lead, leave::volumes(host)).await?;
        if !volumes.trim().is_empty() && !arguments.lose_volumes {
            let mut failure = refused(format!("volumes lie on {}, and their content goes with it", host.name));
            failure.causes.extend(volumes.lines().map(str::to_owned));
            return Err(failure.hint("move what is in them, or give --lose-volumes"));
        }
    }
    let gone = !there || arguments.dead;
    let question = format!("Let {} leave the cluster{}?", host.name, if gone { ", as dead" } else { "" });
    if !common.yes && !session.console.confirm(&question).await {
        return Err(Failure::new(ExitCode::Interrupted, "nothing was changed: it was not confirmed"));
    }
    let mut all = leave::rounds(host, &lead, member.as_deref(), gone);
    if !gone {
        let (mut records, _) = uninstalling::records(session).await?;
        records.retain(|name, _| *name == host.name);
        all.extend(uninstall::rounds(&session.site, &records, uninstall::Options::default()));
    }
    session.began("remove", Some(supply), None);
    let done = rounds::run(&all, &session.hosts, &session.journal, &session.stop).await;
    session.journal.keep(&done.ended());
    if let Some((step, error)) = done.failed.first() {
        return Err(Failure::at_step(step, error).hint("run the same command again: what was done is not done twice"));
    }
    if done.stopped {
        return Ok(ExitCode::Interrupted);
    }
    session.site.hosts.retain(|one| one.name != host.name);
    session.hosts.remove(&host.name);
    // Only now that it has left: while it is a node its pods have the addresses of its place.
    let mut vault = session.vault().await?;
    step::forget(&mut vault, &host.name);
    vault.save()?;
    let (mut plan, workshop) = planning::make(session, supply, &facts).await?;
    let left_out = plan::narrow(&mut plan, &BTreeSet::new());
    let applied = narrowed(session, &plan, &left_out, &facts, &workshop, common).await?;
    show::aside(&format!("{} has left; now take it out of {}", host.name, session.site.file.display()));
    if !applied.is_whole() {
        return Ok(applied.code);
    }
    let needs = accept::needs(session, &workshop, &facts)?;
    let accepted = accept::execute(session, &workshop.supply, needs, &applied.owed).await?;
    Ok(applied.and(accepted))
}

/// What a script prints on a host.
async fn ask(session: &Session, host: &str, script: String) -> Result<String, Failure> {
    let connection = session.hosts.get(host).ok_or_else(|| Failure::new(ExitCode::Host, format!("no host {host}")))?;
    let command = Command::root(script);
    Ok(connection.run(&command).await.and_then(|output| output.ok(host, &command))?.text())
}
