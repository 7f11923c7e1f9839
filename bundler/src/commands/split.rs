//! `split`: a file becomes volumes that fit a gate, with the lists that go with them.

use std::path::{Path, PathBuf};

use ferry_bundle_format::documents::human_size;
use ferry_bundle_format::open::{Silent, TrustedBundle, UnverifiedBundle};
use ferry_bundle_format::trust::{Assurance, TrustPolicy};
use ferry_bundle_format::volume::custody::Custody;
use ferry_bundle_format::volume::folder::{Folder, is_finished};
use ferry_bundle_format::volume::gate::Gate;
use ferry_bundle_format::volume::list::{Content, Item, TransferList};
use ferry_bundle_format::volume::look::Looker;
use ferry_bundle_format::volume::shape::{Cargo, Wishes, length_of, shape};
use ferry_bundle_format::volume::{BundleIdentity, Set, SetPlan, say};

use crate::cli::{Context, TrustArgs, processors};
use crate::event::Event;
use crate::failure::{self, ExitCode, Failure};

/// Flags of `split`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ferry-bundle split site-1.0.ferry --gate dvd -o volumes\n  ferry-bundle split site-1.0.ferry --gate our-gate.yaml --data 20 --parity 4 -o volumes\n  (cd volumes && sha256sum -c SHA256SUMS)"
)]
pub struct Args {
    /// The file: a bundle, or any other.
    pub file: PathBuf,
    /// The gate.
    #[command(flatten)]
    pub gate: GateArgs,
    /// The folder for volumes and lists: new, or empty.
    #[arg(long, short, value_name = "DIR")]
    pub output: PathBuf,
    /// The custody log; `DIR.custody.jsonl` if nothing is said.
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Whose fingerprints the list may call trusted.
    #[command(flatten)]
    pub trust: TrustArgs,
}

/// Through which gate, in which shape.
#[derive(Debug, Clone, clap::Args)]
pub struct GateArgs {
    /// A preset (fat32, dvd, bd, av2g, mail, usb) or a file like `profiles/gate-*.yaml`.
    #[arg(long, value_name = "PRESET|FILE.yaml", default_value = "fat32")]
    pub gate: String,
    /// How many data volumes, instead of as few as fit.
    #[arg(long, value_name = "K")]
    pub data: Option<u32>,
    /// How many parity volumes, instead of what the gate says.
    #[arg(long, value_name = "M")]
    pub parity: Option<u32>,
}

impl GateArgs {
    /// The gate.
    pub fn open(&self) -> Result<Gate, Failure> {
        Ok(Gate::find(&self.gate)?)
    }

    /// The shape in which `cargo` passes.
    pub fn shape(&self, cargo: &Cargo, gate: &Gate) -> Result<Set, Failure> {
        Ok(shape(cargo, gate, Wishes { data: self.data, parity: self.parity })?)
    }
}

/// Splits.
pub fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let gate = args.gate.open()?;
    let log_path = args.log.clone().unwrap_or_else(|| beside(&args.output, ".custody.jsonl"));
    let mut log = Custody::open(&log_path)?;
    let bundle = opened(&args.file, &args.trust, context)?;
    let cargo = cargo(&args.file, bundle.as_ref())?;
    let set = args.gate.shape(&cargo, &gate)?;
    let detail = format!(
        "{} through gate {} in {} + {} volumes of {}",
        args.file.display(),
        gate.name,
        set.data,
        set.parity,
        human_size(length_of(&set))
    );
    context.reporter.event(&Event::Phase { name: "split", detail, bytes: Some(set.length) });
    if is_finished(&args.output) {
        let plan = there(args, &set, context)?;
        say::log_sent(&mut log, "split", &plan, "found finished".into())?;
        context
            .reporter
            .event(&Event::Note { text: "it is there already: all volumes were read and are whole".into() });
        finish(args, &gate, &plan, context);
        return Ok(());
    }
    let work = String::from_utf8_lossy(&set.to_bytes()).into_owned() + " through gate " + &gate.name;
    let folder = Folder::claim(&args.output, &work)?;
    let passed = |bytes| context.reporter.event(&Event::Moved { bytes });
    let (tables, volumes) = folder.split(&args.file, set, &gate, &passed)?;
    let plan = tables.plan.clone();
    let list = TransferList { plan: plan.clone(), volumes, gate: gate.clone(), content: bundle.as_ref().map(content) };
    for (name, bytes) in list.documents() {
        folder.document(&name, &bytes)?;
    }
    folder.finish()?;
    let lists = format!("SHA256SUMS {}", ferry_bundle_format::Digest::of(&list.sums()));
    say::log_sent(&mut log, "split", &plan, lists)?;
    finish(args, &gate, &plan, context);
    Ok(())
}

