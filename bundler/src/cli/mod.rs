//! The command line: an enum of verbs, and what they share.

mod base;
mod network;
mod signing;
mod trust;

use std::process::ExitCode as ProcessExit;
use std::sync::Arc;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::commands;
use crate::event::Reporter;
use crate::failure::{ExitCode, Failure};
use crate::ui::{self, Display};

pub use base::BaseArgs;
pub use network::NetworkArgs;
pub use signing::{KeyArgs, SigningArgs};
pub(crate) use signing::{resign, seal};
pub use trust::TrustArgs;

const EXIT_CODES: &str = "\
Exit codes: 0 all is well · 1 a bug · 2 wrong command line · 3 wrong manifest, lock, list or key ·
4 bundle refused: damaged · 5 bundle refused: not trusted · 6 `lock --check`: drift · 7 network ·
8 credentials · 9 this machine: space, permissions · 10 content is not its digest ·
15 volumes are missing · 130 interrupted";

/// From a wish list to one signed archive, and out of it again.
#[derive(Debug, Parser)]
#[command(name = "ferry-bundle", version, after_help = EXIT_CODES, propagate_version = true)]
pub struct Cli {
    /// Print events as JSON lines on standard output.
    #[arg(long, global = true)]
    json: bool,
    /// Print results, warnings and errors only.
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Print plain lines instead of progress bars.
    #[arg(long, global = true)]
    plain: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a signing key: NAME.key (protected) and its public forms.
    Keygen(commands::keygen::Args),
    /// Resolve a manifest to a lock with exact digests.
    Lock(commands::lock::Args),
    /// Bring everything in a lock into the store.
    Fetch(commands::fetch::Args),
    /// Pack a lock and the store into one signed bundle.
    Pack(commands::pack::Args),
    /// Lock, fetch and pack in one, without a store.
    Make(commands::make::Args),
    /// Check a bundle: every step, every byte.
    Verify(commands::verify::Args),
    /// Apply an upgrade package to its base: writes the full bundle.
    Apply(commands::apply::Args),
    /// List what is in a bundle, in milliseconds.
    Show(commands::show::Args),
    /// Acknowledge what a site has: a page, signed by the site, to make upgrades against.
    Receipt(commands::receipt::Args),
    /// Allow a site to go back from one serial to a lower one.
    Permit(commands::permit::Args),
    /// List what differs between two bundles or locks.
    Diff(commands::diff::Args),
    /// Write a bundle's content as a plain OCI image layout.
    Export(commands::export::Args),
    /// Serve a bundle as a read-only registry, without unpacking it.
    Serve(commands::serve::Args),
    /// Push a bundle's content to a registry or Harbor.
    Push(commands::push::Args),
    /// Split a file into volumes that fit a gate, with parity and lists.
    Split(commands::split::Args),
    /// Put volumes together again: any order, damaged, in several rounds.
    Receive(commands::receive::Args),
    /// Write only what a code from `receive` asks for.
    Resend(commands::resend::Args),
    /// Show all of it on an embedded origin; needs no network.
    Demo(commands::demo::Args),
    /// Print the JSON Schema of a document.
    Schema(commands::schema::Args),
    /// Print shell completions, or write man pages.
    Completions(commands::completions::Args),
}

/// What every verb is given.
pub struct Context {
    /// Shows events.
    pub reporter: Arc<dyn Reporter>,
}

/// Runs the program: parse, run the verb, show what failed.
#[must_use]
pub fn main() -> ProcessExit {
    let cli = Cli::parse();
    let display = Display { json: cli.json, quiet: cli.quiet, plain: cli.plain };
    let context = Context { reporter: display.reporter() };
    let result = run(cli.verb, &context);
    context.reporter.finish();
    match result {
        Ok(()) => ProcessExit::SUCCESS,
        Err(failure) => {
            if display.json {
                let (code, causes, hints) = (failure.code as u8, &failure.causes, &failure.hints);
                ui::out(
                    &serde_json::json!({ "event": "error", "exitCode": code, "causes": causes, "hints": hints })
                        .to_string(),
                );
            } else {
                ui::err(&failure.render());
            }
            ProcessExit::from(failure.code as u8)
        }
    }
}

fn run(verb: Verb, context: &Context) -> Result<(), Failure> {
    match verb {
        Verb::Keygen(args) => commands::keygen::run(&args, context),
        Verb::Lock(args) => on_runtime(commands::lock::run(&args, context)),
        Verb::Fetch(args) => on_runtime(commands::fetch::run(&args, context)),
        Verb::Pack(args) => commands::pack::run(&args, context),
        Verb::Make(args) => on_runtime(commands::make::run(&args, context)),
        Verb::Verify(args) => commands::verify::run(&args, context),
        Verb::Apply(args) => commands::apply::run(&args, context),
        Verb::Receipt(args) => commands::receipt::run(&args, context),
        Verb::Permit(args) => commands::permit::run(&args, context),
        Verb::Show(args) => commands::show::run(&args, context),
        Verb::Diff(args) => commands::diff::run(&args, context),
        Verb::Export(args) => commands::export::run(&args, context),
        Verb::Serve(args) => on_runtime(commands::serve::run(&args, context)),
        Verb::Push(args) => on_runtime(commands::push::run(&args, context)),
        Verb::Split(args) => commands::split::run(&args, context),
        Verb::Receive(args) => commands::receive::run(&args, context),
        Verb::Resend(args) => commands::resend::run(&args, context),
        Verb::Demo(args) => on_runtime(commands::demo::run(&args, context)),
        Verb::Schema(args) => commands::schema::run(&args, context),
        Verb::Completions(args) => commands::completions::run(&args, &mut Cli::command()),
    }
}

/// Runs network work until it is done or Ctrl-C comes. What is under way is dropped; what is on disk is kept.
fn on_runtime(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().min(4)))
        .enable_all()
        .build()
        .map_err(|error| Failure::of(ExitCode::Machine, &error).while_doing("can't start the runtime"))?;
    let result = runtime.block_on(async {
        tokio::select! {
            result = work => result,
            _ = tokio::signal::ctrl_c() => {
                Err(Failure::new(ExitCode::Interrupted, "interrupted").hint("run the same command again: it goes on where it stopped"))
            }
        }
    });
    // Writers on blocking threads finish the chunk in hand.
    runtime.shutdown_timeout(std::time::Duration::from_secs(10));
    result
}

/// How many things to do at once, if nothing is said: for work that the processor limits.
#[must_use]
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}
