//! Looks which images and files a registry holds, and sends the rest, each blob once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use ferry_bundle_format::Digest;
use ferry_bundle_format::lock::{LockedImage, Pin};
use ferry_bundle_format::oci::MAX_DOCUMENT;
use futures_util::future::try_join_all;

use super::client::{Access, Client};
use super::files;
use super::image::{MANIFEST, ProbeImage};
use crate::action::{Push, PushedFile, PushedImage, State};
use crate::event::Event;
use crate::host::{BundleBlob, Bytes, Host, HostError, HostErrorKind, Source};
use crate::pki::PUSH_USER;
use crate::plan::Lacking;
use crate::run::Workshop;
use crate::supply::SupplyError;

fn access(host: &dyn Host, push: &Push, workshop: &Workshop) -> Result<Access, HostError> {
    let secret = |name: &str| {
        let missing = || HostError::new(host.name(), HostErrorKind::Secret(format!("the vault holds no {name}")));
        workshop.vault.get(name).ok_or_else(missing)
    };
    Ok(Access {
        server: push.server.clone(),
        port: push.port,
        authority: secret("registry/ca.crt")?,
        user: PUSH_USER,
        password: secret("registry/push.password")?,
        patience: workshop.patience,
    })
}

/// Whether the registry holds all images of `push` under their names.
pub async fn look(host: &dyn Host, push: &Push, workshop: &Workshop) -> Result<State, HostError> {
    let work = async {
        Ok(match Client::connect(host, &access(host, push, workshop)?).await? {
            Ok(mut client) => {
                missing(&mut client, push).await?.is_empty() && files_missing(&mut client, push).await?.is_none()
            }
            Err(_) => false,
        })
    };
    let satisfied = unless_aborted(host, workshop, work).await?;
    Ok(State { satisfied, seen: if satisfied { "yes" } else { "no" }.into() })
}

/// `work`, unless everything is ended at once.
async fn unless_aborted<T>(
    host: &dyn Host,
    workshop: &Workshop,
    work: impl Future<Output = Result<T, HostError>>,
) -> Result<T, HostError> {
    tokio::select! {
        biased;
        () = workshop.stop.when_aborted() => Err(HostError::new(host.name(), HostErrorKind::Cancelled)),
        done = work => done,
    }
}

async fn missing<'a>(client: &mut Client, push: &'a Push) -> Result<Vec<&'a PushedImage>, HostError> {
    let mut missing = Vec::new();
    for image in &push.images {
        let digest = image.digest.to_string();
        let by_digest = client.manifest(&image.repository, &digest).await?;
        let by_tag = match &image.tag {
            Some(tag) => client.manifest(&image.repository, tag).await?,
            None => by_digest.clone(),
        };
        if by_digest.as_deref() != Some(&digest) || by_tag.as_deref() != Some(&digest) {
            missing.push(image);
        }
    }
    Ok(missing)
}

/// What `push` would send: images that the registry lacks, and of them the blobs that it has not got from others.
pub async fn lacking(host: &dyn Host, push: &Push, workshop: &Workshop) -> Result<Lacking, HostError> {
    let Ok(mut client) = Client::connect(host, &access(host, push, workshop)?).await? else {
        let images = push.images.iter().map(|image| image.digest).collect();
        let files = push.files.iter().map(|file| file.content.digest()).collect();
        return Ok(Lacking { images, files, bytes: push.bytes });
    };
    let mut lacking = Lacking::default();
    let mut blobs: BTreeMap<Digest, u64> = BTreeMap::new();
    for image in missing(&mut client, push).await? {
        lacking.images.insert(image.digest);
        for (digest, size) in blobs_of(image, workshop) {
            if !blobs.contains_key(&digest) && !client.has(&image.repository, &digest).await? {
                blobs.insert(digest, size);
            }
        }
    }
    if files_missing(&mut client, push).await?.is_some() {
        for file in &push.files {
            let digest = file.content.digest();
            if !client.has(files::FILES_REPOSITORY, &digest).await? {
                lacking.files.insert(digest);
                blobs.insert(digest, file.content.size());
            }
        }
    }
    lacking.bytes = blobs.values().sum();
    Ok(lacking)
}

