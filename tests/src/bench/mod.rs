//! What the benchmark needs: a set of images on a real registry, and a measure of whole programs.

pub mod measure;
pub mod set;
