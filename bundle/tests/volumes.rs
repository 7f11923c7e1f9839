//! Volumes that survive loss, exhaustively: every pattern of lost volumes, every flipped bit, a thousand ways to arrive,
//! and volumes that lie.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ferry_bundle_format::Digest;
use ferry_bundle_format::fake::{Fake, noise};
use ferry_bundle_format::open::{OpenError, Silent, UnverifiedBundle};
use ferry_bundle_format::sign::SecretKey;
use ferry_bundle_format::trust::TrustPolicy;
use ferry_bundle_format::volume::carrier::{Carrier, MemoryCarrier};
use ferry_bundle_format::volume::code;
use ferry_bundle_format::volume::error::VolumeError;
use ferry_bundle_format::volume::gather::{Assembly, Gathering, Holder, Stranger};
use ferry_bundle_format::volume::head::{Head, HeadError, Run};
use ferry_bundle_format::volume::join::{JoinError, Joiner, join};
use ferry_bundle_format::volume::look::Looker;
use ferry_bundle_format::volume::need::Need;
use ferry_bundle_format::volume::receive::{Order, Receiver, Round};
use ferry_bundle_format::volume::scan::{Scanned, Verdict, scan};
use ferry_bundle_format::volume::set::{Code, FORMAT, Set};
use ferry_bundle_format::volume::split::{Tables, split_bytes};

fn set(length: usize, data: u32, parity: u32, block_size: u32) -> Set {
    Set {
        format: FORMAT,
        name: "site-1.0.ferry".into(),
        length: length as u64,
        sha256: Digest::of(b""),
        data,
        parity,
        block_size,
        code: Code::LeopardGf16,
        bundle: None,
    }
}

fn read(name: &str, bytes: &[u8]) -> Scanned {
    scan(Arc::new(MemoryCarrier { name: name.into(), bytes: Arc::new(bytes.to_vec()) }), &|_| ())
}

fn gather(scanned: impl IntoIterator<Item = Scanned>) -> Gathering {
    Gathering::of(scanned, &|_| ())
}

fn only(gathering: &Gathering) -> &Assembly {
    assert_eq!(gathering.sets().len(), 1);
    gathering.sets().values().next().expect("one set")
}

fn joined(assembly: &Assembly) -> Result<Vec<u8>, JoinError> {
    let mut out = Vec::new();
    join(assembly, |at, piece| {
        assert_eq!(at, out.len() as u64);
        out.extend(piece);
        Ok(())
    })?;
    Ok(out)
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).expect("below a usize")
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for n in (1..items.len()).rev() {
            items.swap(n, self.below(n + 1));
        }
    }
}

/// Calls `each` with every choice of `count` of `of` numbers.
fn choices(of: usize, count: usize, each: &mut impl FnMut(&[usize])) {
    fn go(from: usize, of: usize, left: usize, chosen: &mut Vec<usize>, each: &mut impl FnMut(&[usize])) {
        if left == 0 {
            return each(chosen);
        }
        for n in from..=of - left {
            chosen.push(n);
            go(n + 1, of, left - 1, chosen, each);
            chosen.pop();
        }
    }
    go(0, of, count, &mut Vec::new(), each);
}

/// 20 + 4 volumes of two stripes, the second not full.
fn twenty_and_four() -> (Vec<u8>, Vec<Scanned>) {
    let file = noise(3, 20 * 64 * 2 - 17);
    let (_, volumes) = split_bytes(set(file.len(), 20, 4, 64), &file).expect("a split");
    let scanned = volumes.iter().enumerate().map(|(n, bytes)| read(&format!("{n}"), bytes)).collect();
    (file, scanned)
}

fn without(scanned: &[Scanned], lost: &[usize]) -> Gathering {
    gather(scanned.iter().enumerate().filter(|(n, _)| !lost.contains(n)).map(|(_, one)| one.clone()))
}

#[test]
fn every_pattern_of_one_to_four_lost_volumes_of_24_is_recovered() {
    let (file, scanned) = twenty_and_four();
    let mut patterns = 0;
    for count in 1..=4 {
        choices(24, count, &mut |lost| {
            let gathering = without(&scanned, lost);
            assert_eq!(joined(only(&gathering)).expect("enough"), file, "lost {lost:?}");
            patterns += 1;
        });
    }
    assert_eq!(patterns, 12_950);
}

