//! The origin: what the internet would serve, on loopback, built here.
//!
//! ```text
//! components: Go modules ─build─► programs ─pack─► files, tarballs, images ─serve─► 127.0.0.1:port
//!                                                         │
//! vendor-lists/ (templates) ─lists─► vendor lists with the digests of this build ─► ferry-bundle --vendor-lists
//! ```
//! All of it is kept by the hash of its recipe: the second time takes seconds.

mod archive;
mod build;
mod components;
mod lists;
mod pack;
mod serve;
mod userland;

use std::time::Instant;

pub use serve::Served;

use crate::error::Error;
use crate::hosts;
use crate::place::Place;
use crate::ui::Ui;

/// Everything that is served, packed and ready.
#[derive(Debug)]
pub struct Stock {
    files: Vec<pack::PackedFile>,
    images: Vec<pack::PackedImage>,
}

impl Stock {
    /// Builds and packs what is not there yet.
    pub fn made(place: &Place, ui: &Ui) -> Result<Self, Error> {
        let began = Instant::now();
        let components = build::all(place, ui)?;
        let trees = pack::Trees { hosts: hosts::tree(place)?, extra: userland::tree(place)? };
        let file = |release| pack::file(place, &components, release);
        let image = |recipe| pack::image(place, &components, &trees, recipe);
        let files = components::RELEASES.iter().map(file).collect::<Result<Vec<_>, _>>()?;
        let images = components::IMAGES.iter().map(image).collect::<Result<Vec<_>, _>>()?;
        ui.say(format!(
            "{} files and {} images are ready ({:.1} s)",
            files.len(),
            images.len(),
            began.elapsed().as_secs_f64()
        ));
        Ok(Self { files, images })
    }

    /// The references of the images, with the digests that they have here.
    pub fn images(&self) -> Vec<(String, String)> {
        let digest = |image: &pack::PackedImage| ferry_bundle_format::Digest::of(&image.manifest).to_string();
        self.images.iter().map(|image| (image.reference.to_string(), digest(image))).collect()
    }
}