/// Reads a finished folder: whether it is what would be made.
fn there(args: &Args, set: &Set, context: &Context) -> Result<std::sync::Arc<SetPlan>, Failure> {
    let passed = |bytes| context.reporter.event(&Event::Moved { bytes });
    let (gathering, _) = Looker::default().look(std::slice::from_ref(&args.output), None, processors(), &passed)?;
    let file = std::fs::File::open(&args.file).map_err(failure::io("read", &args.file))?;
    let (sha256, _) = ferry_bundle_format::digest::digest_reader(file).map_err(failure::io("read", &args.file))?;
    let wanted = Set { sha256, ..set.clone() };
    let same = gathering.sets().values().find(|assembly| assembly.plan.set == wanted);
    let whole = same.filter(|assembly| {
        (0..wanted.volumes()).all(|volume| assembly.holders[volume as usize].iter().any(|one| one.holding.is_whole()))
    });
    whole.map(|assembly| assembly.plan.clone()).ok_or_else(|| {
        let message = format!("{} holds other volumes, or damaged ones", args.output.display());
        Failure::new(ExitCode::Input, message).hint("give a new folder")
    })
}

fn finish(args: &Args, gate: &Gate, plan: &SetPlan, context: &Context) {
    let set = &plan.set;
    let (folder, length) = (args.output.display(), length_of(set));
    let text = format!(
        "{folder}: {} + {} volumes of {} ({} in all), set {}; any {} of the {} are enough\n    \
         lists: SHA256SUMS, transfer-list.{{en,zh}}.{{txt,csv,html}}",
        set.data,
        set.parity,
        human_size(length),
        human_size(length * u64::from(set.volumes())),
        plan.short(),
        set.data,
        set.volumes()
    );
    let data = serde_json::json!({
        "folder": args.output, "set": plan.id.hex(), "data": set.data, "parity": set.parity, "volumeBytes": length,
        "blockSize": set.block_size, "stripes": set.stripes(), "sha256": set.sha256, "gate": gate.name,
    });
    context.reporter.event(&Event::Result { text, data });
}

/// What is split.
pub(super) fn cargo(file: &Path, bundle: Option<&TrustedBundle>) -> Result<Cargo, Failure> {
    let metadata = std::fs::metadata(file).map_err(failure::io("read", file))?;
    if !metadata.is_file() {
        return Err(Failure::new(ExitCode::Input, format!("{} is not a file", file.display())));
    }
    let name = file.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        Failure::new(ExitCode::Input, format!("the name of {} is not UTF-8", file.display())).hint("rename the file")
    })?;
    let identity = |bundle: &TrustedBundle| {
        let index = bundle.index();
        BundleIdentity {
            id: bundle.id(),
            product: index.product.name.to_string(),
            version: index.product.version.to_string(),
            channel: index.product.channel.to_string(),
            serial: index.serial,
        }
    };
    Ok(Cargo { name: name.to_owned(), length: metadata.len(), bundle: bundle.map(identity) })
}

/// The file as a bundle, if it is one. Whether it is trusted only decides what the list says.
pub(super) fn opened(file: &Path, trust: &TrustArgs, context: &Context) -> Result<Option<TrustedBundle>, Failure> {
    let mut policy = if trust.is_configured() { trust.policy()? } else { TrustPolicy::default() };
    policy.insecure_unsigned = true;
    match UnverifiedBundle::open(file)?.trust(&policy, &Silent) {
        Ok(bundle) => Ok(Some(bundle)),
        Err(error) => {
            let text =
                format!("{} is carried as a file like any other: it opens as no bundle: {error}", file.display());
            let looks_like = file.extension().is_some_and(|end| end == "ferry");
            context.reporter.event(&if looks_like { Event::Warning { text } } else { Event::Note { text } });
            Ok(None)
        }
    }
}

fn content(bundle: &TrustedBundle) -> Content {
    let (keys, trusted) = match bundle.assurance() {
        Assurance::Trusted(keys) => (keys, true),
        Assurance::Insecure(keys) | Assurance::NotVerified(keys) => (keys, false),
    };
    let items = bundle.index().artifacts.iter().map(|artifact| Item {
        kind: artifact.kind.clone(),
        name: artifact.name.clone(),
        bytes: artifact.size,
        sha256: artifact.digest.hex(),
    });
    Content { keys: keys.iter().map(ToString::to_string).collect(), trusted, items: items.collect() }
}

/// A name beside a path: `volumes` and `.custody.jsonl` give `volumes.custody.jsonl`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.components().next_back().map(|part| part.as_os_str().to_owned()).unwrap_or_default();
    name.push(suffix);
    path.with_file_name(name)
}