#[test]
fn every_pattern_of_five_lost_volumes_of_24_is_refused_with_what_is_missing() {
    let (_, scanned) = twenty_and_four();
    let mut patterns = 0;
    choices(24, 5, &mut |lost| {
        let gathering = without(&scanned, lost);
        let assembly = only(&gathering);
        assert!(!assembly.is_enough());
        assert!(matches!(joined(assembly), Err(JoinError::TooFew { good: 19, needed: 20, .. })), "lost {lost:?}");
        let all: Vec<usize> = Need::all(assembly).whole(2).map(|volume| volume as usize).collect();
        assert_eq!(all, lost);
        // One more is enough, and the code asks for no more than that.
        let least = Need::least(assembly);
        assert_eq!(least.whole(2).map(|volume| volume as usize).collect::<Vec<_>>(), lost[..1]);
        let said = code::encode(&assembly.plan, &least);
        let heard = code::decode(&said).expect("a code");
        assert!(heard.is_for(&assembly.plan) && said.len() <= 24, "{said}");
        assert_eq!(heard.need_of(&assembly.plan), Ok(least));
        patterns += 1;
    });
    assert_eq!(patterns, 42_504);
}

#[test]
fn one_block_in_a_hundred_bad_over_all_volumes_is_repaired() {
    let file = noise(4, 20 * 128 * 250 - 1);
    let (tables, volumes) = split_bytes(set(file.len(), 20, 4, 128), &file).expect("a split");
    let head = tables.whole_head(0).encode().len();
    for seed in 1..=20 {
        let (mut dice, mut damaged) = (Dice(seed * 0x9e37_79b9), volumes.clone());
        let mut bad = BTreeSet::new();
        while bad.len() < 24 * 250 / 100 {
            bad.insert((dice.below(24), dice.below(250)));
        }
        for &(volume, stripe) in &bad {
            damaged[volume][head + stripe * 128 + dice.below(128)] ^= 1 << dice.below(8);
        }
        let gathering = gather(damaged.iter().map(|bytes| read("volume", bytes)));
        let assembly = only(&gathering);
        let found: BTreeSet<(usize, usize)> = Need::all(assembly)
            .0
            .iter()
            .flat_map(|(volume, runs)| {
                runs.iter().flat_map(move |run| {
                    (run.start..run.start + run.count).map(move |s| (*volume as usize, s as usize))
                })
            })
            .collect();
        assert_eq!(found, bad, "seed {seed}");
        assert_eq!(joined(assembly).expect("enough"), file, "seed {seed}");
    }
}

#[test]
fn every_bit_of_a_bundle_is_missed_located_and_repaired() {
    // The smallest of its kind that has 64 KiB.
    let made = (4..).map(|n| Fake::new(5, n * 1000).bytes(&[]).expect("a bundle"));
    let bundle = made.into_iter().find(|bytes| bytes.len() >= 64 * 1024).expect("they grow");
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let flips: u64 = std::thread::scope(|scope| {
        let all: Vec<_> = (0..workers)
            .map(|worker| {
                let bundle = &bundle;
                scope.spawn(move || every_bit_of_some_volumes(bundle, worker, workers))
            })
            .collect();
        all.into_iter().map(|one| one.join().expect("no panic")).sum()
    });
    assert!(flips >= 524_288, "{flips} bits");
}

