//! Hosts by DNS name: the address of each is looked up once and recorded in the state folder, since configurations and certificates
//! on hosts are made for it. A later answer of DNS changes nothing; `internalAddress` in the site file does.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use ferry_bundle_format::yaml::Problems;
use ferry_engine::site::file::SiteFile;
use ferry_engine::site::{self, Site};

use crate::failure::{self, Failure};

/// The record in a state folder.
const RECORD: &str = "addresses.json";

/// Addresses by name.
type Addresses = BTreeMap<String, IpAddr>;

/// Where a site's state lies: where the operator says, else beside the site file.
pub(crate) fn state_of(file: &Path, cluster: &str, chosen: Option<&Path>) -> PathBuf {
    let beside = || file.parent().map_or_else(PathBuf::new, Path::to_path_buf).join(format!("{cluster}.ferry"));
    chosen.map_or_else(beside, Path::to_path_buf)
}

/// Reads a site file, with the addresses of hosts that it names; those that were looked up just now are given, too.
pub(crate) fn read(
    file: &Path,
    text: &str,
    chosen: Option<&Path>,
    more: &dyn Fn(&SiteFile, &mut Problems),
) -> Result<(Site, BTreeMap<String, IpAddr>), Problems> {
    let found = RefCell::new(Addresses::new());
    let resolve = |cluster: &str, name: &str| {
        let recorded = recorded(&state_of(file, cluster, chosen));
        if let Some(address) = recorded.get(name) {
            return Some(*address);
        }
        let address = look_up(name)?;
        found.borrow_mut().insert(name.to_owned(), address);
        Some(address)
    };
    let site = site::read_with(file, text, &site::Outside { resolve: &resolve, more })?;
    Ok((site, found.into_inner()))
}

fn recorded(state: &Path) -> Addresses {
    let text = std::fs::read_to_string(state.join(RECORD)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// Records what was looked up.
pub(crate) fn record(state: &Path, found: &Addresses) -> Result<(), Failure> {
    if found.is_empty() {
        return Ok(());
    }
    let mut all = recorded(state);
    all.extend(found.iter().map(|(name, address)| (name.clone(), *address)));
    let path = state.join(RECORD);
    let text = serde_json::to_string_pretty(&all).unwrap_or_default();
    std::fs::write(&path, text).map_err(failure::file("write", &path))
}

/// The address of a name, IPv4 first; none that leads to this machine itself.
fn look_up(name: &str) -> Option<IpAddr> {
    let found: Vec<IpAddr> = (name, 22).to_socket_addrs().ok()?.map(|one| one.ip()).collect();
    let usable = |address: &&IpAddr| !address.is_loopback() && !address.is_unspecified();
    found.iter().filter(usable).min_by_key(|address| address.is_ipv6()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_was_recorded_is_used_without_dns() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("site.yaml");
        let text = "apiVersion: ferry.dev/v1\nkind: Site\ncluster: lab\nvault: {passphrase: {env: X}}\nhosts:\n- {name: n1, address: n1.test.invalid, roles: [control-plane, worker, etcd, registry]}\n";
        assert!(read(&file, text, None, &|_, _| ()).is_err(), "the name has no address");
        let state = folder.path().join("lab.ferry");
        std::fs::create_dir(&state).unwrap();
        let found = Addresses::from([("n1.test.invalid".to_owned(), IpAddr::from([10, 0, 0, 5]))]);
        record(&state, &found).unwrap();
        let (site, again) = read(&file, text, None, &|_, _| ()).unwrap();
        assert_eq!(site.hosts[0].internal, IpAddr::from([10, 0, 0, 5]));
        assert!(again.is_empty());
    }
}
