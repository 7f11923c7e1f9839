//! The exact gzip bytes of a layer, made again from its plain bytes and a small recipe.
//!
//! A registry names a layer by the digest of its *compressed* bytes. Whoever carries the plain bytes under a better
//! compression must be able to run the producer's encoder again and get the same bytes, bit by bit. This crate holds
//! those encoders, each behind an id whose output never changes, and finds out which one made a blob.
//!
//! It owns the encoders and the recipe. It knows no registry, no bundle, no file: plain bytes come from a reader and
//! gzip bytes go to a writer.
//!
//! ```text
//! gzip blob ──find_recipe──► Recipe (kept: it has rebuilt the whole blob)     plain bytes + Recipe ──encode──► gzip blob
//! ```

mod deflate;
mod encode;
mod error;
mod find;
mod go;
mod gzip;
mod klauspost;
mod parallel;
mod pieces;
mod recipe;
mod workers;
mod writes;
mod zlib;

pub use encode::{Encoded, encode};
pub use error::{EncodeError, FindError, RecipeError};
pub use find::{candidates, find_recipe};
pub use go::border::Border;
pub use gzip::GzipHeader;
pub use parallel::encode_parallel;
pub use recipe::{EncoderId, Recipe, Writes};
