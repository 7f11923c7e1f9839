//! The lease on a host: one engineer's run at a time. It is renewed while the run lives and lapses by itself after it dies.
//!
//! ```text
//! /run/ferry/lease    OWNER BOOT UNTIL WHO       UNTIL is in seconds of the host's uptime, BOOT the kernel's boot id
//! ```
//! The host's own date is not asked: the run itself may set it. A lease of an earlier boot, or one that would last longer than
//! any lease does, is none. Scripts take turns by a lock on the folder, which is taken again where the folder is a new one.

use std::time::Duration;

use crate::host::{Command, Host, HostError, HostErrorKind, quote};

/// For how long a lease is good, in seconds, after it was last renewed.
pub const SECONDS: u64 = 90;

/// The longest name of who holds a lease.
const WHO: usize = 64;

/// Somebody else's lease.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} is being worked on by {who}, for at least {seconds} s more")]
pub struct Held {
    /// The host.
    pub host: String,
    /// Who holds it.
    pub who: String,
    /// In how many seconds it lapses unless it is renewed.
    pub seconds: u64,
}

/// The script that takes or renews the lease for `seconds`. `owner` is the same in every run from one state folder, so that a run
/// that was killed can go on at once.
#[must_use]
pub fn take_script(owner: &str, who: &str, seconds: u64) -> String {
    format!(
        "set -eu; d=/run/ferry; f=$d/lease; n=0
while :; do
    mkdir -p -m 700 $d; exec 8<$d
    flock -w 20 8 || {{ echo busy; exit 0; }}
    [ \"$(stat -Lc %d:%i /proc/self/fd/8)\" != \"$(stat -c %d:%i $d 2>/dev/null)\" ] || break
    n=$((n+1)); [ $n -lt 20 ] || {{ echo busy; exit 0; }}
done
read -r now rest </proc/uptime; now=${{now%%.*}}
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo none)
if [ -s $f ]; then
    o=; b=; u=; w=; read -r o b u w <$f || :
    case $u in ''|*[!0-9]*|??????????????*) u=0;; esac
    if [ \"$o\" != {owner} ] && [ \"$b\" = \"$boot\" ] && [ \"$u\" -gt \"$now\" ] && [ \"$u\" -le $((now+{SECONDS})) ]; then
        echo \"held $((u-now)) $w\"; exit 0
    fi
fi
printf '%s %s %s %s\\n' {owner} \"$boot\" $((now+{seconds})) {who} >$f.part; mv -f $f.part $f; echo taken",
        owner = quote(owner),
        who = quote(who),
    )
}

