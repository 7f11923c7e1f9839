//! One transfer: from a stream to a sink, with hashing and writing on a blocking thread.

use std::sync::Arc;

use bytes::Bytes;
use ferry_bundle_format::archive::Region;
use ferry_bundle_format::lock::contents::Supply;
use ferry_bundle_format::{Digest, Reference};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use url::Url;

use super::{CHUNK, FetchError, Fetcher, Sink, Target};
use crate::event::{Event, Reporter};
use crate::source::{BlobStream, RegistryClient, Repository, SourceError};

/// The places to ask for a supply: mirrors first, itself last.
pub(super) fn candidates(client: &RegistryClient, supply: &Supply) -> Result<Vec<Supply>, FetchError> {
    Ok(match supply {
        Supply::Manifest(name) => repositories(client, name)?.into_iter().map(Supply::Manifest).collect(),
        Supply::Blob(name) => repositories(client, name)?.into_iter().map(Supply::Blob).collect(),
        Supply::Url(text) => {
            let url = parse(text)?;
            client.mirrors().urls(&url).into_iter().map(|url| Supply::Url(url.to_string())).collect()
        }
        own => vec![own.clone()],
    })
}

fn repositories(client: &RegistryClient, name: &str) -> Result<Vec<String>, FetchError> {
    Ok(client.mirrors().repositories(&repository(name)?).iter().map(ToString::to_string).collect())
}

fn repository(name: &str) -> Result<Repository, FetchError> {
    let bad = || FetchError::BadSupply { text: name.to_owned() };
    let (registry, path) = name.split_once('/').ok_or_else(bad)?;
    Repository::new(registry, path).map_err(|_| bad())
}

fn parse(url: &str) -> Result<Url, FetchError> {
    Url::parse(url).map_err(|_| FetchError::BadSupply { text: url.to_owned() })
}

/// Runs what blocks where it may. A panic there is a panic here.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

pub(super) async fn begin(
    target: Arc<dyn Target>,
    digest: Digest,
    size: u64,
) -> Result<Option<Box<dyn Sink>>, FetchError> {
    blocking(move || target.begin(&digest, size)).await
}

pub(super) async fn publish(sink: Box<dyn Sink>) -> Result<(), FetchError> {
    blocking(move || sink.publish()).await
}

/// Bytes that are at hand.
pub(super) async fn whole(mut sink: Box<dyn Sink>, bytes: Vec<u8>) -> Result<Box<dyn Sink>, FetchError> {
    blocking(move || {
        sink.restart()?;
        sink.append(&bytes)?;
        Ok(sink)
    })
    .await
}

/// A stretch of a local file.
pub(super) async fn from_local(
    mut sink: Box<dyn Sink>,
    region: Region,
    reporter: Arc<dyn Reporter>,
) -> Result<Box<dyn Sink>, FetchError> {
    blocking(move || {
        let mut buffer = vec![0; CHUNK];
        while sink.length() < region.length() {
            let n = region.read_at(sink.length(), &mut buffer).map_err(|source| FetchError::ReadLocal { source })?;
            sink.append(&buffer[..n])?;
            reporter.event(&Event::Moved { bytes: n as u64 });
        }
        Ok(sink)
    })
    .await
}

/// A registry or file server, repeated and resumed until it is complete or the policy gives up.
pub(super) async fn from_remote(
    fetcher: &Fetcher,
    supply: &Supply,
    digest: Digest,
    size: u64,
    mut sink: Box<dyn Sink>,
) -> Result<Box<dyn Sink>, FetchError> {
    let client = &fetcher.client;
    if let Supply::Manifest(name) = supply {
        let reference =
            Reference::parse(&format!("{name}@{digest}")).map_err(|_| FetchError::BadSupply { text: name.clone() })?;
        let document = client.manifest(&reference).await?;
        fetcher.reporter.event(&Event::Moved { bytes: document.bytes.len() as u64 });
        return whole(sink, document.bytes.to_vec()).await;
    }
    let host = match supply {
        Supply::Url(url) => parse(url)?.host_str().unwrap_or_default().to_owned(),
        Supply::Blob(name) => repository(name)?.registry().to_owned(),
        _ => String::new(),
    };
    let mut attempts = client.attempts(&host);
    loop {
        let before = sink.length();
        if before >= size {
            return Ok(sink);
        }
        let result = match open(client, supply, digest, size, before).await {
            Ok(stream) => {
                let (back, result) = pump(stream, sink, fetcher.reporter.clone()).await;
                sink = back?;
                result
            }
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => return Ok(sink),
            Err(error) => {
                if sink.length() > before {
                    attempts.progressed();
                }
                attempts.pause(error).await?;
            }
        }
    }
}

async fn open(
    client: &RegistryClient,
    supply: &Supply,
    digest: Digest,
    size: u64,
    offset: u64,
) -> Result<BlobStream, SourceError> {
    match supply {
        Supply::Url(url) => {
            let url =
                Url::parse(url).map_err(|_| SourceError::UrlRefused { url: url.clone(), why: "it is not a URL" })?;
            client.files().stream(&url, Some(size), offset).await
        }
        Supply::Blob(name) => {
            let (registry, path) = name.split_once('/').unwrap_or(("", name));
            client.blob_stream(&Repository::new(registry, path)?, &digest, size, offset).await
        }
        _ => unreachable!("only remote supplies are opened"),
    }
}

/// Moves a stream into a sink. The sink comes back with all that was written, whatever happened.
async fn pump(
    mut stream: BlobStream,
    sink: Box<dyn Sink>,
    reporter: Arc<dyn Reporter>,
) -> (Result<Box<dyn Sink>, FetchError>, Result<(), SourceError>) {
    let (sender, mut receiver) = mpsc::channel::<Vec<Bytes>>(1);
    let restart = stream.starts_at() < sink.length();
    let writer = spawn_blocking(move || {
        let mut sink = sink;
        if restart {
            sink.restart()?;
        }
        while let Some(batch) = receiver.blocking_recv() {
            for bytes in batch {
                sink.append(&bytes)?;
                reporter.event(&Event::Moved { bytes: bytes.len() as u64 });
            }
            sink.checkpoint()?;
        }
        Ok(sink)
    });
    let mut batch = Vec::new();
    let mut held = 0;
    let result = loop {
        match stream.chunk().await {
            Ok(Some(bytes)) => {
                held += bytes.len();
                batch.push(bytes);
                if held >= CHUNK / 2 {
                    held = 0;
                    if sender.send(std::mem::take(&mut batch)).await.is_err() {
                        // The writer has stopped with an error of its own, which comes back below.
                        break Ok(());
                    }
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    // What came before the end or the error counts.
    if !batch.is_empty() && sender.send(batch).await.is_err() {
        // As above.
    }
    drop(sender);
    match writer.await {
        Ok(back) => (back, result),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
