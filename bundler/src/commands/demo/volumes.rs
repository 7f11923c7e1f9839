//! The demo's chapter on volumes: the upgrade package goes through a gate in pieces, two are lost, one is damaged, the package
//! comes out of the rest as it went in, and with the site's bundle it gives the new one.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use ferry_bundle_format::digest::digest_reader;
use ferry_bundle_format::documents::human_size;

use super::upgrade::{Upgrade, size};
use crate::cli::{BaseArgs, Context, TrustArgs};
use crate::commands::split::GateArgs;
use crate::commands::{apply, receive, split, verify};
use crate::event::Event;
use crate::failure::{self, ExitCode, Failure};

/// What the chapter leaves in the demo's folder.
pub(super) const LEFT: [&str; 3] = ["volumes", "received", "gate-demo.yaml"];

/// A gate of the demo's own: small volumes, a quarter of parity.
const GATE: &str = "apiVersion: ferry.dev/v1\nkind: Gate\nname: demo\nvolumeBytes: 1200000\nleastVolumes: 8\nfileName: \"v{number}\"\n\
                    suffixes: [bin, dat]\nparity: {percent: 25, least: 3}\n";

/// Splits the package, loses, receives, applies it to `base`, verifies what comes out, and compares.
pub(super) fn run(
    folder: &Path,
    base: &Path,
    upgrade: &Upgrade,
    trust: &TrustArgs,
    context: &Context,
) -> Result<(), Failure> {
    let typed = |text: &str| context.reporter.event(&Event::Command { text: format!("ferry-bundle {text}") });
    let (gate, volumes, received) = (folder.join("gate-demo.yaml"), folder.join("volumes"), folder.join("received"));
    std::fs::write(&gate, GATE).map_err(failure::io("write", &gate))?;
    std::fs::create_dir_all(&received).map_err(failure::io("make", &received))?;

    let package = &upgrade.package;
    typed(&format!("split {} --gate {} -o {}", package.display(), gate.display(), volumes.display()));
    let splitting = split::Args {
        file: package.clone(),
        gate: GateArgs { gate: gate.display().to_string(), data: None, parity: None },
        output: volumes.clone(),
        log: Some(received.join("sent.custody.jsonl")),
        trust: trust.clone(),
    };
    split::run(&splitting, context)?;
    let sent = total(&volumes)?;
    let lost = harm(&volumes)?;
    let text = format!("on the way {} and {} are lost, and a hole is burnt into {}", lost[0], lost[1], lost[2]);
    context.reporter.event(&Event::Note { text });

    let arrived = received.join(package.file_name().unwrap_or_default());
    typed(&format!("receive {} -o {}", volumes.display(), arrived.display()));
    let receiving = receive::Args {
        places: vec![volumes.clone()],
        output: arrived.clone(),
        set: None,
        force: true,
        watch: false,
        every: 2,
        no_keep: false,
        log: None,
        jobs: None,
    };
    receive::run(&receiving, context)?;

    let (output, keys) = (received.join(upgrade.full.file_name().unwrap_or_default()), folder.join("release.pub"));
    let (applied, key) = (output.display(), keys.display());
    typed(&format!("apply {} --base {} -o {applied} --trust {key}", arrived.display(), base.display()));
    let on = BaseArgs { bases: vec![base.to_owned()] };
    let applying = apply::Args {
        package: arrived.clone(),
        base: on,
        output: output.clone(),
        force: true,
        trust: trust.clone(),
        jobs: None,
    };
    apply::run(&applying, context)?;
    typed(&format!("verify {applied} --trust {key}"));
    let verifying =
        verify::Args { bundle: output.clone(), base: BaseArgs::default(), trust: trust.clone(), jobs: None };
    verify::run(&verifying, context)?;
    compare(upgrade, &output, [sent, total(&volumes)?], context)
}

/// The sizes side by side, and whether what came out is what the supplier has.
fn compare(upgrade: &Upgrade, applied: &Path, [sent, arrived]: [u64; 2], context: &Context) -> Result<(), Failure> {
    let (full, package, came_out) = (size(&upgrade.full)?, size(&upgrade.package)?, size(applied)?);
    let digest = |path: &Path| {
        let read = std::fs::File::open(path).and_then(digest_reader).map_err(failure::io("read", path));
        read.map(|(digest, _)| digest)
    };
    if digest(&upgrade.full)? != digest(applied)? {
        return Err(Failure::new(ExitCode::Bug, format!("{} is not the bundle in full", applied.display())));
    }
    let row = |what: &str, bytes: u64| format!("  {what:<52}{:>10}{:>9}", human_size(bytes), percent(bytes, full));
    let text = [
        "\nRelease 1.1, in sizes:".to_owned(),
        row("the full bundle", full),
        row("its new blobs as they are, without what the site has", upgrade.changed),
        row("the upgrade package", package),
        row("its volumes, with parity", sent),
        row("what arrived: two lost, one damaged", arrived),
        row("the bundle made of it: the full one, to the byte", came_out),
        "  (made-up releases that differ in a word of five hundred; real ones: docs/figures.md)".to_owned(),
    ];
    let data = serde_json::json!({
        "full": full, "changed": upgrade.changed, "upgrade": package, "volumes": sent, "arrived": arrived, "applied": came_out,
    });
    context.reporter.event(&Event::Result { text: text.join("\n"), data });
    Ok(())
}

/// What all volumes in the folder have together, in bytes.
fn total(folder: &Path) -> Result<u64, Failure> {
    Ok(sizes(folder)?.iter().map(|(_, bytes)| bytes).sum())
}

fn percent(part: u64, whole: u64) -> String {
    let tenths = (part * 1000).checked_div(whole).unwrap_or(0);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// The volumes in the folder, with their lengths.
fn sizes(folder: &Path) -> Result<Vec<(PathBuf, u64)>, Failure> {
    let fail = || failure::io("list", folder);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail())? {
        let entry = entry.map_err(fail())?;
        if entry.path().extension().is_some_and(|end| end == "bin") {
            found.push((entry.path(), entry.metadata().map_err(fail())?.len()));
        }
    }
    found.sort();
    Ok(found)
}

/// Removes two volumes and overwrites a stretch of a third. Their names.
fn harm(folder: &Path) -> Result<[String; 3], Failure> {
    let all: Vec<PathBuf> = sizes(folder)?.into_iter().map(|(path, _)| path).collect();
    let [_, first, _, third, _, second, ..] = all.as_slice() else {
        return Err(Failure::new(ExitCode::Bug, "the demo's bundle gave too few volumes"));
    };
    for path in [first, second] {
        std::fs::remove_file(path).map_err(failure::io("remove", path))?;
    }
    let file = std::fs::OpenOptions::new().write(true).open(third).map_err(failure::io("open", third))?;
    let middle = file.metadata().map_err(failure::io("measure", third))?.len() / 2;
    file.write_all_at(&[0xee; 1000], middle).map_err(failure::io("write", third))?;
    Ok([first, second, third].map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned()))
}
