//! The vendor lists of what is served: the committed ones with the digests of this build filled in.

use std::fs;
use std::path::Path;

use ferry_bundle_format::Arch;
use ferry_bundle_format::manifest::Component;
use ferry_bundle_format::name::{Name, Version};
use ferry_bundler::vendor::VendorLists;

use super::pack::PackedFile;
use crate::error::Error;

const LISTS: [(&str, &str); 6] = [
    ("cni-plugins.yaml", include_str!("../../vendor-lists/cni-plugins.yaml")),
    ("containerd.yaml", include_str!("../../vendor-lists/containerd.yaml")),
    ("etcd.yaml", include_str!("../../vendor-lists/etcd.yaml")),
    ("kubernetes.yaml", include_str!("../../vendor-lists/kubernetes.yaml")),
    ("registry.yaml", include_str!("../../vendor-lists/registry.yaml")),
    ("runc.yaml", include_str!("../../vendor-lists/runc.yaml")),
];

/// Writes the lists into a folder, which then holds nothing else.
pub(super) fn write(files: &[PackedFile], folder: &Path) -> Result<(), Error> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(Error::file("remove", folder))?;
    }
    fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    for (name, template) in LISTS {
        let mut text = template.to_owned();
        for file in files {
            text = text.replace(&format!("sha256({})", file.release.name), file.digest.hex().as_str());
        }
        if text.contains("sha256(") {
            return Err(Error::Asked(format!(
                "vendor-lists/{name} asks for the digest of something that is not built"
            )));
        }
        fs::write(folder.join(name), text).map_err(Error::file("write", folder.join(name)))?;
    }
    Ok(())
}

/// The URL under which the lists say that a file is published.
pub(super) fn url_of(file: &PackedFile, lists: &VendorLists) -> Result<String, Error> {
    let wrong = |why: String| Error::Asked(format!("{} of {}: {why}", file.release.name, file.release.component));
    let component = Component {
        name: Name::parse(file.release.component).map_err(|error| wrong(error.to_string()))?,
        version: Version::parse(file.release.version).map_err(|error| wrong(error.to_string()))?,
        groups: Vec::new(),
        place: (0, 0),
    };
    let parts = lists.parts(&component, &[Arch::Amd64]).map_err(|error| wrong(error.to_string()))?;
    let part = parts.files.into_iter().find(|part| part.name.as_str() == file.release.name);
    let part = part.ok_or_else(|| wrong("no vendor list has it".into()))?;
    if part.sha256 != file.digest {
        return Err(wrong("the vendor list that applies has another digest".into()));
    }
    Ok(part.url.to_string())
}
