//! What is done to a host, as data: files, folders, units, commands, registry content.
//!
//! An [`Action`] says what is to be so. From it follow, as text and without a host, the script that looks whether it is so
//! ([`Action::probe`]), the scripts that make it so ([`Action::apply`]) and those that take it back ([`Action::undo`]): so a
//! plan can be shown, approved, and compared with what ran. Every one of them may be cut off at any moment and run
//! again: that is what each is written for.

mod back;
mod block;
mod file;
mod folder;
mod push;
mod run;
mod script;
mod unit;

pub use back::{back, record_key, taking_back};
pub use block::Block;
pub use file::{Content, File, REGISTRY_AUTHORITY};
pub use folder::Folder;
pub use push::{Push, PushedFile, PushedImage};
pub use run::{Run, Subject};
pub use script::{LEDGER, STATE_FOLDER};
pub use unit::Unit;

use serde::{Deserialize, Serialize};

use crate::host::Stdin;

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

/// One command of an action, or one transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A script, run as root.
    Script {
        /// The script.
        script: String,
        /// What stands on its standard input.
        input: Input,
    },
    /// A file that comes from the bundle.
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

    /// What makes it so, in order.
    #[must_use]
    pub fn apply(&self) -> Vec<Piece> {
        match self {
            Self::File(file) => file.apply(),
            Self::Folder(folder) => vec![Piece::plain(folder.apply())],
            Self::Block(block) => vec![block.apply()],
            Self::Unit(unit) => vec![Piece::plain(unit.apply())],
            Self::Run(run) => vec![Piece::plain(run.apply())],
            Self::Push(_) => vec![Piece::Push],
        }
    }

    /// What takes it back, where that can be done.
    #[must_use]
    pub fn undo(&self) -> Option<String> {
        match self {
            Self::File(file) => Some(file.undo()),
            Self::Folder(folder) => Some(folder.undo()),
            Self::Block(block) => Some(block.undo()),
            Self::Unit(unit) => Some(unit.undo()),
            Self::Run(run) => run.undo(),
            Self::Push(_) => None,
        }
    }

    /// How many bytes cross the operator's link if it is not so yet.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            // What a host fetches from the registry has crossed the operator's link once, with the push.
            Self::File(File { content: Content::Fetched { .. }, .. })
            | Self::Folder(_)
            | Self::Unit(_)
            | Self::Run(_) => 0,
            Self::File(file) => file.content.size(),
            Self::Block(block) => block.text.len() as u64,
            Self::Push(push) => push.bytes,
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

impl Piece {
    fn plain(script: String) -> Self {
        Self::Script { script, input: Input::None }
    }
}

impl Input {
    /// As a command's standard input, with `vault` to look secrets up.
    pub fn stdin(&self, vault: &dyn Fn(&str) -> Option<crate::host::Secret>) -> Option<Stdin> {
        Some(match self {
            Self::None => Stdin::Empty,
            Self::Text(text) => Stdin::Text(text.clone()),
            Self::Vault(name) => Stdin::Secret(vault(name)?),
        })
    }
}
