//! The classic encoder of Go's `compress/flate`, as it was from Go 1.8 to 1.26.
//!
//! [`block`] decides how a block is written, [`quick`] finds matches for level 1, [`chains`] for levels 2 to 9 (in [`places`]), and
//! [`encoder`] puts them together. What this code puts out never changes: it stands behind frozen encoder ids.

pub(crate) mod block;
pub(crate) mod border;
pub(crate) mod chains;
pub(crate) mod encoder;
pub(crate) mod places;
pub(crate) mod quick;
