//! The way in: from a file somebody handed over to a bundle that may be used, in numbered steps.
//!
//! ```text
//! UnverifiedBundle ──1 envelope ─2 signatures ─3 serial ─4 index ─5 size ─6 checksums──► TrustedBundle
//! TrustedBundle    ──7 content (every header, byte of padding and digest) ─8 lock ─9 images──► VerifiedBundle
//! ```
//! Nothing is parsed before the signature over it has been checked, nothing is unpacked at all. A
//! [`TrustedBundle`] can be listed, served and pushed from: what is read from it is checked as it is read.

mod base;
mod content;
mod envelope;
mod error;
mod expand;
mod images;
mod trusted;

pub use base::Base;
pub use error::{Damage, OpenError};
pub use expand::{ExpandError, expand};
pub use trusted::TrustedBundle;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::archive::Medium;
use crate::trust::TrustPolicy;
use crate::volume::reader::VolumeReader;

/// How many steps there are in all.
pub const STEPS: u8 = 9;

/// A step that has been passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its number, from 1 to [`STEPS`].
    pub number: u8,
    /// What was checked.
    pub title: &'static str,
    /// What was found.
    pub detail: String,
}

/// Hears of steps and of progress within the content step. Called from several threads.
pub trait Observer: Send + Sync {
    /// A step has been passed.
    fn step(&self, step: Step);
    /// This many more bytes of content have been read.
    fn read(&self, bytes: u64) {
        let _ = bytes;
    }
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn step(&self, _: Step) {}
}

/// A file that claims to be a bundle. All that can be done with it is to check it.
#[derive(Debug)]
pub struct UnverifiedBundle {
    path: PathBuf,
    file: Medium,
    length: u64,
}

impl UnverifiedBundle {
    /// Opens the file, or the folder of volumes that stands for one. A file stays open: what is checked is what is used,
    /// whatever happens to the name.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let fail = |source| OpenError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(fail)?;
        let metadata = file.metadata().map_err(fail)?;
        if metadata.is_dir() {
            let volumes = VolumeReader::open(path).map_err(OpenError::Volumes)?;
            let length = volumes.set().length;
            return Ok(Self { path: path.to_owned(), file: Arc::new(volumes), length });
        }
        if !metadata.is_file() {
            return Err(OpenError::NotAFile { path: path.to_owned() });
        }
        Ok(Self { path: path.to_owned(), file: Arc::new(file), length: metadata.len() })
    }

    /// Steps 1 to 6: whether the bundle's index may be believed. Reads a few hundred kilobytes, whatever its size.
    pub fn trust(self, policy: &TrustPolicy, observer: &dyn Observer) -> Result<TrustedBundle, OpenError> {
        envelope::trust(self, policy, observer)
    }
}

/// A bundle whose every byte has been checked.
#[derive(Debug)]
pub struct VerifiedBundle(TrustedBundle);

impl std::ops::Deref for VerifiedBundle {
    type Target = TrustedBundle;
    fn deref(&self) -> &TrustedBundle {
        &self.0
    }
}

impl TrustedBundle {
    /// Steps 7 to 9: reads every byte once, rebuilds every blob that is stored compact, on `jobs` threads, and reports all
    /// damage together. Of a package without its base, what needs the base is left unchecked, and step 7 says so.
    pub fn verify(self, jobs: usize, observer: &dyn Observer) -> Result<VerifiedBundle, OpenError> {
        content::check(&self, jobs, observer)?;
        images::check(&self, observer)?;
        Ok(VerifiedBundle(self))
    }
}
