//! Images: from a name to pinned manifests, configs and layers. What the registry says is checked against itself:
//! index against manifest, manifest against config, config against the architecture that was asked for.

use ferry_bundle_format::lock::{LockedImage, LockedManifest, Origin, Pin};
use ferry_bundle_format::manifest::{Image, ImageSource};
use ferry_bundle_format::oci::{Descriptor, Document, ImageConfig, Manifest};
use ferry_bundle_format::{Arch, Reference};

use super::documents::Documents;
use super::error::ResolveError;
use super::{Resolver, Wanted};
use crate::choice::{self, ChoiceError, Looked, Picked};
use crate::event::Event;
use crate::local;
use crate::source::{Repository, ServedDocument, SourceError, SourceErrorKind};

impl Resolver {
    pub(super) async fn image(&self, wanted: Wanted, documents: &Documents) -> Result<LockedImage, ResolveError> {
        let reference = wanted.image.reference.clone();
        let local = match &wanted.image.source {
            ImageSource::Registry => None,
            ImageSource::DockerArchive(path) => Some(Origin::DockerArchive(text(path))),
            ImageSource::OciArchive(path) => Some(Origin::OciArchive(text(path))),
            ImageSource::OciLayout(path) => Some(Origin::OciLayout(text(path))),
        };
        let image = match local {
            Some(origin) => self.local_image(wanted, origin).await?,
            None => self.registry_image(wanted, documents).await?,
        };
        let bytes = image.manifests.iter().flat_map(|m| &m.layers).map(|layer| layer.size).sum();
        self.reporter.event(&Event::Done { what: "image", name: reference.to_string(), bytes: Some(bytes) });
        Ok(image)
    }

    async fn local_image(&self, wanted: Wanted, origin: Origin) -> Result<LockedImage, ResolveError> {
        let (base, from, image) = (self.base.clone(), origin.clone(), wanted.image.clone());
        let work = move || local::resolve(&from, &base, &image);
        let found = match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let found = found.map_err(|error| ResolveError::Local { reference: wanted.image.reference.clone(), error })?;
        Ok(LockedImage {
            name: wanted.image.reference,
            from: origin,
            via: None,
            groups: wanted.image.groups,
            component: wanted.component,
            target: found.target,
            narrowed: found.narrowed,
            manifests: found.manifests,
        })
    }

    async fn registry_image(&self, wanted: Wanted, documents: &Documents) -> Result<LockedImage, ResolveError> {
        let reference = &wanted.image.reference;
        let (answered, served) = self.first_answer(reference).await?;
        documents.keep(&served);
        let repository = Repository::from(&answered);
        let document = served.parse().map_err(|error| refused(reference, error))?;
        let target = Pin {
            digest: served.digest,
            size: served.bytes.len() as u64,
            media_type: document.media_type().to_owned(),
        };
        let lookup = Lookup { image: &wanted.image, repository: &repository, documents };
        let (manifests, narrowed) = match document {
            Document::Index(index) => {
                let of = |&arch| lookup.of_index(&index.manifests, arch);
                let manifests = futures_util::future::try_join_all(wanted.image.arches.iter().map(of)).await?;
                let narrowed = choice::narrowed(&index.manifests, &manifests);
                (manifests, narrowed)
            }
            Document::Manifest(manifest) => (vec![lookup.only(target.clone(), &manifest).await?], None),
        };
        let origin = Repository::from(reference);
        Ok(LockedImage {
            via: (repository != origin).then(|| repository.to_string()),
            from: Origin::Registry(origin.to_string()),
            name: wanted.image.reference,
            groups: wanted.image.groups,
            component: wanted.component,
            target,
            narrowed,
            manifests,
        })
    }

    /// The document of the first mirror that has it, or of the origin.
    async fn first_answer(&self, reference: &Reference) -> Result<(Reference, ServedDocument), ResolveError> {
        let candidates = self.client.mirrors().references(reference);
        let mut last = None;
        for candidate in candidates {
            match self.client.manifest(&candidate).await {
                Ok(served) => return Ok((candidate, served)),
                Err(error) => {
                    if let Some((before, why)) = last.replace((candidate, error)) {
                        self.reporter.event(&Event::Note { text: format!("{before}: {why}; trying the next place") });
                    }
                }
            }
        }
        let (_, error) = last.expect("there is always one candidate, the origin");
        Err(source(reference, error))
    }
}

/// One image, where it was found.
struct Lookup<'a> {
    image: &'a Image,
    repository: &'a Repository,
    documents: &'a Documents,
}