/// Flips each bit of each `workers`th volume with data, from `first` on; how many there were.
fn every_bit_of_some_volumes(bundle: &[u8], first: usize, workers: usize) -> u64 {
    let (data, block) = (16u32, 512u32);
    let (tables, volumes) = split_bytes(set(bundle.len(), data, 2, block), bundle).expect("a split");
    let carriers: Vec<Arc<Flipped>> = volumes.into_iter().map(|bytes| Arc::new(Flipped::new(bytes))).collect();
    let gathering = gather(carriers.iter().map(|carrier| scan(carrier.clone(), &|_| ())));
    let mut joiner = Joiner::new(only(&gathering).clone());
    let head = tables.whole_head(0).encode().len();
    let (stripe_bytes, block) = ((data * block) as usize, block as usize);
    let mut out = vec![0; stripe_bytes];
    let (mut flips, mut repairs) = (0, 0);
    for (volume, carrier) in carriers.iter().enumerate().take(data as usize).skip(first).step_by(workers) {
        for stripe in 0..tables.plan.set.stripes() {
            // What fills the last stripe up is no part of the bundle, and is checked like all else.
            let from = stripe as usize * stripe_bytes;
            let expected = &bundle[from..bundle.len().min(from + stripe_bytes)];
            for bit in 0..block * 8 {
                carrier.flip((head + stripe as usize * block) * 8 + bit);
                let holder = holder_of(scan(carrier.clone(), &|_| ()));
                assert_eq!(holder.holding.index as usize, volume);
                let found: Vec<u32> = holder.holding.bad().collect();
                assert_eq!(found, [stripe], "volume {volume}, bit {bit}");
                flips += 1;
                // Repair puts a whole block in another's place, whichever of its bits is wrong, and takes a millisecond: every
                // seventh bit, so that each byte has its turn, and each place in a byte.
                if bit % 7 == 0 {
                    // The joiner believed the block good: it finds out as it reads.
                    joiner.stripe(stripe, &mut out).expect("it can be repaired");
                    assert!(out.starts_with(expected), "volume {volume}, stripe {stripe}, bit {bit}");
                    repairs += 1;
                }
            }
        }
        carrier.flip(usize::MAX);
    }
    assert!(joiner.repaired == repairs && repairs * 7 >= flips, "{repairs} of {flips} repaired");
    flips
}

/// A volume of which one bit at a time is read wrong.
#[derive(Debug)]
struct Flipped {
    bytes: Vec<u8>,
    bit: AtomicUsize,
}

impl Flipped {
    fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, bit: AtomicUsize::new(usize::MAX) }
    }

    fn flip(&self, bit: usize) {
        self.bit.store(bit, Ordering::Relaxed);
    }
}

impl Carrier for Flipped {
    fn name(&self) -> String {
        "flipped".into()
    }

    fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        let from = usize::try_from(offset).unwrap();
        buffer.copy_from_slice(self.bytes.get(from..from + buffer.len()).ok_or(std::io::ErrorKind::UnexpectedEof)?);
        let bit = self.bit.load(Ordering::Relaxed);
        if let Some(byte) = (bit / 8).checked_sub(from).and_then(|at| buffer.get_mut(at)) {
            *byte ^= 1 << (bit % 8);
        }
        Ok(())
    }
}

