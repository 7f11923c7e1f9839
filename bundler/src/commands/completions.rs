//! `completions`: shell completions, and man pages.

use std::path::PathBuf;

use crate::failure::{self, ExitCode, Failure};
use crate::ui;

/// Flags of `completions`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ferry-bundle completions bash > /etc/bash_completion.d/ferry-bundle\n  ferry-bundle completions --man /usr/local/share/man/man1"
)]
pub struct Args {
    /// Print completions for this shell.
    #[arg(required_unless_present = "man")]
    pub shell: Option<clap_complete::Shell>,
    /// Write a man page for each verb into this folder.
    #[arg(long, value_name = "FOLDER")]
    pub man: Option<PathBuf>,
}

/// Prints or writes them.
pub fn run(args: &Args, command: &mut clap::Command) -> Result<(), Failure> {
    if let Some(folder) = &args.man {
        std::fs::create_dir_all(folder).map_err(failure::io("make", folder))?;
        clap_mangen::generate_to(command.clone(), folder).map_err(failure::io("write man pages to", folder))?;
    }
    if let Some(shell) = args.shell {
        let mut text = Vec::new();
        clap_complete::generate(shell, command, "ferry-bundle", &mut text);
        let text = String::from_utf8(text).map_err(|error| Failure::of(ExitCode::Bug, &error))?;
        ui::out(text.trim_end());
    }
    Ok(())
}
