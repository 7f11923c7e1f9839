//! From a lock to a bundle whose every byte but the blobs is known: index, documents, places; then signed.
//!
//! [`UnsignedBundle`] → [`SignedBundle`]: only the latter can be written, and leaving the signature out needs a
//! call with an ugly name.

use std::collections::BTreeMap;

use crate::archive::{Header, Layout, padding};
use crate::digest::Digest;
use crate::documents;
use crate::index::{self, Entry, Extent, Index, Storage, blob_name};
use crate::lock::contents::{Contents, ContentsError, Supply};
use crate::lock::{Lock, derived};
use crate::sign::{SecretKey, Signatures, minisign, sshsig};

/// Where a blob belongs in the archive file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where its first byte stands, from the file's start.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
}

/// A bundle that nobody has signed yet.
#[derive(Debug, Clone)]
pub struct UnsignedBundle {
    readme: Vec<u8>,
    index: Index,
    index_bytes: Vec<u8>,
    sums: Vec<u8>,
    inline: BTreeMap<String, Vec<u8>>,
    contents: Contents,
}

impl UnsignedBundle {
    /// Everything that follows from `lock`.
    pub fn of(lock: &Lock) -> Result<Self, ContentsError> {
        let contents = Contents::of(lock)?;
        let documents = [
            ("lock.yaml", lock.to_yaml().into_bytes()),
            ("sbom.json", documents::sbom(lock)),
            ("transfer-list.csv", documents::transfer_list_csv(lock)),
            ("transfer-list.txt", documents::transfer_list_text(lock)),
            ("oci-layout", derived::OCI_LAYOUT.to_vec()),
            ("index.json", derived::layout_index(lock)),
        ];
        let mut extents: Vec<(String, Extent)> =
            documents.iter().map(|(name, bytes)| ((*name).to_owned(), Extent::of(bytes))).collect();
        extents.extend(
            contents
                .blobs
                .iter()
                .map(|(digest, blob)| (blob_name(digest), Extent { digest: *digest, size: blob.size })),
        );
        let mut inline: BTreeMap<_, _> = documents.map(|(name, bytes)| (name.to_owned(), bytes)).into();
        for (digest, blob) in &contents.blobs {
            if let Some(Supply::Derived(bytes)) = blob.supplies.first() {
                inline.insert(blob_name(digest), bytes.clone());
            }
        }
        let layout = Layout::of(extents.iter().map(|(name, extent)| (name.clone(), extent.size)));
        let entries = extents
            .into_iter()
            .zip(&layout.members)
            .map(|((name, extent), member)| Entry {
                name,
                digest: extent.digest,
                size: extent.size,
                offset: member.data_at(),
                storage: Storage::Verbatim,
            })
            .collect();
        let readme = documents::readme(lock);
        let index = Index {
            format: index::FORMAT,
            product: lock.product.clone(),
            serial: lock.serial,
            created: lock.created,
            valid_for_days: lock.valid_for_days,
            applies_to: Vec::new(),
            arches: lock.arches.clone(),
            lock: lock.digest(),
            readme: Extent::of(&readme),
            artifacts: index::artifacts(lock),
            entries,
        };
        let index_bytes = index.to_json();
        let sums = documents::sums(&index, &index_bytes);
        Ok(Self { readme, index, index_bytes, sums, inline, contents })
    }

    /// The index.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Signs with all `keys`, which must not be empty: see [`Self::leave_unsigned_insecurely`].
    ///
    /// # Panics
    /// If `keys` is empty.
    #[must_use]
    pub fn sign(self, keys: &[SecretKey]) -> SignedBundle {
        assert!(!keys.is_empty(), "signing needs a key");
        self.seal(keys)
    }

    /// Leaves the bundle without a signature. Everything that reads it will refuse it, or say so in every output.
    #[must_use]
    pub fn leave_unsigned_insecurely(self) -> SignedBundle {
        self.seal(&[])
    }

