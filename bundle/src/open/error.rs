//! Why a bundle is refused: each variant with its place.

use std::io;
use std::path::PathBuf;

use crate::archive::HeaderError;
use crate::compact::RebuildError;
use crate::digest::Digest;
use crate::index::{Extent, IndexError};
use crate::lock::contents::ContentsError;
use crate::oci::OciError;
use crate::sign::SignatureError;
use crate::trust::TrustError;
use crate::volume::VolumeError;
use crate::yaml::Problems;

/// Why a bundle is refused. The number is that of the step that refused it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder or device.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A folder whose volumes do not give a file.
    #[error("can't open the volumes")]
    Volumes(#[source] VolumeError),
    /// Step 1: a member that should stand here does not.
    #[error("step 1, envelope: at byte {at} should stand {expected}, but {found}")]
    Envelope {
        /// Where in the file.
        at: u64,
        /// The member's name.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// Step 1: a header that is not of our profile.
    #[error("step 1, envelope: the header at byte {at} is refused")]
    EnvelopeHeader {
        /// Where in the file.
        at: u64,
        /// Why.
        source: HeaderError,
    },
    /// Step 2: signatures that do not fit.
    #[error("step 2, signatures: signatures.json is refused")]
    Signature(#[source] SignatureError),
    /// Step 2: signatures that are not enough.
    #[error("step 2, signatures: the bundle is not trusted")]
    Untrusted(#[source] TrustError),
    /// Step 3: an older bundle than the site has seen.
    #[error("step 3, serial: the bundle is refused")]
    Serial(#[source] TrustError),
    /// Step 4 (or 3, before the serial can be read): the index.
    #[error("step 4, index: bundle.json is refused")]
    Index(#[source] IndexError),
    /// Step 5: too short or too long.
    #[error("step 5, size: the file has {actual} bytes, by its index it must have {expected}: it is {}", if actual < expected { "cut off" } else { "followed by something else" })]
    Size {
        /// By the index.
        expected: u64,
        /// On disk.
        actual: u64,
    },
    /// Step 6: a file that does not follow from the index.
    #[error("step 6, checksums: {name} (at byte {at}) is not what follows from the index")]
    Checksums {
        /// The member.
        name: String,
        /// Where in the file.
        at: u64,
    },
    /// Step 7: damaged members, all of them.
    #[error("step 7, content: {} damaged:{}", plural(.0.len()), list(.0))]
    Damaged(Vec<Damage>),
    /// Step 8: a lock that can't be read.
    #[error("step 8, lock: lock.yaml is refused")]
    Lock(#[source] Problems),
    /// Step 8: a lock whose content is impossible.
    #[error("step 8, lock: lock.yaml is refused")]
    Contents(#[source] ContentsError),
    /// Step 8: lock and index disagree.
    #[error("step 8, lock: {0}")]
    Disagree(String),
    /// Step 9: an image's documents contradict each other or the lock.
    #[error("step 9, images: {name} is refused: {why}")]
    Image {
        /// The image.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// Step 9: an image's document that can't be read.
    #[error("step 9, images: a document of {name} is refused")]
    Document {
        /// The image.
        name: String,
        /// Why.
        source: OciError,
    },
    /// Something that the bundle does not hold.
    #[error("the bundle holds no {0}")]
    Missing(String),
    /// A blob that is stored compact can't be made.
    #[error("{name} can't be rebuilt")]
    Rebuild {
        /// The blob's name.
        name: String,
        /// Why.
        source: RebuildError,
    },
    /// A package whose base is not at hand, or not all of it.
    #[error("{} of the {needed} blobs that this package needs are missing: {}{}", missing.len(), serials(applies_to), listed(missing))]
    Base {
        /// The serials that it can be applied to.
        applies_to: Vec<u64>,
        /// How many blobs it needs.
        needed: usize,
        /// Those that are nowhere.
        missing: Vec<Extent>,
    },
    /// A base that the package was not made for.
    #[error("{0}")]
    Unfit(String),
    /// Content that changed after the bundle was opened, or was never what the index says.
    #[error("{name} (bytes {from} to {to} of the file) is not what the index says")]
    Content {
        /// The member.
        name: String,
        /// Its first byte in the file.
        from: u64,
        /// The byte behind its last.
        to: u64,
    },
}

fn plural(n: usize) -> String {
    if n == 1 { "1 member is".to_owned() } else { format!("{n} members are") }
}

fn serials(applies_to: &[u64]) -> String {
    let list: Vec<String> = applies_to.iter().map(u64::to_string).collect();
    format!("it applies to serial {}", list.join(" or "))
}

/// How many missing blobs are named one by one.
const NAMED: usize = 20;

fn listed(missing: &[Extent]) -> String {
    let mut text: String =
        missing.iter().take(NAMED).map(|one| format!("\n  {} ({} bytes)", one.digest, one.size)).collect();
    if missing.len() > NAMED {
        text.push_str(&format!("\n  and {} more", missing.len() - NAMED));
    }
    text
}

fn list(damages: &[Damage]) -> String {
    damages.iter().map(|damage| format!("\n  {damage}")).collect()
}

/// One damaged member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Its name.
    pub name: String,
    /// Its first byte (of the header) in the file.
    pub from: u64,
    /// The byte behind its last.
    pub to: u64,
    /// What is wrong.
    pub what: DamageKind,
}

/// What is wrong with a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DamageKind {
    /// Its header is not the one that belongs there.
    Header(String),
    /// Its content has another digest.
    Digest {
        /// By the index.
        expected: Digest,
        /// As read.
        actual: Digest,
    },
    /// It read differently the second time: the medium, the reader or the memory is failing.
    Unstable,
    /// The padding behind it, or the end of the archive, is not zero.
    Padding {
        /// The first byte that is not.
        at: u64,
    },
    /// It can't be read.
    Unreadable(String),
    /// Its bytes are right, but the blob that the index says does not come out of them.
    Rebuild(String),
    /// It is left out of the package, and the base's is damaged.
    Base(String),
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let DamageKind::Base(why) = &self.what {
            return write!(f, "{} in the base: {why}", self.name);
        }
        write!(f, "{} (bytes {} to {}): ", self.name, self.from, self.to)?;
        match &self.what {
            DamageKind::Header(why) => write!(f, "{why}"),
            DamageKind::Digest { expected, actual } => write!(f, "should be {expected}, is {actual}"),
            DamageKind::Unstable => write!(f, "read differently twice: the medium or the memory is failing"),
            DamageKind::Padding { at } => write!(f, "byte {at} should be zero"),
            DamageKind::Rebuild(why) => write!(f, "the blob can't be rebuilt from it: {why}"),
            DamageKind::Base(why) | DamageKind::Unreadable(why) => write!(f, "can't be read: {why}"),
        }
    }
}

impl OpenError {
    /// A stable word for the refusal, for machines and tests. Listed in `docs/error-codes.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "read",
            Self::NotAFile { .. } => "not-a-file",
            Self::Volumes(_) => "volumes",
            Self::Envelope { .. } => "envelope-member",
            Self::EnvelopeHeader { source, .. } => source.code(),
            Self::Signature(SignatureError::Malformed(_)) => "signature-malformed",
            Self::Signature(SignatureError::Invalid(_)) => "signature-invalid",
            Self::Untrusted(TrustError::Unsigned) => "unsigned",
            Self::Untrusted(_) => "untrusted",
            Self::Serial(TrustError::Rollback { .. }) => "rollback",
            Self::Serial(TrustError::SameSerial { .. }) => "same-serial",
            Self::Serial(_) => "fast-forward",
            Self::Index(IndexError::Malformed(_)) => "index-malformed",
            Self::Index(IndexError::Newer(_)) => "index-newer",
            Self::Index(IndexError::Entry { .. }) => "index-entry",
            Self::Size { .. } => "size",
            Self::Checksums { .. } => "checksums",
            Self::Damaged(_) => "damaged",
            Self::Lock(_) => "lock-malformed",
            Self::Contents(_) => "lock-contents",
            Self::Disagree(_) => "lock-disagrees",
            Self::Image { .. } => "image",
            Self::Document { source, .. } => source.code(),
            Self::Missing(_) => "missing",
            Self::Content { .. } => "content",
            Self::Rebuild { .. } => "rebuild",
            Self::Base { .. } => "base-missing",
            Self::Unfit(_) => "base-unfit",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        if let Self::Volumes(error) = self {
            return error.hint();
        }
        Some(
            match self {
                Self::Untrusted(TrustError::Threshold { .. }) => {
                    "compare the fingerprint with the sender by another way, then pass the key with --trust FILE.pub"
                }
                Self::Untrusted(TrustError::Unsigned) => {
                    "ask for a signed bundle; --insecure-unsigned lets it in and says so in every output"
                }
                Self::Untrusted(_) => "check --threshold and the keys given with --trust",
                Self::Serial(TrustError::Rollback { .. }) => {
                    "carry the newest bundle; going back on purpose needs a signed permit"
                }
                Self::Serial(TrustError::SameSerial { .. }) => {
                    "ask who made it for a bundle with a higher serial: two bundles of one serial can't be told apart later"
                }
                Self::Signature(_) | Self::Checksums { .. } | Self::Damaged(_) | Self::Content { .. } => {
                    "carry the file again; nothing of it has been used"
                }
                Self::Size { actual, expected } if actual < expected => "the copy is incomplete: carry the file again",
                Self::Envelope { .. } | Self::EnvelopeHeader { .. } => {
                    "is this a ferry bundle? if so, it was changed on the way: carry it again"
                }
                Self::Base { .. } => {
                    "it is an upgrade package: give what it needs with --base (the bundle of that serial, or a store that has it), or make \
                     the full bundle of both first: ferry-bundle apply PACKAGE --base BUNDLE -o FULL"
                }
                Self::Unfit(_) => "give the bundle of that serial, or a package made for this one",
                Self::Index(IndexError::Newer(_)) => "use the ferry that made the bundle, or a newer one",
                _ => return None,
            }
            .to_owned(),
        )
    }
}
