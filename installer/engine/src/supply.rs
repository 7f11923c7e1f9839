//! What the bundle supplies: binaries by name, members of vendors' archives, images, each as a source of bytes.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use ferry_bundle_format::compact::StoredBlob;
use ferry_bundle_format::digest::digest_reader;
use ferry_bundle_format::lock::{Lock, LockedFile, LockedImage};
use ferry_bundle_format::open::{OpenError, VerifiedBundle};
use ferry_bundle_format::{Arch, Digest};
use flate2::read::GzDecoder;

use crate::action::Content;
use crate::host::{BundleBlob, Source};

/// The largest member of a vendor's archive that is taken, in bytes: 1 GiB, four times the largest known.
const LARGEST_MEMBER: u64 = 1 << 30;

/// What a bundle supplies.
pub struct Supply {
    bundle: Arc<VerifiedBundle>,
    lock: Lock,
    archives: Mutex<BTreeMap<Digest, Arc<Listing>>>,
}

/// What is in an archive, once it has been read; who asks meanwhile waits.
type Listing = Mutex<Option<Arc<Vec<Member>>>>;

/// A regular file in a vendor's `.tar.gz`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its path, without a leading `./`.
    pub path: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Where its bytes begin in the uncompressed archive.
    at: u64,
}

/// Why something can't be had from the bundle.
#[derive(Debug, thiserror::Error)]
pub enum SupplyError {
    /// The bundle does not carry it.
    #[error("the bundle carries no {what} for {arch}")]
    Missing {
        /// What.
        what: String,
        /// For which architecture.
        arch: Arch,
    },
    /// A vendor's archive can't be read.
    #[error("can't read {name} in the bundle")]
    Archive {
        /// The archive's name.
        name: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The bundle can't be read.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl SupplyError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { what, .. } => Some(format!("add {what} to the manifest and make the bundle anew")),
            _ => None,
        }
    }
}

impl Supply {
    /// Of a bundle whose every byte has been checked. An upgrade package is refused: it has to be applied to its base first.
    pub fn of(bundle: Arc<VerifiedBundle>) -> Result<Self, SupplyError> {
        bundle.check_bases()?;
        let lock = bundle.lock()?;
        Ok(Self { bundle, lock, archives: Mutex::default() })
    }

    /// The bundle.
    #[must_use]
    pub fn bundle(&self) -> &VerifiedBundle {
        &self.bundle
    }

    /// Its lock.
    #[must_use]
    pub fn lock(&self) -> &Lock {
        &self.lock
    }

    /// The version of a component.
    #[must_use]
    pub fn version(&self, component: &str) -> Option<&str> {
        self.lock.components.iter().find(|one| one.name.as_str() == component).map(|one| one.version.as_str())
    }

    /// A file by its name, for an architecture (or for all).
    pub fn file(&self, name: &str, arch: Arch) -> Result<&LockedFile, SupplyError> {
        let fits = |file: &&LockedFile| file.name.as_str() == name && file.arch.is_none_or(|one| one == arch);
        self.lock.files.iter().find(fits).ok_or_else(|| SupplyError::Missing { what: name.to_owned(), arch })
    }

    /// The first of several names under which vendors publish the same thing.
    pub fn any_file(&self, names: &[&str], arch: Arch) -> Result<&LockedFile, SupplyError> {
        let found = names.iter().find_map(|name| self.file(name, arch).ok());
        found.ok_or_else(|| SupplyError::Missing { what: names.join(" or "), arch })
    }

    /// A file's content, for a host.
    #[must_use]
    pub fn content(file: &LockedFile) -> Content {
        Content::Blob { digest: file.digest, size: file.size }
    }

    /// The regular files in a vendor's `.tar.gz`, each with its digest. Read once.
    pub fn members(&self, file: &LockedFile) -> Result<Arc<Vec<Member>>, SupplyError> {
        let listing =
            self.archives.lock().unwrap_or_else(PoisonError::into_inner).entry(file.digest).or_default().clone();
        let mut listing = listing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(members) = &*listing {
            return Ok(members.clone());
        }
        let fail = |source| SupplyError::Archive { name: file.name.as_str().to_owned(), source };
        let blob = self.bundle.blob(&file.digest)?;
        let members = Arc::new(list(&blob).map_err(fail)?);
        *listing = Some(members.clone());
        Ok(members)
    }

