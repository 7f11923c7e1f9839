//! OCI layouts, in a folder or an archive: from a name to pinned manifests, by the layout's own documents.

use ferry_bundle_format::Arch;
use ferry_bundle_format::lock::{LockedManifest, Pin, derived};
use ferry_bundle_format::manifest::Image;
use ferry_bundle_format::oci::{Descriptor, Document, ImageConfig, MAX_CONFIG, MAX_DOCUMENT, Manifest, media_type};
use serde::Deserialize;

use super::entry::{self, Found};
use super::error::LocalError;
use super::image::LocalImage;
use super::source::{Source, blob_name};
use crate::choice::{self, ChoiceError, Looked, Picked};

/// The file that marks a layout.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

/// A layout whose index has been read.
#[derive(Debug)]
pub(super) struct Layout {
    source: Source,
    entries: Vec<Descriptor>,
}

impl Layout {
    /// Reads the layout's marker and index.
    pub(super) fn open(source: Source) -> Result<Self, LocalError> {
        let path = source.path().to_owned();
        let refuse = |name: &str, why: String| LocalError::Json { path: path.clone(), name: name.to_owned(), why };
        let marker = source.document("oci-layout", 4096)?;
        let marker: Marker =
            serde_json::from_slice(&marker).map_err(|error| refuse("oci-layout", error.to_string()))?;
        if marker.image_layout_version != "1.0.0" {
            let version = entry::shown(&marker.image_layout_version);
            return Err(refuse("oci-layout", format!("version {version:?} is not known")));
        }
        let bytes = source.document("index.json", MAX_DOCUMENT)?;
        let document = Document::parse(&bytes, None);
        match document.map_err(|error| LocalError::Document {
            path: path.clone(),
            name: "index.json".into(),
            source: error,
        })? {
            Document::Index(index) => Ok(Self { source, entries: index.manifests }),
            Document::Manifest(_) => Err(refuse("index.json", "it is a manifest, not an index".to_owned())),
        }
    }

    /// The source below it.
    pub(super) fn into_source(self) -> Source {
        self.source
    }

    /// Looks up `image`.
    pub(super) fn resolve(&self, image: &Image) -> Result<LocalImage, LocalError> {
        let path = self.source.path().to_owned();
        let wanted = image.stored_as.clone().unwrap_or_else(|| image.reference.to_string());
        if self.entries.is_empty() {
            return Err(LocalError::Empty { path, docker: self.source.region("manifest.json").is_ok() });
        }
        match entry::find(&self.entries, &image.reference, image.stored_as.as_deref()) {
            Found::None => Err(LocalError::NotFound { path, wanted, there: entry::listed(&self.entries) }),
            Found::Other(_) => Err(LocalError::OtherName { path, wanted, there: entry::listed(&self.entries) }),
            Found::Several(several) => Err(LocalError::Ambiguous { path, wanted, there: entry::listed(several) }),
            Found::Platforms(entries) => self.platforms(&entries, image),
            Found::One(entry) => match self.parse(entry)? {
                Document::Index(index) => {
                    let manifests = self.chosen(&index.manifests, image)?;
                    let narrowed = choice::narrowed(&index.manifests, &manifests);
                    Ok(LocalImage { target: choice::pin_of(entry), narrowed, manifests })
                }
                Document::Manifest(manifest) => {
                    let found = self.config(&manifest)?.platform();
                    let arch = choice::only_arch(&found, &image.arches).map_err(|error| self.unfit(error))?;
                    let one = self.locked(arch, entry, &manifest, false)?;
                    Ok(LocalImage { target: choice::pin_of(entry), narrowed: None, manifests: vec![one] })
                }
            },
        }
    }

    /// Manifests that stand side by side in `index.json`: no document of the layout joins them, so that ferry makes one.
    fn platforms(&self, entries: &[&Descriptor], image: &Image) -> Result<LocalImage, LocalError> {
        let entries: Vec<_> = entries.iter().copied().cloned().collect();
        let manifests = self.chosen(&entries, image)?;
        if let [one] = manifests.as_slice() {
            return Ok(LocalImage { target: one.manifest.clone(), narrowed: None, manifests });
        }
        let joined = choice::pin_to(media_type::OCI_INDEX, &derived::narrowed_index(&manifests));
        Ok(LocalImage { target: joined.clone(), narrowed: Some(joined), manifests })
    }

