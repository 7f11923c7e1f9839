//! Exactness: the encoders against the real ones, and against what they themselves made before.

mod differential;
mod golden;
mod inputs;
mod klauspost;
mod oracle;
mod zlib;
