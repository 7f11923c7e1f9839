//! Numbers, folders and names that have to fit to each other.

use ferry_bundle_format::yaml::Problems;

use super::file::SiteFile;
use super::types::DataDir;

/// Ports, folders, certificates, names.
pub(super) fn settings(raw: &SiteFile, problems: &mut Problems) {
    if raw.registry.port.get() == u16::MAX {
        let hint = "use one below 65535: the port after it, on loopback, accepts the registry's content";
        problems.add_at("65535", "registry.port 65535 has no port after it", Some(hint));
    }
    folders(raw, problems);
    let (days, years) = (raw.kubernetes.certificate_days.get(), raw.kubernetes.authority_years.get());
    if days > years * 365 {
        let message = format!("kubernetes.certificateDays {days} are more than the {years} years of the authorities");
        problems.add_at(
            "certificateDays",
            message,
            Some("certificates end before what signs them: set fewer days, or more authorityYears"),
        );
    }
    for (id, limit) in &raw.thresholds {
        if !limit.is_finite() || *limit < 0.0 {
            problems.add_at(id, format!("thresholds: {id}: {limit} is no limit"), Some("a number that is not below 0"));
        }
    }
    let reserved = ["localhost", raw.kubernetes.dns_domain.as_str()];
    for (key, name) in
        raw.dns.names.keys().map(|name| ("names", name)).chain(raw.dns.wildcards.keys().map(|name| ("wildcards", name)))
    {
        if reserved.contains(&name.as_str()) {
            problems.add_at(name, format!("dns.{key}: {name} has a meaning of its own"), Some("choose another name"));
        }
    }
}

/// No two of the folders of data lie inside each other: one's removal would take the other.
fn folders(raw: &SiteFile, problems: &mut Problems) {
    let all: [(&str, &DataDir); 4] = [
        ("etcd.dataDir", &raw.etcd.data_dir),
        ("etcd.snapshotDir", &raw.etcd.snapshot_dir),
        ("registry.dataDir", &raw.registry.data_dir),
        ("storage.path", &raw.storage.path),
    ];
    for (n, (one, path)) in all.iter().enumerate() {
        for (other, beside) in all.iter().skip(n + 1) {
            if path.overlaps(beside) {
                let message = format!("{one} {path} and {other} {beside} are one folder, or one lies in the other");
                problems.add_at(one.rsplit('.').next().unwrap_or(one), message, Some("give each a folder of its own"));
            }
        }
    }
}
