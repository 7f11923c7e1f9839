//! Takes a snapshot: a script a part on the host's console, whose lines are `key TAB value`.
//!
//! A part that does not exist on a host (no cluster, no containerd) is empty. What a rule sends through a shell filter is
//! sent through it on the host.

use std::collections::BTreeMap;

use serde_json::Value;

use super::rules::{Act, RULES, matching};
use super::{Snapshot, objects};
use crate::error::Error;
use crate::hosts::Driver;
use crate::program::quoted;

/// Parts other than files and objects: name, and the script that lists it.
const PARTS: [(&str, &str); 8] = [
    ("unit", "systemctl list-unit-files --no-legend --no-pager | awk '{print $1 \"\\t\" $2}'"),
    (
        "active",
        "systemctl list-units --all --no-legend --plain --no-pager --type=service,timer,socket,path \
         | awk '$3 != \"inactive\" {print $1 \"\\t\" $3}'",
    ),
    ("sysctl", "sysctl -a 2>/dev/null | sed 's/ = /\\t/'"),
    (
        "rule",
        "for s in iptables ip6tables; do $s-save 2>/dev/null | awk -v s=$s '\
           /^\\*/ {t = substr($1, 2)} /^:/ {print s \" \" t \" \" $1 \" \" $2} /^-A/ {print s \" \" t \" \" $0}'; done\n\
         nft -s list ruleset 2>/dev/null | awk '/^table/ {t = $2 \" \" $3} /^\\t\\t/ && t !~ /^ip6? / {print \"nft \" t \" \" $0}'\n\
         nft list tables 2>/dev/null | sed 's/^/nft /'",
    ),
    ("link", "for l in /sys/class/net/*; do printf '%s\\t%s %s\\n' \"${l##*/}\" $(cat $l/mtu $l/operstate); done"),
    ("route", "ip route; ip -6 route; ip rule"),
    ("user", "getent passwd | sed 's/:/\\t/'; getent group | sed 's/^/group /; s/:/\\t/'"),
    ("mount", "findmnt -rn -o TARGET,FSTYPE | sed 's/ /\\t/'"),
];

/// Images by name: digest and labels.
const IMAGES: &str =
    "! command -v ctr >/dev/null || ctr -n k8s.io images ls 2>/dev/null | awk 'NR > 1 {print $1 \"\\t\" $3 \" \" $NF}'";

/// It keeps its cache where nobody looks for it.
const KUBECTL: &str = "kubectl --kubeconfig /etc/kubernetes/admin.conf --cache-dir /run/ferry-vm/kubectl";

impl Snapshot {
    /// The host as it is now. It must have power; nothing on it is changed.
    pub fn take(driver: &dyn Driver, host: u8) -> Result<Self, Error> {
        let mut entries = BTreeMap::new();
        let script: String = PARTS.iter().chain([&("image", IMAGES)]).map(|(part, list)| listing(part, list)).collect();
        let mut part = String::new();
        for line in driver.must(host, &script)?.lines() {
            match line.strip_prefix("@part ") {
                Some(name) => name.clone_into(&mut part),
                None => enter(&mut entries, &part, line),
            }
        }
        files(&driver.must(host, &file_script())?, &mut entries);
        entries.extend(cluster(driver, host)?);
        Ok(Self(normalized(entries)))
    }
}

/// A part's script, through the filters that the rules have for it.
fn listing(part: &str, list: &str) -> String {
    let filters: String = RULES
        .iter()
        .filter_map(|rule| match rule.act {
            Act::Through(filter) if rule.at == format!("{part} *") => Some(format!(" | {filter}")),
            _ => None,
        })
        .collect();
    format!("echo '@part {part}'\n{{ {list}\n}}{filters}\n")
}

/// Equal lines are counted: the rules of two pods may be the same once their addresses are made alike.
fn enter(entries: &mut BTreeMap<String, String>, part: &str, line: &str) {
    let (key, value) = line.split_once('\t').unwrap_or((line, ""));
    let (key, value) = (format!("{part} {}", key.trim()), value.trim());
    let before = entries.get(&key).cloned();
    let value = match before {
        None => value.to_owned(),
        Some(before) if value.is_empty() => {
            let times: usize = before.trim_start_matches('×').parse().unwrap_or(1);
            format!("×{}", times + 1)
        }
        Some(before) => format!("{before}; {value}"),
    };
    entries.insert(key, value);
}

/// Everything below `/` and `/var`, but for what the rules leave unseen: kind, mode, owner, target; then digests; then digests
/// of what is left of a file after a filter.
fn file_script() -> String {
    let paths = |act: fn(&Act) -> bool| {
        RULES.iter().filter(move |rule| act(&rule.act)).filter_map(|rule| rule.at.strip_prefix("file "))
    };
    let unseen: Vec<String> =
        paths(|act| matches!(act, Act::Unseen)).map(|path| format!("-path {}", quoted(path))).collect();
    let prune = format!("\\( {} \\) -prune -o", unseen.join(" -o "));
    let filtered: String = RULES
        .iter()
        .filter_map(|rule| match (rule.act, rule.at.strip_prefix("file ")) {
            (Act::Through(filter), Some(glob)) => Some(format!(
                "for f in {glob}; do [ ! -f \"$f\" ] || echo \"$(cat \"$f\" | {filter} | sha256sum | cut -c1-64)  $f\"; done\n"
            )),
            _ => None,
        })
        .collect();
    format!(
        "find / /var -xdev {prune} -printf '%y\\t%m %u:%g\\t%l\\t%p\\n'\necho '@digests'\n\
         find / /var -xdev {prune} -type f -print0 | xargs -0 -r sha256sum 2>/dev/null\n{filtered}true"
    )
}

