//! Compact storage: a gzip layer carried as its plain bytes under zstd, with the recipe that makes the very same gzip
//! bytes again. The digests that registries and signatures name stay what they are.
//!
//! ```text
//! blob ──make──► frames (packs/<hex>.zst) + Rebuilt (in the signed index)        kept only if it rebuilt the whole blob
//! frames + Rebuilt [+ the older blob it leans on] ──Rebuilder──► the blob, streamed, never more of it than its size,
//!                                                                the last piece held back until the digest is right
//! ```
//! Memory of a rebuild: one segment's window (at most 128 MiB), as much again for an older layer's bytes, and the
//! encoder. Nothing is written to disk.

mod blob;
mod cache;
mod frames;
mod make;
mod pipe;
mod plain;
mod rebuild;
mod rebuilt;
mod sample;
mod turns;

pub use blob::{BlobCursor, StoredBlob};
pub use cache::{Cache, CacheError, Kept};
pub use frames::{LEVEL, SEGMENT, decompress_small, squeeze_small};
pub use make::{Limits, Made, MakeError, Older, make};
pub use rebuild::{RebuildError, Rebuilder};
pub use rebuilt::{Leans, Rebuilt, Segment};
pub use sample::{gzip_as_go, plain_layer, prose};
pub use turns::{Shared, Turn, Turns};
