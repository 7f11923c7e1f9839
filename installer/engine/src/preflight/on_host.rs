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
/// Seconds in which it has come from another host.
const FETCH_FOR: u64 = 60;
/// Milliseconds for one dial.
const DIAL_FOR: u64 = 3000;

/// A host that has the probe gives it to the others of the site: where, and the word that it wants to hear.
#[derive(Debug, Clone)]
pub(super) struct Giver {
    at: SocketAddr,
    token: String,
}

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
    /// Brings it to the first folder from which it can be run: from another host, if one gives it, else over this connection.
    pub(super) async fn place(
        host: &'a dyn Host,
        file: &ProbeFile,
        owner: &str,
        giver: Option<&Giver>,
    ) -> Result<Self, String> {
        let mut refused = Vec::new();
        for parent in FOLDERS {
            let probe = Self { host, folder: folder(parent, owner) };
            match probe.try_place(file, giver).await {
                Ok(()) => return Ok(probe),
                Err(why) => refused.push(format!("{parent}: {why}")),
            }
            // Whatever came of it: nothing stays.
            let _ = probe.remove().await;
        }
        Err(format!("the probe can't be run: {}", refused.join("; ")))
    }

    async fn try_place(&self, file: &ProbeFile, giver: Option<&Giver>) -> Result<(), String> {
        self.run(&format!("umask 077; mkdir -p {0} && chmod 700 {0}", quote(&self.folder)), 30).await?;
        if let Some(giver) = giver
            && self.fetch(file, giver).await.is_ok()
        {
            return self.lines("clock", 30).await.map(drop);
        }
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

    /// Takes it from a host that gives it; it is there afterwards, whole, or this fails. A filter between the two, or a host
    /// without curl and bash, is no fault: the connection that all commands take is there for it, too.
    async fn fetch(&self, file: &ProbeFile, giver: &Giver) -> Result<(), String> {
        let (Giver { at, token }, program) = (giver, quote(&self.program()));
        let (address, port) = (at.ip(), at.port());
        let script = format!(
            "umask 077; f={program}
             if command -v curl >/dev/null 2>&1; then
                 curl -fsS --noproxy '*' --connect-timeout 3 --max-time {FETCH_FOR} -o \"$f\" 'http://{at}/{token}' || exit 3
             elif command -v bash >/dev/null 2>&1; then
                 timeout {FETCH_FOR} bash -c 'exec 3<>/dev/tcp/{address}/{port} && printf \"GET /{token} HTTP/1.0\\r\\n\\r\\n\" >&3 &&
                     while IFS= read -r line <&3 && [ \"${{#line}}\" -gt 1 ]; do :; done; cat <&3 >\"$0\"' \"$f\" || exit 3
             else exit 3; fi
             echo '{digest}  '\"$f\" | sha256sum -c --status && chmod 700 \"$f\" || exit 3",
            digest = file.digest.hex()
        );
        self.run(&script, FETCH_FOR + 10).await.map(drop)
    }

    /// Gives it to other hosts until [`Self::remove`].
    pub(super) async fn give(&self, address: IpAddr, token: &str) -> Result<Giver, String> {
        let listen = Target::of(address, (Protocol::Tcp, 0));
        let answers = self.start("give", &format!("--listen {listen}"), token).await?;
        let port = answers.into_iter().find_map(|one| one.port.filter(|_| one.ok)).ok_or("it listens nowhere")?;
        Ok(Giver { at: SocketAddr::new(address, port), token: token.to_owned() })
    }

    /// Ends what it started and removes its folder.
    pub(super) async fn remove(&self) -> Result<(), String> {
        let script = removal(&self.folder);
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
        let answers = self.start("serve", &listen.join(" "), token).await?;
        Ok(answers.into_iter().filter(|answer| answer.ok).filter_map(|one| Some((one.protocol?, one.port?))).collect())
    }

    /// Starts a verb that listens, and waits until it does.
    async fn start(&self, verb: &str, listen: &str, token: &str) -> Result<Vec<Answer>, String> {
        let (folder, program) = (quote(&self.folder), quote(&self.program()));
        let script = format!(
            "(trap '' HUP; exec {program} {verb} {listen} --for {SERVE_FOR} --token {token}) \
             >{folder}/{verb} 2>&1 </dev/null & echo $! >>{folder}/pids
             n=0; until grep -qs '\"ready\":true' {folder}/{verb} || [ $n -ge 50 ]; do sleep 0.2; n=$((n + 1)); done
             cat {folder}/{verb}"
        );
        let answers = answers(&self.run(&script, 60).await?);
        if !answers.iter().any(|answer| answer.ready) {
            return Err("the probe's listeners did not get ready".into());
        }
        Ok(answers)
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

/// Takes away what runs of this owner have left because they were killed, or their host went away: the probe, and the files
/// with which the disk below `timed` was timed, unless one is being timed now.
pub(super) async fn sweep(host: &dyn Host, owner: &str, timed: &str) -> Result<(), String> {
    let mut script: String = FOLDERS.iter().map(|parent| format!("{}\n", removal(&folder(parent, owner)))).collect();
    script.push_str(&format!(
        "d={}; while :; do
            for f in \"$d\"/.ferry-fsync-*; do
                case $(readlink \"/proc/${{f##*-}}/exe\") in */ferry-probe-*) ;; *) rm -f \"$f\";; esac
            done
            case $d in */*) d=${{d%/*}};; *) break;; esac
        done",
        quote(timed.trim_end_matches('/'))
    ));
    let command = Command::root(script).within(Duration::from_secs(30));
    host.run(&command).await.map(drop).map_err(|error| error.kind.to_string())
}

fn folder(parent: &str, owner: &str) -> String {
    format!("{parent}/ferry-probe-{owner}")
}

/// Ends what was started from a folder and removes it.
fn removal(folder: &str) -> String {
    let folder = quote(folder);
    // The process must still be the probe: numbers are used again.
    format!(
        "if [ -r {folder}/pids ]; then for pid in $(cat {folder}/pids); do \
         case $(readlink /proc/$pid/exe) in {folder}/*) kill $pid;; esac; done; fi; rm -rf {folder}"
    )
}

fn list(targets: &[Target]) -> String {
    targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// The JSON lines of an answer; what a shell says beside them is not for us.
fn answers(text: &str) -> Vec<Answer> {
    text.lines().filter(|line| line.starts_with('{')).filter_map(|line| serde_json::from_str(line).ok()).collect()
}