fn files(text: &str, entries: &mut BTreeMap<String, String>) {
    let (shapes, digests) = text.split_once("@digests\n").unwrap_or((text, ""));
    let digests: BTreeMap<&str, &str> =
        digests.lines().filter_map(|line| line.split_once("  ")).map(|(digest, path)| (path, digest)).collect();
    for line in shapes.lines() {
        let words: Vec<&str> = line.splitn(4, '\t').collect();
        let [kind, rights, target, path] = words[..] else { continue };
        let content = if target.is_empty() { digests.get(path).copied().unwrap_or_default() } else { target };
        // A link's own mode says nothing.
        let rights = if kind == "l" { "" } else { rights };
        entries.insert(format!("file {path}"), format!("{kind} {rights} {content}").trim_end().to_owned());
    }
}

/// Every object of every kind that the rules do not leave unseen. Without an API server that answers there are none.
fn cluster(driver: &dyn Driver, host: u8) -> Result<BTreeMap<String, String>, Error> {
    let unseen: Vec<String> = RULES
        .iter()
        .filter(|rule| matches!(rule.act, Act::Unseen))
        .filter_map(|rule| rule.at.strip_prefix("kind "))
        .map(|kind| format!("-e {}", quoted(kind)))
        .collect();
    let script = format!(
        "[ -e /etc/kubernetes/admin.conf ] && {KUBECTL} get --raw /readyz >/dev/null 2>&1 || exit 0\n\
         kinds=$({KUBECTL} api-resources --verbs=list -o name 2>/dev/null | grep -vxF {} | paste -sd,)\n\
         {KUBECTL} get \"$kinds\" -A -o json 2>/dev/null",
        unseen.join(" ")
    );
    let text = driver.must(host, &script)?;
    if text.is_empty() {
        return Ok(BTreeMap::new());
    }
    let list: Value = serde_json::from_str(&text)
        .map_err(|error| Error::Asked(format!("host {host} lists its cluster's objects as no JSON: {error}")))?;
    Ok(objects::fields(&list))
}

/// Without what the rules leave out.
fn normalized(entries: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let one = |(key, value): (String, String)| {
        let mut value = value;
        if matching(&key).any(|rule| matches!(rule.act, Act::Out | Act::Unseen)) {
            return None;
        }
        // What is left of it after a filter says more than its shape.
        let filtered = matching(&key).any(|rule| matches!(rule.act, Act::Through(_)));
        if !filtered && matching(&key).any(|rule| rule.act == Act::Shape) {
            value = shape(&key, &value);
        }
        if matching(&key).any(|rule| rule.act == Act::There) {
            value = "there".into();
        }
        Some((key, value))
    };
    entries.into_iter().filter_map(one).collect()
}

/// Of a file: kind, mode and owner; of anything else: that it is there.
fn shape(key: &str, value: &str) -> String {
    match key.strip_prefix("file ") {
        None => "there".into(),
        Some(_) if value.starts_with("l ") => "l".into(),
        Some(_) => value.splitn(4, ' ').take(3).collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_host_become_entries() {
        let mut entries = BTreeMap::new();
        let digest = "a".repeat(64);
        files(
            &format!(
                "f\t644 root:root\t\t/etc/a b\nl\t777 root:root\t/x y\t/etc/l\nd\t755 root:root\t\t/etc\n@digests\n{digest}  /etc/a b\n"
            ),
            &mut entries,
        );
        enter(&mut entries, "rule", "-A X -j Y");
        enter(&mut entries, "rule", "-A X -j Y");
        enter(&mut entries, "user", "etcd\tx:997");
        assert_eq!(entries["file /etc/a b"], format!("f 644 root:root {digest}"));
        assert_eq!(entries["file /etc/l"], "l  /x y");
        assert_eq!((entries["rule -A X -j Y"].as_str(), entries["user etcd"].as_str()), ("×2", "x:997"));
        assert_eq!(shape("file /etc/a b", &entries["file /etc/a b"]), "f 644 root:root");
        let folder = |mode: &str| normalized([("file /var/lib/cni".to_owned(), format!("d {mode} root:root"))].into());
        assert!(folder("700") == folder("755") && folder("700").len() == 1, "there, with whatever mode");
    }

    #[test]
    fn the_scripts_are_ones_that_a_shell_reads() {
        let parts: String = PARTS.iter().map(|(part, list)| listing(part, list)).collect();
        for script in [file_script(), parts] {
            let read = crate::program::Program::new("sh").args(["-n", "-c", &script]).ended().unwrap();
            assert_eq!(read.code, 0, "{}\n{script}", read.stderr);
        }
    }
}
