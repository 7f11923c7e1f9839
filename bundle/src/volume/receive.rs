//! Receiving, in rounds: look, and either publish the file or keep what is good and say what is missing.
//!
//! ```text
//! look ─► one set? ─► enough? ─yes─► join, compare, publish, clear      Round::Received
//!                        └──no────► keep the good blocks                Round::Incomplete { code }
//! ```
//! Any number of rounds may follow each other, each with other folders: what was kept counts as one more folder. A run that
//! was killed leaves nothing that the next one believes.

use std::path::PathBuf;

use super::code;
use super::error::VolumeError;
use super::gather::{Assembly, Gathering};
use super::join::JoinError;
use super::look::Looker;
use super::need::Need;
use super::picture::{Picture, describe};
use super::place::Place;
use super::set::Set;

/// What to receive, and where to.
#[derive(Debug, Clone)]
pub struct Order {
    /// Folders or files to look at.
    pub places: Vec<PathBuf>,
    /// The file to write.
    pub output: PathBuf,
    /// The first digits of the set's id, where there are several.
    pub set: Option<String>,
    /// Replace what stands there.
    pub force: bool,
    /// How many threads read.
    pub jobs: usize,
    /// Keep good blocks of an incomplete round.
    pub keep: bool,
}

/// How a round ended.
#[derive(Debug, Clone)]
pub enum Round {
    /// The file is there, whole.
    Received {
        /// What it is.
        set: Set,
        /// How its volumes stood.
        picture: Picture,
        /// How many blocks were repaired.
        repaired: u64,
        /// It was there before.
        already: bool,
    },
    /// Too little is at hand.
    Incomplete {
        /// What it will be.
        set: Set,
        /// How its volumes stand.
        picture: Picture,
        /// The least that must come.
        need: Need,
        /// The same, to be read aloud.
        code: String,
        /// How many bytes were kept in this round.
        kept: u64,
    },
}

/// A place in which a file is received, and what has been read so far.
#[derive(Debug)]
pub struct Receiver {
    order: Order,
    place: Place,
    looker: Looker,
}

impl Receiver {
    /// Claims the output.
    pub fn new(order: Order) -> Result<Self, VolumeError> {
        let place = Place::claim(&order.output)?;
        Ok(Self { order, place, looker: Looker::default() })
    }

    /// One round. `passed` hears how many bytes were read or written.
    pub fn round(&mut self, passed: &(dyn Fn(u64) + Sync)) -> Result<Round, VolumeError> {
        loop {
            let (gathering, files) =
                self.looker.look(&self.order.places, Some(self.place.kept()), self.order.jobs, passed)?;
            let assembly = self.choose(&gathering, files)?;
            let picture = Picture::of(&gathering, assembly);
            let set = assembly.plan.set.clone();
            if self.place.is_there(assembly, self.order.force)? {
                return Ok(Round::Received { set, picture, repaired: 0, already: true });
            }
            if !picture.enough {
                let need = Need::least(assembly);
                let code = code::encode(&assembly.plan, &need);
                let kept = if self.order.keep { self.place.keep(assembly)? } else { 0 };
                return Ok(Round::Incomplete { set, picture, need, code, kept });
            }
            match self.place.join(assembly, passed) {
                Ok(repaired) => return Ok(Round::Received { set, picture, repaired, already: false }),
                // Something was taken away or changed since it was looked at: the next look will tell.
                Err(VolumeError::Join { source: JoinError::TooFew { .. }, .. }) => self.looker.forget(),
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends a run that received the file: what was kept for it goes.
    pub fn clear(self) -> Result<(), VolumeError> {
        self.place.clear()
    }

    /// Ends a run that did not; what was kept stays.
    pub fn release(self) {
        self.place.release();
    }

    fn choose<'a>(&self, gathering: &'a Gathering, files: usize) -> Result<&'a Assembly, VolumeError> {
        choose(gathering, self.order.set.as_deref(), &self.order.places, files)
    }
}

/// The set that is meant: the one of this id, or the only one.
pub fn choose<'a>(
    gathering: &'a Gathering,
    id: Option<&str>,
    places: &[PathBuf],
    files: usize,
) -> Result<&'a Assembly, VolumeError> {
    let all: Vec<&Assembly> = gathering.sets().values().collect();
    let lines = || all.iter().map(|assembly| describe(assembly)).collect();
    if all.is_empty() {
        let places = places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", ");
        return Err(VolumeError::Nothing { places, files });
    }
    let asked = id.unwrap_or_default();
    let wanted = asked.trim_start_matches("sha256:").to_ascii_lowercase();
    let fits = all.iter().filter(|assembly| assembly.plan.id.hex().starts_with(&wanted)).copied().collect::<Vec<_>>();
    match fits.as_slice() {
        [one] => Ok(one),
        [] => Err(VolumeError::OtherSet { asked: asked.to_owned(), sets: lines() }),
        _ => Err(VolumeError::Several { sets: lines() }),
    }
}