    /// Begins to read what is in the vendors' archives, which takes seconds, on a thread of its own: while hosts are asked, nobody
    /// needs it yet. What can't be read is told to whoever asks for it.
    pub fn read_ahead(self: &Arc<Self>) {
        let supply = self.clone();
        std::thread::spawn(move || {
            let packed = |file: &&LockedFile| [".tar.gz", ".tgz"].iter().any(|end| file.name.as_str().ends_with(end));
            for file in supply.lock.files.iter().filter(packed) {
                drop(supply.members(file));
            }
        });
    }

    /// The member of that file name in a vendor's archive, wherever in it.
    pub fn member(&self, file: &LockedFile, name: &str) -> Result<Content, SupplyError> {
        let members = self.members(file)?;
        let found = members.iter().find(|member| member.path.rsplit('/').next() == Some(name));
        let arch = file.arch.unwrap_or(Arch::Amd64);
        let missing = || SupplyError::Missing { what: format!("{name} in {}", file.name.as_str()), arch };
        found.map(|member| member.content(file.digest)).ok_or_else(missing)
    }

    /// The image whose reference begins with `repository` (`registry/path`, without a tag).
    pub fn image(&self, repository: &str, arch: Arch) -> Result<&LockedImage, SupplyError> {
        let named = |image: &&LockedImage| {
            format!("{}/{}", image.name.registry(), image.name.repository()) == repository
                && image.manifests.iter().any(|one| one.arch == arch)
        };
        self.lock.images.iter().find(named).ok_or_else(|| SupplyError::Missing { what: repository.to_owned(), arch })
    }

    /// The bytes of a blob.
    pub fn blob(&self, digest: &Digest) -> Result<StoredBlob, SupplyError> {
        Ok(self.bundle.blob(digest)?)
    }

    /// Where a file's bytes come from. None for what does not come from the bundle.
    pub fn source(&self, content: &Content) -> Result<Option<Arc<dyn Source>>, SupplyError> {
        Ok(match content {
            Content::Text(_) | Content::Vault { .. } | Content::Fetched { .. } => None,
            Content::Blob { digest, .. } => Some(Arc::new(BundleBlob(self.bundle.blob(digest)?))),
            Content::Member { archive, digest, size, member } => {
                let missing = || SupplyError::Missing { what: member.clone(), arch: Arch::Amd64 };
                let file = self.lock.files.iter().find(|file| file.digest == *archive).ok_or_else(missing)?;
                let members = self.members(file)?;
                let known = members.iter().find(|one| one.digest == *digest).ok_or_else(missing)?;
                Some(Arc::new(Unpacked { blob: self.bundle.blob(archive)?, at: known.at, size: *size }))
            }
        })
    }
}

impl Member {
    /// As a file's content; `archive` is the archive's digest.
    #[must_use]
    pub fn content(&self, archive: Digest) -> Content {
        Content::Member { archive, member: self.path.clone(), digest: self.digest, size: self.size }
    }
}

fn list(blob: &StoredBlob) -> io::Result<Vec<Member>> {
    let mut archive = tar::Archive::new(GzDecoder::new(blob.reader()?));
    let mut members = Vec::new();
    for entry in archive.entries()? {
        let entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
        let (at, size) = (entry.raw_file_position(), entry.size());
        if size > LARGEST_MEMBER {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{path} has {size} bytes")));
        }
        let (digest, size) = digest_reader(entry)?;
        members.push(Member { path, digest, size, at });
    }
    Ok(members)
}

/// A member's bytes, unpacked anew whenever they are read: nothing is written to the operator's disk.
struct Unpacked {
    blob: StoredBlob,
    at: u64,
    size: u64,
}

impl Source for Unpacked {
    fn length(&self) -> u64 {
        self.size
    }
    fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut reader = GzDecoder::new(self.blob.reader()?);
        io::copy(&mut (&mut reader).take(self.at + offset), &mut io::sink())?;
        Ok(Box::new(reader.take(self.size.saturating_sub(offset))))
    }
}
