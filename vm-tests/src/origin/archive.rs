//! A gzipped tar on its way to a file: written in one pass, hashed in both forms, the same bytes every time.
//!
//! Nothing is held in memory but buffers. Folders come by themselves before what is in them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write};
use std::path::Path;

use ferry_bundle_format::Digest;
use ferry_bundle_format::digest::{Hasher, READ_CHUNK};
use ferry_bundler::origin::Entry;
use flate2::{Compression, GzBuilder, write::GzEncoder};

use crate::error::Error;

/// An archive that is being written.
pub(super) struct Archive {
    out: Hashing<GzEncoder<Hashing<BufWriter<File>>>>,
    path: std::path::PathBuf,
    seen: BTreeSet<String>,
}

/// What an archive turned out to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finished {
    /// Of the gzip form.
    pub(super) digest: Digest,
    /// Size of the gzip form, in bytes.
    pub(super) size: u64,
    /// Of the tar.
    pub(super) diff_id: Digest,
}

struct Hashing<W> {
    inner: W,
    hasher: Hasher,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Archive {
    /// Starts an archive in a new file.
    pub(super) fn create(path: &Path) -> Result<Self, Error> {
        let file = File::create(path).map_err(Error::file("create", path))?;
        let packed = Hashing { inner: BufWriter::new(file), hasher: Hasher::new() };
        let gzip = GzBuilder::new().write(packed, Compression::new(5));
        let out = Hashing { inner: gzip, hasher: Hasher::new() };
        Ok(Self { out, path: path.to_owned(), seen: BTreeSet::new() })
    }

    /// A folder, with these permissions.
    pub(super) fn folder(&mut self, path: &str, mode: u32) -> Result<(), Error> {
        if !self.seen.insert(path.to_owned()) {
            return Ok(());
        }
        self.parents(path)?;
        self.header(&Entry { mode, ..Entry::directory(path) })
    }

    /// A file with this text.
    pub(super) fn text(&mut self, path: &str, text: &str) -> Result<(), Error> {
        if !self.seen.insert(path.to_owned()) {
            return Ok(());
        }
        self.parents(path)?;
        self.header(&Entry::file(path, text.len() as u64))?;
        self.body(text.as_bytes(), text.len() as u64)
    }

    /// A copy of a file, executable if that one is. What is there already stays as it is.
    pub(super) fn file(&mut self, path: &str, from: &Path) -> Result<(), Error> {
        use std::os::unix::fs::PermissionsExt as _;
        if !self.seen.insert(path.to_owned()) {
            return Ok(());
        }
        self.parents(path)?;
        let file = File::open(from).map_err(Error::file("open", from))?;
        let about = file.metadata().map_err(Error::file("look at", from))?;
        let mode = if about.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
        self.header(&Entry { mode, ..Entry::file(path, about.len()) })?;
        self.body(file, about.len())
    }

    /// A symbolic link.
    pub(super) fn link(&mut self, path: &str, target: &str) -> Result<(), Error> {
        if !self.seen.insert(path.to_owned()) {
            return Ok(());
        }
        self.parents(path)?;
        self.header(&Entry::symlink(path, target))
    }

    /// Ends it.
    pub(super) fn finish(mut self) -> Result<Finished, Error> {
        self.put(&[0; 1024])?;
        let failed = Error::file("write", &self.path);
        let diff_id = self.out.hasher.finish();
        let finish = || -> io::Result<(Hasher, u64)> {
            let packed = self.out.inner.finish()?;
            let file = packed.inner.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            Ok((packed.hasher, file.metadata()?.len()))
        };
        let (hasher, size) = finish().map_err(failed)?;
        Ok(Finished { digest: hasher.finish(), size, diff_id })
    }

    fn parents(&mut self, path: &str) -> Result<(), Error> {
        match path.trim_start_matches("./").rfind('/') {
            Some(_) => {
                let parent = path.rfind('/').map_or("", |at| &path[..at]).to_owned();
                self.folder(&parent, 0o755)
            }
            None => Ok(()),
        }
    }

    fn header(&mut self, entry: &Entry) -> Result<(), Error> {
        self.put(&entry.header())
    }

    fn body(&mut self, mut from: impl io::Read, size: u64) -> Result<(), Error> {
        let mut buffer = vec![0; READ_CHUNK];
        let mut left = size;
        while left > 0 {
            let count = from.by_ref().take(left).read(&mut buffer).map_err(Error::file("read into", &self.path))?;
            if count == 0 {
                return Err(Error::file("fill", &self.path)(io::ErrorKind::UnexpectedEof.into()));
            }
            self.put(&buffer[..count])?;
            left -= count as u64;
        }
        let padding = usize::try_from(size.wrapping_neg() % 512).unwrap_or_default();
        self.put(&[0; 512][..padding])
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.out.write_all(bytes).map_err(Error::file("write", &self.path))
    }
}

/// The digest of a file and its size in bytes.
pub(super) fn digest_of(path: &Path) -> Result<(Digest, u64), Error> {
    let file = fs::File::open(path).map_err(Error::file("open", path))?;
    ferry_bundle_format::digest::digest_reader(file).map_err(Error::file("read", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Program;

    #[test]
    fn other_programs_read_it_and_the_digests_are_right() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        fs::write(&source, vec![7; 1000]).unwrap();
        let path = folder.path().join("a.tar.gz");
        let write = || {
            let mut archive = Archive::create(&path).unwrap();
            archive.text("etc/passwd", "root").unwrap();
            archive.file("usr/bin/a", &source).unwrap();
            archive.link("usr/bin/b", "a").unwrap();
            archive.file("./plugin", &source).unwrap();
            archive.finish().unwrap()
        };
        let finished = write();
        assert_eq!((finished.digest, finished.size), digest_of(&path).unwrap());
        let listed = Program::new("tar").arg("-tzf").arg(&path).run().unwrap();
        assert_eq!(listed, "etc/\netc/passwd\nusr/\nusr/bin/\nusr/bin/a\nusr/bin/b\n./plugin\n");
        Program::new("gunzip").arg("-k").arg(&path).run().unwrap();
        assert_eq!(digest_of(&folder.path().join("a.tar")).unwrap().0, finished.diff_id);
        assert_eq!(write().digest, finished.digest);
    }
}
