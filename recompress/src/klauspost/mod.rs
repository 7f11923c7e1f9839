//! The encoder of klauspost/compress 1.15 to 1.18 at its default level, 5, alone and within pgzip.
//!
//! [`search`] finds matches, [`block`] writes blocks and lets several share one description of codes, [`estimate`]
//! guesses what new codes would cost, and [`encoder`] puts them together with pgzip's cut into pieces of 1 MiB.
//! podman, buildah and skopeo write layers with it. What this code puts out never changes.

pub(crate) mod block;
pub(crate) mod encoder;
pub(crate) mod estimate;
pub(crate) mod search;
