//! What is done to a host, as data: files, folders, units, commands, registry content.
//!
//! An [`Action`] says what is to be so. From it follow, as text and without a host, the script that looks whether it is so
//! ([`Action::probe`]) and the part of a script that makes it so ([`Action::part`]); what takes it back follows from the host's own
//! record ([`back`]). So a plan can be shown, approved, and compared with what ran. Every one of them may be cut off at any moment and run
//! again: that is what each is written for.

mod back;
mod block;
mod data;
mod file;
mod folder;
mod push;
mod run;
mod script;
mod unit;

pub use back::{back, record_key, taking_back};
pub use block::Block;
pub use data::{DataFolder, DataKind, give_back, take_folder};
pub use file::{Content, File, REGISTRY_AUTHORITY};
pub use folder::Folder;
pub use push::{Push, PushedFile, PushedImage};
pub use run::{Run, Subject};
pub use script::{LEDGER, MARKS, Part, STATE_FOLDER, Said, said, script, stdin};
pub use unit::Unit;

use serde::{Deserialize, Serialize};

/// Something that is to be so on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Action {
    /// A file with just this content.
    File(File),
    /// A folder.
    Folder(Folder),
    /// A marked part of a file that others write, too.
    Block(Block),
    /// A systemd unit, enabled and running with just these inputs.
    Unit(Unit),
    /// A command, with a question that tells whether it is needed.
    Run(Run),
    /// Images in the site's registry.
    Push(Push),
}

/// How an action is made so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By its part of a script alone.
    Script,
    /// Its part of a script keeps what was there; then a file comes from the bundle.
    Upload,
    /// Images go to the registry.
    Push,
}

/// What a script reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Nothing.
    None,
    /// This text.
    Text(String),
    /// The content of this name in the vault.
    Vault(String),
}

/// How an action stands on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Whether nothing needs to be done.
    pub satisfied: bool,
    /// What was seen, on one line. For the same state it is the same text.
    pub seen: String,
}

impl Action {
    /// One line for people, such as `file /etc/hosts`.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::File(file) => format!("file {}", file.path),
            Self::Folder(folder) => format!("folder {}", folder.path),
            Self::Block(block) => format!("lines in {}", block.path),
            Self::Unit(unit) => format!("unit {}", unit.name),
            Self::Run(run) => run.title.clone(),
            Self::Push(push) if push.files.is_empty() => format!("{} images into the registry", push.images.len()),
            Self::Push(push) => {
                format!("{} images and {} files into the registry", push.images.len(), push.files.len())
            }
        }
    }

    /// The script that prints on one line how things stand. It changes nothing. None where no script can look.
    #[must_use]
    pub fn probe(&self) -> Option<String> {
        match self {
            Self::File(file) => Some(file.probe()),
            Self::Folder(folder) => Some(folder.probe()),
            Self::Block(block) => Some(block.probe()),
            Self::Unit(unit) => Some(unit.probe()),
            Self::Run(run) => Some(run.probe()),
            Self::Push(_) => None,
        }
    }

    /// What the line that the probe printed means.
    #[must_use]
    pub fn judge(&self, seen: &str) -> State {
        let satisfied = match self {
            Self::File(file) => seen == file.wanted(),
            Self::Folder(folder) => seen == folder.wanted(),
            Self::Block(block) => seen == block.wanted(),
            Self::Unit(unit) => seen == unit.wanted(),
            Self::Run(_) | Self::Push(_) => seen == run::YES,
        };
        State { satisfied, seen: seen.to_owned() }
    }

    /// How it is made so.
    #[must_use]
    pub fn way(&self) -> Way {
        match self {
            Self::File(file) if matches!(file.content, Content::Blob { .. } | Content::Member { .. }) => Way::Upload,
            Self::Push(_) => Way::Push,
            _ => Way::Script,
        }
    }

    /// Its part of a script, which looks, and makes it so. None where no script can.
    #[must_use]
    pub fn part(&self) -> Option<Part> {
        match self {
            Self::File(file) => Some(file.part()),
            Self::Folder(folder) => Some(folder.part()),
            Self::Block(block) => Some(block.part()),
            Self::Unit(unit) => Some(unit.part()),
            Self::Run(run) => Some(run.part()),
            Self::Push(_) => None,
        }
    }

    /// How many bytes cross the operator's link if it is not so yet.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            // What a host fetches from the registry has crossed the operator's link once, with the push.
            Self::File(file) if matches!(file.content, Content::Fetched { .. }) => 0,
            Self::File(file) => file.content.size(),
            Self::Block(block) => block.text.len() as u64,
            Self::Push(push) => push.bytes,
            Self::Folder(_) | Self::Unit(_) | Self::Run(_) => 0,
        }
    }

    /// How many seconds it may take before it is given up.
    #[must_use]
    pub fn deadline(&self) -> u64 {
        match self {
            Self::Run(run) => run.seconds,
            Self::Unit(_) => 180,
            // As slow as 500 kB a second.
            Self::File(file) => 120 + file.content.size() / 500_000,
            _ => 120,
        }
    }
}
