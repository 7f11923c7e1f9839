//! How the double of Harbor is set up.

use std::collections::BTreeMap;

/// How a Harbor is set up.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct HarborOptions {
    /// The projects that are there.
    pub projects: Vec<&'static str>,
    /// Those of them that are public.
    pub public: Vec<&'static str>,
    /// Those of them that are caches of another registry.
    pub caches: Vec<&'static str>,
    /// The user and password that may push; without them everybody may.
    pub account: Option<(&'static str, &'static str)>,
    /// What that user may do in projects: `pull` or `pull,push`; all if empty.
    pub rights: BTreeMap<&'static str, &'static str>,
    /// Whether that user may not make projects.
    pub no_new_projects: bool,
    /// Says of each project asked for that it is not there, and then that somebody else has just made it.
    pub race: bool,
    /// All tags are fixed once they are put.
    pub immutable: bool,
    /// How many bytes of blobs are taken.
    pub quota: Option<u64>,
    /// Manifests may be put, but not pulled.
    pub signed_only: bool,
    /// The token service is broken.
    pub no_tokens: bool,
}
