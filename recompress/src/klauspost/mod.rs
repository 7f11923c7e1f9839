//! The encoder of klauspost/compress, alone and within pgzip, and what Go 1.27 made of it.
//!
//! [`fast`] finds matches for levels 1 to 6 (each with a finder of its own), [`patient`] for levels 7 to 9; [`block`]
//! writes blocks and lets several share one description of codes, [`estimate`] guesses what new codes would cost, and
//! [`encoder`] puts them together with pgzip's cut into pieces of 1 MiB. podman, buildah and skopeo write layers with
//! it. [`flavour`] says in what its versions differ. What this code puts out never changes.

pub(crate) mod block;
pub(crate) mod encoder;
pub(crate) mod estimate;
pub(crate) mod fast;
pub(crate) mod flavour;
pub(crate) mod history;
pub(crate) mod one_table;
pub(crate) mod pairs;
pub(crate) mod patient;
pub(crate) mod repeats;
pub(crate) mod search;
pub(crate) mod short_and_long;