#[test]
fn every_bit_of_heads_and_parity_is_missed_and_harms_nothing() {
    let file = noise(6, 4000);
    let (_, volumes) = split_bytes(set(file.len(), 4, 2, 256), &file).expect("a split");
    for (volume, bytes) in volumes.iter().enumerate() {
        let mut flipped = bytes.clone();
        for bit in 0..bytes.len() * 8 {
            flipped[bit / 8] ^= 1 << (bit % 8);
            let scanned = read("flipped", &flipped);
            let Verdict::Volume(holding) = &scanned.verdict else { panic!("bit {bit}: one of its heads is whole") };
            assert!(!holding.is_whole(), "volume {volume}, bit {bit}");
            let wrong = usize::from(holding.front.is_err()) + usize::from(holding.end.is_err()) + holding.bad().count();
            assert_eq!(wrong, 1, "volume {volume}, bit {bit}: one thing is wrong, and one is named");
            flipped[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

/// A volume on a medium with sectors that can't be read.
#[derive(Debug)]
struct Scratched {
    bytes: Vec<u8>,
    bad: Vec<std::ops::Range<usize>>,
}

impl Carrier for Scratched {
    fn name(&self) -> String {
        "scratched".into()
    }

    fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        let from = usize::try_from(offset).unwrap();
        let bytes = self.bytes.get(from..from + buffer.len()).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        if self.bad.iter().any(|bad| bad.start < from + buffer.len() && from < bad.end) {
            return Err(std::io::Error::from_raw_os_error(5));
        }
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

#[test]
fn an_unreadable_sector_costs_the_blocks_that_lie_in_it_and_no_more() {
    const SECTOR: usize = 512;
    let file = noise(11, 6 * 1024 * 90);
    let (tables, volumes) = split_bytes(set(file.len(), 6, 2, 1024), &file).expect("a split");
    let (one, head) = (&volumes[2], tables.whole_head(2).encode().len());
    let (length, stripes) = (one.len(), 90);
    assert!(head > 6 * SECTOR, "a head of several sectors: {head}");
    let blocks = head..head + stripes * 1024;
    let sector = |at: usize| at / SECTOR * SECTOR..at / SECTOR * SECTOR + SECTOR;
    let second = blocks.end;
    let places: Vec<Vec<std::ops::Range<usize>>> = vec![
        vec![sector(0)],
        vec![sector(head / 2)],
        vec![sector(head - 1)],
        vec![sector(blocks.start + 700)],
        vec![sector(blocks.start + 45 * 1024)],
        vec![sector(blocks.end - 1)],
        vec![sector(second + 600)],
        vec![sector(second + head / 2)],
        vec![sector(length - 1)],
        vec![sector(0), sector(blocks.start + 10 * 1024)],
        // Both copies of the head, at different places: one is completed from the other.
        vec![sector(600), sector(second + head / 2)],
        vec![sector(0), sector(second + head / 2)],
        vec![sector(head / 2), sector(length - 1)],
        // Both copies at the same place, or all of both: known by its blocks.
        vec![0..head, second..length],
        vec![sector(0), sector(length - 1), second..length],
        vec![0..SECTOR, sector(blocks.start + 1024), sector(blocks.start + 50 * 1024), sector(length - 1)],
    ];
    for bad in places {
        let hit = |stripe: usize| {
            let (from, to) = (blocks.start + stripe * 1024, blocks.start + (stripe + 1) * 1024);
            bad.iter().any(|bad| bad.start < to && from < bad.end)
        };
        let expected = u32::try_from((0..stripes).filter(|&stripe| !hit(stripe)).count()).unwrap();
        let others = volumes.iter().enumerate().filter(|(n, _)| *n != 2).map(|(n, bytes)| read(&format!("{n}"), bytes));
        let scratched = Arc::new(Scratched { bytes: one.clone(), bad: bad.clone() });
        let gathering = gather(others.chain([scan(scratched, &|_| ())]));
        assert_eq!(only(&gathering).good(2), expected, "{bad:?}: {:?}", gathering.strangers);
        assert!(gathering.strangers.is_empty(), "{bad:?}");
        assert_eq!(joined(only(&gathering)).expect("enough"), file, "{bad:?}");
    }
    // Nothing of it can be read: it is said so, and takes no time for each of its sectors.
    let nothing = Arc::new(Scratched { bytes: one.clone(), bad: std::iter::once(0..length).collect() });
    let gathering = gather([read("0", &volumes[0]), scan(nothing, &|_| ())]);
    assert!(matches!(&gathering.strangers[..], [(_, Stranger::Unreadable(why))] if why.contains("error")));
}

#[test]
fn a_volume_whose_length_and_date_do_not_move_is_read_again_until_it_is_whole() {
    let file = noise(12, 4 * 64 * 8);
    let (_, volumes) = split_bytes(set(file.len(), 4, 0, 64), &file).expect("a split");
    let half = volumes[1].len() / 2;
    for begun in [half, 0, 1] {
        let folder = scratch();
        let path = folder.path().join("copied");
        std::fs::write(folder.path().join("other"), &volumes[0]).unwrap();
        // All of the length at once, and the first part of the content.
        let mut bytes = vec![0; volumes[1].len()];
        bytes[..begun].copy_from_slice(&volumes[1][..begun]);
        std::fs::write(&path, &bytes).unwrap();
        let date = std::fs::metadata(&path).unwrap().modified().unwrap();
        let mut looker = Looker::default();
        let places = [folder.path().to_owned()];
        let good = |looker: &mut Looker| {
            let (gathering, _) = looker.look(&places, None, 1, &|_| ()).unwrap();
            only(&gathering).good(1)
        };
        assert!(good(&mut looker) < 8, "{begun}");
        std::fs::write(&path, &volumes[1]).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(date).unwrap();
        assert!((0..3).any(|_| good(&mut looker) == 8), "{begun}: within three looks");
        // A whole one is not read again.
        let read = AtomicUsize::new(0);
        looker
            .look(&places, None, 1, &|_| {
                read.fetch_add(1, Ordering::Relaxed);
            })
            .unwrap();
        assert_eq!(read.into_inner(), 0, "{begun}");
    }
}

fn holder_of(scanned: Scanned) -> Holder {
    match scanned.verdict {
        Verdict::Volume(holding) => Holder { carrier: scanned.carrier, holding: Arc::new(holding) },
        other => panic!("{other:?}"),
    }
}

#[test]
fn volumes_without_both_heads_are_known_by_their_blocks() {
    let file = noise(7, 20 * 64 * 3);
    let (tables, volumes) = split_bytes(set(file.len(), 20, 4, 64), &file).expect("a split");
    let head = tables.whole_head(0).encode().len();
    // Four lost, and one that must be used has lost both heads; its neighbour knows its table.
    let mut rest = volumes[4..].to_vec();
    rest[5][..head].fill(0xee);
    let end = rest[5].len();
    rest[5][end - 200..].fill(0xee);
    let gathering = gather(rest.iter().map(|bytes| read("volume", bytes)));
    assert_eq!(joined(only(&gathering)).expect("enough"), file);
    // The same with its beginning cut off: blocks are then counted from the end mark.
    let cut = volumes[9][head - 100..].to_vec();
    let mut others: Vec<Scanned> =
        volumes[5..].iter().enumerate().filter(|(n, _)| *n != 4).map(|(_, b)| read("v", b)).collect();
    others.push(read("cut", &cut));
    others.push(read("noise", &noise(1, 5000)));
    let gathering = gather(others);
    assert!(!only(&gathering).is_enough() && only(&gathering).good(9) == 3);
}

/// A place in memory where there is one: the test is about what is read, not about the disk.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder")
}

fn receiver(places: Vec<PathBuf>, output: &Path) -> Receiver {
    let order = Order { places, output: output.to_owned(), set: None, force: false, jobs: 1, keep: true };
    Receiver::new(order).expect("a place")
}

/// What is left of a volume that arrives: whole, cut at either end, with a bad spot.
fn hurt(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    match dice.below(6) {
        0 => bytes.truncate(bytes.len() - 1 - dice.below(bytes.len() / 2)),
        1 => drop(bytes.drain(..=dice.below(300))),
        2 => {
            let at = dice.below(bytes.len() - 40);
            bytes[at..at + 40].fill(0);
        }
        _ => {}
    }
    bytes
}

#[test]
fn a_thousand_ways_to_arrive_in_three_rounds_give_the_same_file() {
    let file = noise(8, 20 * 64 * 4 - 5);
    let (_, volumes) = split_bytes(set(file.len(), 20, 4, 64), &file).expect("a split");
    let mut incomplete = 0;
    for seed in 1..=1000u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let place = scratch();
        let output = place.path().join("site.ferry");
        let mut order: Vec<usize> = (0..24).collect();
        dice.shuffle(&mut order);
        // Any 20 come whole in the end, the others perhaps, and hurt.
        let (must, may) = order.split_at(20);
        let cut = [dice.below(7), 7 + dice.below(7)];
        for round in 0..3 {
            let from = [0, cut[0], cut[1]][round];
            let to = [cut[0], cut[1], 20][round];
            let folder = place.path().join(format!("round-{round}"));
            std::fs::create_dir_all(folder.join("sub")).unwrap();
            let mut n = 0;
            let mut put = |bytes: &[u8], dice: &mut Dice| {
                let names = ["v", "sub/x", "Kopie von ", "a.b.", ".hidden"];
                n += 1;
                std::fs::write(folder.join(format!("{}{n}.{}", names[dice.below(5)], dice.below(100))), bytes).unwrap();
            };
            for &volume in &must[from..to] {
                put(&volumes[volume], &mut dice);
            }
            // Duplicates and hurt ones of any volume, and files that are something else.
            for _ in 0..dice.below(4) {
                let volume = if dice.below(2) == 0 { must[dice.below(20)] } else { may[dice.below(4)] };
                let bytes = hurt(&volumes[volume], &mut dice);
                put(&bytes, &mut dice);
            }
            put(b"Thumbs.db", &mut dice);
            let mut receiver = receiver(vec![folder.clone()], &output);
            let ended = match receiver.round(&|_| ()) {
                Ok(ended) => ended,
                // Nothing but what is no volume came in this round.
                Err(VolumeError::Nothing { .. }) if round < 2 => {
                    receiver.release();
                    continue;
                }
                Err(error) => panic!("seed {seed}, round {round}: {error}"),
            };
            match ended {
                Round::Received { .. } => {
                    receiver.clear().unwrap();
                    break;
                }
                Round::Incomplete { code, .. } => {
                    assert!(round < 2, "seed {seed}: {code}");
                    assert!(!output.exists());
                    receiver.release();
                    incomplete += 1;
                    // Media are taken out: only what was kept remains.
                    std::fs::remove_dir_all(&folder).unwrap();
                }
            }
        }
        assert_eq!(std::fs::read(&output).unwrap(), file, "seed {seed}");
        let left: Vec<_> = std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let ours = left.iter().filter(|name| name.to_string_lossy().starts_with("site.ferry")).count();
        assert_eq!(ours, 1, "seed {seed}: {left:?}");
    }
    assert!(incomplete > 1500, "{incomplete} incomplete rounds: they prove too little");
}

#[test]
fn heads_that_lie_are_refused() {
    let file = noise(9, 3000);
    let (tables, volumes) = split_bytes(set(file.len(), 5, 2, 64), &file).expect("a split");
    let stripes = tables.plan.set.stripes();
    let whole = vec![Run { start: 0, count: stripes }];
    let lie = |change: &dyn Fn(&mut Head)| {
        let mut head = tables.head(2, whole.clone());
        change(&mut head);
        Head::decode(&head.encode())
    };
    assert!(lie(&|_| ()).is_ok());
    let run = |start, count| Run { start, count };
    let lies: [&dyn Fn(&mut Head); 9] = [
        &|head| head.index = 7,
        &|head| head.index = 3,
        &|head| head.table[0] = Digest::of(b"other"),
        &|head| head.neighbours[1].1[0] = Digest::of(b"other"),
        &|head| head.runs = vec![run(0, stripes + 1)],
        &|head| head.runs = vec![run(u32::MAX, 1)],
        &|head| head.runs = vec![run(3, 2), run(0, 1)],
        &|head| head.runs = vec![run(0, 2), run(1, 2)],
        &|head| head.runs = vec![run(0, 0)],
    ];
    for (n, change) in lies.into_iter().enumerate() {
        assert!(matches!(lie(change), Err(HeadError::Lies(_))), "{n}");
    }
    // Any number of any head changed, and its digest made right again: refused or another set, never a panic.
    let good = tables.whole_head(2).encode();
    let mut dice = Dice(77);
    for _ in 0..50_000 {
        let mut bytes = good.clone();
        for _ in 0..=dice.below(3) {
            let at = if dice.below(2) == 0 { 16 + dice.below(16) } else { 16 + dice.below(400) };
            bytes[at] = u8::try_from(dice.below(256)).unwrap();
        }
        let end = bytes.len() - 32;
        let digest = Digest::of(&bytes[..end]);
        bytes[end..].copy_from_slice(digest.as_bytes());
        if let Ok(head) = Head::decode(&bytes) {
            assert!(head.plan.id != tables.plan.id || head == tables.whole_head(2), "{head:?}");
        }
    }
    // A length far beyond the file costs no memory: the file is not that long.
    let mut huge = volumes[0].clone();
    huge[16..20].copy_from_slice(&(27u32 << 20).to_le_bytes());
    let end = huge.len() - 16;
    huge[end..end + 4].copy_from_slice(&(27u32 << 20).to_le_bytes());
    assert!(matches!(read("huge", &huge).verdict, Verdict::NoHead(HeadError::Damaged, HeadError::Damaged)));
}

#[test]
fn blocks_that_lie_are_no_part_of_the_set() {
    let file = noise(10, 20 * 64);
    let (tables, volumes) = split_bytes(set(file.len(), 20, 4, 64), &file).expect("a split");
    let (other, others) = split_bytes(set(file.len(), 20, 4, 64), &noise(11, 20 * 64)).expect("a split");
    let head = tables.whole_head(0).encode().len();
    // The heads of one set around the blocks of another, of the same name, shape and length.
    let mut mixed = volumes[0].clone();
    mixed[head..head + 64].copy_from_slice(&others[0][head..head + 64]);
    let scanned: Vec<Scanned> = std::iter::once(&mixed).chain(&volumes[1..20]).map(|bytes| read("v", bytes)).collect();
    let gathering = gather(scanned);
    assert!(!only(&gathering).is_enough());
    assert_eq!(Need::all(only(&gathering)).whole(1).collect::<Vec<_>>(), [0, 20, 21, 22, 23]);
    // Two sets of one name in one place, halves of each: kept apart, and neither can be had.
    let both = volumes[..12].iter().chain(&others[12..]).map(|bytes| read("v", bytes));
    let gathering = gather(both);
    assert_eq!(gathering.sets().len(), 2);
    assert!(gathering.sets().values().all(|assembly| !assembly.is_enough()));
    assert_eq!(gathering.sets()[&other.plan.id].good(12), 1);
}

#[test]
fn mixed_sets_are_told_apart_by_id_and_never_guessed() {
    let place = scratch();
    let folder = place.path().join("in");
    std::fs::create_dir(&folder).unwrap();
    let mut ids = Vec::new();
    let files: [Vec<u8>; 2] = [noise(12, 5000), noise(13, 5000)];
    for (n, file) in files.iter().enumerate() {
        let (tables, volumes) = split_bytes(set(file.len(), 3, 1, 256), file).expect("a split");
        ids.push(tables.plan.id.hex());
        volumes
            .iter()
            .enumerate()
            .for_each(|(v, bytes)| std::fs::write(folder.join(format!("{n}-{v}")), bytes).unwrap());
    }
    let output = place.path().join("site.ferry");
    let mut receiver = receiver(vec![folder.clone()], &output);
    let error = receiver.round(&|_| ()).unwrap_err();
    assert!(matches!(&error, VolumeError::Several { sets } if sets.len() == 2), "{error}");
    receiver.release();
    for (id, file) in ids.iter().zip(&files) {
        let output = place.path().join(&id[..6]);
        let order = Order {
            places: vec![folder.clone()],
            output: output.clone(),
            set: Some(id[..8].to_uppercase()),
            force: false,
            jobs: 2,
            keep: true,
        };
        let mut receiver = Receiver::new(order).unwrap();
        assert!(matches!(receiver.round(&|_| ()), Ok(Round::Received { .. })));
        receiver.clear().unwrap();
        assert_eq!(&std::fs::read(&output).unwrap(), file);
    }
}

#[test]
fn a_set_made_of_something_else_publishes_nothing() {
    let file = noise(14, 5000);
    let (tables, volumes) = split_bytes(set(file.len(), 3, 1, 256), &file).expect("a split");
    // A whole set under a descriptor that names another file: consistent in itself, and wrong.
    let lying = Set { sha256: Digest::of(b"what was promised"), ..tables.plan.set.clone() };
    let plan = ferry_bundle_format::volume::SetPlan::of(lying.to_bytes(), tables.plan.roots.clone()).unwrap();
    let lying = Tables { plan: Arc::new(plan), tables: tables.tables.clone() };
    let place = scratch();
    for (n, volume) in (0..).zip(&volumes) {
        let (head, old) = (lying.whole_head(n).encode(), tables.whole_head(n).encode().len());
        let blocks = &volume[old..volume.len() - old - 32];
        let bytes = [&head, blocks, &head, &lying.whole_head(n).end_mark()].concat();
        std::fs::write(place.path().join(format!("{n}.bin")), bytes).unwrap();
    }
    let output = place.path().join("site.ferry");
    let mut receiver = receiver(vec![place.path().to_owned()], &output);
    let error = receiver.round(&|_| ()).unwrap_err();
    assert!(matches!(error, VolumeError::Join { source: JoinError::Wrong { .. }, .. }), "{error}");
    assert!(!output.exists() && !place.path().join("site.ferry.partial").exists());
}

#[test]
fn codes_survive_a_telephone_and_no_typing_error_passes() {
    let (tables, _) = split_bytes(set(20 * 64 * 300, 20, 4, 64), &noise(15, 20 * 64 * 300)).expect("a split");
    let plan = &tables.plan;
    let run = |start, count| Run { start, count };
    let whole = vec![run(0, plan.set.stripes())];
    let needs = [
        Need([(3, whole.clone())].into()),
        Need([(0, whole.clone()), (1, whole.clone()), (23, whole.clone())].into()),
        Need([(4, vec![run(7, 1)]), (5, whole.clone()), (9, vec![run(0, 2), run(250, 50)])].into()),
    ];
    for need in needs {
        let said = code::encode(plan, &need);
        assert_eq!(code::decode(&said).unwrap().need_of(plan), Ok(need.clone()), "{said}");
        let heard = said.to_lowercase().replace('0', "o").replace('1', "l").replace('-', " ");
        assert_eq!(code::decode(&heard).unwrap().need_of(plan), Ok(need), "{heard}");
        let plain: Vec<char> = said.chars().filter(|c| *c != '-').collect();
        for at in 0..plain.len() {
            for other in "0123456789ABCDEFGHJKMNPQRSTVWXYZ".chars().filter(|c| *c != plain[at]) {
                let mut typed = plain.clone();
                typed[at] = other;
                assert!(code::decode(&typed.iter().collect::<String>()).is_err(), "{said} at {at}: {other}");
            }
            let mut short = plain.clone();
            short.remove(at);
            assert!(code::decode(&short.iter().collect::<String>()).is_err(), "{said} without {at}");
            if let Some(next) = plain.get(at + 1).filter(|next| **next != plain[at]) {
                let mut swapped = plain.clone();
                (swapped[at + 1], swapped[at]) = (plain[at], *next);
                assert!(code::decode(&swapped.iter().collect::<String>()).is_err(), "{said} swapped at {at}");
            }
        }
    }
    // A thousand scattered blocks: more is asked for than is missing, so that a person can read it out.
    let scattered = Need((0..24).map(|v| (v, (0..40).map(|n| run(n * 7 + v % 3, 1)).collect())).collect());
    let said = code::encode(plan, &scattered);
    let asked = code::decode(&said).unwrap().need_of(plan).unwrap();
    assert!(said.len() < 400, "{} characters", said.len());
    for (volume, runs) in &scattered.0 {
        let covered = |run: &Run| {
            asked.0[volume].iter().any(|wide| wide.start <= run.start && run.start < wide.start + wide.count)
        };
        assert!(runs.iter().all(covered), "volume {volume}");
    }
    for text in ["", "0", "U", "hello world", "1111-1111-1111", &"Z".repeat(40_000)] {
        assert!(code::decode(text).is_err(), "{text:.20}");
    }
}

#[test]
fn a_folder_of_volumes_opens_as_the_bundle_and_verifies() {
    let key = SecretKey::from_seed([7; 32]);
    let bundle = Fake::new(6, 200_000).bytes(std::slice::from_ref(&key)).expect("a bundle");
    let (_, volumes) = split_bytes(set(bundle.len(), 6, 2, 4096), &bundle).expect("a split");
    let place = scratch();
    for (n, bytes) in volumes.iter().enumerate() {
        let mut bytes = bytes.clone();
        match n {
            0 => continue,
            // A bad spot in a volume that is there: one more block to repair.
            3 => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
            _ => {}
        }
        std::fs::write(place.path().join(format!("{n}")), bytes).unwrap();
    }
    let policy = TrustPolicy::any_of(vec![key.public()]);
    let open = || UnverifiedBundle::open(place.path())?.trust(&policy, &Silent)?.verify(2, &Silent);
    let verified = open().expect("it verifies without being joined");
    assert_eq!(verified.length(), bundle.len() as u64);
    // Two more are lost: the bundle can't be read any more, and says so.
    std::fs::remove_file(place.path().join("1")).unwrap();
    std::fs::remove_file(place.path().join("2")).unwrap();
    assert!(open().is_err());
    let empty = scratch();
    assert!(matches!(UnverifiedBundle::open(empty.path()), Err(OpenError::Volumes(VolumeError::Nothing { .. }))));
}

#[test]
fn many_sets_in_one_folder_cost_bounded_memory() {
    let place = scratch();
    for n in 0..70u64 {
        let file = noise(100 + n, 500);
        let (_, volumes) = split_bytes(set(file.len(), 2, 0, 64), &file).expect("a split");
        std::fs::write(place.path().join(format!("{n:03}")), &volumes[0]).unwrap();
    }
    let (gathering, files) =
        Looker::default().look(&[place.path().to_owned()], None, 2, &|_| ()).expect("it can be read");
    assert_eq!((files, gathering.sets().len()), (70, 64));
    assert_eq!(gathering.strangers.iter().filter(|(_, why)| *why == Stranger::TooMuch).count(), 6);
}
