//! Layers of Debian's packages as an image gets them: the release's version of each package beside the newest that the archive
//! serves (security, updates). What had no update is the same on both sides, as it is when a base image is made anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Failure;
use super::tool::{run, text};

/// A layer by the packages that are unpacked into it.
pub(super) struct Layer {
    /// What it is called in the table.
    pub(super) name: &'static str,
    /// The packages.
    pub(super) packages: &'static [&'static str],
}

/// What images stand on and what is put on top: what a base image holds, two interpreters, two servers.
pub(super) const LAYERS: [Layer; 5] = [
    Layer {
        name: "base",
        packages: &[
            "apt",
            "base-files",
            "bash",
            "ca-certificates",
            "coreutils",
            "debconf",
            "debianutils",
            "diffutils",
            "dpkg",
            "e2fsprogs",
            "findutils",
            "gcc-12-base",
            "gpgv",
            "grep",
            "gzip",
            "libapt-pkg6.0",
            "libblkid1",
            "libc-bin",
            "libc6",
            "libcap2",
            "libgcc-s1",
            "libgcrypt20",
            "libgnutls30",
            "liblzma5",
            "libmount1",
            "libpam-modules",
            "libpam0g",
            "libpcre2-8-0",
            "libsmartcols1",
            "libssl3",
            "libstdc++6",
            "libsystemd0",
            "libtinfo6",
            "libudev1",
            "libuuid1",
            "libzstd1",
            "login",
            "mount",
            "ncurses-base",
            "ncurses-bin",
            "openssl",
            "passwd",
            "perl-base",
            "sed",
            "sysvinit-utils",
            "tar",
            "tzdata",
            "util-linux",
            "zlib1g",
        ],
    },
    Layer {
        name: "python",
        packages: &[
            "libexpat1",
            "libpython3.11-minimal",
            "libpython3.11-stdlib",
            "libsqlite3-0",
            "python3.11",
            "python3.11-minimal",
        ],
    },
    Layer { name: "java", packages: &["openjdk-17-jre-headless"] },
    Layer { name: "postgresql", packages: &["libpq5", "libxml2", "postgresql-15", "postgresql-client-15"] },
    Layer { name: "web", packages: &["bind9-libs", "libcurl4", "libxml2", "libxslt1.1", "nginx", "nginx-common"] },
];

/// What the archive serves of the layers' packages, and what has been downloaded of it.
pub(super) struct Archive {
    folder: PathBuf,
    /// By package: the release's version and the newest.
    versions: BTreeMap<String, [String; 2]>,
}

impl Archive {
    /// Asks the archive, and downloads every package that is not in `folder` yet.
    pub(super) fn open(folder: &Path) -> Result<Self, Failure> {
        let kept = folder.join("deb");
        std::fs::create_dir_all(&kept)?;
        let packages: BTreeSet<&str> = LAYERS.iter().flat_map(|layer| layer.packages).copied().collect();
        let mut ask = vec!["madison"];
        ask.extend(&packages);
        let versions = adjacent(&run(folder, "apt-cache", &ask)?);
        let unknown: Vec<&str> = packages.iter().filter(|name| !versions.contains_key(**name)).copied().collect();
        if !unknown.is_empty() {
            let hint = "apt-get update, on a Debian whose sources name its release and its security suite";
            return Err(format!("the archive does not serve {}: {hint}", unknown.join(", ")).into());
        }
        let archive = Self { folder: kept, versions };
        archive.download()?;
        Ok(archive)
    }

    fn download(&self) -> Result<(), Failure> {
        let mut wanted = BTreeSet::new();
        for (package, versions) in &self.versions {
            for version in versions {
                if self.find(package, version)?.is_none() {
                    wanted.insert(format!("{package}={version}"));
                }
            }
        }
        let mut arguments = vec!["download", "-q"];
        arguments.extend(wanted.iter().map(String::as_str));
        if wanted.is_empty() { Ok(()) } else { run(&self.folder, "apt-get", &arguments).map(drop) }
    }

    /// The file of a package, if it is there.
    fn find(&self, package: &str, version: &str) -> Result<Option<PathBuf>, Failure> {
        let start = format!("{package}_{}_", version.replace(':', "%3a"));
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(&start) && name.ends_with(".deb") {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// The two trees of a layer below `folder`, made anew, and what differs between them in words.
    pub(super) fn trees(&self, layer: &Layer, folder: &Path) -> Result<([PathBuf; 2], String), Failure> {
        let roots = [folder.join("tree/old"), folder.join("tree/new")];
        for root in roots.iter().filter(|root| root.exists()) {
            std::fs::remove_dir_all(root)?;
        }
        let mut changed = Vec::new();
        for package in layer.packages {
            let versions = &self.versions[*package];
            if versions[0] != versions[1] {
                changed.push(format!("{package} {} → {}", versions[0], versions[1]));
            }
            for (root, version) in roots.iter().zip(versions) {
                std::fs::create_dir_all(root)?;
                let file =
                    self.find(package, version)?.ok_or_else(|| format!("apt-get left no {package} {version}"))?;
                run(folder, "dpkg-deb", &["-x", text(&file)?, text(root)?])?;
            }
        }
        if changed.is_empty() {
            return Err(format!("the archive has only one version of everything in {}", layer.name).into());
        }
        let text = format!("{} of {} packages: {}", changed.len(), layer.packages.len(), changed.join(", "));
        Ok((roots, text))
    }
}

/// Of `package | version | source` lines, the newest version of a package first: the release's version and the newest.
fn adjacent(listed: &str) -> BTreeMap<String, [String; 2]> {
    let mut newest: BTreeMap<&str, &str> = BTreeMap::new();
    let mut versions = BTreeMap::new();
    for line in listed.lines() {
        let mut fields = line.split('|').map(str::trim);
        let (Some(package), Some(version), Some(source)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let newest = *newest.entry(package).or_insert(version);
        // Older point releases stand in no suite any more; the release's own suite has one version of each package.
        if !source.contains("-security") && !source.contains("-updates") {
            versions.entry(package.to_owned()).or_insert_with(|| [version.to_owned(), newest.to_owned()]);
        }
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_stands_beside_the_newest() {
        let listed = "openssl | 3.0.22-1 | http://deb/debian-security bookworm-security/main amd64 Packages\n\
                      openssl | 3.0.20-1 | http://deb/debian bookworm/main amd64 Packages\n\
                      openssl | 3.0.17-1 | http://deb/debian bookworm-updates/main amd64 Packages\n\
                      tar | 1.34 | http://deb/debian bookworm/main amd64 Packages\n\
                      gone | 1 | http://deb/debian-security bookworm-security/main amd64 Packages\n";
        let found = adjacent(listed);
        assert_eq!(found["openssl"], ["3.0.20-1", "3.0.22-1"]);
        assert_eq!(found["tar"], ["1.34", "1.34"]);
        assert!(!found.contains_key("gone"));
    }
}
