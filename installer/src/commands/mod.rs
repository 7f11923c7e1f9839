//! One file a verb.

mod accept;
mod apply;
mod backup;
mod check;
mod install;
mod nodes;
mod plan;
mod receipt;
mod receive;
mod report;
mod restore;
mod site;
mod uninstall;

use std::path::PathBuf;

use clap::Subcommand;

use crate::cli::{Common, TrustArgs};
use crate::failure::{ExitCode, Failure};

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Everything, in order: look at the hosts, plan, apply, accept, report.
    Install(install::Args),
    /// Put the volumes of a bundle together again: any order, damaged, in several rounds.
    Receive(receive::Args),
    /// Make, check and describe site files.
    Site(site::Args),
    /// Say whether the hosts are fit. Changes nothing that it does not take away again.
    Check(check::Args),
    /// Say what would be done to every host, and save it; or show a saved plan.
    Plan(plan::Args),
    /// Do what a saved plan says, if the hosts are still as it saw them.
    Apply(apply::Args),
    /// Check that the cluster works, by making it work, and write the report.
    Accept(accept::Args),
    /// Add hosts to a cluster that stands, or let one leave it.
    Nodes(nodes::Args),
    /// Acknowledge what was installed, signed by the site's own key: what upgrade packages are made from.
    Receipt(receipt::Args),
    /// Write the report anew from the journal. Touches no host.
    Report(report::Args),
    /// Take a snapshot of etcd now, verify it, and copy it here and to a second host.
    Backup(backup::Args),
    /// Put the cluster back to what a snapshot of etcd holds, after the cluster's name has been typed.
    Restore(restore::Args),
    /// Take everything back that ferry has done to the hosts, after the cluster's name has been typed.
    Uninstall(uninstall::Args),
}

impl Verb {
    /// Runs it.
    pub(crate) async fn run(&self, common: &Common) -> Result<ExitCode, Failure> {
        match self {
            Self::Install(arguments) => install::run(arguments, common).await,
            Self::Receive(arguments) => receive::run(arguments, common),
            Self::Site(arguments) => site::run(arguments),
            Self::Check(arguments) => check::run(arguments, common).await,
            Self::Plan(arguments) => plan::run(arguments, common).await,
            Self::Apply(arguments) => apply::run(arguments, common).await,
            Self::Accept(arguments) => accept::run(arguments, common).await,
            Self::Nodes(arguments) => nodes::run(arguments, common).await,
            Self::Receipt(arguments) => receipt::run(arguments, common).await,
            Self::Report(arguments) => report::run(arguments, common),
            Self::Backup(arguments) => backup::run(arguments, common).await,
            Self::Restore(arguments) => restore::run(arguments, common).await,
            Self::Uninstall(arguments) => uninstall::run(arguments, common).await,
        }
    }
}

/// A site file and the bundle for it.
#[derive(Debug, clap::Args)]
pub(crate) struct SiteAndBundle {
    /// The site file.
    #[arg(value_name = "SITE.yaml")]
    pub(crate) site: PathBuf,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
}
