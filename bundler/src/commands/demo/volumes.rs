//! The demo's chapter on volumes: the bundle goes through a gate in pieces, two are lost, one is damaged, and the bundle comes
//! out of the rest as it went in.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use ferry_bundle_format::documents::human_size;

use crate::cli::{BaseArgs, Context, TrustArgs};
use crate::commands::split::GateArgs;
use crate::commands::{receive, split, verify};
use crate::event::Event;
use crate::failure::{self, ExitCode, Failure};

/// What the chapter leaves in the demo's folder.
pub(super) const LEFT: [&str; 3] = ["volumes", "received", "gate-demo.yaml"];

/// A gate of the demo's own: small volumes, a quarter of parity.
const GATE: &str = "apiVersion: ferry.dev/v1\nkind: Gate\nname: demo\nvolumeBytes: 1200000\nleastVolumes: 8\nfileName: \"v{number}\"\n\
                    suffixes: [bin, dat]\nparity: {percent: 25, least: 3}\n";

/// Splits, loses, receives and verifies.
pub(super) fn run(folder: &Path, bundle: &Path, trust: &TrustArgs, context: &Context) -> Result<(), Failure> {
    let typed = |text: &str| context.reporter.event(&Event::Command { text: format!("ferry-bundle {text}") });
    let (gate, volumes, received) = (folder.join("gate-demo.yaml"), folder.join("volumes"), folder.join("received"));
    std::fs::write(&gate, GATE).map_err(failure::io("write", &gate))?;
    std::fs::create_dir_all(&received).map_err(failure::io("make", &received))?;

    typed(&format!("split {} --gate {} -o {}", bundle.display(), gate.display(), volumes.display()));
    let splitting = split::Args {
        file: bundle.to_owned(),
        gate: GateArgs { gate: gate.display().to_string(), data: None, parity: None },
        output: volumes.clone(),
        log: Some(received.join("sent.custody.jsonl")),
        trust: trust.clone(),
    };
    split::run(&splitting, context)?;
    let all = sizes(&volumes)?;

    let lost = harm(&volumes)?;
    let total: u64 = all.iter().map(|(_, bytes)| bytes).sum();
    let text = format!("on the way {} and {} are lost, and a hole is burnt into {}", lost[0], lost[1], lost[2]);
    context.reporter.event(&Event::Note { text });

    let output = received.join(bundle.file_name().unwrap_or_default());
    typed(&format!("receive {} -o {}", volumes.display(), output.display()));
    let receiving = receive::Args {
        places: vec![volumes.clone()],
        output: output.clone(),
        set: None,
        force: true,
        watch: false,
        every: 2,
        no_keep: false,
        log: None,
        jobs: None,
    };
    receive::run(&receiving, context)?;
    typed(&format!("verify {} --trust {}/release.pub", output.display(), folder.display()));
    let base = BaseArgs::default();
    verify::run(&verify::Args { bundle: output.clone(), base, trust: trust.clone(), jobs: None }, context)?;

    let size = |path: &Path| std::fs::metadata(path).map(|it| it.len()).map_err(failure::io("measure", path));
    let (went_in, came_out, arrived) = (size(bundle)?, size(&output)?, sizes(&volumes)?);
    let arrived: u64 = arrived.iter().map(|(_, bytes)| bytes).sum();
    let text = format!(
        "through the gate: bundle {}, volumes {} ({} with parity and heads), arrived {}, bundle again {}",
        human_size(went_in),
        human_size(total),
        percent(total, went_in),
        human_size(arrived),
        human_size(came_out)
    );
    let data = serde_json::json!({ "bundle": went_in, "volumes": total, "arrived": arrived, "received": came_out });
    context.reporter.event(&Event::Result { text, data });
    Ok(())
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
