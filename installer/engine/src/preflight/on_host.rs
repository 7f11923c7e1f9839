//! The probe on one host: where it lies, how it is called, what its JSON lines say, how it is taken away.

use std::fmt::{self, Display};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;

use super::{Fsync, ProbeFile};
use crate::facts::Protocol;
use crate::host::{Command, Host, Upload, quote};

/// What a folder of the probe begins with, where only root can put something. Tried in this order: `/var` may be `noexec`.
const CLOSED: [&str; 3] = ["/var/lib/ferry/probe-", "/root/.ferry-probe-", "/usr/lib/ferry-probe-"];
/// Likewise where everybody can: the last resort, with a name of chance at its end. `/tmp` and `/run` are often `noexec`.
const OPEN: &str = "/var/tmp/ferry-probe-";
/// Functions for folders of the probe. `f_own` tells whether a folder is root's alone; `f_end` ends what was started from it and
/// removes it, and leaves what is not root's as it is: anybody can make a folder of any name in `/var/tmp`.
const OWN: &str = r#"f_own() { [ ! -L "$1" ] && [ -d "$1" ] && case "$(stat -c '%u %A' -- "$1")" in "$(id -u) drwx------"|"$(id -u) drwx--S---") ;; *) false;; esac; }
f_end() { f_own "$1" || return 0
# The process must still be the probe: numbers are used again.
if [ -f "$1/pids" ]; then for f_p in $(cat "$1/pids"); do case $(readlink "/proc/$f_p/exe") in "$1"/*) kill "$f_p";; esac; done; fi
rm -rf --one-file-system -- "$1"; }
"#;
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
        for begin in CLOSED.into_iter().chain([OPEN]) {
            let (parent, _) = begin.rsplit_once('/').unwrap_or_default();
            let mut probe = Self { host, folder: String::new() };
            match probe.try_place(begin, owner, file, giver).await {
                Ok(()) => return Ok(probe),
                Err(why) => refused.push(format!("{parent}: {why}")),
            }
            // Whatever came of it: nothing stays.
            let _ = probe.remove().await;
        }
        Err(format!("the probe can't be run: {}", refused.join("; ")))
    }

    async fn try_place(
        &mut self,
        begin: &str,
        owner: &str,
        file: &ProbeFile,
        giver: Option<&Giver>,
    ) -> Result<(), String> {
        let said = self.run(&making(begin, owner), 30).await?;
        let folder = said.lines().next_back().filter(|line| line.starts_with(begin));
        folder.ok_or_else(|| format!("no folder could be made: {}", said.trim()))?.clone_into(&mut self.folder);
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
        if self.folder.is_empty() {
            return Ok(());
        }
        self.run(&format!("{OWN}{}", removal(&self.folder)), 30).await.map(drop)
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
    let command = Command::root(sweeping(owner, timed)).within(Duration::from_secs(30));
    host.run(&command).await.map(drop).map_err(|error| error.kind.to_string())
}

fn sweeping(owner: &str, timed: &str) -> String {
    let mut script = OWN.to_owned();
    for begin in CLOSED {
        script.push_str(&removal(&format!("{begin}{owner}")));
    }
    // Names that others may have made: only what is root's alone is taken for ours.
    script.push_str(&format!("for d in {}.*; do f_end \"$d\"; done\n", quote(&format!("{OPEN}{owner}"))));
    script.push_str(&format!(
        "d={}; while :; do
            for f in \"$d\"/.ferry-fsync-[0-9]*; do
                case $(readlink \"/proc/${{f##*-}}/exe\") in *ferry*probe*) ;; *) [ ! -f \"$f\" ] || rm -f -- \"$f\";; esac
            done
            case $d in */*) d=${{d%/*}};; *) break;; esac
        done",
        quote(timed.trim_end_matches('/'))
    ));
    script
}

/// Makes a folder that is root's alone, and prints its path. One that a run of the same owner has left is used again, if it
/// is that.
fn making(begin: &str, owner: &str) -> String {
    let folder = quote(&format!("{begin}{owner}"));
    let make = if begin == OPEN {
        format!("d=$(mktemp -d {folder}.XXXXXXXX) || exit 3")
    } else {
        format!(
            "d={folder}; [ -d /var/lib/ferry ] || [ \"${{d#/var/lib/ferry/}}\" = \"$d\" ] || mkdir -m 700 /var/lib/ferry || exit 3\n\
             mkdir -m 700 \"$d\" 2>/dev/null || f_own \"$d\" || {{ echo \"$d can't be made, or belongs to somebody else\" >&2; exit 3; }}"
        )
    };
    format!("{OWN}umask 077; {make}\nf_own \"$d\" || {{ echo \"$d is not root's alone\" >&2; exit 3; }}\necho \"$d\"")
}

/// Ends what was started from a folder and removes it; ferry's own folder, too, where nothing else is in it. Needs [`OWN`].
fn removal(folder: &str) -> String {
    format!("f_end {}\nrmdir /var/lib/ferry 2>/dev/null || :\n", quote(folder))
}

fn list(targets: &[Target]) -> String {
    targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// The JSON lines of an answer; what a shell says beside them is not for us.
fn answers(text: &str) -> Vec<Answer> {
    text.lines().filter(|line| line.starts_with('{')).filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;
    use std::process::Command as Process;

    use super::*;

    /// Runs a script with `/var/lib/ferry`, `/root` and `/var/tmp` below a folder.
    fn sh(shell: &str, at: &Path, script: &str) -> (Option<i32>, String, String) {
        let root = at.display();
        let script = script
            .replace("/var/lib/ferry", &format!("{root}/ferry"))
            .replace("/root/", &format!("{root}/home/"))
            .replace("/var/tmp/", &format!("{root}/tmp/"));
        let output = Process::new(shell).args(["-c", &script]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    fn is_root() -> bool {
        Process::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
    }

    #[test]
    fn a_folder_that_somebody_else_has_made_is_neither_used_nor_removed() {
        for shell in ["dash", "bash"] {
            let folder = tempfile::tempdir().unwrap();
            let (at, mine) = (folder.path(), folder.path().join("ferry/probe-o"));
            let (status, path, _) = sh(shell, at, &making(CLOSED[0], "o"));
            assert_eq!((status, path), (Some(0), mine.display().to_string()));
            // Its own is used again, and removed with the folder around it.
            assert_eq!(sh(shell, at, &making(CLOSED[0], "o")).0, Some(0));
            std::fs::write(mine.join("probe"), "x").unwrap();
            sh(shell, at, &format!("{OWN}{}", removal("/var/lib/ferry/probe-o")));
            assert!(!at.join("ferry").exists());

            // One that others may write, one that leads elsewhere, one of another user, a file.
            let elsewhere = at.join("elsewhere");
            std::fs::create_dir_all(&elsewhere).unwrap();
            std::fs::write(elsewhere.join("kept"), "x").unwrap();
            for how in ["open", "link", "owned", "file"] {
                let mine = at.join("home/.ferry-probe-o");
                std::fs::create_dir_all(at.join("home")).unwrap();
                match how {
                    "link" => symlink(&elsewhere, &mine).unwrap(),
                    "file" => std::fs::write(&mine, "x").unwrap(),
                    _ => std::fs::create_dir(&mine).unwrap(),
                }
                if how == "open" {
                    std::fs::set_permissions(&mine, std::fs::Permissions::from_mode(0o777)).unwrap();
                }
                if how == "owned" {
                    std::fs::set_permissions(&mine, std::fs::Permissions::from_mode(0o700)).unwrap();
                    if !is_root() {
                        continue;
                    }
                    std::os::unix::fs::chown(&mine, Some(4711), Some(4711)).unwrap();
                }
                let (status, said, why) = sh(shell, at, &making(CLOSED[1], "o"));
                assert!(
                    status == Some(3) && said.is_empty() && why.contains("belongs to somebody else"),
                    "{how} {why}"
                );
                sh(shell, at, &format!("{OWN}{}", removal("/root/.ferry-probe-o")));
                assert!(std::fs::symlink_metadata(&mine).is_ok() && elsewhere.join("kept").exists(), "{how}");
                let _ = std::fs::remove_dir(&mine).or_else(|_| std::fs::remove_file(&mine));
            }
        }
    }

    #[test]
    fn where_everybody_may_write_the_name_is_one_of_chance_and_what_is_swept_is_ours() {
        for shell in ["dash", "bash"] {
            let folder = tempfile::tempdir().unwrap();
            let at = folder.path();
            std::fs::create_dir(at.join("tmp")).unwrap();
            let paths: Vec<String> = (0..2).map(|_| sh(shell, at, &making(OPEN, "o")).1).collect();
            assert!(paths[0] != paths[1] && paths.iter().all(|path| path.contains("/tmp/ferry-probe-o.")), "{paths:?}");
            let open = at.join("tmp/ferry-probe-o.XXXX");
            std::fs::create_dir(&open).unwrap();
            std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
            let link = at.join("tmp/ferry-probe-o.link");
            symlink(at.join("tmp"), &link).unwrap();
            sh(shell, at, &sweeping("o", "/nowhere"));
            assert!(paths.iter().all(|path| !Path::new(path).exists()) && open.exists() && link.is_symlink());
        }
    }
}
