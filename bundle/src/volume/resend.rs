//! Sending again: only what a code asks for, from the volumes that were kept or from the file itself.
//!
//! What is written are volumes like any others, of the same set, that carry fewer blocks. A whole volume comes out as it was.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::code::Resend;
use super::error::{VolumeError, io};
use super::folder::{create, write_heads};
use super::gate::Gate;
use super::gather::{Assembly, Gathering};
use super::head::{Head, Run, head_length, neighbours_of};
use super::need::Need;
use super::set::{Set, SetPlan};
use super::split::{Sink, split};
use crate::hold::no_links;

/// A volume that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Which, from 1.
    pub number: u32,
    /// Where.
    pub path: PathBuf,
    /// How many blocks are in it.
    pub blocks: u64,
}

/// The set that a code is for, among those that were found.
pub fn find<'a>(gathering: &'a Gathering, code: &Resend, path: &Path) -> Result<&'a Assembly, VolumeError> {
    let fits = |assembly: &&Assembly| code.is_for(&assembly.plan);
    gathering.sets().values().find(fits).ok_or_else(|| VolumeError::NotHere {
        what: "no volume".into(),
        set: code.set_hex(),
        path: path.to_owned(),
    })
}

/// Writes what is needed from volumes that are at hand.
pub fn from_volumes(assembly: &Assembly, need: &Need, gate: &Gate, to: &Path) -> Result<Vec<Sent>, VolumeError> {
    let (plan, mut sent) = (&assembly.plan, Vec::new());
    let missing = |what: String| VolumeError::NotHere { what, set: plan.short(), path: to.to_owned() };
    // All of it is looked for before the first byte is written: half an answer would have to be asked for again.
    for (&index, runs) in &need.0 {
        let mut stripes = runs.iter().flat_map(|run| run.start..run.start + run.count);
        if let Some(stripe) = stripes.find(|&stripe| !assembly.has(index, stripe)) {
            return Err(missing(format!("block {} of volume {}", stripe + 1, index + 1)));
        }
    }
    let mut block = vec![0; plan.set.block()];
    for (&index, runs) in &need.0 {
        let table = |volume: u32| {
            let table = assembly.tables[volume as usize].as_ref().map(|table| (volume, table.to_vec()));
            table.ok_or_else(|| missing(format!("the block table of volume {}", volume + 1)))
        };
        let neighbours = neighbours_of(index, plan.set.volumes()).map(table).collect::<Result<Vec<_>, _>>()?;
        let head = Head { plan: plan.clone(), index, runs: runs.clone(), table: table(index)?.1, neighbours };
        let path = to.join(gate.name_of(index + 1, plan.set.volumes(), &plan.short()));
        let first = head.encode().len() as u64;
        create(&path, |file| {
            for (n, stripe) in (0u64..).zip(head.stripes()) {
                if !assembly.read(index, stripe, &mut block) {
                    return Err(std::io::Error::other("a block changed while it was copied: run the command again"));
                }
                file.write_all_at(&block, first + n * u64::from(plan.set.block_size))?;
            }
            write_heads(file, &head)
        })?;
        sent.push(Sent { number: index + 1, path, blocks: u64::from(head.blocks()) });
    }
    Ok(sent)
}

/// Takes only the blocks that are needed.
struct Picker<'a> {
    folder: &'a Path,
    need: &'a Need,
    firsts: BTreeMap<u32, u64>,
    written: BTreeMap<u32, u64>,
    block: u64,
}

fn partial(folder: &Path, volume: u32) -> PathBuf {
    folder.join(format!("{volume}.volume.partial"))
}

impl Sink for Picker<'_> {
    fn block(&mut self, volume: u32, stripe: u32, bytes: &[u8]) -> std::io::Result<()> {
        let Some(runs) = self.need.0.get(&volume) else { return Ok(()) };
        let at = runs.partition_point(|run| run.start <= stripe);
        if at.checked_sub(1).is_none_or(|at| stripe - runs[at].start >= runs[at].count) {
            return Ok(());
        }
        let n = self.written.entry(volume).or_default();
        let mut open = OpenOptions::new();
        let open = open.create(true).truncate(*n == 0).write(true).custom_flags(no_links());
        let file = open.open(partial(self.folder, volume))?;
        file.write_all_at(bytes, self.firsts[&volume] + *n * self.block)?;
        *n += 1;
        Ok(())
    }
}

/// Writes what is needed from the file itself, split once more in the shape that it had. `shape` and `gate` must be the
/// same as then: another set comes out otherwise, and nothing is written.
pub fn from_file(
    file: &Path,
    shape: Set,
    code: &Resend,
    gate: &Gate,
    to: &Path,
    passed: &dyn Fn(u64),
) -> Result<(std::sync::Arc<SetPlan>, Vec<Sent>), VolumeError> {
    let mut source = File::open(file).map_err(io("read", file))?;
    std::fs::create_dir_all(to).map_err(io("make", to))?;
    let volumes = shape.volumes();
    let whole = vec![Run { start: 0, count: shape.stripes() }];
    let mut need = code.need.clone();
    need.0.extend(code.whole.iter().map(|volume| (*volume, whole.clone())));
    need.0.retain(|volume, _| *volume < volumes);
    let length = |runs: &Vec<Run>| head_length(shape.to_bytes().len(), volumes, shape.stripes(), runs.len());
    let firsts = need.0.iter().map(|(volume, runs)| (*volume, length(runs))).collect();
    let block = u64::from(shape.block_size);
    let mut picker = Picker { folder: to, need: &need, firsts, written: BTreeMap::new(), block };
    let made = split(shape, &mut source, &mut picker, passed)
        .map_err(|source| VolumeError::Split { path: file.to_owned(), source });
    let clean = || need.0.keys().for_each(|volume| drop(std::fs::remove_file(partial(to, *volume))));
    let tables = made.inspect_err(|_| clean())?;
    if !code.is_for(&tables.plan) {
        clean();
        let what = format!("it gives set {} through gate {:?}, and nothing", tables.plan.short(), gate.name);
        return Err(VolumeError::NotHere { what, set: code.set_hex(), path: file.to_owned() });
    }
    let asked = code.need_of(&tables.plan).inspect_err(|_| clean())?;
    let mut sent = Vec::new();
    for (index, runs) in asked.0 {
        let (from, head) = (partial(to, index), tables.head(index, runs));
        let path = to.join(gate.name_of(index + 1, volumes, &tables.plan.short()));
        let file = OpenOptions::new().write(true).open(&from).map_err(io("open", &from))?;
        write_heads(&file, &head).and_then(|()| file.sync_all()).map_err(io("write", &from))?;
        std::fs::rename(&from, &path).map_err(io("rename", &from))?;
        crate::store::sync_folder_of(&path).map_err(io("sync the folder of", &path))?;
        sent.push(Sent { number: index + 1, path, blocks: u64::from(head.blocks()) });
    }
    Ok((tables.plan, sent))
}
