//! stub
use std::path::Path; use crate::error::Error; use crate::place::Place; use crate::ui::Ui;
pub struct Stock; pub struct Served;
impl Stock { pub fn made(_: &Place, _: &Ui) -> Result<Self, Error> { Ok(Self) } }
impl Served { pub fn start(_: &Stock, _: u16) -> Result<Self, Error> { Ok(Self) } pub fn write_lists(&self, _: &Path) -> Result<(), Error> { Ok(()) } pub fn address(&self) -> String { String::new() } pub fn flags(&self, _: &Path) -> Vec<String> { vec![] } pub fn until_interrupted(self) -> Result<(), Error> { Ok(()) } }
