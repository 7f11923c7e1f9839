//! From the file to the meaning: references, URLs, digests, groups and duplicates, all findings together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use url::Url;

use super::file::{ChartEntry, FileEntry, ImageEntry, ImageFrom, ManifestFile};
use super::{Chart, ChartSource, Component, File, FileSource, Image, ImageSource, Manifest};
use crate::digest::Digest;
use crate::name::Name;
use crate::platform::Arch;
use crate::reference::Reference;
use crate::yaml::{At, Problems};

/// Checks everything that a schema cannot say.
pub(super) fn check(raw: ManifestFile, problems: Problems) -> Result<Manifest, Problems> {
    let mut check = Check { groups: raw.groups.keys().cloned().collect(), problems };
    let arches = check.arches(&raw.arches);
    if arches.is_empty() {
        check.problems.add_whole("`arches` is empty", Some("name at least one, such as `arches: [amd64]`"));
    }
    let components = check.components(&raw);
    let images: Vec<_> = raw.images.iter().filter_map(|entry| check.image(entry, &arches)).collect();
    let charts: Vec<_> = raw.charts.iter().filter_map(|entry| check.chart(entry)).collect();
    let files: Vec<_> = raw.files.iter().filter_map(|entry| check.file(entry, &arches)).collect();
    check.duplicates(raw.images.iter().map(|entry| (&entry.name, normal_reference(&entry.name.value))));
    check.duplicates(raw.charts.iter().map(|e| (&e.name, format!("chart {} {}", e.name.value, e.version))));
    check.duplicates(raw.files.iter().map(|entry| (&entry.name, file_identity(entry))));
    if components.is_empty() && raw.images.is_empty() && raw.charts.is_empty() && raw.files.is_empty() {
        check.problems.add_whole("the manifest asks for nothing", Some("add components, images, charts or files"));
    }
    let manifest = Manifest {
        product: raw.product,
        valid_for_days: raw.valid_for_days,
        arches,
        components,
        images,
        charts,
        files,
        groups: raw.groups,
    };
    check.problems.or_else(manifest)
}

struct Check {
    groups: BTreeSet<Name>,
    problems: Problems,
}

impl Check {
    fn arches(&mut self, list: &[At<Arch>]) -> Vec<Arch> {
        let mut seen = BTreeSet::new();
        for arch in list {
            if !seen.insert(arch.value) {
                self.problems.add(arch, format!("{} is listed twice", arch.value), None);
            }
        }
        seen.into_iter().collect()
    }

