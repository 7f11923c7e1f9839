//! Why splitting, receiving or sending again fails; what each means and what to do.

use std::io;
use std::path::{Path, PathBuf};

use super::code::CodeError;
use super::join::JoinError;
use super::set::SetError;
use super::split::SplitError;
use crate::room::NoRoom;
use crate::yaml::Problems;

/// Why work with volumes fails.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The system refuses.
    #[error("can't {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else works on the same output.
    #[error("{} is being written by another process", path.display())]
    Busy {
        /// The output.
        path: PathBuf,
    },
    /// Something else stands there.
    #[error("{} is there already, and is not what would be written", path.display())]
    Exists {
        /// The output.
        path: PathBuf,
    },
    /// The disk has not enough room.
    #[error(transparent)]
    Room(#[from] NoRoom),
    /// Nothing to carry, or a name that no gate lets pass.
    #[error("{} can't be split: {why}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The file does not fit through the gate.
    #[error("{length} bytes do not fit through the gate {gate:?}: {why}")]
    Shape {
        /// The gate.
        gate: String,
        /// The file's length.
        length: u64,
        /// Why.
        why: String,
    },
    /// The gate's file.
    #[error(transparent)]
    Gate(#[from] Problems),
    /// No such preset.
    #[error("{name:?} is neither a file nor a preset; there are {known}")]
    NoGate {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// Splitting.
    #[error("can't split {}", path.display())]
    Split {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SplitError,
    },
    /// There is no volume.
    #[error("no volume was found in {places} ({files} files looked at)")]
    Nothing {
        /// Where it was looked.
        places: String,
        /// How many files there are.
        files: usize,
    },
    /// More than one set.
    #[error("volumes of {} sets are there:\n{}", sets.len(), sets.join("\n"))]
    Several {
        /// One line each.
        sets: Vec<String>,
    },
    /// No set of that id.
    #[error("no volume of set {asked} was found; there are:\n{}", sets.join("\n"))]
    OtherSet {
        /// Which was asked for.
        asked: String,
        /// One line each.
        sets: Vec<String>,
    },
    /// Joining.
    #[error("can't put {name} together")]
    Join {
        /// The file.
        name: String,
        /// Why.
        source: JoinError,
    },
    /// The set's descriptor.
    #[error(transparent)]
    Set(#[from] SetError),
    /// A code that is none.
    #[error("can't read the code")]
    Code(#[from] CodeError),
    /// A block that was asked for is not there to be sent.
    #[error("{what} of set {set} is not in {}", path.display())]
    NotHere {
        /// Which volume or block.
        what: String,
        /// The set.
        set: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The custody log does not hold together.
    #[error("the custody log {} was changed: line {line} does not follow from the one before it", path.display())]
    Custody {
        /// The log.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
}

impl VolumeError {
    /// Whether it may be otherwise in a moment: a disc is being changed, volumes are on their way, or a set is being sorted
    /// out.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Nothing { .. } | Self::Several { .. } | Self::OtherSet { .. } => true,
            Self::Io { doing, .. } => matches!(*doing, "look at" | "list"),
            _ => false,
        }
    }

    /// What to do, if that is not plain from the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Exists { path } => {
                format!("give another name, or move {} away; --force replaces a file", path.display())
            }
            Self::Shape { .. } => "choose a gate with larger volumes: --gate".to_owned(),
            Self::Several { .. } | Self::OtherSet { .. } => {
                "say which with --set and the first digits of its id, or keep the sets in folders of their own"
                    .to_owned()
            }
            Self::Nothing { .. } => "give the folders (or drives) that hold the volumes".to_owned(),
            Self::Code(CodeError::Checksum) => "have it read out again, group by group".to_owned(),
            Self::Join { source: JoinError::Wrong { .. }, .. } => {
                "nothing was published: have the file split again from a copy that verifies".to_owned()
            }
            Self::Split { source: SplitError::Changed { .. }, .. } => "wait until nobody writes to it".to_owned(),
            Self::Custody { .. } => "keep it as evidence, and give another --log".to_owned(),
            Self::Room(_) => "make room and run the same command again, or write to another disk".to_owned(),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "make room and run the same command again: what is there is used".to_owned()
            }
            _ => return None,
        })
    }
}

/// From an input or output error on a path.
pub(super) fn io<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> VolumeError + 'a {
    move |source| VolumeError::Io { doing, path: path.to_owned(), source }
}