    fn seal(self, keys: &[SecretKey]) -> SignedBundle {
        let signatures = Signatures::sign(&self.index_bytes, keys);
        let comment = minisign_comment(&self.index);
        let mut envelope = vec![
            ("README.txt".to_owned(), self.readme),
            ("bundle.json".to_owned(), self.index_bytes),
            ("signatures.json".to_owned(), signatures.to_json()),
            ("SHA256SUMS".to_owned(), self.sums),
        ];
        for (n, signature) in signatures.signatures.iter().enumerate() {
            let key =
                keys.iter().find(|key| key.public() == signature.public_key).expect("signed by one of these keys");
            let sums = &envelope[3].1;
            let pair = [minisign::sign(key, sums, &comment), sshsig::sign(key, sums)];
            envelope.extend(signature_names(n).into_iter().zip(pair.map(String::into_bytes)));
        }
        let mut head = Vec::new();
        for (name, bytes) in envelope {
            head.extend_from_slice(&Header { name, size: bytes.len() as u64 }.encode());
            head.extend_from_slice(&bytes);
            head.resize(head.len() + usize::try_from(padding(bytes.len() as u64)).expect("less than a block"), 0);
        }
        let layout = Layout::of(self.index.entries.iter().map(|entry| (entry.name.clone(), entry.size)));
        SignedBundle { head, layout, index: self.index, inline: self.inline, contents: self.contents }
    }
}

/// The names of the `n`th signature's minisign and OpenSSH files, from 0.
#[must_use]
pub fn signature_names(n: usize) -> [String; 2] {
    let infix = if n == 0 { String::new() } else { format!(".{}", n + 1) };
    [format!("SHA256SUMS{infix}.minisig"), format!("SHA256SUMS{infix}.sig")]
}

/// The trusted comment of the minisign files.
#[must_use]
pub fn minisign_comment(index: &Index) -> String {
    let product = &index.product;
    format!(
        "{} {} channel {} serial {} locked {}",
        product.name, product.version, product.channel, index.serial, index.created
    )
}

/// A bundle that can be written: all that is missing are the blobs, and their places are known.
#[derive(Debug, Clone)]
pub struct SignedBundle {
    head: Vec<u8>,
    layout: Layout,
    index: Index,
    inline: BTreeMap<String, Vec<u8>>,
    contents: Contents,
}

/// A stretch of the archive, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'a> {
    /// These bytes.
    Bytes(std::borrow::Cow<'a, [u8]>),
    /// The content of this blob.
    Blob(Digest),
}

impl SignedBundle {
    /// The index.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The blobs with their supplies.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The digest of everything before the blobs: whether an interrupted file was going to be this one.
    #[must_use]
    pub fn head_digest(&self) -> Digest {
        Digest::of(&self.head)
    }

    /// Whether `file` begins as this bundle does and has its length: then it is this bundle, unless it was damaged
    /// since it was made.
    pub fn is_at_head_of(&self, file: &std::fs::File) -> std::io::Result<bool> {
        if file.metadata()?.len() != self.length() {
            return Ok(false);
        }
        let mut head = vec![0; self.head.len()];
        std::os::unix::fs::FileExt::read_exact_at(file, &mut head, 0)?;
        Ok(head == self.head)
    }

    /// The length of the archive in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.layout.archive_length(self.head.len() as u64)
    }

    /// The blobs that have to be brought, and where each belongs.
    #[must_use]
    pub fn places(&self) -> BTreeMap<Digest, Place> {
        let base = self.head.len() as u64;
        let place = |entry: &Entry| (entry.digest, Place { offset: base + entry.offset, size: entry.size });
        self.index.entries.iter().filter(|e| !self.inline.contains_key(&e.name)).map(place).collect()
    }

    /// The whole archive from first to last byte, piece by piece.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let members = self.layout.members.iter().zip(&self.index.entries).flat_map(|(member, entry)| {
            let content = match self.inline.get(&entry.name) {
                Some(bytes) => Piece::Bytes(bytes.as_slice().into()),
                None => Piece::Blob(entry.digest),
            };
            let pad = vec![0; usize::try_from(padding(entry.size)).expect("less than a block")];
            [Piece::Bytes(member.header.encode().to_vec().into()), content, Piece::Bytes(pad.into())]
        });
        std::iter::once(Piece::Bytes(self.head.as_slice().into()))
            .chain(members)
            .chain(std::iter::once(Piece::Bytes(vec![0; 1024].into())))
    }

    /// Everything but the blobs that have to be brought, each stretch with its place in the file; what lies
    /// between is zero.
    pub fn skeleton(&self) -> impl Iterator<Item = (u64, std::borrow::Cow<'_, [u8]>)> {
        let mut at = 0;
        let sizes: BTreeMap<Digest, u64> =
            self.contents.blobs.iter().map(|(digest, blob)| (*digest, blob.size)).collect();
        self.pieces().filter_map(move |piece| match piece {
            Piece::Bytes(bytes) => {
                let here = at;
                at += bytes.len() as u64;
                Some((here, bytes))
            }
            Piece::Blob(digest) => {
                at += sizes[&digest];
                None
            }
        })
    }
}
