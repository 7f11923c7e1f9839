//! The file format, drawn. Format 1, and what format 2 adds.
//!
//! # The archive
//!
//! A strict ustar tar: `tar tf` works, and the whole is an OCI image layout, so `skopeo inspect oci-archive:FILE:NAME`
//! works too. Members in this order, and no others:
//!
//! ```text
//! envelope   README.txt               how to check the file with tar, sha256sum, ssh-keygen or minisign alone
//!            bundle.json              the index: product, serial, every member's digest, size, offset   ◄─┐ signed
//!            signatures.json          k-of-n Ed25519 over the exact bytes of bundle.json  ────────────────┘
//!            SHA256SUMS               of README.txt, bundle.json and everything below: `sha256sum -c`   ◄─┐ signed
//!            SHA256SUMS.minisig       the same keys, as minisign reads it  ───────────────────────────────┤
//!            SHA256SUMS.sig           the same keys, as ssh-keygen -Y verify reads it  ───────────────────┘
//!            SHA256SUMS.N.minisig/.sig   further signers, N from 2, in the order of signatures.json
//! ---------- base: offsets in the index count from here -------------------------------------------------------
//! documents  lock.yaml                what was asked for, what it resolved to, where each thing came from
//!            sbom.json                CycloneDX 1.6
//!            transfer-list.csv .txt   what crosses the gate
//!            oci-layout, index.json   the OCI layout's two files
//!            verbatim-head.zst        format 2: the envelope of the same content stored verbatim, squeezed against lock.yaml
//! content    blobs/sha256/<hex>       by digest, ascending, verbatim
//!            packs/<hex>.zst          format 2: what the blob <hex> is made from, in that blob's place in the order
//! end        1,024 zero bytes, and nothing behind them
//! ```
//!
//! * A header has no choice in it: name (≤ 100 bytes of printable ASCII, no `..`), mode 0644, owner 0, size in octal
//!   (≤ 8 GiB − 1), time 1980-01-01, type `0`. A reader writes the header that must stand there and compares.
//! * Everything follows from the lock: the same lock and the same keys give the same bytes, on any machine.
//! * Everything before the blobs is known before a blob has come, and every blob has its place. In format 2 the stored sizes
//!   are known only when all blobs have been packed: they are made first, into a cache beside the store, then assembled.
//! * The signature does not cover where the envelope ends: another signer can be added without touching the index.
//!
//! # bundle.json
//!
//! One line of JSON, see [`crate::index::Index`]. Readers ignore members they do not know, refuse a `format` above
//! theirs, and refuse a `storage` they do not know. Format 1 is written wherever nothing of format 2 is used.
//!
//! Format 2: an entry's `storage` may be `rebuilt`: the blob that comes out, its plain bytes, the recipe, the frames with
//! their lengths, and the older blob that they lean on, see [`crate::compact::Rebuilt`]. `digest` and `size` are then those
//! of the stored member, as everywhere. An upgrade package names in `appliesTo` the serials it fits, and in `requires` every
//! blob that it leaves out or leans on; each blob of the lock is an entry or required, and nothing else is required.
//!
//! # The order of trust
//!
//! ```text
//! 1 envelope (bounded reads) → 2 signatures, k of n → 3 serial → 4 index → 5 size → 6 checksums
//!                            → 7 content, each byte once → 8 lock against index → 9 images against lock
//! ```
//! Nothing is parsed before the signature over it has been checked; the signatures file itself is compared with its
//! canonical form. Nothing is ever unpacked.
//!
//! # Images of which not all platforms are carried
//!
//! Registries refuse an index whose children they do not hold. So a name leads to a *narrowed* index: the manifests
//! that are carried, derived from the lock alone. The manifests keep their digests; the original index travels too, and
//! is offered by digest, for whoever pinned it.
