//! Looks how the actions of a plan stand on the hosts, in as few commands as a host takes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, TryStreamExt as _};

use super::batch::LARGEST;
use super::{Plan, Planned};
use crate::action::{Action, Content, MARKS, State};
use crate::host::{Command, Host, HostError, HostErrorKind, quote};
use crate::registry;
use crate::run::Workshop;

/// Hosts that are looked at together.
pub(super) const TOGETHER: usize = 32;
/// The largest text that is kept for the plan's diff, in bytes.
const SHOWN: u64 = 32 << 10;
/// What stands before each answer of a probe, with the word that the script's first line says: a word of chance, made on the
/// host by each run. So nothing that a probe prints is taken for the next one's mark.
const MARK: &str = "@ferry-probe";
/// The first lines of every script of probes.
const BEGIN: &str = "read -r f_mark </proc/sys/kernel/random/uuid; echo \"@ferry-marks $f_mark\"\n";

/// How each action stands on `host`, in order.
pub async fn look(host: &dyn Host, actions: &[&Action], workshop: &Workshop) -> Result<Vec<State>, HostError> {
    let mut states: Vec<Option<State>> = vec![None; actions.len()];
    let mut faults = "the script ended early".to_owned();
    for script in scripts(actions) {
        let command = Command::root(script).within(Duration::from_secs(300));
        let output = host.run(&command).await?;
        let text = output.text();
        let mut current = None;
        let mut lines = text.lines();
        let word = lines.next().and_then(|line| line.strip_prefix(MARKS)).filter(|word| !word.trim().is_empty());
        let mark = word.map(|word| format!("{MARK} {} ", word.trim()));
        for line in lines {
            let number = mark.as_ref().and_then(|mark| line.strip_prefix(mark)?.parse::<usize>().ok());
            if let Some(n) = number {
                current = Some(n);
            } else if let Some(n) = current.take().filter(|n| *n < actions.len()) {
                states[n] = Some(actions[n].judge(line.trim()));
            }
        }
        if let Err(HostError { kind, .. }) = output.ok(host.name(), &command) {
            faults = kind.to_string();
        }
    }
    for (state, action) in states.iter_mut().zip(actions) {
        if let Action::Push(push) = action {
            *state = Some(registry::look(host, push, workshop).await?);
        }
    }
    let missing = |n: usize| {
        let what = format!("the look at `{}` gave no answer", actions[n].title());
        HostError::new(host.name(), HostErrorKind::Protocol { what, said: faults.clone() })
    };
    states.into_iter().enumerate().map(|(n, state)| state.ok_or_else(|| missing(n))).collect()
}

/// The probes of all actions, in as few scripts as the host takes.
fn scripts(actions: &[&Action]) -> Vec<String> {
    let mut scripts: Vec<String> = Vec::new();
    for (n, action) in actions.iter().enumerate() {
        let Some(probe) = action.probe() else { continue };
        let piece = format!("echo \"{MARK} $f_mark {n}\"\n{probe}\n");
        match scripts.last_mut().filter(|script| script.len() + piece.len() <= LARGEST) {
            Some(script) => script.push_str(&piece),
            None => scripts.push(format!("{BEGIN}{piece}")),
        }
    }
    scripts
}

/// Fills in how every action of the plan stands, and the texts of files that will be replaced.
pub async fn survey(
    plan: &mut Plan,
    hosts: &BTreeMap<String, Arc<dyn Host>>,
    workshop: &Workshop,
) -> Result<(), HostError> {
    let mut of_hosts: BTreeMap<String, Vec<&mut Planned>> = BTreeMap::new();
    for step in plan.stages.iter_mut().flat_map(|stage| &mut stage.steps) {
        of_hosts.entry(step.host.clone()).or_default().extend(&mut step.actions);
    }
    stream::iter(of_hosts.into_iter().map(Ok))
        .try_for_each_concurrent(TOGETHER, |(name, all)| async move {
            let Some(host) = hosts.get(&name) else {
                return Err(HostError::new(name, HostErrorKind::NotInSite));
            };
            let actions: Vec<&Action> = all.iter().map(|planned| &planned.action).collect();
            let states = look(host.as_ref(), &actions, workshop).await?;
            for (planned, state) in all.into_iter().zip(states) {
                planned.text = current(host.as_ref(), planned, &state).await?;
                if let Action::Push(push) = &planned.action
                    && !state.satisfied
                {
                    planned.lacking = Some(registry::lacking(host.as_ref(), push, workshop).await?);
                }
                planned.before = Some(state);
            }
            Ok(())
        })
        .await
}

/// The text that will be replaced, if it is text that everybody on the host may read: the plan is shown, sent and approved, so
/// nothing goes into it that a host keeps for root.
async fn current(host: &dyn Host, planned: &Planned, state: &State) -> Result<Option<String>, HostError> {
    let (path, print) = match &planned.action {
        Action::File(file) if matches!(file.content, Content::Text(_)) && state.seen.contains(' ') => {
            (&file.path, "cat -- \"$f\"".to_owned())
        }
        Action::Block(block) if state.seen != "absent" => (&block.path, block.lines_script("\"$f\"")),
        _ => return Ok(None),
    };
    if state.satisfied {
        return Ok(None);
    }
    let output = host.run(&Command::root(shown(path, &print))).await?;
    Ok(String::from_utf8(output.stdout).ok().filter(|text| !text.contains('\0')))
}

/// A script that runs `print` if everybody may read the file `$f`, and it is not too large to be shown.
fn shown(path: &str, print: &str) -> String {
    format!(
        "f={}; [ -f \"$f\" ] && [ \"$(stat -Lc %s -- \"$f\")\" -le {SHOWN} ] || exit 0
f=$(readlink -f -- \"$f\") || exit 0
case $(stat -c %A -- \"$f\") in ???????r??) ;; *) exit 0;; esac
d=$f; while [ \"$d\" != / ]; do d=$(dirname -- \"$d\"); case $(stat -c %A -- \"$d\") in *[xt]) ;; *) exit 0;; esac; done
{print}",
        quote(path)
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_what_everybody_may_read_is_shown() {
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        let mode = |path: &std::path::Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let file = folder.path().join("it's a file");
        std::fs::write(&file, "password\n").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for shell in ["dash", "bash"] {
            let read = |path: &std::path::Path| {
                let script = shown(path.to_str().unwrap(), "cat -- \"$f\"");
                let output = std::process::Command::new(shell).args(["-c", &script]).output().unwrap();
                assert!(output.stderr.is_empty(), "{output:?}");
                String::from_utf8(output.stdout).unwrap()
            };
            mode(folder.path(), 0o755);
            mode(&file, 0o644);
            assert_eq!((read(&file).as_str(), read(&link).as_str()), ("password\n", "password\n"));
            for hidden in [0o600, 0o640, 0o660] {
                mode(&file, hidden);
                assert_eq!((read(&file).as_str(), read(&link).as_str()), ("", ""), "{hidden:o}");
            }
            mode(&file, 0o644);
            mode(folder.path(), 0o700);
            assert_eq!(read(&file), "", "a folder above it is root's");
            assert_eq!(read(&folder.path().join("none")), "");
        }
    }
}