/// The blobs of an image, with their sizes.
fn blobs_of(image: &PushedImage, workshop: &Workshop) -> Vec<(Digest, u64)> {
    if image.made {
        let made = workshop.probe_images.iter().find(|made| made.digest() == image.digest);
        let blobs = made.into_iter().flat_map(|made| [&made.config, &made.layer]);
        return blobs.map(|blob| (Digest::of(&blob.0), blob.0.len() as u64)).collect();
    }
    let locked = workshop.supply.lock().images.iter().find(|one| one.carried().digest == image.digest);
    let pins = locked.into_iter().flat_map(|one| &one.manifests).flat_map(|one| one.layers.iter().chain([&one.config]));
    pins.map(|pin| (pin.digest, pin.size)).collect()
}

/// The manifest of the files, if the registry does not hold it.
async fn files_missing(client: &mut Client, push: &Push) -> Result<Option<Vec<u8>>, HostError> {
    if push.files.is_empty() {
        return Ok(None);
    }
    let manifest = files::manifest(&push.files);
    let digest = Digest::of(&manifest).to_string();
    let held = client.manifest(files::FILES_REPOSITORY, &digest).await?;
    Ok((held.as_deref() != Some(digest.as_str())).then_some(manifest))
}

/// Sends what the registry does not hold, over a few connections at once. Cut off, a rerun sends what is still missing. Gives
/// whether all was sent: `false` if it was asked to stop meanwhile.
pub async fn push(host: &dyn Host, push: &Push, workshop: &Workshop) -> Result<bool, HostError> {
    match unless_aborted(host, workshop, send(host, push, workshop)).await {
        Err(HostError { kind: HostErrorKind::Cancelled, .. }) if workshop.stop.asked() && !workshop.stop.aborted() => {
            Ok(false)
        }
        done => done.map(|()| true),
    }
}

async fn send(host: &dyn Host, push: &Push, workshop: &Workshop) -> Result<(), HostError> {
    let access = access(host, push, workshop)?;
    let nobody = |why: String| {
        let (what, why) = (format!("the registry at port {}", push.port), format!("nothing listens: {why}"));
        HostError::new(host.name(), HostErrorKind::Service { what, why })
    };
    let mut client = Client::connect(host, &access).await?.map_err(nobody)?;
    let mut jobs: VecDeque<Job<'_>> = missing(&mut client, push).await?.into_iter().map(Job::Image).collect();
    let manifest = files_missing(&mut client, push).await?;
    if manifest.is_some() {
        jobs.push_back(Job::Empty);
        jobs.extend(push.files.iter().map(Job::File));
    }
    let others = LANES.min(jobs.len()).saturating_sub(1);
    let (jobs, sent) = (Mutex::new(jobs), Sent::default());
    let sender = |client| Sender { client, host: host.name(), workshop, sent: &sent };
    let mut lanes = vec![sender(client)];
    for _ in 0..others {
        lanes.push(sender(Client::connect(host, &access).await?.map_err(nobody)?));
    }
    let mut idle = try_join_all(lanes.into_iter().map(|lane| lane.work(&jobs))).await?;
    // What holds the files together comes when all of them are there.
    if let (Some(manifest), Some(last)) = (manifest, idle.pop().as_mut()) {
        let tag = files::tag(&Digest::of(&manifest));
        last.client.put(files::FILES_REPOSITORY, &tag, MANIFEST, manifest).await?;
    }
    Ok(())
}

/// Connections over which a registry is filled: while it keeps what one has brought, another brings more.
const LANES: usize = 2;

/// Something to send.
enum Job<'a> {
    Image(&'a PushedImage),
    File(&'a PushedFile),
    /// What stands for a configuration in the manifest of the files.
    Empty,
}

/// Blobs sent in this run, and where to: the next repository mounts them from there. Who wants one that is just being sent waits.
type Sent = Mutex<BTreeMap<Digest, Arc<tokio::sync::Mutex<Option<String>>>>>;

struct Sender<'a> {
    client: Client,
    host: &'a str,
    workshop: &'a Workshop,
    sent: &'a Sent,
}

