//! `resend`: what a code asks for, and no more.

use std::path::PathBuf;

use ferry_bundle_format::documents::human_size;
use ferry_bundle_format::volume::custody::Custody;
use ferry_bundle_format::volume::look::Looker;
use ferry_bundle_format::volume::{code, resend, say};

use super::split::{GateArgs, beside, cargo, opened};
use crate::cli::{Context, TrustArgs, processors};
use crate::event::Event;
use crate::failure::{self, Failure};

/// Flags of `resend`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ferry-bundle resend 2T5K-9RXM-04QG-7D1A-M0 --from volumes -o again\n  ferry-bundle resend 2t5k 9rxm o4qg 7dia mo --from site-1.0.ferry --gate dvd -o again    # as it was heard"
)]
pub struct Args {
    /// The code that `receive` printed. Letters may be small, spaces and dashes stand anywhere, O is 0, I and L are 1.
    #[arg(required = true, value_name = "CODE")]
    pub code: Vec<String>,
    /// The folder with the volumes, or the file that was split (then with the same --gate, --data and --parity).
    #[arg(long, value_name = "FILE|DIR")]
    pub from: PathBuf,
    /// The folder to write to.
    #[arg(long, short, value_name = "DIR")]
    pub output: PathBuf,
    /// The gate.
    #[command(flatten)]
    pub gate: GateArgs,
    /// The custody log; `DIR.custody.jsonl` if nothing is said.
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
}

/// Sends again.
pub fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let said = args.code.join(" ");
    let asked = code::decode(&said).map_err(ferry_bundle_format::volume::VolumeError::from)?;
    let gate = args.gate.open()?;
    let log = args.log.clone().unwrap_or_else(|| beside(&args.output, ".custody.jsonl"));
    let mut log = Custody::open(&log)?;
    let detail = format!("of set {} from {}", asked.set_hex(), args.from.display());
    context.reporter.event(&Event::Phase { name: "resend", detail, bytes: None });
    let passed = |bytes| context.reporter.event(&Event::Moved { bytes });
    let metadata = std::fs::metadata(&args.from).map_err(failure::io("read", &args.from))?;
    let (plan, sent) = if metadata.is_dir() {
        let (gathering, _) = Looker::default().look(std::slice::from_ref(&args.from), None, processors(), &passed)?;
        let assembly = resend::find(&gathering, &asked, &args.from)?;
        let need = asked.need_of(&assembly.plan).map_err(ferry_bundle_format::volume::VolumeError::from)?;
        (assembly.plan.clone(), resend::from_volumes(assembly, &need, &gate, &args.output)?)
    } else {
        let bundle = opened(&args.from, &TrustArgs::default(), context)?;
        let shape = args.gate.shape(&cargo(&args.from, bundle.as_ref())?, &gate)?;
        resend::from_file(&args.from, shape, &asked, &gate, &args.output, &passed)?
    };
    let blocks: u64 = sent.iter().map(|one| one.blocks).sum();
    let bytes = blocks * u64::from(plan.set.block_size);
    say::log_sent(&mut log, "resend", &plan, format!("{blocks} blocks, code {said}"))?;
    let mut lines =
        vec![format!("{}: {} of {}, set {}", args.output.display(), human_size(bytes), plan.set.name, plan.short())];
    lines.extend(
        sent.iter().map(|one| format!("  {} (volume {}, {} blocks)", one.path.display(), one.number, one.blocks)),
    );
    let files: Vec<_> = sent.iter().map(|one| &one.path).collect();
    let data = serde_json::json!({ "folder": args.output, "set": plan.id.hex(), "blocks": blocks, "bytes": bytes, "files": files });
    context.reporter.event(&Event::Result { text: lines.join("\n"), data });
    Ok(())
}
