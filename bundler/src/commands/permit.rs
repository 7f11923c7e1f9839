//! `permit`: leave for a site to go back from one serial to a lower one, signed by those who sign bundles.

use std::path::PathBuf;

use ferry_bundle_format::name::Name;
use ferry_bundle_format::receipt::Permit;
use ferry_bundle_format::sign::statement::sign;
use ferry_bundle_format::store::write_atomically;

use crate::cli::{Context, KeyArgs};
use crate::event::Event;
use crate::failure::{self, ExitCode, Failure};

/// Flags of `permit`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  ferry-bundle permit shop stable --from 7 --to 5 -o back-to-5.permit --sign release.key\n  ferry-bundle verify site-5.ferry --trust release.pub --state seen.json --permit back-to-5.permit"
)]
pub struct Args {
    /// The product's name.
    pub product: String,
    /// Its channel.
    pub channel: String,
    /// The newest serial that the site has seen.
    #[arg(long, value_name = "SERIAL")]
    pub from: u64,
    /// The serial that it may go back to.
    #[arg(long, value_name = "SERIAL")]
    pub to: u64,
    /// The file to write.
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// Who signs.
    #[command(flatten)]
    pub signing: KeyArgs,
}

/// Writes the permit.
pub fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    if args.to >= args.from {
        let text = format!("serial {} is not below {}: going forward needs no permit", args.to, args.from);
        return Err(Failure::new(ExitCode::Usage, text));
    }
    let name = |text: &str| Name::parse(text).map_err(|error| Failure::of(ExitCode::Usage, &error));
    let permit = Permit { product: name(&args.product)?, channel: name(&args.channel)?, from: args.from, to: args.to };
    let keys = args.signing.open()?;
    if keys.is_empty() {
        return Err(Failure::new(ExitCode::Usage, "a permit that nobody signed permits nothing").hint("pass --sign"));
    }
    write_atomically(&args.output, &sign(&permit, &keys)).map_err(failure::io("write", &args.output))?;
    let signers: Vec<String> = keys.iter().map(|key| key.public().id().to_string()).collect();
    let text = format!(
        "{}: {} ({}) may go back from serial {} to {}, signed by {}",
        args.output.display(),
        permit.product,
        permit.channel,
        permit.from,
        permit.to,
        signers.join(", ")
    );
    context.reporter.event(&Event::Result { text, data: serde_json::json!({ "permit": permit, "signers": signers }) });
    Ok(())
}