impl Lookup<'_> {
    /// The image for `arch` of an index.
    async fn of_index(&self, listed: &[Descriptor], arch: Arch) -> Result<LockedManifest, ResolveError> {
        let chosen = self.image.choose.get(&arch);
        let descriptor = match choice::pick(listed, arch, chosen).map_err(|error| self.unfit(error))? {
            Picked::One(descriptor) => descriptor,
            Picked::Look(entries) => self.settled(&entries, arch).await?,
        };
        let manifest = self.manifest(arch, descriptor).await?;
        let config = self.config(&manifest).await?;
        let agreed = choice::agree(manifest.layers.len(), &config, arch, chosen.is_some());
        agreed.map_err(|error| self.unfit(error))?;
        Ok(choice::locked(arch, choice::variant(descriptor, arch), choice::pin_of(descriptor), &manifest))
    }

    /// Which of several entries is the image: their manifests decide.
    async fn settled<'d>(&self, entries: &[&'d Descriptor], arch: Arch) -> Result<&'d Descriptor, ResolveError> {
        let mut looked = Vec::new();
        for &descriptor in entries {
            let manifest = self.manifest(arch, descriptor).await?;
            let asks_config = !choice::names_platform(descriptor) && choice::check_image(&manifest).is_ok();
            let platform = if asks_config { Some(self.config(&manifest).await?.platform()) } else { None };
            looked.push(Looked { descriptor, manifest, platform });
        }
        let place = choice::settle(&looked, arch).map_err(|error| self.unfit(error))?;
        Ok(looked[place].descriptor)
    }

    /// The image of a name that points to a single manifest: for the architecture that its config says, if all
    /// that is wanted is that.
    async fn only(&self, pin: Pin, manifest: &Manifest) -> Result<LockedManifest, ResolveError> {
        let config = self.config(manifest).await?;
        let arch = choice::only_arch(&config.platform(), &self.image.arches).map_err(|error| self.unfit(error))?;
        choice::agree(manifest.layers.len(), &config, arch, false).map_err(|error| self.unfit(error))?;
        Ok(choice::locked(arch, None, pin, manifest))
    }

    async fn manifest(&self, arch: Arch, descriptor: &Descriptor) -> Result<Manifest, ResolveError> {
        let reference = &self.image.reference;
        let at = reference.moved_to(self.repository.registry(), self.repository.name()).at(descriptor.digest);
        let bytes = self.documents.manifest(&at, descriptor.digest).await.map_err(|error| source(reference, error))?;
        if bytes.len() as u64 != descriptor.size {
            let (said, has) = (descriptor.size, bytes.len());
            let why = format!("the index says {said} bytes for its {arch} manifest, it has {has}");
            return Err(ResolveError::Image { reference: reference.clone(), why });
        }
        match Document::parse(&bytes, Some(&descriptor.media_type)).map_err(|error| refused(reference, error))? {
            Document::Manifest(manifest) => Ok(manifest),
            Document::Index(_) => Err(self.unfit(ChoiceError::Nested(arch))),
        }
    }

    /// The config of an image's manifest; what is no image is refused.
    async fn config(&self, manifest: &Manifest) -> Result<ImageConfig, ResolveError> {
        choice::check_image(manifest).map_err(|error| self.unfit(error))?;
        let reference = &self.image.reference;
        let bytes = self.documents.config(self.repository, &manifest.config).await;
        let bytes = bytes.map_err(|error| source(reference, error))?;
        ImageConfig::parse(&bytes).map_err(|error| refused(reference, error))
    }

    fn unfit(&self, error: ChoiceError) -> ResolveError {
        let reference = self.image.reference.clone();
        match error {
            ChoiceError::NoArch { arch, found } => ResolveError::NoArch { reference, arch, found },
            ChoiceError::ArchLie { arch, config } => ResolveError::ArchLie { reference, arch, config },
            error => ResolveError::Choice { reference, error },
        }
    }
}

fn source(reference: &Reference, error: SourceError) -> ResolveError {
    let what = match error.kind() {
        SourceErrorKind::NotFound => format!("{reference} is not there"),
        _ => reference.to_string(),
    };
    ResolveError::Source { what, error }
}

fn refused(reference: &Reference, error: ferry_bundle_format::oci::OciError) -> ResolveError {
    ResolveError::Document { what: reference.to_string(), error }
}

fn text(path: &std::path::Path) -> String {
    path.to_string_lossy().into_owned()
}
