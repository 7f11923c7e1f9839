//! The site's registry, filled through the SSH connection of its own host: content crosses the operator's link once, and the
//! port that accepts it listens on that host's loopback only.

mod client;
mod files;
mod image;
mod push;

pub use files::{FILES_REPOSITORY, FilesManifest, url as file_url};
pub(crate) use image::MANIFEST;
pub use image::{PROBE_REPOSITORY, ProbeImage};
pub use push::{lacking, look, push};
