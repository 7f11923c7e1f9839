//! Images that a build machine left: `docker save` tars, OCI archives, OCI layouts.
//!
//! Nothing is unpacked. An archive's members are listed once with their places, then read by position; a
//! folder's files are opened without following links. Whatever a document is asked for by digest is hashed
//! before it is believed; layers are hashed by whoever reads them, except those of a `docker save` tar, whose
//! digests nobody wrote down.
//!
//! ```text
//! archive ─┐                       ┌─ layout (index.json, by name)      ─┐
//!          ├─ source (members) ────┤                                     ├─ resolve → LocalImage
//! folder ──┘                       └─ docker (manifest.json, by RepoTags)┘  LocalBlobs → Region
//! ```

mod archive;
mod blobs;
mod docker;
mod entry;
mod error;
mod extension;
mod folder;
mod image;
mod layout;
mod name;
mod source;

pub use blobs::LocalBlobs;
pub use error::LocalError;
pub use image::{LocalImage, resolve};
