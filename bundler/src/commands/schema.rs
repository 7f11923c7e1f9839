//! `schema`: the JSON Schema of a document that people write.

use clap::ValueEnum;
use ferry_bundle_format::manifest::file::ManifestFile;

use crate::cli::Context;
use crate::event::Event;
use crate::failure::{ExitCode, Failure};
use crate::vendor::VendorList;

/// Flags of `schema`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  ferry-bundle schema manifest > manifest.schema.json\n  # and in the manifest's first line, for editors:\n  # yaml-language-server: $schema=manifest.schema.json"
)]
pub struct Args {
    /// Which document.
    #[arg(default_value = "manifest")]
    pub document: Document,
}

/// A document that people write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Document {
    /// A manifest.
    Manifest,
    /// A vendor list.
    VendorList,
}

/// The schema's text.
pub fn text(document: Document) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(&match document {
        Document::Manifest => schemars::schema_for!(ManifestFile),
        Document::VendorList => schemars::schema_for!(VendorList),
    })?;
    text.push('\n');
    Ok(text)
}

/// Prints it.
pub fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let text = text(args.document).map_err(|error| Failure::of(ExitCode::Bug, &error))?;
    let data = serde_json::from_str(&text).map_err(|error| Failure::of(ExitCode::Bug, &error))?;
    context.reporter.event(&Event::Result { text: text.trim_end().to_owned(), data });
    Ok(())
}
