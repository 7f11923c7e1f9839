//! `report`: what happened, from the journal alone: JSON, JUnit, and a page to print and sign.

use std::path::PathBuf;

use ferry_engine::report::Report;
use ferry_engine::{journal, report};

use crate::cli::Common;
use crate::failure::{self, ExitCode, Failure};
use crate::session::Session;
use crate::show;

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
    let report = write(&session)?;
    tell(&session, &report);
    Ok(ExitCode::Success)
}

/// Writes the report into the state folder.
pub(crate) fn write(session: &Session) -> Result<Report, Failure> {
    let path = session.journal.path();
    let contents = journal::read(path).map_err(failure::file("read", path))?;
    let folder = session.state.join("report");
    std::fs::create_dir_all(&folder).map_err(failure::file("make", &folder))?;
    let report = report::fold(&contents);
    report::write(&folder, &report).map_err(failure::file("write", &folder))?;
    Ok(report)
}

/// Says where the report is, and what it comes to: nobody has to open it to learn that the site may not be handed over.
pub(crate) fn tell(session: &Session, report: &Report) {
    if session.json {
        let data = serde_json::json!({
            "event": "report",
            "file": session.state.join("report/report.html"),
            "deliverable": report.deliverable(),
            "hindrances": report.hindrances(),
        });
        show::text(&format!("{data}\n"));
        return;
    }
    if report.damaged_lines > 0 {
        let path = session.journal.path().display();
        show::aside(&format!(
            "warning: {} lines of {path} can't be read, and the report may lack something that failed. Keep the file as evidence \
             under another name, then run `ferry-install accept`: the report is then about that run alone",
            report.damaged_lines
        ));
    }
    let hindrances = report.hindrances();
    if hindrances.is_empty() {
        show::text("deliverable: every check passed or is waived by name\n");
    } else {
        show::text(&format!("not deliverable: {}\n", hindrances.join("; ")));
    }
    show::text(&format!("the report is in {}\n", session.state.join("report/report.html").display()));
}
