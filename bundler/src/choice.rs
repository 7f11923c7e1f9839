//! Which manifest of an index is the image for an architecture, and whether manifest and config agree.
//!
//! Pure, and the same for registries and local sources: whoever has brought the documents asks here. What is
//! wrong is said without the image's name; the caller knows it. The order of the choice (docs/guide.md says it to
//! the operator):
//!
//! ```text
//! 1  what the manifest file chooses by digest
//! 2  entries whose platform is Linux on the architecture, of the variant that runs everywhere; attestations,
//!    artifacts and images for special snapshotters (`artifactType`, `os.features`) are set aside
//! 3  without such an entry: entries that name no platform, and whose config does
//! 4  a digest that is listed twice is one image
//! 5  an entry that is annotated as another compression comes after the one that is not
//! 6  by the manifests: artifacts are set aside; with the same config it is one image, and gzip comes first
//! 7  what is left are different images: refused, with what to write to choose
//! ```

use std::collections::BTreeSet;

use ferry_bundle_format::lock::{LockedManifest, Pin, derived};
use ferry_bundle_format::oci::{Descriptor, ImageConfig, MAX_CONFIG, Manifest, media_type};
use ferry_bundle_format::{Arch, Digest, Platform};

use crate::artifact;

/// At most so many entries are listed in an error.
const LISTED: usize = 20;

/// Why nothing, or nothing that may be believed, is there for an architecture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// Not there.
    #[error("an image for {arch} is wanted, there is only: {found}")]
    NoArch {
        /// What is wanted.
        arch: Arch,
        /// The platforms that are there.
        found: String,
    },
    /// There more than once, as different images.
    #[error("its index has different images for linux/{arch}: {found}")]
    Several {
        /// What is wanted.
        arch: Arch,
        /// Their digests, and what the index says of them.
        found: String,
    },
    /// What was chosen is not in the index.
    #[error("{chosen} is chosen for {arch}, its index has only: {found}")]
    NotListed {
        /// What is wanted.
        arch: Arch,
        /// What was chosen.
        chosen: Digest,
        /// What is there.
        found: String,
    },
    /// The index leads to another index.
    #[error("its index names another index for {0}; nested indexes are not carried")]
    Nested(Arch),
    /// A single manifest whose config says nothing.
    #[error("its config names no platform")]
    NoPlatform,
    /// The index says one architecture, the config another.
    #[error("the index says linux/{arch}, the image's own config says {config}")]
    ArchLie {
        /// By the index.
        arch: Arch,
        /// By the config.
        config: String,
    },
    /// Manifest and config differ in their layers.
    #[error("its manifest has {manifest} layers, its config {config}")]
    Layers {
        /// By the manifest.
        manifest: usize,
        /// By the config.
        config: usize,
    },
    /// A config that is not read.
    #[error("its config of {0} bytes is too large")]
    LargeConfig(u64),
    /// An artifact of another kind.
    #[error("it is {0}, not an image")]
    NoImage(String),
}

impl ChoiceError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Several { .. } => Some("choose one of them: `choose: {ARCH: sha256:…}` at the image"),
            Self::NotListed { .. } => Some("correct the digest under `choose:`, or leave it out"),
            Self::NoImage(kind) if kind == artifact::CHART => Some("name it under `charts:`, with `oci:`"),
            Self::NoImage(_) => Some(
                "name the image it belongs to; to carry the artifact too, save it with `skopeo copy` or `oras pull` and name the file under `files:`",
            ),
            _ => None,
        }
    }
}

/// What the entries of an index say about an architecture.
#[derive(Debug, PartialEq, Eq)]
pub enum Picked<'a> {
    /// This one.
    One(&'a Descriptor),
    /// They do not decide: look at these manifests, then ask [`settle`].
    Look(Vec<&'a Descriptor>),
}

/// A manifest that was looked at.
#[derive(Debug)]
pub struct Looked<'a> {
    /// Its entry.
    pub descriptor: &'a Descriptor,
    /// The manifest.
    pub manifest: Manifest,
    /// The platform by its config, where the entry names none and it is an image.
    pub platform: Option<Platform>,
}

