//! What can go wrong: with a recipe that came from elsewhere, while encoding, and while looking for a recipe.
//!
//! A blob whose producer is unknown is not an error; see [`crate::find_recipe`].

use std::io;

/// A recipe that can't be followed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RecipeError {
    /// It was written by a later version of this program.
    #[error("the recipe has version {found}, this program knows {known}; use the program that came with the bundle")]
    Version {
        /// What the recipe says.
        found: u8,
        /// What this code writes and reads.
        known: u8,
    },
    /// It names an encoder that this program does not have.
    #[error(
        "the recipe names encoder {0}, which this program does not have; use the program that came with the bundle"
    )]
    Encoder(u16),
    /// It names a level that its encoder does not have.
    #[error("encoder `{encoder}` has no level {level}; the recipe is damaged")]
    Level {
        /// The encoder's name.
        encoder: &'static str,
        /// The level in the recipe.
        level: i8,
    },
    /// Its borders do not fit the plain bytes.
    #[error("the borders of the recipe do not fit the plain bytes; the bundle is damaged, fetch it again")]
    Borders,
    /// It ends early, goes on after its end, or holds a value that nothing writes.
    #[error("the recipe is damaged at byte {0}; fetch the bundle again")]
    Damaged(usize),
}

/// Encoding stopped.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The recipe can't be followed.
    #[error("failed to follow the recipe")]
    Recipe(#[from] RecipeError),
    /// The plain bytes could not be read.
    #[error("failed to read the plain bytes at {at}")]
    Read {
        /// How many had been read.
        at: u64,
        /// Why.
        source: io::Error,
    },
    /// The gzip bytes could not be written.
    #[error("failed to write the gzip bytes at {at}")]
    Write {
        /// How many had been written.
        at: u64,
        /// Why.
        source: io::Error,
    },
}

/// Looking for a recipe stopped: the blob could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The blob could not be opened again.
    #[error("failed to open the blob")]
    Open(#[source] io::Error),
    /// The blob could not be read.
    #[error("failed to read the blob at {at}")]
    Read {
        /// How many bytes of it had been read.
        at: u64,
        /// Why.
        source: io::Error,
    },
}
