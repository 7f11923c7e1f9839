//! Generated image layers: real tar, real gzip, of any size.
//!
//! A small layer is compressed as usual. A large one is a tar around noise in stored gzip blocks, computed
//! when it is read, because noise does not compress anyway and gigabytes do not belong in memory.

use std::io::{self, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use ferry_bundle_format::Digest;
use ferry_bundle_format::compact::{gzip_as_go, plain_layer};
use flate2::{Compression, GzBuilder};

use super::generated::{Concatenated, GeneratedBlob, StoredGzip};
use super::tarball::{Entry, Tarball, padding};
use crate::distribution::BlobReader;

/// Layers with more noise than this are computed, not kept, in bytes.
const KEPT: u64 = 4 * 1024 * 1024;

/// One layer in both forms.
#[derive(Clone)]
pub struct Layer {
    /// The digest of the gzip form.
    pub digest: Digest,
    /// The digest of the tar.
    pub diff_id: Digest,
    /// The gzip form.
    pub packed: Arc<dyn BlobReader>,
    /// The tar.
    pub plain: Arc<dyn BlobReader>,
}

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Layer({}, {} bytes, diff id {})", self.digest, self.packed.size(), self.diff_id)
    }
}

impl Layer {
    /// A layer with a program of `size` bytes that compresses as programs do, under the gzip of Go. The same `seed` in another
    /// `release` differs in a word of five hundred: what an update of a program is like.
    pub fn of_release(seed: u64, release: u64, size: u64) -> io::Result<Self> {
        let plain = plain_layer(seed, release, usize::try_from(size).map_err(io::Error::other)?);
        let packed = Bytes::from(gzip_as_go(&plain, 6));
        let diff_id = Digest::of(&plain);
        Ok(Self { digest: Digest::of(&packed), diff_id, packed: Arc::new(packed), plain: Arc::new(Bytes::from(plain)) })
    }

    /// A layer with a few text files named after `purpose`, and a binary of `size` bytes of noise.
    pub fn generate(purpose: &str, size: u64, seed: u64) -> io::Result<Self> {
        let release = format!("NAME=\"ferry {purpose}\"\nID=ferry\nVERSION_ID=\"{seed}\"\n");
        let script = format!("#!/bin/sh\nexec /usr/lib/{purpose}/{purpose}.bin \"$@\"\n");
        let directory = format!("usr/lib/{purpose}");
        let binary = Entry { mode: 0o755, ..Entry::file(&format!("{directory}/{purpose}.bin"), size) };
        let front = Tarball::new()
            .directory("etc")
            .file(&format!("etc/{purpose}-release"), release.as_bytes())
            .directory("usr")
            .directory("usr/bin")
            .executable(&format!("usr/bin/{purpose}"), script.as_bytes())
            .entry(&Entry::symlink("usr/bin/run", purpose), &[])
            .directory("usr/lib")
            .directory(&directory)
            .entry(&binary, &[])
            .unfinished();
        let parts: [Arc<dyn BlobReader>; 3] = [
            Arc::new(Bytes::from(front)),
            Arc::new(GeneratedBlob::new(seed, size)),
            Arc::new(Bytes::from(vec![0; padding(size) + 1024])),
        ];
        let plain = Concatenated::new(parts);
        let diff_id = plain.digest()?;
        let (plain, packed): (Arc<dyn BlobReader>, Arc<dyn BlobReader>) = if size > KEPT {
            (Arc::new(plain.clone()), Arc::new(StoredGzip::new(plain)?))
        } else {
            let bytes = plain.read_all()?;
            let packed = gzip(&bytes)?;
            (Arc::new(Bytes::from(bytes)), Arc::new(Bytes::from(packed)))
        };
        Ok(Self { digest: packed.digest()?, diff_id, packed, plain })
    }
}

/// Compresses as `gzip -n` does: no name, no time.
pub(super) fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::new(6));
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn releases_of_a_layer_are_gzip_and_differ_in_little() {
        let plain = |release| {
            let layer = Layer::of_release(4, release, 100_000).unwrap();
            let mut plain = Vec::new();
            let packed = layer.packed.read_all().unwrap();
            flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut plain).unwrap();
            assert_eq!((Digest::of(&plain), plain.len() % 512), (layer.diff_id, 0));
            String::from_utf8_lossy(&plain).split(' ').map(str::to_owned).collect::<std::collections::BTreeSet<_>>()
        };
        let (one, two) = (plain(1), plain(2));
        assert!(one != two && one.intersection(&two).count() * 10 > one.len() * 9);
    }

    #[test]
    fn both_kinds_of_layer_unpack_to_their_diff_id() {
        for size in [0, 1000, KEPT + 1] {
            let layer = Layer::generate("app", size, 3).unwrap();
            let packed = layer.packed.read_all().unwrap();
            assert_eq!(Digest::of(&packed), layer.digest);
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut plain).unwrap();
            assert_eq!((Digest::of(&plain), plain.len() % 512), (layer.diff_id, 0));
            assert_eq!(Layer::generate("app", size, 3).unwrap().digest, layer.digest);
        }
        assert_ne!(Layer::generate("app", 9, 3).unwrap().digest, Layer::generate("app", 9, 4).unwrap().digest);
    }
}
