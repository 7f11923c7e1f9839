//! How the engine does with many hosts: facts, preflight, plan and the stage that prepares operating systems, over real SSH
//! to scripted hosts in another process (`sshfarm`, built beside this). Each site is driven by a process of its own, whose
//! peak memory is its own. Prints; checks what must hold whatever the machine.
//! `cargo build --release -p tests --bins`, then `target/release/scale [HOSTS…]` (default 100 300 1000); `scale one HOSTS` drives one and prints JSON.

use std::process::{Command, ExitCode};

use tests::scale::cost::Cost;
use tests::scale::drive::drive;

type Failure = Box<dyn std::error::Error>;

/// What the largest site may take, in bytes.
const LARGEST: u64 = 1 << 30;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn say(text: &str) {
    println!("{text}");
}

fn run() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [one, count] = arguments.as_slice()
        && one == "one"
    {
        let folder = tempfile::Builder::new().prefix("ferry-scale-").tempdir()?;
        let farm = std::env::current_exe()?.with_file_name("sshfarm");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let cost = runtime.block_on(drive(&farm, folder.path(), count.parse()?))?;
        say(&serde_json::to_string(&cost)?);
        return Ok(());
    }
    let counts = if arguments.is_empty() { ["100", "300", "1000"].map(str::to_owned).to_vec() } else { arguments };
    let mut costs: Vec<Cost> = Vec::new();
    for count in counts {
        let output = Command::new(std::env::current_exe()?).args(["one", &count]).output()?;
        let text = String::from_utf8(output.stdout)?;
        if !output.status.success() {
            return Err(format!("{count} hosts: {}{}", text.trim(), String::from_utf8_lossy(&output.stderr)).into());
        }
        let cost = serde_json::from_str(&text)?;
        tell(&cost);
        costs.push(cost);
    }
    judge(&costs)
}

#[expect(clippy::cast_precision_loss, reason = "for people: megabytes and ratios")]
fn tell(cost: &Cost) {
    let hosts = cost.hosts as f64;
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let seconds = cost.seconds();
    say(&format!(
        "\n{} hosts: {seconds:.1} s ({:.1} ms a host), processor {:.1} s ({:.1} ms a host)",
        cost.hosts,
        seconds * 1000.0 / hosts,
        cost.processor,
        cost.processor * 1000.0 / hosts
    ));
    let phases: Vec<String> = cost.phases.iter().map(|(phase, seconds)| format!("{phase} {seconds:.1}")).collect();
    say(&format!("  seconds: {}", phases.join(", ")));
    say(&format!(
        "  resident at most {:.0} MB, of which {:.0} MB before the first host",
        mb(cost.resident),
        mb(cost.resident_before)
    ));
    say(&format!(
        "  over SSH: {:.1} MB sent, {:.1} MB received; a host {:.0} kB, {:.0} kB",
        mb(cost.received),
        mb(cost.sent),
        cost.received as f64 / hosts / 1e3,
        cost.sent as f64 / hosts / 1e3
    ));
    say(&format!(
        "  a worker got {} to {} commands, which read {:.0} to {:.0} kB",
        cost.worker_commands.0,
        cost.worker_commands.1,
        cost.worker_input.0 as f64 / 1e3,
        cost.worker_input.1 as f64 / 1e3
    ));
    say(&format!("  bundle content over the operator's link in the whole plan: {} bytes", cost.content));
    say(&format!(
        "  {} changes, {} when run again; {} findings, {} in the way; plan {:.1} MB, journal {:.1} MB",
        cost.changed,
        cost.changed_again,
        cost.findings,
        cost.failures.len(),
        mb(cost.plan),
        mb(cost.journal)
    ));
    for failure in cost.failures.iter().take(5) {
        say(&format!("    {failure}"));
    }
}

/// What must hold on any machine.
fn judge(costs: &[Cost]) -> Result<(), Failure> {
    for cost in costs {
        if cost.resident >= LARGEST {
            return Err(format!("{} hosts took {} bytes of memory", cost.hosts, cost.resident).into());
        }
        if cost.changed_again > 0 {
            return Err(format!("{} hosts: the second time {} things changed", cost.hosts, cost.changed_again).into());
        }
    }
    for pair in costs.windows(2) {
        if pair[0].content != pair[1].content {
            return Err("the bytes of the bundle over the operator's link depend on the number of hosts".into());
        }
        if pair[0].worker_commands != pair[1].worker_commands {
            return Err("the commands on a worker depend on the number of hosts".into());
        }
    }
    say("\nas it must be: memory below 1 GiB, and nothing is left to do the second time");
    if costs.len() > 1 {
        say("content and the commands on a worker are the same for each of these numbers of hosts");
    }
    Ok(())
}
