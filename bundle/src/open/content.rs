//! Step 7: every header, every byte of padding, every digest, each byte read once, members in parallel.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::error::{Damage, DamageKind, OpenError};
use super::{Observer, Step, TrustedBundle};
use crate::archive::{BLOCK, Header, Member, Region, padding};
use crate::compact::{RebuildError, Turns};
use crate::digest::{Hasher, READ_CHUNK};
use crate::index::{Entry, blob_name};

pub(super) fn check(bundle: &TrustedBundle, jobs: usize, observer: &dyn Observer) -> Result<(), OpenError> {
    let members: Vec<(&Member, &Entry)> = bundle.layout().members.iter().zip(&bundle.index().entries).collect();
    // The largest first, so that no thread is left with one when the others are done.
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|&n| std::cmp::Reverse(members[n].1.size));
    let (next, turns) = (AtomicUsize::new(0), Turns::default());
    let damages = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, 64).min(members.len().max(1)) {
            scope.spawn(|| {
                let mut buffer = vec![0; READ_CHUNK];
                while let Some(&n) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (member, entry) = members[n];
                    let checked = check_member(bundle, member, entry, &mut buffer, observer)
                        .and_then(|()| check_rebuilt(bundle, member, entry, observer, &turns));
                    if let Err(damage) = checked {
                        damages.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(damage);
                    }
                }
            });
        }
    });
    let mut damages = damages.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    damages.extend(check_end(bundle));
    damages.extend(check_left_out(bundle, jobs, observer, &turns)?);
    damages.sort_by_key(|damage| damage.from);
    if !damages.is_empty() {
        return Err(OpenError::Damaged(damages));
    }
    let total: u64 = members.iter().map(|(_, entry)| entry.size).sum();
    let mut detail = format!("{} members, {total} bytes, each with its digest", members.len());
    let (rebuilt, left) = counts(bundle)?;
    if rebuilt > 0 {
        detail.push_str(&format!("; {rebuilt} blobs rebuilt"));
    }
    if left > 0 {
        detail.push_str(&format!("; {left} not checked, they need a base (--base)"));
    }
    observer.step(Step { number: 7, title: "content", detail });
    Ok(())
}

/// Every blob that the package leaves out and a base has, by reading it there.
fn check_left_out(
    bundle: &TrustedBundle,
    jobs: usize,
    observer: &dyn Observer,
    turns: &Turns,
) -> Result<Vec<Damage>, OpenError> {
    let missing = bundle.missing()?;
    let there: Vec<_> = bundle.index().requires.iter().filter(|extent| !missing.contains(extent)).collect();
    let (next, damages) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, 64).min(there.len()) {
            scope.spawn(|| {
                while let Some(extent) = there.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let _turn = turns.take();
                    if let Err(error) = bundle.check_blob(&extent.digest) {
                        let damage = Damage {
                            name: blob_name(&extent.digest),
                            from: bundle.length(),
                            to: bundle.length(),
                            what: DamageKind::Base(chain(&error)),
                        };
                        damages.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(damage);
                    }
                    observer.read(extent.size);
                }
            });
        }
    });
    Ok(damages.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// How many blobs are rebuilt, and how many can't be for want of a base.
fn counts(bundle: &TrustedBundle) -> Result<(usize, usize), OpenError> {
    let missing = bundle.missing()?;
    let rebuilt = bundle.index().entries.iter().filter_map(Entry::rebuilt);
    let (without, with): (Vec<_>, Vec<_>) =
        rebuilt.partition(|how| how.leans_on.is_some_and(|leans| missing.contains(&leans.blob)));
    Ok((with.len(), without.len()))
}

/// Whether the blob comes out of a member that is stored compact. What leans on a base that is not there is passed over.
fn check_rebuilt(
    bundle: &TrustedBundle,
    member: &Member,
    entry: &Entry,
    observer: &dyn Observer,
    turns: &Turns,
) -> Result<(), Damage> {
    let Some(how) = entry.rebuilt() else { return Ok(()) };
    let _turn = turns.take();
    let from = bundle.base() + member.header_at;
    let damage = |why: String| Damage {
        name: entry.name.clone(),
        from,
        to: bundle.base() + member.end(),
        what: DamageKind::Rebuild(why),
    };
    let rebuilt = match bundle.blob(&how.blob.digest) {
        Ok(blob) => blob.check(|bytes| observer.read(bytes)),
        Err(OpenError::Rebuild { source: RebuildError::Older(_), .. }) => return Ok(()),
        Err(error) => return Err(damage(error.to_string())),
    };
    rebuilt.map_err(|error| damage(chain(&error)))
}

/// An error with its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

fn check_member(
    bundle: &TrustedBundle,
    member: &Member,
    entry: &Entry,
    buffer: &mut [u8],
    observer: &dyn Observer,
) -> Result<(), Damage> {
    let from = bundle.base() + member.header_at;
    let damage = |what| Damage { name: entry.name.clone(), from, to: bundle.base() + member.end(), what };
    let unreadable = |e: std::io::Error| damage(DamageKind::Unreadable(e.to_string()));
    let region = |at, length| Region::new(bundle.file().clone(), at, length);

    let header = region(from, BLOCK).read_all().map_err(unreadable)?;
    if header != member.header.encode() {
        let found = <&[u8; 512]>::try_from(&header[..]).map_or_else(|_| "nothing".to_owned(), describe);
        return Err(damage(DamageKind::Header(format!("its header is not what belongs there: {found}"))));
    }
    let data_at = from + BLOCK;
    let mut read = || -> std::io::Result<crate::Digest> {
        let region = region(data_at, entry.size);
        let mut hasher = Hasher::new();
        while hasher.length() < entry.size {
            let n = region.read_at(hasher.length(), buffer)?;
            hasher.update(&buffer[..n]);
            observer.read(n as u64);
        }
        Ok(hasher.finish())
    };
    let actual = read().map_err(unreadable)?;
    if actual != entry.digest {
        // Once more: if it comes out right now, it is not the file that is bad.
        let again = read().map_err(unreadable)?;
        return Err(damage(if again == actual {
            DamageKind::Digest { expected: entry.digest, actual }
        } else {
            DamageKind::Unstable
        }));
    }
    let pad_at = data_at + entry.size;
    let pad = region(pad_at, padding(entry.size)).read_all().map_err(unreadable)?;
    match pad.iter().position(|&b| b != 0) {
        None => Ok(()),
        Some(n) => Err(damage(DamageKind::Padding { at: pad_at + n as u64 })),
    }
}

fn describe(block: &[u8; 512]) -> String {
    match Header::decode(block) {
        Ok(header) => format!("{} with {} bytes stands there", header.name, header.size),
        Err(error) => error.to_string(),
    }
}

fn check_end(bundle: &TrustedBundle) -> Option<Damage> {
    let from = bundle.base() + bundle.layout().end();
    let to = bundle.length();
    let damage = |what| Some(Damage { name: "the end of the archive".into(), from, to, what });
    match Region::new(bundle.file().clone(), from, to - from).read_all() {
        Err(error) => damage(DamageKind::Unreadable(error.to_string())),
        Ok(bytes) => {
            let at = from + bytes.iter().position(|&b| b != 0)? as u64;
            damage(DamageKind::Padding { at })
        }
    }
}
