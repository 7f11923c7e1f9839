//! The command line of the test bed.
//!
//! Exit codes: 0 all holds; 1 something failed; 2 wrong arguments; 77 this machine can't do it, which is no pass.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};

use crate::error::Error;
use crate::hosts::{self, Driver, Fault, Lab, Nspawn};
use crate::place::Place;
use crate::program::quoted;
use crate::ui::{self, Ui};
use crate::{origin, run};

/// The code that says "not here", as automake and others have it.
pub const SKIPPED: u8 = 77;

#[derive(Debug, Parser)]
#[command(name = "vm-tests", about = "Real hosts without a way out, an origin, and scenarios")]
struct Cli {
    /// Which set of hosts; another name is another set beside the first.
    #[arg(long, global = true, default_value = "ferry-vm")]
    lab: String,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Hosts: bring them up, break them, log in.
    #[command(subcommand)]
    Hosts(Hosts),
    /// What the internet would serve, on loopback.
    #[command(subcommand)]
    Origin(Origin),
    /// Runs a scenario from the origin to the evidence.
    Run {
        /// One of those that `--list` prints.
        scenario: Option<String>,
        /// Print the scenarios.
        #[arg(long)]
        list: bool,
        /// Leave the hosts up afterwards.
        #[arg(long)]
        keep: bool,
        /// Where the evidence goes. Without it: a new folder below the bed's.
        #[arg(long)]
        out: Option<PathBuf>,
        /// How many moments strike, in scenarios that have such.
        #[arg(long, value_name = "N", env = "FERRY_VM_MOMENTS")]
        moments: Option<usize>,
        /// Which moments those are: the seed that an earlier run has printed.
        #[arg(long, env = "FERRY_VM_SEED")]
        seed: Option<u64>,
        /// On how many hosts, where a scenario leaves the choice: `install-ha` merges roles on 3.
        #[arg(long, value_name = "N")]
        hosts: Option<u8>,
    },
}

