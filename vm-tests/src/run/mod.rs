//! stub
use std::path::PathBuf; use crate::error::Error; use crate::place::Place; use crate::hosts::Lab;
pub struct Options { pub keep: bool, pub out: Option<PathBuf> }
pub fn list() -> String { String::new() }
pub fn run(_: &Place, _: Lab, _: &str, _: &Options) -> Result<(), Error> { Ok(()) }
