//! `receipt`: a site acknowledges a bundle, whole and trusted, with its own key.

use std::path::PathBuf;

use ferry_bundle_format::name::Name;
use ferry_bundle_format::receipt::Receipt;
use ferry_bundle_format::sign::statement::sign;
use ferry_bundle_format::store::write_atomically;

use crate::cli::{BaseArgs, Context, KeyArgs, TrustArgs, processors};
use crate::event::{Event, StepsTo};
use crate::failure::{self, ExitCode, Failure};

/// Flags of `receipt`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  ferry-bundle receipt site-1.0.ferry --trust release.pub --site plant-7 --sign plant-7.key -o plant-7.receipt\n  ferry-bundle make site.yaml -o upgrade.ferry --since plant-7.receipt --sign release.key    # the lock is looked for beside it"
)]
pub struct Args {
    /// The bundle that the site has.
    pub bundle: PathBuf,
    /// The site's name.
    #[arg(long, value_name = "NAME")]
    pub site: String,
    /// The file to write.
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// What an upgrade package was applied to.
    #[command(flatten)]
    pub base: BaseArgs,
    /// Whom to trust.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// The site's key.
    #[command(flatten)]
    pub signing: KeyArgs,
}

/// Verifies every byte, then writes the receipt.
pub fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let site = Name::parse(&args.site).map_err(|error| Failure::of(ExitCode::Usage, &error))?;
    let keys = args.signing.open()?;
    if keys.is_empty() || args.trust.insecure_unsigned {
        return Err(Failure::new(ExitCode::Usage, "a receipt is signed, and for a bundle that is trusted")
            .hint("pass --sign with the site's own key"));
    }
    let bundle = args.base.attach(args.trust.open(&args.bundle, context)?, &args.trust)?;
    bundle.check_bases()?;
    let verified = bundle.verify(processors(), &StepsTo(context.reporter.as_ref()))?;
    let receipt = Receipt::of(site, verified.index(), verified.id());
    write_atomically(&args.output, &sign(&receipt, &keys)).map_err(failure::io("write", &args.output))?;
    args.trust.remember(&verified)?;
    let code = receipt.code();
    let text = format!(
        "{}: {} has {} {} serial {}, lock {}\ncode: {code}    (as short as it gets, for a telephone: make --since CODE)",
        args.output.display(),
        receipt.site,
        receipt.product.name,
        receipt.product.version,
        receipt.serial,
        receipt.lock
    );
    context
        .reporter
        .event(&Event::Result { text, data: serde_json::json!({ "receipt": receipt, "code": code.to_string() }) });
    Ok(())
}
