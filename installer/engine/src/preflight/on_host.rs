//! The probe on one host: where it lies, how it is called, what its JSON lines say, how it is taken away.

use std::fmt::{self, Display};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;

use super::{Fsync, ProbeFile};
use crate::facts::Protocol;
use crate::host::{Command, Host, Upload, quote};

/// Folders from which programs may be run on most hosts; `/tmp` and `/run` are often `noexec`.
const FOLDERS: [&str; 4] = ["/var/tmp", "/var/lib", "/usr/local/lib", "/root"];
/// A listener that nobody takes away ends by itself after that many seconds.
const SERVE_FOR: u64 = 120;
/// Milliseconds for one dial.
const DIAL_FOR: u64 = 3000;

/// A port at an address.
pub(super) struct Target {
    protocol: Protocol,
    at: SocketAddr,
}

impl Target {
    pub(super) fn of(address: IpAddr, (protocol, port): (Protocol, u16)) -> Self {
        Self { protocol, at: SocketAddr::new(address, port) }
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", super::listening::name(self.protocol), self.at)
    }
}

/// A JSON line of the probe. Which fields there are depends on the verb.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    pub(super) protocol: Option<Protocol>,
    #[serde(default)]
    pub(super) port: Option<u16>,
    #[serde(default)]
    ok: bool,
    #[serde(default)]
    ready: bool,
    #[serde(default)]
    pub(super) error: Option<String>,
    #[serde(default)]
    pub(super) ms: Option<f64>,
}

/// The probe, lying in a folder of its own on a host.
pub(super) struct Probe<'a> {
    host: &'a dyn Host,
    folder: String,
}

impl<'a> Probe<'a> {
    /// Brings it to the first folder from which it can be run. What is there of a run of the same owner that was killed goes.
    pub(super) async fn place(host: &'a dyn Host, file: &ProbeFile, owner: &str) -> Result<Self, String> {
        let mut refused = Vec::new();
        for parent in FOLDERS {
            let probe = Self { host, folder: format!("{parent}/ferry-probe-{owner}") };
            let _ = probe.remove().await;
            match probe.try_place(file).await {
                Ok(()) => return Ok(probe),
                Err(why) => refused.push(format!("{parent}: {why}")),
            }
            // Whatever came of it: nothing stays.
            let _ = probe.remove().await;
        }
        Err(format!("the probe can't be run: {}", refused.join("; ")))
    }

    async fn try_place(&self, file: &ProbeFile) -> Result<(), String> {
        self.run(&format!("umask 077; mkdir -p {0} && chmod 700 {0}", quote(&self.folder)), 30).await?;
        let upload = Upload {
            source: file.source.clone(),
            digest: file.digest,
            path: self.program(),
            mode: 0o700,
            owner: "root:root".into(),
        };
        self.host.upload(&upload, &|_| {}).await.map_err(|error| error.kind.to_string())?;
        self.lines("clock", 30).await.map(drop)
    }

    /// Ends what it started and removes its folder.
    pub(super) async fn remove(&self) -> Result<(), String> {
        let folder = quote(&self.folder);
        // The process must still be the probe: numbers are used again.
        let script = format!(
            "if [ -r {folder}/pid ]; then pid=$(cat {folder}/pid); \
             case $(readlink /proc/$pid/exe) in {folder}/*) kill $pid;; esac; fi; rm -rf {folder}"
        );
        self.run(&script, 30).await.map(drop)
    }

    /// Has ports for a moment.
    pub(super) async fn bind(&self, targets: &[Target]) -> Result<Vec<Answer>, String> {
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        self.lines(&format!("bind {}", list(targets)), 60).await
    }

    /// Times the disk under a folder, or under the nearest parent that is there.
    pub(super) async fn fsync(&self, folder: &str) -> Result<Fsync, String> {
        let script = format!(
            "d={}; while [ ! -d \"$d\" ]; do d=$(dirname \"$d\"); done; {} fsync \"$d\"",
            quote(folder),
            quote(&self.program())
        );
        let text = self.run(&script, 180).await?;
        let line = text.lines().find(|line| line.starts_with('{')).unwrap_or_default();
        serde_json::from_str(line).map_err(|_| format!("the disk below {folder} could not be timed: {}", line.trim()))
    }

    /// Starts listeners that go on until [`Self::remove`]; returns those that could be started.
    pub(super) async fn serve(&self, targets: &[Target], token: &str) -> Result<Vec<(Protocol, u16)>, String> {
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        let listen: Vec<String> = targets.iter().map(|target| format!("--listen {target}")).collect();
        let (folder, program) = (quote(&self.folder), quote(&self.program()));
        let script = format!(
            "(trap '' HUP; exec {program} serve {} --for {SERVE_FOR} --token {token}) \
             >{folder}/out 2>&1 </dev/null & echo $! >{folder}/pid
             n=0; until grep -qs '\"ready\":true' {folder}/out || [ $n -ge 10 ]; do sleep 1; n=$((n + 1)); done
             cat {folder}/out",
            listen.join(" ")
        );
        let answers = answers(&self.run(&script, 60).await?);
        if !answers.iter().any(|answer| answer.ready) {
            return Err("the probe's listeners did not get ready".into());
        }
        Ok(answers.into_iter().filter(|answer| answer.ok).filter_map(|one| Some((one.protocol?, one.port?))).collect())
    }

    /// Dials; the answers come in the order of the targets.
    pub(super) async fn dial(&self, targets: &[Target], bytes: u32, token: &str) -> Result<Vec<Answer>, String> {
        let verb = format!("dial --token {token} --timeout {DIAL_FOR} --size {bytes} {}", list(targets));
        let answers = self.lines(&verb, 120).await?;
        if answers.len() == targets.len() { Ok(answers) } else { Err("the probe did not dial everything".into()) }
    }

    fn program(&self) -> String {
        format!("{}/probe", self.folder)
    }

    /// Calls it. Its status 1 is an answer, everything else but 0 is a failure to call it.
    async fn lines(&self, verb: &str, seconds: u64) -> Result<Vec<Answer>, String> {
        let script = format!("{} {verb}; s=$?; [ $s -le 1 ] || exit $s", quote(&self.program()));
        Ok(answers(&self.run(&script, seconds).await?))
    }

    async fn run(&self, script: &str, seconds: u64) -> Result<String, String> {
        let command = Command::root(script).within(Duration::from_secs(seconds));
        let output = self.host.run(&command).await.map_err(|error| error.kind.to_string())?;
        match output.status {
            0 | 1 => Ok(output.text()),
            status => Err(format!("status {status}: {}", output.errors().trim())),
        }
    }
}

fn list(targets: &[Target]) -> String {
    targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// The JSON lines of an answer; what a shell says beside them is not for us.
fn answers(text: &str) -> Vec<Answer> {
    text.lines().filter(|line| line.starts_with('{')).filter_map(|line| serde_json::from_str(line).ok()).collect()
}
