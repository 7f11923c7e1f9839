//! Bringing a file to a host: to a part beside its place, resumed, hashed there, renamed.
//!
//! ```text
//! look     part there? its size and digest; free space; is the folder there        (root)
//! send     cat >> part, from where it ends                                         (root)
//! place    digest again, mode, owner, sync, mv                                     (root)
//! ```
//! Not by SFTP: it knows no sudo, many hardened hosts have none, and `cat` was measured faster (`tests/openssh/throughput.rs`).
//! The part is named by the digest of what it will be, so nobody else's part is taken for ours. What stands between its
//! beginning and its end is compared before it is built on, and all of it before it gets the name.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ferry_bundle_format::Digest;
use ferry_bundle_format::digest::digest_reader;
use tokio::sync::{Mutex, mpsc};

use super::exec::Feed;
use super::session::Inner;
use crate::host::{Command, HASH, HostError, HostErrorKind, Progress, Source, TRUSTED, Upload, quote};

/// Bytes that are read, sent and reported at a time.
const CHUNK: usize = 256 << 10;

/// Bytes a second that hashing on a host manages at least.
const HASHING: u64 = 10 << 20;

/// Bytes a second that a way manages at least; what is slower is ended and goes on with the next try.
const SENDING: u64 = 32 << 10;

/// Uploads under way, by the path of their part: two of one content to one folder follow each other.
#[derive(Default)]
pub(super) struct Parts(std::sync::Mutex<BTreeMap<String, Arc<Mutex<()>>>>);

impl Parts {
    fn of(&self, part: &str) -> Arc<Mutex<()>> {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.retain(|_, lock| Arc::strong_count(lock) > 1);
        parts.entry(part.to_owned()).or_default().clone()
    }
}

struct Places {
    folder: String,
    part: String,
}

/// What is there already.
struct Found {
    size: u64,
    digest: Option<Digest>,
    /// Bytes free where the part lies.
    free: Option<u64>,
}

/// Uploads.
pub(super) async fn carry(host: &Arc<Inner>, upload: &Upload, progress: Progress<'_>) -> Result<(), HostError> {
    let fail = |why: String| host.error(HostErrorKind::Upload { path: upload.path.clone(), why });
    let places = places(upload).ok_or_else(|| fail("it is no absolute path of a file".to_owned()))?;
    let lock = host.parts.of(&places.part);
    let _alone = lock.lock().await;
    let length = upload.source.length();
    let found = look(host, upload, &places).await?;
    let offset = reusable(&found, upload).await.map_err(|error| fail(format!("can't read it here: {error}")))?;
    let missing = length - offset;
    // What must be sent anew may take the place of what is there.
    let free = found.free.map(|free| if offset == 0 { free + found.size } else { free });
    if let Some(free) = free.filter(|free| *free < missing) {
        let short = missing - free;
        return Err(fail(format!("no space: {missing} bytes are still to come, {free} are free; {short} are missing")));
    }
    if offset > 0 {
        progress(offset);
    }
    send(host, upload, &places, offset, progress).await?;
    place(host, upload, &places).await
}

fn places(upload: &Upload) -> Option<Places> {
    let (folder, name) = upload.path.rsplit_once('/')?;
    if !upload.path.starts_with('/') || matches!(name, "" | "." | "..") {
        return None;
    }
    let folder = if folder.is_empty() { "/" } else { folder };
    let part = format!("{}/.ferry-part-{}", folder.trim_end_matches('/'), upload.digest.short());
    Some(Places { folder: folder.to_owned(), part })
}

async fn look(host: &Arc<Inner>, upload: &Upload, places: &Places) -> Result<Found, HostError> {
    let (folder, part, path) = (quote(&places.folder), quote(&places.part), quote(&upload.path));
    let script = format!(
        "{HASH}\n{TRUSTED}\
         if [ ! -d {folder} ]; then echo 'its folder does not exist' >&2; exit 3; fi\n\
         if [ -d {path} ]; then echo 'there is a folder of this name' >&2; exit 3; fi\n\
         f_trusted {part} || {{ echo 'its folder, or one above it, can be changed by other users than root' >&2; exit 3; }}\n\
         echo free $(df -Pk {folder} | tail -n 1 | awk '{{print $4}}')\n\
         if [ -L {part} ] || [ -e {part} -a ! -f {part} ]; then rm -rf {part}; fi\n\
         if [ -f {part} ]; then echo part $(wc -c < {part}) $(hash < {part}); fi"
    );
    let command = Command::root(script).within(patience(upload.source.length(), HASHING));
    let output = host.traced(&command, Feed::of(&command.stdin)).await?;
    let said = output.errors();
    if output.status != 0 {
        return Err(host.error(HostErrorKind::Upload { path: upload.path.clone(), why: said.trim().to_owned() }));
    }
    let text = output.text();
    let words = |key| {
        let line = text.lines().find(|line| line.split(' ').next() == Some(key));
        line.map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>()).unwrap_or_default()
    };
    let number = |word: Option<&&str>| word.and_then(|word| word.parse::<u64>().ok());
    let part = words("part");
    Ok(Found {
        size: number(part.first()).unwrap_or(0),
        digest: part.get(1).and_then(|hex| Digest::from_hex(hex).ok()),
        free: number(words("free").first()).map(|kib| kib.saturating_mul(1024)),
    })
}

