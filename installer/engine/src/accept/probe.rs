//! The probe on a host or in a pod: several of its commands in one call, and what each of them said.

use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;

use super::arena::NAMESPACE;
use super::context::{Unseen, output};
use super::kubectl::{KUBECTL, Kubectl};
use crate::host::{Command, Host, quote};

/// Where the plan puts the probe on a host.
const PROBE: &str = "/usr/local/lib/ferry/ferry-probe";
/// How long one of its commands may take, in seconds.
const LONGEST: u64 = 30;

/// A line of the probe. Each verb fills in its own fields.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Line {
    /// Whether it could be measured.
    pub(super) ok: bool,
    /// Why not.
    pub(super) error: Option<String>,
    /// Milliseconds.
    pub(super) ms: Option<f64>,
    /// `dial`: `tcp` or `udp`.
    pub(super) protocol: Option<String>,
    /// `dial`: where to.
    pub(super) host: Option<String>,
    /// `resolve`: how the server answered.
    pub(super) rcode: Option<String>,
    /// `resolve`: what it answered.
    pub(super) addresses: Vec<IpAddr>,
    /// `get`: the status.
    pub(super) status: Option<u16>,
    /// `get`: the beginning of the answer.
    pub(super) body: Option<String>,
}

/// What a command of the probe said.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    /// Its lines.
    pub(super) lines: Vec<Line>,
    /// What else was said, such as why it could not be run.
    pub(super) noise: String,
}

/// Runs commands of the probe one after the other in a container of a pod.
pub(super) async fn in_pod(
    kubectl: Kubectl<'_>,
    pod: &str,
    container: &str,
    commands: &[Vec<String>],
) -> Result<Vec<Said>, Unseen> {
    let prefix = format!("{KUBECTL} exec -n {NAMESPACE} {} -c {container} -- /ferry-probe", quote(pod));
    run(kubectl.host(), &prefix, commands).await
}

/// Runs commands of the probe one after the other on a host.
pub(super) async fn on_host(host: &dyn Host, commands: &[Vec<String>]) -> Result<Vec<Said>, Unseen> {
    run(host, PROBE, commands).await
}

async fn run(host: &dyn Host, prefix: &str, commands: &[Vec<String>]) -> Result<Vec<Said>, Unseen> {
    let mut script = String::from("cd /\n");
    for command in commands {
        let words: Vec<String> = command.iter().map(|word| quote(word)).collect();
        script += &format!("timeout {LONGEST} {prefix} {} 2>&1; echo \"@ $?\"\n", words.join(" "));
    }
    let seconds = 30 + LONGEST * commands.len() as u64;
    let text = output(host, &Command::root(script).within(Duration::from_secs(seconds))).await?;
    let said = parse(&text);
    if said.len() == commands.len() { Ok(said) } else { Err(format!("the probe's answers are incomplete:\n{text}")) }
}

fn parse(text: &str) -> Vec<Said> {
    let (mut all, mut one) = (Vec::new(), Said::default());
    for line in text.lines() {
        if line.starts_with("@ ") {
            all.push(std::mem::take(&mut one));
        } else if let Ok(line) = serde_json::from_str(line) {
            one.lines.push(line);
        } else {
            one.noise += line;
            one.noise.push('\n');
        }
    }
    all
}

impl Said {
    /// The only line that a command prints that asks one question.
    pub(super) fn line(&self) -> Result<&Line, Unseen> {
        let silent = || if self.noise.trim().is_empty() { "the probe said nothing".into() } else { self.noise.clone() };
        self.lines.first().ok_or_else(silent)
    }
}

impl Line {
    /// Why it could not be measured.
    pub(super) fn why(&self) -> &str {
        self.error.as_deref().unwrap_or("no reason given")
    }
}

/// A command from its words.
pub(super) fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let text = "{\"name\":\"a\",\"ok\":true,\"ms\":0.512,\"rcode\":\"NXDOMAIN\",\"addresses\":[]}\n\
                    command terminated with exit code 1\n@ 1\nerror: unable to upgrade connection\n@ 1\n";
        let said = parse(text);
        assert_eq!(said.len(), 2);
        assert_eq!(said[0].line().unwrap().rcode.as_deref(), Some("NXDOMAIN"));
        assert!(said[1].line().unwrap_err().contains("unable to upgrade"));
    }
}
