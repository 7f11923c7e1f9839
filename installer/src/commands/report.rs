//! `report`: what happened, from the journal alone: JSON, JUnit, and a page to print and sign.

use std::path::PathBuf;

use ferry_engine::event::Event;
use ferry_engine::{journal, report};

use crate::cli::Common;
use crate::failure::{self, ExitCode, Failure};
use crate::session::Session;

/// Write the report anew from the journal. Touches no host.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The site file.
    #[arg(value_name = "SITE.yaml")]
    site: PathBuf,
}

/// Runs it.
pub(crate) fn run(arguments: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let session = Session::open(&arguments.site, common)?;
    write(&session)?;
    Ok(ExitCode::Success)
}

/// Writes the report into the state folder.
pub(crate) fn write(session: &Session) -> Result<(), Failure> {
    let path = session.journal.path();
    let records = journal::read(path).map_err(failure::file("read", path))?;
    let folder = session.state.join("report");
    std::fs::create_dir_all(&folder).map_err(failure::file("make", &folder))?;
    report::write(&folder, &report::fold(&records)).map_err(failure::file("write", &folder))?;
    let text = format!("the report is in {}", folder.join("report.html").display());
    session.journal.record(&Event::Note { text });
    Ok(())
}