    fn chosen(&self, listed: &[Descriptor], image: &Image) -> Result<Vec<LockedManifest>, LocalError> {
        let one = |&arch: &Arch| {
            let chosen = image.choose.get(&arch);
            let descriptor = match choice::pick(listed, arch, chosen).map_err(|error| self.unfit(error))? {
                Picked::One(descriptor) => descriptor,
                Picked::Look(entries) => self.settled(&entries, arch)?,
            };
            let manifest = self.manifest(descriptor, arch)?;
            self.locked(arch, descriptor, &manifest, chosen.is_some())
        };
        image.arches.iter().map(one).collect()
    }

    /// Which of several entries is the image: their manifests decide.
    fn settled<'d>(&self, entries: &[&'d Descriptor], arch: Arch) -> Result<&'d Descriptor, LocalError> {
        let look = |&descriptor: &&'d Descriptor| {
            let manifest = self.manifest(descriptor, arch)?;
            let asks_config = !choice::names_platform(descriptor) && choice::check_image(&manifest).is_ok();
            let platform = if asks_config { Some(self.config(&manifest)?.platform()) } else { None };
            Ok(Looked { descriptor, manifest, platform })
        };
        let looked = entries.iter().map(look).collect::<Result<Vec<_>, LocalError>>()?;
        let place = choice::settle(&looked, arch).map_err(|error| self.unfit(error))?;
        Ok(looked[place].descriptor)
    }

    fn manifest(&self, descriptor: &Descriptor, arch: Arch) -> Result<Manifest, LocalError> {
        match self.parse(descriptor)? {
            Document::Manifest(manifest) => Ok(manifest),
            Document::Index(_) => Err(self.unfit(ChoiceError::Nested(arch))),
        }
    }

    /// A manifest whose config agrees and whose layers are all there.
    fn locked(
        &self,
        arch: Arch,
        descriptor: &Descriptor,
        manifest: &Manifest,
        chosen: bool,
    ) -> Result<LockedManifest, LocalError> {
        let platform = descriptor.platform.as_ref().filter(|platform| platform.is_named() && !chosen);
        if let Some(platform) = platform.filter(|platform| !platform.is_linux_on(arch)) {
            return Err(self.unfit(ChoiceError::NoArch { arch, found: entry::shown(&platform.to_string()) }));
        }
        let config = self.config(manifest)?;
        choice::agree(manifest.layers.len(), &config, arch, chosen).map_err(|error| self.unfit(error))?;
        self.source.blob(&manifest.config.digest, manifest.config.size)?;
        for layer in &manifest.layers {
            self.source.blob(&layer.digest, layer.size)?;
        }
        let pin = Pin { media_type: manifest.media_type.clone(), ..choice::pin_of(descriptor) };
        Ok(choice::locked(arch, choice::variant(descriptor, arch), pin, manifest))
    }

    /// The config of an image's manifest; what is no image is refused.
    fn config(&self, manifest: &Manifest) -> Result<ImageConfig, LocalError> {
        choice::check_image(manifest).map_err(|error| self.unfit(error))?;
        let config = &manifest.config;
        let bytes = self.source.blob_document(&config.digest, config.size, MAX_CONFIG)?;
        ImageConfig::parse(&bytes).map_err(|error| self.refused(config, error))
    }

    fn parse(&self, descriptor: &Descriptor) -> Result<Document, LocalError> {
        let bytes = self.source.blob_document(&descriptor.digest, descriptor.size, MAX_DOCUMENT)?;
        Document::parse(&bytes, Some(&descriptor.media_type)).map_err(|error| self.refused(descriptor, error))
    }

    fn refused(&self, descriptor: &Descriptor, source: ferry_bundle_format::oci::OciError) -> LocalError {
        LocalError::Document { path: self.source.path().to_owned(), name: blob_name(&descriptor.digest), source }
    }

    fn unfit(&self, source: ChoiceError) -> LocalError {
        LocalError::Choice { path: self.source.path().to_owned(), source }
    }
}