/// The script that gives it back. A folder in which nothing is left goes, too.
#[must_use]
pub fn release_script(owner: &str) -> String {
    format!(
        "d=/run/ferry; f=$d/lease; [ -d $d ] || exit 0; exec 8<$d; flock -w 10 8 || exit 0
[ ! -s $f ] || {{ o=; read -r o rest <$f || :; [ \"$o\" != {} ] || {{ rm -f $f; rmdir $d 2>/dev/null || :; }}; }}",
        quote(owner)
    )
}

/// Takes or renews the lease for `seconds`.
pub async fn take(host: &dyn Host, owner: &str, who: &str, seconds: u64) -> Result<Result<(), Held>, HostError> {
    let command = Command::root(take_script(owner, who, seconds)).within(Duration::from_secs(40));
    let output = host.run(&command).await?.ok(host.name(), &command)?;
    let text = output.text();
    let line = text.trim();
    if line == "taken" {
        return Ok(Ok(()));
    }
    let Some((seconds, who)) = line.strip_prefix("held ").map(|held| held.split_once(' ').unwrap_or((held, ""))) else {
        // Neither yes nor no: nobody may work on this.
        let said = if line == "busy" { "the lock of /run/ferry does not become free".to_owned() } else { shown(line) };
        let what = "the lease could not be taken".to_owned();
        return Err(HostError::new(host.name(), HostErrorKind::Protocol { what, said }));
    };
    let who = if who.is_empty() { "somebody".to_owned() } else { shown(who) };
    Ok(Err(Held { host: host.name().to_owned(), who, seconds: seconds.parse().unwrap_or(SECONDS) }))
}

/// A host's word, as it may stand in a message: another engineer's program has written it.
fn shown(text: &str) -> String {
    text.chars().take(WHO).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

/// Gives it back. A host that can't be reached keeps it until it lapses.
pub async fn release(host: &dyn Host, owner: &str) {
    let command = Command::root(release_script(owner)).within(Duration::from_secs(20));
    // Nothing depends on it: the lease lapses.
    drop(host.run(&command).await);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The shells that `sh` is on the systems ferry knows: dash, bash.
    const SHELLS: [&[&str]; 2] = [&["dash"], &["bash", "--posix"]];

    /// Runs a script whose host has this uptime and boot id.
    fn run(shell: &[&str], folder: &Path, script: &str, uptime: u64, boot: &str) -> String {
        std::fs::write(folder.join("uptime"), format!("{uptime}.50 100.00\n")).unwrap();
        std::fs::write(folder.join("boot"), format!("{boot}\n")).unwrap();
        let at = |name: &str| folder.join(name).display().to_string();
        let script = script
            .replace("/run/ferry", &at("run"))
            .replace("/proc/uptime", &at("uptime"))
            .replace("/proc/sys/kernel/random/boot_id", &at("boot"));
        let output = std::process::Command::new(shell[0]).args(&shell[1..]).args(["-c", &script]).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{shell:?} {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn one_holds_it_the_other_is_told_and_nobody_longer_than_ninety_seconds() {
        for shell in SHELLS {
            let folder = tempfile::tempdir().unwrap();
            let at = folder.path();
            let take = |who: &str, uptime, boot: &str| {
                run(shell, at, &take_script(&format!("id-{who}"), who, 90), uptime, boot)
            };
            assert_eq!(take("anna", 1000, "b1"), "taken");
            assert_eq!(take("anna", 1030, "b1"), "taken", "renewed");
            assert_eq!(take("ben", 1100, "b1"), "held 20 anna");
            assert_eq!(take("ben", 1119, "b1"), "held 1 anna");
            assert_eq!(take("ben", 1120, "b1"), "taken", "it has lapsed");
            assert_eq!(take("anna", 1121, "b1"), "held 89 ben", "who comes back late is told");
            // Another boot, and an uptime that went back, end it.
            assert_eq!(take("anna", 5, "b2"), "taken");
            assert_eq!(take("ben", 6, "b2"), "held 89 anna");
            assert_eq!(take("ben", 1, "b2"), "taken", "a lease that would last longer than one does is none");
            // Released by its owner only, and then nothing is left.
            run(shell, at, &release_script("id-anna"), 2, "b2");
            assert_eq!(take("anna", 2, "b2"), "held 89 ben");
            run(shell, at, &release_script("id-ben"), 3, "b2");
            assert!(!at.join("run").exists());
            run(shell, at, &release_script("id-ben"), 3, "b2");
        }
    }

    #[test]
    fn a_damaged_lease_is_none_and_stays_nobodys() {
        for shell in SHELLS {
            for text in [
                "",
                "\n",
                "x",
                "x y",
                "x b1 soon w\n",
                "x b1 -5 w\n",
                "x b1 99999999999999999999 w\n",
                " b1 50\n",
                "x 1764338400 anna\n",
            ] {
                let folder = tempfile::tempdir().unwrap();
                std::fs::create_dir(folder.path().join("run")).unwrap();
                std::fs::write(folder.path().join("run/lease"), text).unwrap();
                assert_eq!(run(shell, folder.path(), &take_script("id", "anna", 90), 10, "b1"), "taken", "{text:?}");
            }
        }
    }

    #[test]
    fn the_date_of_the_host_plays_no_part() {
        assert!(!take_script("o", "w", 90).contains("date"));
    }

    #[test]
    fn many_at_once_have_one_winner_even_while_the_folder_comes_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        std::fs::write(at.join("uptime"), "1000.00 1\n").unwrap();
        std::fs::write(at.join("boot"), "b1\n").unwrap();
        let path = |name: &str| at.join(name).display().to_string();
        let script = |owner: &str| {
            // Who gets it writes its name twice with a pause between: two at once would be seen.
            let work = format!(
                "[ \"$got\" = taken ] || exit 0; ! [ -e {0} ] || echo both >>{1}; : >{0}; sleep 0.02; rm -f {0}",
                path("in"),
                path("both")
            );
            let (take, release) = (take_script(owner, owner, 90), release_script(owner));
            format!("for i in 1 2 3 4 5 6; do got=$({take}\n); ( {work}\n( {release}\n) ); done; echo done")
                .replace("/run/ferry", &path("run"))
                .replace("/proc/uptime", &path("uptime"))
                .replace("/proc/sys/kernel/random/boot_id", &path("boot"))
        };
        let children: Vec<_> = (0..4)
            .map(|n| {
                let mut child = std::process::Command::new("sh");
                child.args(["-c", &script(&format!("id-{n}"))]).stdout(std::process::Stdio::piped());
                child.spawn().unwrap()
            })
            .collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), "done\n");
        }
        assert!(!at.join("both").exists(), "two at once");
    }
}
