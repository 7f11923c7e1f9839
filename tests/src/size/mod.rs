//! The size benchmark: real layers of two adjacent versions, and what becomes of them in a compact bundle and in an upgrade
//! package. `inputs` makes the layers (Debian's packages, Go's programs, the gzip of Go itself), `measure` stores them
//! with the code that `make` uses, `table` says what came out beside what is asked for.

mod debian;
mod golang;
mod inputs;
mod measure;
mod table;
mod tool;

pub use inputs::{Kind, Pair, fetch};
pub use measure::{Figures, measure};
pub use table::{CHANGED_GOAL, FULL_GOAL, Table};

/// What the benchmark's steps fail with: a sentence for whoever ran it.
pub type Failure = Box<dyn std::error::Error>;