/// The manifest for `arch` by what an index says; `chosen` is what the manifest file says.
pub fn pick<'a>(manifests: &'a [Descriptor], arch: Arch, chosen: Option<&Digest>) -> Result<Picked<'a>, ChoiceError> {
    if let Some(&chosen) = chosen {
        let found = manifests.iter().find(|entry| entry.digest == chosen);
        let missing = || ChoiceError::NotListed { arch, chosen, found: entries(manifests) };
        return found.map(Picked::One).ok_or_else(missing);
    }
    let images: Vec<_> = manifests.iter().filter(|entry| artifact::of_entry(entry).is_none()).collect();
    let fits = |entry: &Descriptor| entry.platform.as_ref().is_some_and(|platform| platform.is_linux_on(arch));
    let mut fitting: Vec<_> = images.iter().copied().filter(|entry| fits(entry)).collect();
    let mut seen = BTreeSet::new();
    fitting.retain(|entry| seen.insert(entry.digest));
    if fitting.iter().any(|entry| !is_repacked(entry)) {
        fitting.retain(|entry| !is_repacked(entry));
    }
    match fitting.as_slice() {
        [one] => return Ok(Picked::One(one)),
        [] => {}
        _ => return Ok(Picked::Look(fitting)),
    }
    let mut unnamed: Vec<_> = images.into_iter().filter(|entry| !names_platform(entry)).collect();
    unnamed.retain(|entry| seen.insert(entry.digest));
    if unnamed.is_empty() {
        return Err(ChoiceError::NoArch { arch, found: platforms(manifests) });
    }
    if unnamed.iter().all(|entry| is_index(entry)) {
        return Err(ChoiceError::Nested(arch));
    }
    unnamed.retain(|entry| !is_index(entry));
    Ok(Picked::Look(unnamed))
}

/// Which of the manifests is the image for `arch`.
pub fn settle(looked: &[Looked<'_>], arch: Arch) -> Result<usize, ChoiceError> {
    let fits = |one: &Looked<'_>| {
        names_platform(one.descriptor) || one.platform.as_ref().is_some_and(|platform| platform.is_linux_on(arch))
    };
    let image = |one: &Looked<'_>| artifact::of_manifest(&one.manifest).is_none() && fits(one);
    let images: Vec<_> = looked.iter().enumerate().filter(|(_, one)| image(one)).collect();
    let configs: BTreeSet<_> = images.iter().map(|(_, one)| one.manifest.config.digest).collect();
    if configs.len() > 1 {
        return Err(ChoiceError::Several { arch, found: entries(images.iter().map(|(_, one)| one.descriptor)) });
    }
    // The same config says the same layers: one image, in several packings.
    let best = images.iter().min_by_key(|(place, one)| (packing(&one.manifest), *place));
    best.map(|(place, _)| *place).ok_or_else(|| {
        let what = |one: &Looked<'_>| {
            artifact::of_manifest(&one.manifest)
                .or_else(|| one.platform.as_ref().filter(|platform| platform.is_named()).map(ToString::to_string))
                .unwrap_or_else(|| "an image without a platform".to_owned())
        };
        let found: Vec<_> = looked.iter().map(what).collect();
        ChoiceError::NoArch { arch, found: printable(&found.join(", ")) }
    })
}

/// Whether an entry says for which platform it is.
pub fn names_platform(entry: &Descriptor) -> bool {
    entry.platform.as_ref().is_some_and(Platform::is_named)
}

/// How well the layers of a manifest are understood everywhere; less is better.
fn packing(manifest: &Manifest) -> u8 {
    let of = |layer: &Descriptor| match layer.media_type.as_str() {
        gzip if gzip.ends_with("gzip") => 0,
        zstd if zstd.ends_with("zstd") => 2,
        _ => 1,
    };
    manifest.layers.iter().map(of).max().unwrap_or(0)
}

/// Whether an entry is annotated as another compression of an image that is listed beside it.
fn is_repacked(entry: &Descriptor) -> bool {
    entry.annotations.iter().any(|(key, value)| key.starts_with("io.github.containers.compression.") && value == "true")
}

fn is_index(entry: &Descriptor) -> bool {
    [media_type::OCI_INDEX, media_type::DOCKER_LIST].contains(&entry.media_type.as_str())
}

/// The platforms of an index, or if it has none what it has.
fn platforms(manifests: &[Descriptor]) -> String {
    let mut found = Vec::new();
    for entry in manifests.iter().filter(|entry| artifact::of_entry(entry).is_none()) {
        let Some(platform) = &entry.platform else { continue };
        let features = platform.os_features.join(", ");
        let name = if features.is_empty() { platform.to_string() } else { format!("{platform} with {features}") };
        if !found.contains(&name) {
            found.push(name);
        }
    }
    let kinds: BTreeSet<_> = manifests.iter().filter_map(artifact::of_entry).map(str::to_owned).collect();
    let found = if found.is_empty() { kinds.into_iter().collect() } else { found };
    if found.is_empty() { "nothing".to_owned() } else { printable(&found.join(", ")) }
}

