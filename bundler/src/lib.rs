//! How a bundle is made: resolve, fetch, pack; and how it is served and pushed. The side with a network.

mod artifact;
pub mod choice;
pub mod cli;
pub mod commands;
pub mod distribution;
pub mod event;
pub mod failure;
pub mod fetch;
pub mod local;
pub mod names;
pub mod origin;
pub mod pack;
pub mod push;
pub mod resolve;
pub mod shelf;
pub mod source;
pub mod ui;
pub mod vendor;