/// How much of the part is what it should be: all of it, or nothing.
async fn reusable(found: &Found, upload: &Upload) -> std::io::Result<u64> {
    let (size, source) = (found.size, upload.source.clone());
    let Some(there) = found.digest.filter(|_| size > 0 && size <= source.length()) else { return Ok(0) };
    let hash = move || digest_reader(source.open_at(0)?.take(size));
    let (here, read) = tokio::task::spawn_blocking(hash).await.map_err(std::io::Error::other)??;
    Ok(if here == there && read == size { size } else { 0 })
}

async fn send(
    host: &Arc<Inner>,
    upload: &Upload,
    places: &Places,
    offset: u64,
    progress: Progress<'_>,
) -> Result<(), HostError> {
    let missing = upload.source.length() - offset;
    let part = quote(&places.part);
    let begin = if offset == 0 { format!("rm -f {part}; ") } else { String::new() };
    // 077: until it has its owner and mode, nobody else reads it.
    let script = format!("umask 077; {begin}cat >> {part}");
    let command = Command::root(script).within(patience(missing, SENDING));
    let chunks = read_ahead(upload.source.clone(), offset, missing);
    let fail = |why: String| host.error(HostErrorKind::Upload { path: upload.path.clone(), why });
    let output = match host.traced(&command, Feed::Stream(chunks, progress)).await {
        Ok(output) => output,
        Err(HostError { kind: HostErrorKind::Upload { why, .. }, .. }) => {
            return Err(fail(format!("can't read it here: {why}")));
        }
        Err(error) => return Err(error),
    };
    if output.status == 0 {
        return Ok(());
    }
    let said = output.errors();
    if said.contains("No space left") || said.contains("quota exceeded") {
        let arrived = look(host, upload, places).await.map_or(offset, |found| found.size);
        let short = upload.source.length().saturating_sub(arrived);
        return Err(fail(format!("no space: {short} bytes are missing; what has arrived is kept: {}", said.trim())));
    }
    Err(fail(said.trim().to_owned()))
}

/// Reads on a blocking thread, a few chunks ahead of the network.
fn read_ahead(source: Arc<dyn Source>, offset: u64, length: u64) -> mpsc::Receiver<std::io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        let read = || -> std::io::Result<()> {
            let mut reader = source.open_at(offset)?.take(length);
            let mut sent = 0;
            loop {
                let mut chunk = vec![0; CHUNK];
                let mut filled = 0;
                while filled < CHUNK {
                    match reader.read(&mut chunk[filled..])? {
                        0 => break,
                        read => filled += read,
                    }
                }
                chunk.truncate(filled);
                sent += filled as u64;
                if filled == 0 || sender.blocking_send(Ok(Bytes::from(chunk))).is_err() {
                    break;
                }
            }
            let short =
                || std::io::Error::other(format!("it ends after {} of {} bytes", offset + sent, offset + length));
            if sent == length || sender.is_closed() { Ok(()) } else { Err(short()) }
        };
        if let Err(error) = read() {
            let _ = sender.blocking_send(Err(error));
        }
    });
    receiver
}

async fn place(host: &Arc<Inner>, upload: &Upload, places: &Places) -> Result<(), HostError> {
    let (part, path, folder) = (quote(&places.part), quote(&upload.path), quote(&places.folder));
    let (owner, digest, mode) = (quote(&upload.owner), upload.digest.hex(), upload.mode);
    // A `sync` that takes no file syncs everything, which will do.
    let script = format!(
        "{HASH}\n\
         is=$(hash < {part}) || exit 1\n\
         if [ \"$is\" != {digest} ]; then rm -f {part}; echo \"its digest on the host is $is\" >&2; exit 4; fi\n\
         if [ -d {path} ]; then echo 'there is a folder of this name' >&2; exit 3; fi\n\
         chown {owner} {part} && chmod {mode:o} {part} && {{ sync {part} || sync; }} && mv -f {part} {path} &&\n\
         {{ sync {folder} || sync; }}"
    );
    let command = Command::root(script).within(patience(upload.source.length(), HASHING));
    let output = host.traced(&command, Feed::of(&command.stdin)).await?;
    if output.status == 0 {
        return Ok(());
    }
    let why = match output.status {
        4 => format!(
            "it was damaged on the way ({}), and is removed; {} was expected",
            output.errors().trim(),
            upload.digest
        ),
        _ => output.errors().trim().to_owned(),
    };
    Err(host.error(HostErrorKind::Upload { path: upload.path.clone(), why }))
}

fn patience(length: u64, rate: u64) -> Duration {
    Duration::from_secs(120 + length / rate)
}
