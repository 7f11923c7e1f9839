//! Puts a report into a folder: three files, each whole or not at all.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::model::Report;
use super::{html, json, junit};

/// The file for machines.
pub const JSON: &str = "report.json";
/// The file for build servers.
pub const JUNIT: &str = "junit.xml";
/// The file for people.
pub const HTML: &str = "report.html";

/// Writes all three forms into `folder`, which is made if it is not there. An older report is replaced; a crash leaves the older
/// or the newer file, never a part.
pub fn write(folder: &Path, report: &Report) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, text) in [(JSON, json(report)), (JUNIT, junit(report)), (HTML, html(report))] {
        let mut file = tempfile::Builder::new()
            .prefix(".ferry-report-")
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(folder.join(name)).map_err(|error| error.error)?;
    }
    std::fs::File::open(folder)?.sync_all()
}
