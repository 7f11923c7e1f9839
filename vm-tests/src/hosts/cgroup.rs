//! A host's own place in every cgroup v1 hierarchy, below the one we are in: without it all hosts would share one
//! and systemd would collide with systemd.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::lab::{HostPlace, Lab};
use crate::error::Error;

const MOUNT: &str = "/sys/fs/cgroup";

/// Refuses a machine on which hosts can't have cgroups of their own in the way this driver makes them.
pub(super) fn check() -> Result<(), Error> {
    if Path::new(MOUNT).join("cgroup.controllers").exists() {
        return Err(Error::CannotRun(
            "it has cgroup v2 only; the nspawn driver has been written for cgroup v1 hierarchies".into(),
        ));
    }
    if !Path::new(MOUNT).join("pids").is_dir() {
        return Err(Error::CannotRun(format!("there is no pids hierarchy below {MOUNT}")));
    }
    Ok(())
}

/// Makes the host's cgroups and notes them in its folder; returns the note's path, one cgroup a line.
pub(super) fn make(lab: &Lab, host: &HostPlace) -> Result<PathBuf, Error> {
    let current = fs::read_to_string("/proc/self/cgroup").map_err(Error::file("read", "/proc/self/cgroup"))?;
    let mut list = String::new();
    let mut hierarchies: Vec<PathBuf> = fs::read_dir(MOUNT)
        .map_err(Error::file("list", MOUNT))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir() && !path.is_symlink())
        .collect();
    hierarchies.sort();
    for hierarchy in hierarchies {
        let name = hierarchy.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut path = hierarchy.join(current_in(&current, &name).trim_start_matches('/'));
        for step in [lab.name(), &host.namespace] {
            let parent = path.clone();
            path.push(step);
            fs::create_dir_all(&path).map_err(Error::file("create", &path))?;
            if name == "cpuset" {
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    let value = fs::read(parent.join(file)).map_err(Error::file("read", parent.join(file)))?;
                    fs::write(path.join(file), value).map_err(Error::file("write", path.join(file)))?;
                }
                let clone = path.join("cgroup.clone_children");
                fs::write(&clone, "1").map_err(Error::file("write", &clone))?;
            }
        }
        list.push_str(&format!("{}\n", path.display()));
    }
    let note = host.path("cgroups");
    fs::write(&note, list).map_err(Error::file("write", &note))?;
    Ok(note)
}

/// Our own place in a hierarchy, from the text of `/proc/self/cgroup`.
fn current_in<'a>(text: &'a str, hierarchy: &str) -> &'a str {
    let wanted = match hierarchy {
        "unified" => "",
        "systemd" => "name=systemd",
        other => other,
    };
    let place = |line: &'a str| {
        let mut fields = line.splitn(3, ':').skip(1);
        (fields.next()? == wanted).then(|| fields.next()).flatten()
    };
    text.lines().find_map(place).unwrap_or("/")
}

fn noted(host: &HostPlace) -> Vec<PathBuf> {
    let text = fs::read_to_string(host.path("cgroups")).unwrap_or_default();
    text.lines().map(PathBuf::from).collect()
}

/// One of the host's cgroups, by the hierarchy's name.
pub(super) fn of_hierarchy(host: &HostPlace, hierarchy: &str) -> Option<PathBuf> {
    noted(host).into_iter().find(|path| path.starts_with(Path::new(MOUNT).join(hierarchy)))
}

/// All processes of the host, by the machine's numbers.
pub(super) fn processes(host: &HostPlace) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    if let Some(path) = of_hierarchy(host, "pids") {
        collect(&path, &mut found);
    }
    found
}

/// Seconds that processors have spent on the host's processes since it came up; 0 where nobody counts.
pub(super) fn processor_seconds(host: &HostPlace) -> f64 {
    let usage = of_hierarchy(host, "cpuacct").map(|path| path.join("cpuacct.usage"));
    let text = usage.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    text.trim().parse().map_or(0.0, |nanoseconds| Duration::from_nanos(nanoseconds).as_secs_f64())
}

fn collect(path: &Path, found: &mut BTreeSet<u32>) {
    let text = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    found.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
    for entry in fs::read_dir(path).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
        collect(&entry.path(), found);
    }
}

/// Removes the host's cgroups, which must be empty by now; those that are not are left and noticed by the next `up`.
pub(super) fn remove(host: &HostPlace) {
    for path in noted(host) {
        for _ in 0..20 {
            remove_below(&path);
            if !path.exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // The lab's own, if this was its last host.
        if let Some(parent) = path.parent() {
            let _ = fs::remove_dir(parent);
        }
    }
    let _ = fs::remove_file(host.path("cgroups"));
}

fn remove_below(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
        remove_below(&entry.path());
    }
    let _ = fs::remove_dir(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_cgroup_is_found_in_each_hierarchy() {
        let text = "9:name=systemd:/a\n4:memory:/b/c\n2:cpu,cpuacct:/d\n0::/e\n";
        assert_eq!(current_in(text, "systemd"), "/a");
        assert_eq!(current_in(text, "memory"), "/b/c");
        assert_eq!(current_in(text, "cpu,cpuacct"), "/d");
        assert_eq!(current_in(text, "unified"), "/e");
        assert_eq!(current_in(text, "pids"), "/");
    }
}
