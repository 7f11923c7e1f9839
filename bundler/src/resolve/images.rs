//! Images: from a name to pinned manifests, configs and layers. What the registry says is checked against itself:
//! index against manifest, manifest against config, config against the architecture that was asked for.

use ferry_bundle_format::lock::{LockedImage, LockedManifest, Origin, Pin};
use ferry_bundle_format::manifest::ImageSource;
use ferry_bundle_format::oci::{Descriptor, Document, ImageConfig, Manifest};
use ferry_bundle_format::{Arch, Reference};

use super::error::ResolveError;
use super::{Resolver, Wanted};
use crate::choice::{self, ChoiceError};
use crate::event::Event;
use crate::local;
use crate::source::{Repository, ServedDocument, SourceError, SourceErrorKind};

impl Resolver {
    pub(super) async fn image(&self, wanted: Wanted) -> Result<LockedImage, ResolveError> {
        let reference = wanted.image.reference.clone();
        let local = match &wanted.image.source {
            ImageSource::Registry => None,
            ImageSource::DockerArchive(path) => Some(Origin::DockerArchive(text(path))),
            ImageSource::OciArchive(path) => Some(Origin::OciArchive(text(path))),
            ImageSource::OciLayout(path) => Some(Origin::OciLayout(text(path))),
        };
        let image = match local {
            Some(origin) => self.local_image(wanted, origin).await?,
            None => self.registry_image(wanted).await?,
        };
        let bytes = image.manifests.iter().flat_map(|m| &m.layers).map(|layer| layer.size).sum();
        self.reporter.event(&Event::Done { what: "image", name: reference.to_string(), bytes: Some(bytes) });
        Ok(image)
    }

    async fn local_image(&self, wanted: Wanted, origin: Origin) -> Result<LockedImage, ResolveError> {
        let (base, from) = (self.base.clone(), origin.clone());
        let (reference, arches) = (wanted.image.reference.clone(), wanted.image.arches.clone());
        let work = move || local::resolve(&from, &base, &reference, &arches);
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

    async fn registry_image(&self, wanted: Wanted) -> Result<LockedImage, ResolveError> {
        let reference = &wanted.image.reference;
        let (answered, served) = self.first_answer(reference).await?;
        let repository = Repository::from(&answered);
        let document = served.parse().map_err(|error| refused(reference, error))?;
        let target = Pin {
            digest: served.digest,
            size: served.bytes.len() as u64,
            media_type: document.media_type().to_owned(),
        };
        let mut manifests = Vec::new();
        let mut narrowed = None;
        match document {
            Document::Index(index) => {
                for &arch in &wanted.image.arches {
                    let chosen = choice::pick(&index.manifests, arch);
                    let descriptor = chosen.map_err(|error| unfit(reference, error))?;
                    manifests.push(self.manifest_of(reference, &repository, arch, descriptor).await?);
                }
                narrowed = choice::narrowed(index.manifests.len(), &manifests);
            }
            Document::Manifest(manifest) => {
                let arch = self.only_arch(reference, &repository, &manifest, &wanted.image.arches).await?;
                manifests.push(self.locked(reference, &repository, arch, None, target.clone(), &manifest).await?);
            }
        }
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

    async fn manifest_of(
        &self,
        reference: &Reference,
        repository: &Repository,
        arch: Arch,
        descriptor: &Descriptor,
    ) -> Result<LockedManifest, ResolveError> {
        let at = reference.moved_to(repository.registry(), repository.name()).at(descriptor.digest);
        let served = self.client.manifest(&at).await.map_err(|error| source(reference, error))?;
        if served.bytes.len() as u64 != descriptor.size {
            let why = format!(
                "the index says {} bytes for its {arch} manifest, it has {}",
                descriptor.size,
                served.bytes.len()
            );
            return Err(ResolveError::Image { reference: reference.clone(), why });
        }
        let document =
            Document::parse(&served.bytes, Some(&descriptor.media_type)).map_err(|error| refused(reference, error))?;
        let Document::Manifest(manifest) = document else {
            let why = format!("its index names another index for {arch}; nested indexes are not carried");
            return Err(ResolveError::Image { reference: reference.clone(), why });
        };
        let pin = Pin { digest: descriptor.digest, size: descriptor.size, media_type: descriptor.media_type.clone() };
        let variant = descriptor.platform.as_ref().and_then(|platform| platform.variant.clone());
        self.locked(reference, repository, arch, variant, pin, &manifest).await
    }

    async fn locked(
        &self,
        reference: &Reference,
        repository: &Repository,
        arch: Arch,
        variant: Option<String>,
        pin: Pin,
        manifest: &Manifest,
    ) -> Result<LockedManifest, ResolveError> {
        let fail = |error| unfit(reference, error);
        if choice::has_image_config(manifest).map_err(fail)? {
            let config = self.config(reference, repository, manifest).await?;
            choice::agree(manifest.layers.len(), &config, arch).map_err(fail)?;
        }
        Ok(choice::locked(arch, variant, pin, manifest))
    }

    async fn config(
        &self,
        reference: &Reference,
        repository: &Repository,
        manifest: &Manifest,
    ) -> Result<ImageConfig, ResolveError> {
        let config = &manifest.config;
        let bytes = self
            .client
            .small_blob(repository, &config.digest, config.size)
            .await
            .map_err(|error| source(reference, error))?;
        ImageConfig::parse(&bytes).map_err(|error| refused(reference, error))
    }

    /// The architecture of a name that points to a single manifest: what its config says, if all that is wanted is that.
    async fn only_arch(
        &self,
        reference: &Reference,
        repository: &Repository,
        manifest: &Manifest,
        wanted: &[Arch],
    ) -> Result<Arch, ResolveError> {
        let fail = |error| unfit(reference, error);
        if !choice::has_image_config(manifest).map_err(fail)? {
            return Err(fail(ChoiceError::NoImage));
        }
        let config = self.config(reference, repository, manifest).await?;
        choice::only_arch(&config.platform(), wanted).map_err(fail)
    }
}

fn unfit(reference: &Reference, error: ChoiceError) -> ResolveError {
    let reference = reference.clone();
    match error {
        ChoiceError::NoArch { arch, found } => ResolveError::NoArch { reference, arch, found },
        ChoiceError::ArchLie { arch, config } => ResolveError::ArchLie { reference, arch, config },
        other => ResolveError::Image { reference, why: other.to_string() },
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