impl Sender<'_> {
    /// Sends what is next, until nothing is left.
    async fn work(mut self, jobs: &Mutex<VecDeque<Job<'_>>>) -> Result<Self, HostError> {
        let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        while let Some(job) = next() {
            self.go_on()?;
            match job {
                Job::Image(image) => self.image(image).await?,
                Job::File(file) => self.file(file).await?,
                Job::Empty => {
                    let empty = Bytes(Arc::new(files::EMPTY.to_vec()));
                    self.blob(files::FILES_REPOSITORY, &Digest::of(files::EMPTY), Arc::new(empty)).await?;
                }
            }
        }
        Ok(self)
    }

    /// Nothing more is begun once it was asked to stop.
    fn go_on(&self) -> Result<(), HostError> {
        let stops = self.workshop.stop.asked();
        if stops { Err(HostError::new(self.host, HostErrorKind::Cancelled)) } else { Ok(()) }
    }

    fn broken(&self, error: &SupplyError) -> HostError {
        HostError::new(self.host, HostErrorKind::Upload { path: "the registry".into(), why: error.to_string() })
    }

    async fn image(&mut self, image: &PushedImage) -> Result<(), HostError> {
        let (documents, top) = if image.made { self.made(image).await? } else { self.carried(image).await? };
        for (digest, media_type, bytes) in documents {
            self.client.put(&image.repository, &digest.to_string(), &media_type, bytes).await?;
        }
        let (media_type, bytes) = top;
        self.client.put(&image.repository, &image.digest.to_string(), &media_type, bytes.clone()).await?;
        if let Some(tag) = &image.tag {
            self.client.put(&image.repository, tag, &media_type, bytes).await?;
        }
        Ok(())
    }

    /// Sends the blobs of an image of the bundle; gives its manifests, and what its name points to.
    async fn carried(&mut self, image: &PushedImage) -> Result<(Documents, Top), HostError> {
        let lock = self.workshop.supply.lock();
        let named = |one: &&LockedImage| one.carried().digest == image.digest;
        let gone = || SupplyError::Missing { what: image.repository.clone(), arch: ferry_bundle_format::Arch::Amd64 };
        let locked = lock.images.iter().find(named).ok_or_else(|| self.broken(&gone()))?;
        let mut documents = Vec::new();
        for one in &locked.manifests {
            for pin in std::iter::once(&one.config).chain(&one.layers) {
                self.go_on()?;
                let blob = self.workshop.supply.blob(&pin.digest).map_err(|error| self.broken(&error))?;
                self.blob(&image.repository, &pin.digest, Arc::new(BundleBlob(blob))).await?;
            }
            documents.push((one.manifest.digest, one.manifest.media_type.clone(), self.document(&one.manifest)?));
        }
        let carried = locked.carried();
        documents.retain(|(digest, ..)| *digest != carried.digest);
        Ok((documents, (carried.media_type.clone(), self.document(carried)?)))
    }

    async fn file(&mut self, file: &PushedFile) -> Result<(), HostError> {
        let source = self.workshop.supply.source(&file.content).map_err(|error| self.broken(&error))?;
        let gone = || SupplyError::Missing { what: file.name.clone(), arch: ferry_bundle_format::Arch::Amd64 };
        let source = source.ok_or_else(|| self.broken(&gone()))?;
        self.blob(files::FILES_REPOSITORY, &file.content.digest(), source).await
    }

    async fn made(&mut self, image: &PushedImage) -> Result<(Documents, Top), HostError> {
        let made = self.workshop.probe_images.iter().find(|made| made.digest() == image.digest);
        let gone = || SupplyError::Missing { what: "ferry-probe".into(), arch: ferry_bundle_format::Arch::Amd64 };
        let made: ProbeImage = made.cloned().ok_or_else(|| self.broken(&gone()))?;
        for blob in [&made.config, &made.layer] {
            self.blob(&image.repository, &Digest::of(&blob.0), Arc::new(Bytes(blob.0.clone()))).await?;
        }
        Ok((Vec::new(), (MANIFEST.into(), made.manifest.0.to_vec())))
    }

    fn document(&self, pin: &Pin) -> Result<Vec<u8>, HostError> {
        let document = self.workshop.supply.bundle().blob_document(&pin.digest, MAX_DOCUMENT);
        document.map_err(|error| self.broken(&SupplyError::Open(error)))
    }

    async fn blob(&mut self, repository: &str, digest: &Digest, source: Arc<dyn Source>) -> Result<(), HostError> {
        if self.client.has(repository, digest).await? {
            return Ok(());
        }
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner).entry(*digest).or_default().clone();
        let mut sent = sent.lock().await;
        let bytes = source.length();
        let _one_of_few = self.workshop.uploads.acquire().await;
        self.client.blob(repository, digest, sent.as_deref(), source).await?;
        if sent.is_none() {
            *sent = Some(repository.to_owned());
            self.workshop.journal.record(&Event::Moved { host: self.host.to_owned(), bytes });
        }
        Ok(())
    }
}

/// Manifests below the top one: digest, media type, bytes.
type Documents = Vec<(Digest, String, Vec<u8>)>;
/// What a name points to: media type, bytes.
type Top = (String, Vec<u8>);
