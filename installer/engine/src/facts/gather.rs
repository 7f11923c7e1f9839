//! Runs the gather script on a host and reads what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::stream::{self, StreamExt as _};

use super::{Facts, parse};
use crate::host::{Command, Host, HostError, HostErrorKind, quote};
use crate::site::file::{Role, StorageKind};
use crate::site::{self, Site};

/// The script, as it is run by `sh` as root.
pub const SCRIPT: &str = include_str!("gather.sh");

/// It takes about a second; where time or name service hang a few more. A host that is busy has needed more than 30: that
/// it is slow is no reason to know nothing of it.
const DEADLINE: Duration = Duration::from_secs(90);

/// Hosts that are asked at once. Each is logged in to by the way, which costs more than the asking: a thousand handshakes at
/// once would take longer than any one of them may.
const TOGETHER: usize = 32;

/// Gathers the facts of all hosts of a site, or why not, by name.
pub async fn gather_all(
    site: &Site,
    hosts: &BTreeMap<String, Arc<dyn Host>>,
) -> BTreeMap<String, Result<Facts, HostError>> {
    let asked = site.hosts.iter().filter_map(|host| Some((host, hosts.get(&host.name)?)));
    stream::iter(asked)
        .map(|(host, reached)| async move {
            (host.name.clone(), gather_about(reached.as_ref(), &paths_of(site, host)).await)
        })
        .buffer_unordered(TOGETHER)
        .collect()
        .await
}

/// Gathers the facts of a host.
pub async fn gather(host: &dyn Host) -> Result<Facts, HostError> {
    gather_about(host, &[]).await
}

/// Gathers the facts of a host, and of these folders beside the usual ones.
pub async fn gather_about(host: &dyn Host, paths: &[String]) -> Result<Facts, HostError> {
    let command = Command::root(script_about(paths)).within(DEADLINE);
    let sent = now();
    let output = host.run(&command).await?;
    let received = now();
    let output = output.ok(host.name(), &command)?;
    let mut facts = parse(&output.text(), sent, received).map_err(|error| {
        let (said, script) = (error.to_string(), "(the gather script)".to_owned());
        HostError::new(host.name(), HostErrorKind::Status { status: output.status, said, script })
    })?;
    if facts.account.noise.is_empty() {
        facts.account.noise = host.noise();
    }
    facts.sshd.tunnel = Some(host.tunnel().await?);
    Ok(facts)
}

/// The script with the folders that it is to look at.
#[must_use]
pub fn script_about(paths: &[String]) -> String {
    let words: Vec<String> = paths.iter().map(|path| quote(path)).collect();
    format!("set -- {}\n{SCRIPT}", words.join(" "))
}

/// The folders of a site that will hold data on a host.
#[must_use]
pub fn paths_of(site: &Site, host: &site::Host) -> Vec<String> {
    let mut paths = BTreeSet::new();
    if host.is(Role::Etcd) {
        paths.extend([site.etcd.data_dir.to_string(), site.etcd.snapshot_dir.to_string()]);
    }
    if host.is(Role::Registry) {
        paths.insert(site.registry.data_dir.to_string());
    }
    if host.is_node() && site.storage.kind == StorageKind::LocalPath {
        paths.insert(site.storage.path.to_string());
    }
    paths.into_iter().collect()
}

/// Nanoseconds since 1970, by our own clock.
fn now() -> i128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i128::try_from(since.as_nanos()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::LocalHost;

    #[tokio::test]
    async fn this_machine_is_gathered() {
        let facts = gather_about(&LocalHost::new("here"), &["/no/such folder".into(), "/tmp".into()]).await;
        let facts = match facts {
            Err(HostError { kind: HostErrorKind::Privilege(_), .. }) => return,
            other => other.unwrap(),
        };
        assert!(facts.clock.offset_seconds.abs() < 5.0, "{:?}", facts.clock);
        assert!(facts.cpus > 0 && facts.memory.total > 1 << 20 && facts.kernel.version.0 >= 3);
        assert!(!facts.os.id.is_empty() && !facts.identity.hostname.is_empty());
        assert!(facts.has("mount") && facts.network.interfaces.contains_key("lo"));
        assert_eq!(facts.account.uid, Some(0));
        assert_eq!(facts.paths["/no/such folder"].kind, super::super::PathKind::Missing);
        assert_eq!(facts.paths["/no/such folder"].space.mounted_at, "/");
        assert!(facts.paths["/tmp"].entries.is_some_and(|count| count > 0) && facts.paths["/"].space.size > 1 << 20);
    }

    #[tokio::test]
    async fn every_shell_says_the_same() {
        for shell in ["dash", "bash", "busybox sh", "ksh", "zsh"] {
            let program = shell.split(' ').next().unwrap_or_default();
            let there =
                std::process::Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
            if !there.status.success() {
                continue;
            }
            let path = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(path.path(), script_about(&["/tmp".into()])).unwrap();
            let command = Command::new(format!("{shell} {}", path.path().display()));
            let output = LocalHost::new("here").run(&command).await.unwrap();
            let sent = now();
            let facts = parse(&output.text(), sent, sent).unwrap_or_else(|error| panic!("{shell}: {error}"));
            assert!(facts.account.noise.is_empty(), "{shell}: {:?}", facts.account.noise);
            assert!(facts.has("mount") && facts.paths["/tmp"].space.size > 0, "{shell}");
            assert!(facts.modules.contains_key("overlay"), "{shell}");
            let silent = output.errors();
            assert!(silent.is_empty(), "{shell}: {silent}");
        }
    }
}
