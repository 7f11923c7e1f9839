//! From a compact bundle or an upgrade package with its base to the same content stored verbatim: the very bundle that its
//! maker would have written, with the signatures that it would have had.
//!
//! The package carries that bundle's envelope. It is trusted by the same rules before a blob is written, every member is
//! hashed on its way, and what was written is verified as a whole before anyone may use it.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::{Observer, OpenError, Silent, TrustedBundle, UnverifiedBundle, VerifiedBundle};
use crate::archive::{BLOCK, Header, Layout};
use crate::compact::decompress_small;
use crate::digest::{Hasher, READ_CHUNK};
use crate::index::{Entry, Index, MAX_INDEX, VERBATIM_HEAD};
use crate::room::{self, NoRoom};
use crate::trust::TrustPolicy;

/// The largest envelope that is read, in bytes: index, checksums, and a little.
const MAX_HEAD: u64 = 2 * MAX_INDEX + (1 << 20);

/// Why a package can't be applied.
#[derive(Debug, thiserror::Error)]
pub enum ExpandError {
    /// The package, its base, or what comes out of them is refused.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Nothing is to be done: every blob is stored as it is.
    #[error("the bundle is stored verbatim already")]
    Verbatim,
    /// The envelope that it carries is not one of the same content.
    #[error("the verbatim envelope that the bundle carries is refused: {0}")]
    Head(String),
    /// The disk has not enough room for the bundle.
    #[error(transparent)]
    Room(#[from] NoRoom),
    /// The file can't be written.
    #[error("can't write {}", path.display())]
    Write {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Writes `package` to `file` with every blob as it is. `path` is the file's name, for it is opened again to be verified.
/// Whatever the file held is gone; it must not be used unless this returns a bundle.
pub fn expand(
    package: &TrustedBundle,
    policy: &TrustPolicy,
    file: &File,
    path: &Path,
    jobs: usize,
    observer: &dyn Observer,
) -> Result<VerifiedBundle, ExpandError> {
    package.check_bases()?;
    let head = head(package)?;
    let fail = |source| ExpandError::Write { path: path.to_owned(), source };
    let length = whole_length(&head)?;
    file.set_len(0).map_err(fail)?;
    room::check(room::folder_of(path), length)?;
    file.set_len(length).and_then(|()| file.write_all_at(&head, 0)).map_err(fail)?;
    let full = UnverifiedBundle::open(path)?.trust(policy, &Silent)?;
    let (of, wanted) = (package.index(), full.index());
    if (of.lock, &of.product, of.serial) != (wanted.lock, &wanted.product, wanted.serial) || wanted.format != 1 {
        return Err(ExpandError::Head("it is of other content".into()));
    }
    for (entry, member) in wanted.entries.iter().zip(&full.layout().members) {
        let at = full.base() + member.header_at;
        file.write_all_at(&member.header.encode(), at).map_err(fail)?;
        write_member(package, entry, at + BLOCK, file, path, observer)?;
    }
    let full = UnverifiedBundle::open(path)?.trust(policy, observer)?;
    Ok(full.verify(jobs, observer)?)
}

/// The envelope of the verbatim bundle.
fn head(package: &TrustedBundle) -> Result<Vec<u8>, ExpandError> {
    if package.entry(VERBATIM_HEAD).is_none() {
        return Err(ExpandError::Verbatim);
    }
    let squeezed = package.document(VERBATIM_HEAD, MAX_HEAD)?;
    let lock = package.document("lock.yaml", crate::yaml::MAX_BYTES)?;
    decompress_small(&squeezed, &lock, MAX_HEAD).map_err(|error| ExpandError::Head(error.to_string()))
}

/// How long the bundle of this envelope is. Nothing of it is believed yet: a wrong length is refused with the bundle.
fn whole_length(head: &[u8]) -> Result<u64, ExpandError> {
    let broken = |why: &str| ExpandError::Head(why.to_owned());
    let mut at = 0;
    let mut member = || {
        let block: &[u8; 512] = head.get(at..at + 512)?.try_into().ok()?;
        let size = usize::try_from(Header::decode(block).ok()?.size).ok()?;
        let bytes = head.get(at + 512..at.checked_add(512)?.checked_add(size)?)?;
        at += 512 + size.next_multiple_of(512);
        Some(bytes)
    };
    let (_, index) = (member(), member().ok_or_else(|| broken("it has no index"))?);
    let index = Index::parse(index).map_err(|error| ExpandError::Head(error.to_string()))?;
    let layout = Layout::of(index.entries.iter().map(|entry| (entry.name.clone(), entry.size)));
    Ok(layout.archive_length(head.len() as u64))
}

/// One member's content, from the package or its base, hashed on the way.
fn write_member(
    package: &TrustedBundle,
    entry: &Entry,
    at: u64,
    file: &File,
    path: &Path,
    observer: &dyn Observer,
) -> Result<(), ExpandError> {
    let fail = |source| ExpandError::Write { path: path.to_owned(), source };
    let Some(blob) = entry.blob() else {
        let bytes = package.document(&entry.name, entry.size)?;
        if bytes.len() as u64 != entry.size {
            return Err(ExpandError::Head(format!("{} has another size", entry.name)));
        }
        return file.write_all_at(&bytes, at).map_err(fail);
    };
    let unreadable = |source| OpenError::Read { path: package.path().to_owned(), source };
    let mut reader = package.blob(&blob.digest)?.reader().map_err(unreadable)?;
    let (mut buffer, mut hasher) = (vec![0; READ_CHUNK], Hasher::new());
    loop {
        let n = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(error).into()),
        };
        if hasher.length() + n as u64 > blob.size {
            break;
        }
        file.write_all_at(&buffer[..n], at + hasher.length()).map_err(fail)?;
        hasher.update(&buffer[..n]);
        observer.read(n as u64);
    }
    let length = hasher.length();
    if length == blob.size && hasher.finish() == blob.digest {
        return Ok(());
    }
    Err(OpenError::Content { name: entry.name.clone(), from: at, to: at + blob.size }.into())
}