#[derive(Debug, Subcommand)]
enum Hosts {
    /// Brings up hosts 1 to N: 10.77.0.11 and on.
    Up {
        /// How many.
        count: u8,
    },
    /// Ends all hosts and removes everything that was made for them.
    Down,
    /// What is up.
    List,
    /// Power cut.
    Kill {
        /// The host.
        host: u8,
    },
    /// Power on after a power cut.
    Boot {
        /// The host.
        host: u8,
    },
    /// Power cut, a fresh disk, power on.
    Reset {
        /// The host.
        host: u8,
    },
    /// Logs in by key, or runs a command.
    Ssh {
        /// The host.
        host: u8,
        /// As root, ops, pw or plain.
        #[arg(long, default_value = "root")]
        user: String,
        /// The command.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Runs a script on the host's console, whatever is wrong with network and sshd.
    Console {
        /// The host.
        host: u8,
        /// The script.
        script: String,
    },
    /// What the host is like, normalized; or what differs from an earlier one.
    #[command(after_help = run::snapshot::rules())]
    Snapshot {
        /// The host.
        host: u8,
        /// A snapshot that was printed before.
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
    },
    /// Runs a program where the operator sits: beside the hosts, without a way out.
    Beside {
        /// Program and arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
    /// Breaks something.
    #[command(after_help = hosts::faults())]
    Fault {
        /// The host.
        host: u8,
        /// One of the faults below.
        name: String,
        /// Its words.
        #[arg(allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Takes back what was broken.
    Heal {
        /// The host.
        host: u8,
    },
    /// What has tried to leave.
    Egress {
        /// Make HOST try, and see that it is counted; forgets what was counted before.
        #[arg(long, value_name = "HOST")]
        self_test: Option<u8>,
        /// Forget what was counted.
        #[arg(long)]
        forget: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Origin {
    /// Builds what is missing and serves until it is interrupted.
    Up {
        /// The port on 127.0.0.1; 0 takes a free one.
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// Where the vendor lists of what it serves, and the flags for ferry-bundle, are written.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Builds what is missing.
    Build,
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(code) => code,
        Err(error @ Error::CannotRun(_)) => {
            ui::eprint_line(&format!("vm-tests: skipped: {}", error.full()));
            ExitCode::from(SKIPPED)
        }
        Err(error) => {
            ui::eprint_line(&format!("vm-tests: {}", error.full()));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> Result<ExitCode, Error> {
    let place = Place::of_user()?;
    let lab = Lab::named(&place, &cli.lab)?;
    match cli.verb {
        Verb::Hosts(verb) => hosts(&place, lab, verb),
        Verb::Origin(verb) => self::origin(&place, verb),
        Verb::Run { list: true, .. } => {
            ui::answer(&run::list());
            Ok(ExitCode::SUCCESS)
        }
        Verb::Run { scenario: None, .. } => Err(Error::Asked(format!("which one?\n{}", run::list()))),
        Verb::Run { scenario: Some(name), keep, out, moments, seed, hosts, .. } => {
            run::run(&place, lab, &name, &run::Options { keep, out, moments, seed, hosts })?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn hosts(place: &Place, lab: Lab, verb: Hosts) -> Result<ExitCode, Error> {
    let looking = matches!(verb, Hosts::List | Hosts::Ssh { .. } | Hosts::Console { .. } | Hosts::Beside { .. })
        || matches!(verb, Hosts::Snapshot { .. })
        || matches!(verb, Hosts::Egress { self_test: None, forget: false });
    let driver = if looking { Nspawn::visit(place, lab)? } else { Nspawn::take(place, lab)? };
    let (ui, began) = (Ui::default(), Instant::now());
    let took = |what: &str| ui.say(format!("{what} ({:.1} s)", began.elapsed().as_secs_f64()));
    match verb {
        Hosts::Up { count } => {
            if !driver.prepare()? {
                ui.say("the Debian tree is made");
            }
            driver.up(count)?;
            took(&format!("{count} hosts are up: {} and on", driver.address(1)?));
        }
        Hosts::Down => {
            driver.down()?;
            took("nothing is left");
        }
        Hosts::List => ui::answer(&list(&driver)?),
        Hosts::Kill { host } => {
            driver.kill(host)?;
            took(&format!("host {host} has no power"));
        }
        Hosts::Boot { host } => {
            driver.boot(host)?;
            took(&format!("host {host} is up"));
        }
        Hosts::Reset { host } => {
            driver.reset(host)?;
            took(&format!("host {host} is as new"));
        }
        Hosts::Ssh { host, user, command } => {
            let line = command.join(" ");
            let ssh = driver.ssh(host, &user)?;
            let ssh = if command.is_empty() { ssh } else { ssh.arg(line) };
            return Ok(code(ssh.attached()?));
        }
        Hosts::Console { host, script } => {
            let ended = driver.run(host, &script)?;
            ui::answer(&ended.stdout);
            ui::eprint_line(ended.stderr.trim_end());
            return Ok(code(ended.code));
        }
        Hosts::Snapshot { host, against } => {
            let now = run::Snapshot::take(&driver, host)?;
            let Some(path) = against else {
                ui::answer(&now.text());
                return Ok(ExitCode::SUCCESS);
            };
            let text = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
            let differences = run::Snapshot::of_text(&text).differences(&now);
            ui::answer(&run::snapshot::describe(&differences, usize::MAX));
            return Ok(code(i32::from(!differences.is_empty())));
        }
        Hosts::Beside { command } => {
            let (program, arguments) = command.split_first().map_or(("true", &[][..]), |(a, b)| (a.as_str(), b));
            return Ok(code(driver.beside(program).args(arguments).attached()?));
        }
        Hosts::Fault { host, name, words } => {
            let fault = Fault::parse(&name, &words)?;
            driver.fault(host, &fault)?;
            took(&format!("host {host}: {fault}"));
        }
        Hosts::Heal { host } => {
            driver.heal(host)?;
            took(&format!("host {host} is healed"));
        }
        Hosts::Egress { self_test: Some(host), .. } => {
            let seen = hosts::self_test(&driver, host)?;
            ui::answer(&format!("counted as it should be: {} packets\n{}", seen.packets, attempts(&seen)));
        }
        Hosts::Egress { forget: true, .. } => driver.forget_egress()?,
        Hosts::Egress { .. } => {
            let seen = driver.egress()?;
            ui::answer(&format!("{} packets wanted to leave\n{}", seen.packets, attempts(&seen)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn attempts(egress: &hosts::Egress) -> String {
    egress.attempts.iter().map(|attempt| format!("  {attempt}\n")).collect()
}

fn list(driver: &Nspawn) -> Result<String, Error> {
    let mut text = String::new();
    for host in driver.lab().existing() {
        let state = if driver.is_up(host.number) { "up" } else { "no power" };
        let key = driver.host_key(host.number)?;
        text.push_str(&format!("{} {} {} {state}\n  {key}\n", host.number, host.name, host.address));
    }
    let login = driver.ssh(1, "root")?.line();
    text.push_str(&format!("login: {login}\npassword of pw: {}\n", quoted(hosts::USER_PASSWORD)));
    Ok(text)
}

fn origin(place: &Place, verb: Origin) -> Result<ExitCode, Error> {
    let ui = Ui::default();
    match verb {
        Origin::Build => {
            origin::Stock::made(place, &ui)?;
        }
        Origin::Up { port, out } => {
            let stock = origin::Stock::made(place, &ui)?;
            let out = out.unwrap_or_else(|| place.path("origin"));
            let served = origin::Served::start(&stock, port, &out)?;
            ui.say(format!("serving on {}", served.address()));
            ui::answer(&format!("ferry-bundle make MANIFEST -o FILE {}\n", served.flags().join(" ")));
            served.until_interrupted()?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