    fn groups(&mut self, list: &[At<Name>]) -> Vec<Name> {
        for group in list {
            if !self.groups.contains(&group.value) {
                let known: Vec<_> = self.groups.iter().map(Name::as_str).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let hint = format!("declare it under `groups:`; declared so far: {known}");
                self.problems.add(group, format!("group {} is not declared", group.value), Some(&hint));
            }
        }
        list.iter().map(|group| group.value.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn components(&mut self, raw: &ManifestFile) -> Vec<Component> {
        let mut list = Vec::new();
        let mut seen: BTreeMap<Name, u64> = BTreeMap::new();
        if let Some(kubernetes) = &raw.kubernetes {
            let name = Name::parse("kubernetes").expect("a literal that is a name");
            seen.insert(name.clone(), kubernetes.version.line);
            let groups = self.groups(&kubernetes.groups);
            let place = (kubernetes.version.line, kubernetes.version.column);
            list.push(Component { name, version: kubernetes.version.value.clone(), groups, place });
        }
        for entry in &raw.components {
            if let Some(line) = seen.insert(entry.name.value.clone(), entry.name.line) {
                let message = format!("component {} is already asked for in line {line}", entry.name.value);
                self.problems.add(&entry.name, message, Some("one version of a component per bundle"));
            }
            list.push(Component {
                name: entry.name.value.clone(),
                version: entry.version.clone(),
                groups: self.groups(&entry.groups),
                place: (entry.name.line, entry.name.column),
            });
        }
        list
    }

    fn image(&mut self, entry: &ImageEntry, arches: &[Arch]) -> Option<Image> {
        let groups = self.groups(&entry.groups);
        let narrowed = entry.arches.as_ref().map(|list| {
            for arch in list.iter().filter(|arch| !arches.contains(&arch.value)) {
                let message = format!("{} is not among the manifest's arches", arch.value);
                self.problems.add(arch, message, Some("an image can carry fewer architectures, not others"));
            }
            self.arches(list)
        });
        let source = match &entry.from {
            None => ImageSource::Registry,
            Some(ImageFrom::DockerArchive(path)) => ImageSource::DockerArchive(self.path(path)?),
            Some(ImageFrom::OciArchive(path)) => ImageSource::OciArchive(self.path(path)?),
            Some(ImageFrom::OciLayout(path)) => ImageSource::OciLayout(self.path(path)?),
        };
        let arches = narrowed.unwrap_or_else(|| arches.to_vec());
        let (choose, stored_as) = (self.choose(entry, &arches), self.stored_as(entry));
        match Reference::parse(&entry.name.value) {
            Ok(reference) => Some(Image { reference, source, stored_as, arches, choose, groups }),
            Err(error) => {
                self.problems.add(
                    &entry.name,
                    error.to_string(),
                    Some("write registry/repository:tag, for example quay.io/coreos/etcd:v3.6.5"),
                );
                None
            }
        }
    }

    /// Which manifests are chosen by digest.
    fn choose(&mut self, entry: &ImageEntry, arches: &[Arch]) -> BTreeMap<Arch, Digest> {
        let mut chosen = BTreeMap::new();
        for (arch, text) in &entry.choose {
            if !arches.contains(arch) {
                self.problems.add(text, format!("{arch} is not among the image's arches"), None);
            }
            match Digest::parse(&text.value) {
                Ok(digest) => drop(chosen.insert(*arch, digest)),
                Err(error) => {
                    let hint = "write the digest of one manifest of the image's index, `sha256:` and 64 hex digits";
                    self.problems.add(text, error.to_string(), Some(hint));
                }
            }
        }
        chosen
    }

    fn stored_as(&mut self, entry: &ImageEntry) -> Option<String> {
        let name = entry.stored_as.as_ref()?;
        if entry.from.is_none() {
            let hint = "an image of a registry has one name; a local source is named with `from:`";
            self.problems.add(name, "`storedAs` is for images with `from`", Some(hint));
        }
        if name.value.is_empty() || name.value.chars().any(char::is_control) {
            self.problems.add(name, "not a name", None);
        }
        Some(name.value.clone())
    }

    fn chart(&mut self, entry: &ChartEntry) -> Option<Chart> {
        let groups = self.groups(&entry.groups);
        let values = entry.values.iter().filter_map(|path| self.path(path)).collect();
        let source = match (&entry.repo, &entry.oci, &entry.path) {
            (Some(url), None, None) => ChartSource::Repository(self.url(url)?),
            (None, Some(oci), None) => self.oci_chart(oci, entry)?,
            (None, None, Some(path)) => ChartSource::Local(self.path(path)?),
            _ => {
                let message = format!("chart {} needs exactly one of `repo`, `oci` and `path`", entry.name.value);
                self.problems.add(&entry.name, message, None);
                return None;
            }
        };
        Some(Chart { name: entry.name.value.clone(), version: entry.version.clone(), source, values, groups })
    }

    fn oci_chart(&mut self, oci: &At<String>, entry: &ChartEntry) -> Option<ChartSource> {
        let reference = oci.value.strip_prefix("oci://").map(|rest| {
            Reference::parse(&format!("{}/{}:{}", rest.trim_end_matches('/'), entry.name.value, entry.version.as_tag()))
        });
        match reference {
            Some(Ok(reference)) => Some(ChartSource::Oci(reference)),
            Some(Err(error)) => {
                self.problems.add(oci, error.to_string(), None);
                None
            }
            None => {
                self.problems.add(oci, "an OCI chart source begins with `oci://`", None);
                None
            }
        }
    }

    fn file(&mut self, entry: &FileEntry, arches: &[Arch]) -> Option<File> {
        let groups = self.groups(&entry.groups);
        if let Some(arch) = entry.arch.as_ref().filter(|arch| !arches.contains(&arch.value)) {
            self.problems.add(arch, format!("{} is not among the manifest's arches", arch.value), None);
        }
        let source = match (&entry.url, &entry.sha256, &entry.path) {
            (Some(url), Some(sha256), None) => {
                let (url, digest) = (self.url(url), Digest::from_hex(&sha256.value));
                if digest.is_err() {
                    self.problems.add(
                        sha256,
                        "a sha256 is 64 lower-case hex digits",
                        Some("take it from the vendor's checksum file, not from your own download"),
                    );
                }
                FileSource::Url { url: url?, sha256: digest.ok()? }
            }
            (Some(url), None, None) => {
                self.problems.add(
                    url,
                    "a URL needs its `sha256`",
                    Some("take it from the vendor's checksum file, not from your own download"),
                );
                return None;
            }
            (None, None, Some(path)) => FileSource::Local(self.path(path)?),
            _ => {
                let message = format!("file {} needs either `url` with `sha256`, or `path`", entry.name.value);
                self.problems.add(&entry.name, message, None);
                return None;
            }
        };
        Some(File {
            name: entry.name.value.clone(),
            version: entry.version.clone(),
            arch: entry.arch.as_ref().map(|arch| arch.value),
            source,
            executable: entry.executable,
            groups,
        })
    }

    fn url(&mut self, text: &At<String>) -> Option<Url> {
        let refuse = |check: &mut Self, message: String, hint: Option<&str>| {
            check.problems.add(text, message, hint);
            None
        };
        match Url::parse(&text.value) {
            Err(error) => refuse(self, format!("not a URL: {error}"), None),
            Ok(url) if !matches!(url.scheme(), "http" | "https") => refuse(
                self,
                format!("scheme {} is not supported", url.scheme()),
                Some("use http or https, or `path` for a local file"),
            ),
            Ok(url) if !url.username().is_empty() || url.password().is_some() => refuse(
                self,
                "a URL in a manifest must not carry credentials".into(),
                Some("put them into a docker config or use `--user HOST=NAME`"),
            ),
            Ok(url) => Some(url),
        }
    }

    fn path(&mut self, text: &At<String>) -> Option<PathBuf> {
        if text.value.is_empty() || text.value.chars().any(char::is_control) {
            self.problems.add(text, "not a path", None);
            return None;
        }
        Some(PathBuf::from(&text.value))
    }

    fn duplicates<'a, T: 'a>(&mut self, entries: impl Iterator<Item = (&'a At<T>, String)>) {
        let mut seen: BTreeMap<String, u64> = BTreeMap::new();
        for (place, identity) in entries {
            if let Some(line) = seen.insert(identity.clone(), place.line) {
                self.problems.add(
                    place,
                    format!("{identity} is already listed in line {line}"),
                    Some("remove one of the two"),
                );
            }
        }
    }
}

fn normal_reference(text: &str) -> String {
    Reference::parse(text).map_or_else(|_| text.to_owned(), |reference| reference.to_string())
}

fn file_identity(entry: &FileEntry) -> String {
    let version = entry.version.as_ref().map_or(String::new(), |v| format!(" {v}"));
    let arch = entry.arch.as_ref().map_or(String::new(), |a| format!(" {}", a.value));
    format!("file {}{version}{arch}", entry.name.value)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const HEAD: &str =
        "apiVersion: ferry.dev/v1\nkind: Manifest\nproduct: {name: shop, version: v1}\narches: [amd64]\n";

    fn parse(rest: &str) -> Result<Manifest, Problems> {
        Manifest::parse(Path::new("site.yaml"), &format!("{HEAD}{rest}"))
    }

    #[test]
    fn a_full_manifest_is_understood() {
        let manifest = parse(
            "kubernetes: {version: v1.34.4}\ncomponents:\n- {name: etcd, version: v3.6.5, groups: [core]}\n\
             images:\n- {name: 'nginx:1.27'}\n- {name: 'shop/app:1', from: {dockerArchive: build/app.tar}}\n\
             charts:\n- {name: web, version: 1.2.3, repo: 'https://charts.example'}\n- {name: db, version: 2.0.0, oci: 'oci://ghcr.io/charts'}\n\
             files:\n- {name: tool, arch: amd64, url: 'https://x.example/tool', sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad}\n\
             groups: {core: the cluster itself}\n",
        )
        .unwrap();
        assert_eq!(manifest.components.len(), 2);
        assert_eq!(manifest.images[0].reference.to_string(), "docker.io/library/nginx:1.27");
        assert!(
            matches!(&manifest.charts[1].source, ChartSource::Oci(r) if r.to_string() == "ghcr.io/charts/db:2.0.0")
        );
        assert_eq!(manifest.product.channel.as_str(), "stable");
    }

    #[test]
    fn everything_wrong_is_reported_at_once_with_its_line() {
        let problems = parse(
            "images:\n- name: nginx\n- name: a.b/C:1\n  groups: [nope]\n- name: x.y/z:1\n- name: x.y/z:1\n\
             charts:\n- {name: web, version: 1.2.3}\n\
             files:\n- {name: f, url: 'ftp://x/y', sha256: abc}\n- {name: g, url: 'https://u:p@x/y', sha256: abc}\n- {name: h, url: 'https://x/y'}\n",
        )
        .unwrap_err();
        let text = problems.to_string();
        assert!(problems.list.len() >= 9, "{text}");
        for part in [
            "latest",
            "site.yaml:6:9",
            "group nope",
            "already listed in line 9",
            "exactly one of",
            "ftp",
            "credentials",
            "needs its `sha256`",
        ] {
            assert!(text.contains(part), "{part} missing in:\n{text}");
        }
        assert!(parse("").unwrap_err().to_string().contains("asks for nothing"));
    }
}
