//! From a lock to a bundle whose every byte but the blobs is known: index, documents, places; then signed.
//!
//! [`UnsignedBundle`] → [`SignedBundle`]: only the latter can be written, and leaving the signature out needs a
//! call with an ugly name.

use std::collections::{BTreeMap, BTreeSet};

use crate::archive::{Header, Layout, padding};
use crate::compact::{Made, squeeze_small};
use crate::digest::Digest;
use crate::documents;
use crate::index::{self, Entry, Extent, Index, Storage, VERBATIM_HEAD, blob_name, pack_name};
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

/// What a bundle does not simply carry as it is.
#[derive(Debug, Clone, Default)]
pub struct Packing {
    /// The blobs that are made again on site, each with what it is made from.
    pub packs: BTreeMap<Digest, Made>,
    /// The blobs that are left out, because they are where the bundle will be applied.
    pub left_out: BTreeSet<Digest>,
    /// The serials it can be applied to, ascending. Empty: it is complete.
    pub applies_to: Vec<u64>,
    /// The envelope of the same content stored verbatim, signed by the same keys: [`SignedBundle::head`].
    pub verbatim_head: Vec<u8>,
}

impl Packing {
    /// What must be where the bundle is applied: what is left out, and what newer layers lean on.
    fn requires(&self, contents: &Contents) -> Vec<Extent> {
        let left_out = self.left_out.iter().map(|digest| Extent { digest: *digest, size: contents.blobs[digest].size });
        let older = self.packs.values().filter_map(|made| Some(made.how.leans_on?.blob));
        left_out.chain(older).collect::<BTreeSet<_>>().into_iter().collect()
    }
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
    /// Everything that follows from `lock`, every blob as it is.
    pub fn of(lock: &Lock) -> Result<Self, ContentsError> {
        Self::build(lock, None)
    }

    /// The same content with some blobs packed or left out.
    ///
    /// # Panics
    /// If a blob that is left out is none of the lock's.
    pub fn packed(lock: &Lock, packing: &Packing) -> Result<Self, ContentsError> {
        Self::build(lock, Some(packing))
    }

    fn build(lock: &Lock, packing: Option<&Packing>) -> Result<Self, ContentsError> {
        let contents = Contents::of(lock)?;
        let mut documents = vec![
            ("lock.yaml", lock.to_yaml().into_bytes()),
            ("sbom.json", documents::sbom(lock)),
            ("transfer-list.csv", documents::transfer_list_csv(lock)),
            ("transfer-list.txt", documents::transfer_list_text(lock)),
            ("oci-layout", derived::OCI_LAYOUT.to_vec()),
            ("index.json", derived::layout_index(lock)),
        ];
        if let Some(packing) = packing {
            let head = squeeze_small(&packing.verbatim_head, &documents[0].1).expect("memory to memory");
            documents.push((VERBATIM_HEAD, head));
        }
        let entry = |name: String, extent: Extent, storage| Entry {
            name,
            digest: extent.digest,
            size: extent.size,
            offset: 0,
            storage,
        };
        let mut entries: Vec<Entry> = documents
            .iter()
            .map(|(name, bytes)| entry((*name).to_owned(), Extent::of(bytes), Storage::Verbatim))
            .collect();
        let mut inline: BTreeMap<_, _> = documents.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
        for (digest, blob) in &contents.blobs {
            if packing.is_some_and(|packing| packing.left_out.contains(digest)) {
                continue;
            }
            if let Some(made) = packing.and_then(|packing| packing.packs.get(digest)) {
                entries.push(entry(pack_name(digest), made.stored, Storage::Rebuilt(Box::new(made.how.clone()))));
                continue;
            }
            let extent = Extent { digest: *digest, size: blob.size };
            entries.push(entry(blob_name(digest), extent, Storage::Verbatim));
            if let Some(Supply::Derived(bytes)) = blob.supplies.first() {
                inline.insert(blob_name(digest), bytes.clone());
            }
        }
        let layout = Layout::of(entries.iter().map(|entry| (entry.name.clone(), entry.size)));
        for (entry, member) in entries.iter_mut().zip(&layout.members) {
            entry.offset = member.data_at();
        }
        let applies_to = packing.map(|packing| packing.applies_to.clone()).unwrap_or_default();
        let requires = packing.map(|packing| packing.requires(&contents)).unwrap_or_default();
        let readme = match packing {
            None => documents::readme(lock),
            Some(_) => documents::readme_packed(lock, &applies_to),
        };
        let index = Index {
            format: if packing.is_some() { 2 } else { 1 },
            product: lock.product.clone(),
            serial: lock.serial,
            created: lock.created,
            valid_for_days: lock.valid_for_days,
            applies_to,
            requires,
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
    /// What is stored of a blob.
    Stored(&'a Entry),
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

    /// Everything before the content: the envelope.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.head
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

    /// What has to be brought, by its digest as stored, and where each belongs. Of a verbatim bundle: blobs.
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
                None => Piece::Stored(entry),
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
        self.pieces().filter_map(move |piece| match piece {
            Piece::Bytes(bytes) => {
                let here = at;
                at += bytes.len() as u64;
                Some((here, bytes))
            }
            Piece::Stored(entry) => {
                at += entry.size;
                None
            }
        })
    }
}