/// Entries by digest, with what tells them apart.
fn entries<'a>(list: impl IntoIterator<Item = &'a Descriptor>) -> String {
    let line = |entry: &Descriptor| {
        let platform = entry.platform.as_ref().filter(|platform| platform.is_named()).map(ToString::to_string);
        let kind = artifact::of_entry(entry).map(str::to_owned);
        let annotations = entry.annotations.iter().take(3).map(|(key, value)| format!("{key}={value}"));
        let about: Vec<_> = platform.into_iter().chain(kind).chain(annotations).collect();
        let about = if about.is_empty() { String::new() } else { format!(" ({})", about.join(", ")) };
        format!("{}{}", entry.digest, printable(&about))
    };
    let mut lines: Vec<_> = list.into_iter().map(line).collect();
    let more = lines.len().saturating_sub(LISTED);
    lines.truncate(LISTED);
    lines.extend((more > 0).then(|| format!("and {more} more")));
    if lines.is_empty() { "nothing".to_owned() } else { lines.join(", ") }
}

/// A foreign text as it may be shown.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '\u{fffd}' }).take(1000).collect()
}

/// The architecture of a name that points to a single manifest whose config says `found`: the wanted one, if no
/// other is wanted.
pub fn only_arch(found: &Platform, wanted: &[Arch]) -> Result<Arch, ChoiceError> {
    if !found.is_named() {
        return Err(ChoiceError::NoPlatform);
    }
    let missing = wanted.iter().find(|arch| !found.is_linux_on(**arch));
    match (wanted, missing) {
        ([only], None) => Ok(*only),
        (_, missing) => {
            let arch = missing.or(wanted.first()).copied().unwrap_or(Arch::Amd64);
            Err(ChoiceError::NoArch { arch, found: printable(&found.to_string()) })
        }
    }
}

/// Refuses a manifest that is no image's, or whose config is not read.
pub fn check_image(manifest: &Manifest) -> Result<(), ChoiceError> {
    if let Some(kind) = artifact::of_manifest(manifest) {
        return Err(ChoiceError::NoImage(kind));
    }
    if manifest.config.size > MAX_CONFIG { Err(ChoiceError::LargeConfig(manifest.config.size)) } else { Ok(()) }
}

/// Whether the config is for `arch` and has as many layers as the manifest. A config that names no platform
/// contradicts no index. Any variant of an image may be `chosen`.
pub fn agree(layers: usize, config: &ImageConfig, arch: Arch, chosen: bool) -> Result<(), ChoiceError> {
    let platform = config.platform();
    let fits = if chosen { platform.is_some_linux_on(arch) } else { platform.is_linux_on(arch) };
    if platform.is_named() && !fits {
        return Err(ChoiceError::ArchLie { arch, config: printable(&platform.to_string()) });
    }
    let diff_ids = config.rootfs.diff_ids.len();
    if diff_ids == layers { Ok(()) } else { Err(ChoiceError::Layers { manifest: layers, config: diff_ids }) }
}

/// The variant that the lock keeps of an entry: one that runs on every host of its architecture.
#[must_use]
pub fn variant(entry: &Descriptor, arch: Arch) -> Option<String> {
    let platform = entry.platform.as_ref().filter(|platform| platform.is_linux_on(arch))?;
    platform.variant.clone().filter(|variant| !variant.is_empty())
}

/// What a manifest pins.
#[must_use]
pub fn locked(arch: Arch, variant: Option<String>, pin: Pin, manifest: &Manifest) -> LockedManifest {
    let layers = manifest.layers.iter().map(pin_of).collect();
    LockedManifest { arch, variant, manifest: pin, config: pin_of(&manifest.config), layers }
}

/// A descriptor as the lock writes it.
#[must_use]
pub fn pin_of(descriptor: &Descriptor) -> Pin {
    Pin { digest: descriptor.digest, size: descriptor.size, media_type: descriptor.media_type.clone() }
}

/// The pin of a document that ferry makes itself.
#[must_use]
pub fn pin_to(media_type: &str, bytes: &[u8]) -> Pin {
    Pin { digest: Digest::of(bytes), size: bytes.len() as u64, media_type: media_type.to_owned() }
}

/// The index that is carried instead of one that lists `listed`, unless that lists just what is carried, each once
/// and for its platform.
#[must_use]
pub fn narrowed(listed: &[Descriptor], manifests: &[LockedManifest]) -> Option<Pin> {
    let leads = |entry: &Descriptor, one: &LockedManifest| {
        let says = entry.platform.as_ref().is_some_and(|platform| platform.is_linux_on(one.arch));
        entry.digest == one.manifest.digest && says
    };
    let whole =
        listed.len() == manifests.len() && listed.iter().all(|entry| manifests.iter().any(|one| leads(entry, one)));
    (!whole).then(|| pin_to(media_type::OCI_INDEX, &derived::narrowed_index(manifests)))
}

#[cfg(test)]
mod tests;
