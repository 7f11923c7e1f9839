//! The command line: verbs, the options that all of them share, and the way out.

mod trust;

pub(crate) use trust::TrustArgs;

use std::path::PathBuf;

use clap::Parser;
use clap::error::{ContextKind, ContextValue};
use ferry_engine::host::Redactor;

use crate::commands::Verb;
use crate::failure::{ExitCode, Failure};
use crate::show;

/// Carries a bundle into a site and hands it over working.
#[derive(Debug, Parser)]
#[command(name = "ferry-install", version, about, after_help = EXIT_CODES, max_term_width = 120)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_CODES: &str =
    "Exit codes: 0 well, 1 bug, 2 command line, 3 site file or plan, 4 bundle refused, 5 bundle not trusted,
6 hosts have drifted, 7 host unreachable or login refused, 8 secret, 9 this machine, 10 a step failed,
11 a host is not fit, 12 not accepted, 13 somebody else is at work, 14 done with debts, 15 volumes are missing,
16 something is to be done (plan --exit-code), 130 interrupted.
A command that was interrupted or failed is simply run again: it goes on where it stopped.";

/// What all verbs share.
#[derive(Debug, Clone, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Common {
    /// Show events as JSON, one object a line.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Show every command that is run on a host.
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
    /// Where ferry keeps vault, journal, plans and reports of the site [default: CLUSTER.ferry beside the site file].
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Accept and record the keys of hosts that are seen for the first time, instead of asking.
    #[arg(long, global = true)]
    pub(crate) accept_host_keys: bool,
    /// Ask nothing: go on where a confirmation would be asked for.
    #[arg(long, short, global = true)]
    pub(crate) yes: bool,
    /// Learns every secret of the run; what is said at the end goes through it.
    #[arg(skip)]
    pub(crate) redactor: Redactor,
}

/// Parses, runs, and ends with a documented code.
pub(crate) fn main() -> std::process::ExitCode {
    // The first provider that is installed is the process's; there is only this one.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => nearest_first(error).exit(),
    };
    let result = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let result = runtime.block_on(cli.verb.run(&cli.common));
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(Failure::of(ExitCode::Machine, &error)),
    };
    let code = match result {
        Ok(code) => code,
        Err(failure) => {
            show::failure(&failure.redacted(&cli.common.redactor), cli.common.json);
            failure.code
        }
    };
    std::process::ExitCode::from(code as u8)
}

/// The verbs that a misspelt one is like stand with the nearest last: who reads `instal` sees `uninstall` first. Turned round.
fn nearest_first(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::Strings(names)) = error.get(ContextKind::SuggestedSubcommand) {
        let turned = names.iter().rev().cloned().collect();
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(turned));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_nearest_verb_is_suggested_first() {
        let error = Cli::try_parse_from(["ferry-install", "instal"]).unwrap_err();
        let text = nearest_first(error).to_string();
        let (install, uninstall) = (text.find("'install'").unwrap(), text.find("'uninstall'").unwrap_or(usize::MAX));
        assert!(install < uninstall, "{text}");
    }

    #[test]
    fn every_verb_is_understood_as_the_guide_writes_it() {
        Cli::command().debug_assert();
        let lines = [
            "site init --profile ha -o s.yaml",
            "site check s.yaml",
            "site schema",
            "check s.yaml --bundle b.ferry --trust k.pub",
            "plan s.yaml --bundle b.ferry --trust k.pub -o p.json",
            "plan --show p.json --all",
            "plan --show p.json --scripts --exit-code",
            "plan s.yaml --bundle b.ferry --exit-code",
            "apply p.json s.yaml --bundle b.ferry --trust k.pub",
            "install s.yaml --bundle b.ferry --trust k.pub --accept-host-keys --yes",
            "accept s.yaml --bundle b.ferry --only dns",
            "report s.yaml --json",
            "receipt s.yaml -o s.receipt",
            "install s.yaml --bundle up.ferry --base b.ferry --trust k.pub",
            "receive /media/disc /srv/drop -o b.ferry --watch",
            "backup s.yaml",
            "restore s.yaml --snapshot latest --show",
            "restore s.yaml --snapshot etcd-1.db --confirm demo",
            "uninstall s.yaml --show",
            "uninstall s.yaml --confirm demo --wipe-data",
        ];
        for line in lines {
            let parsed = Cli::try_parse_from(std::iter::once("ferry-install").chain(line.split(' ')));
            assert!(parsed.is_ok(), "{line}: {}", parsed.err().map(|error| error.to_string()).unwrap_or_default());
        }
        let plan = Cli::try_parse_from(["ferry-install", "plan", "s.yaml", "--bundle", "b.ferry"]).expect("parsed");
        assert!(format!("{:?}", plan.verb).contains("trust: Some"), "{:?}", plan.verb);
        for line in ["plan", "plan s.yaml", "install s.yaml", "apply p.json --bundle b"] {
            let parsed = Cli::try_parse_from(std::iter::once("ferry-install").chain(line.split(' ')));
            assert!(parsed.is_err(), "{line}");
        }
    }
}
