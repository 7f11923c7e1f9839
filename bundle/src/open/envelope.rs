//! Steps 1 to 6: the envelope. Bounded reads, signatures first, the index after.

use super::error::OpenError;
use super::trusted::TrustedBundle;
use super::{Observer, Step, UnverifiedBundle};
use crate::archive::{BLOCK, Header, Layout, Region, padding};
use crate::assemble::{minisign_comment, signature_names};
use crate::digest::Digest;
use crate::documents;
use crate::index::{Identity, Index, MAX_INDEX};
use crate::sign::{MAX_SIGNATURES_FILE, Signatures, minisign, sshsig};
use crate::trust::TrustPolicy;

const MAX_README: u64 = 64 * 1024;
const MAX_SIGNATURE_FILE: u64 = 4 * 1024;

/// Reads the envelope's members one behind the other.
struct Cursor<'a> {
    bundle: &'a UnverifiedBundle,
    at: u64,
}

impl Cursor<'_> {
    fn bytes(&self, at: u64, length: u64) -> Result<Vec<u8>, OpenError> {
        let fail = |source| OpenError::Read { path: self.bundle.path.clone(), source };
        Region::new(self.bundle.file.clone(), at, length).read_all().map_err(fail)
    }

    /// The next member, which must be `name` and not larger than `limit`.
    fn member(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, OpenError> {
        let at = self.at;
        let envelope = |found: String| OpenError::Envelope { at, expected: name.to_owned(), found };
        let left = self.bundle.length.saturating_sub(at);
        if left < BLOCK {
            return Err(envelope("the file ends".into()));
        }
        let block: [u8; 512] = self.bytes(at, BLOCK)?.try_into().map_err(|_| envelope("the file ends".into()))?;
        if block.iter().all(|&b| b == 0) {
            return Err(envelope("the archive ends".into()));
        }
        let header = Header::decode(&block).map_err(|source| OpenError::EnvelopeHeader { at, source })?;
        if header.name != name {
            return Err(envelope(format!("{} does", header.name)));
        }
        if header.size > limit {
            return Err(envelope(format!("it has {} bytes, more than the limit of {limit}", header.size)));
        }
        let whole = header.size + padding(header.size);
        if left - BLOCK < whole {
            return Err(envelope("the file ends within it".into()));
        }
        let mut bytes = self.bytes(at + BLOCK, whole)?;
        let pad = bytes.split_off(usize::try_from(header.size).expect("limited above"));
        if pad.iter().any(|&b| b != 0) {
            return Err(envelope("the padding behind it is not zero".into()));
        }
        self.at += BLOCK + whole;
        Ok(bytes)
    }
}

pub(super) fn trust(
    bundle: UnverifiedBundle,
    policy: &TrustPolicy,
    observer: &dyn Observer,
) -> Result<TrustedBundle, OpenError> {
    let step = |number, title, detail: String| observer.step(Step { number, title, detail });

    let mut cursor = Cursor { bundle: &bundle, at: 0 };
    let readme_at = cursor.at;
    let readme = cursor.member("README.txt", MAX_README)?;
    let index_bytes = cursor.member("bundle.json", MAX_INDEX)?;
    let signatures = cursor.member("signatures.json", MAX_SIGNATURES_FILE)?;
    let sums_at = cursor.at;
    let sums = cursor.member("SHA256SUMS", MAX_INDEX)?;
    step(1, "envelope", format!("README, index, signatures, checksums in {} bytes", cursor.at));

    let signers = Signatures::verify(&signatures, &index_bytes).map_err(OpenError::Signature)?;
    let assurance = policy.admit(&signers).map_err(OpenError::Untrusted)?;
    step(2, "signatures", assurance.describe());

    let identity = Identity::parse(&index_bytes).map_err(OpenError::Index)?;
    policy.check_serial(&identity).map_err(OpenError::Serial)?;
    let product = &identity.product;
    step(
        3,
        "serial",
        format!("{} {} ({}), serial {}", product.name, product.version, product.channel, identity.serial),
    );

    let index = Index::parse(&index_bytes).map_err(OpenError::Index)?;
    policy.check_content(&index).map_err(OpenError::Serial)?;
    step(4, "index", format!("{} members, {} artifacts", index.entries.len(), index.artifacts.len()));

    // How many signature files there must be is known now; they stand between the checksums and the content.
    let mut files = Vec::new();
    for n in 0..signers.len() {
        for name in signature_names(n) {
            let at = cursor.at;
            files.push((at, cursor.member(&name, MAX_SIGNATURE_FILE)?, name));
        }
    }
    let base = cursor.at;
    let layout = Layout::of(index.entries.iter().map(|entry| (entry.name.clone(), entry.size)));
    let expected = layout.archive_length(base);
    if bundle.length != expected {
        return Err(OpenError::Size { expected, actual: bundle.length });
    }
    step(5, "size", format!("{expected} bytes, as the index says"));

    if sums != documents::sums(&index, &index_bytes) {
        return Err(OpenError::Checksums { name: "SHA256SUMS".into(), at: sums_at });
    }
    if Digest::of(&readme) != index.readme.digest {
        return Err(OpenError::Checksums { name: "README.txt".into(), at: readme_at });
    }
    let comment = minisign_comment(&index);
    for (key, pair) in signers.iter().zip(files.chunks_exact(2)) {
        let [(minisign_at, minisig, minisign_name), (ssh_at, sig, ssh_name)] = pair else {
            unreachable!("chunks of two")
        };
        if !minisign::verifies(key, &sums, &comment, minisig) {
            return Err(OpenError::Checksums { name: minisign_name.clone(), at: *minisign_at });
        }
        if !sshsig::verifies(key, &sums, sig) {
            return Err(OpenError::Checksums { name: ssh_name.clone(), at: *ssh_at });
        }
    }
    step(6, "checksums", format!("SHA256SUMS follows from the index; {} more signatures on it", files.len()));
    let UnverifiedBundle { path, file, length } = bundle;
    Ok(TrustedBundle::new(path, file, length, index, layout, base, assurance, Digest::of(&index_bytes)))
}
