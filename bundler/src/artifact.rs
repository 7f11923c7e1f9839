//! What in a registry is no image, recognised by its types and named as what it is.
//!
//! A platform says nothing about it: signatures have image configs without one, and helpers of snapshotters have
//! that of their image. Pure.

use ferry_bundle_format::oci::{Descriptor, Manifest, media_type};

/// The config types of images. Docker before 1.10 wrote the general one.
const IMAGE_CONFIGS: [&str; 3] =
    [media_type::OCI_CONFIG, "application/vnd.docker.container.image.v1+json", media_type::OCTETS];

/// What layers of images begin with.
const IMAGE_LAYERS: [&str; 2] = ["application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs."];

/// A Helm chart, for which there is an entry of its own in the manifest file.
pub(crate) const CHART: &str = "a Helm chart";

/// Parts of media types, and what they mean.
const KINDS: [(&str, &str); 22] = [
    ("vnd.dev.cosign.simplesigning", "a cosign signature"),
    ("vnd.dev.cosign.artifact.sig", "a cosign signature"),
    ("vnd.dev.cosign.artifact.sbom", "an SBOM"),
    ("vnd.dev.sigstore.bundle", "a Sigstore bundle (a signature or an attestation)"),
    ("vnd.cncf.notary.signature", "a Notation signature"),
    ("vnd.docker.attestation", "an attestation"),
    ("vnd.in-toto", "an attestation"),
    ("vnd.dsse.envelope", "an attestation"),
    ("spdx", "an SBOM"),
    ("cyclonedx", "an SBOM"),
    ("vnd.syft", "an SBOM"),
    ("vnd.security.vuln", "a vulnerability report"),
    ("sarif", "a vulnerability report"),
    ("vnd.cncf.helm", CHART),
    ("vnd.amazon.soci", "a SOCI index"),
    ("nydus", "an image for the nydus snapshotter"),
    ("vnd.docker.plugin", "a Docker plugin"),
    ("wasm", "a WebAssembly module"),
    ("vnd.devcontainers", "a dev container feature"),
    ("vnd.cncf.flux", "a Flux artifact"),
    ("vnd.cncf.openpolicyagent", "a policy"),
    ("vnd.cncf.model", "a model"),
];

/// What a type means, if it is known to be no image's.
fn kind(media_type: &str) -> Option<&'static str> {
    KINDS.iter().find(|(part, _)| media_type.contains(part)).map(|(_, kind)| *kind)
}

/// What an entry of an index is by its own words, if that is no image.
pub(crate) fn of_entry(entry: &Descriptor) -> Option<&'static str> {
    let said = entry.artifact_type.as_deref().filter(|said| !said.is_empty() && !IMAGE_CONFIGS.contains(said));
    if let Some(said) = said {
        return Some(kind(said).unwrap_or("an artifact"));
    }
    let attests = entry.annotations.contains_key("vnd.docker.reference.type")
        || entry.platform.as_ref().is_some_and(|platform| platform.os == "unknown");
    if attests {
        return Some("an attestation");
    }
    let is_document = media_type::ACCEPT.contains(&entry.media_type.as_str());
    (!is_document).then_some("an artifact")
}

/// What a manifest is, if it is no image's.
pub(crate) fn of_manifest(manifest: &Manifest) -> Option<String> {
    let config = manifest.config.media_type.as_str();
    let layers = manifest.layers.iter().map(|layer| layer.media_type.as_str());
    let said = manifest.artifact_type.as_deref().into_iter().chain([config]).chain(layers.clone());
    if let Some(kind) = said.into_iter().find_map(kind) {
        return Some(kind.to_owned());
    }
    let typed = |media_type: &str| {
        let shown: String = media_type.chars().filter(char::is_ascii_graphic).take(100).collect();
        if shown.is_empty() { "an artifact of no type".to_owned() } else { format!("an artifact of type {shown}") }
    };
    if !IMAGE_CONFIGS.contains(&config) {
        let said = manifest.artifact_type.as_deref().filter(|said| !said.is_empty());
        return Some(typed(said.unwrap_or(config)));
    }
    let is_layer = |media_type: &str| IMAGE_LAYERS.iter().any(|start| media_type.starts_with(start));
    let first = layers.clone().next();
    first.filter(|_| !layers.clone().any(is_layer)).map(typed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(artifact_type: &str, config: &str, layers: &[&str]) -> Manifest {
        let of = |kind: &&str| Descriptor::of(kind, kind.as_bytes());
        Manifest {
            media_type: media_type::OCI_MANIFEST.to_owned(),
            artifact_type: (!artifact_type.is_empty()).then(|| artifact_type.to_owned()),
            config: Descriptor::of(config, b"{}"),
            layers: layers.iter().map(of).collect(),
            subject: None,
            annotations: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn what_is_no_image_is_named() {
        let (image, empty) = (media_type::OCI_CONFIG, media_type::OCI_EMPTY);
        let docker = "application/vnd.docker.container.image.v1+json";
        for (artifact_type, config, layers, what) in [
            ("", image, &[media_type::OCI_LAYER_GZIP][..], None),
            ("", image, &[], None),
            ("", docker, &["application/vnd.docker.image.rootfs.diff.tar.gzip"], None),
            ("", docker, &["application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"], None),
            ("", media_type::OCTETS, &["application/vnd.docker.image.rootfs.diff.tar.gzip"], None),
            ("", image, &["application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"], None),
            ("", image, &["application/vnd.oci.image.layer.v1.tar+zstd", "application/x-extra"], None),
            ("application/vnd.example.tool", image, &[media_type::OCI_LAYER_GZIP], None),
            ("", image, &["application/vnd.dev.cosign.simplesigning.v1+json"], Some("a cosign signature")),
            ("application/vnd.dev.cosign.artifact.sig.v1+json", empty, &[empty], Some("a cosign signature")),
            ("application/vnd.dev.sigstore.bundle.v0.3+json", empty, &["x"], Some("a Sigstore bundle")),
            ("application/vnd.cncf.notary.signature", empty, &["application/jose+json"], Some("a Notation signature")),
            ("", image, &["application/vnd.in-toto+json", "application/vnd.in-toto+json"], Some("an attestation")),
            ("application/vnd.docker.attestation.manifest.v1+json", image, &["x"], Some("an attestation")),
            ("", image, &["application/vnd.dsse.envelope.v1+json"], Some("an attestation")),
            ("", image, &["text/spdx+json"], Some("an SBOM")),
            ("application/vnd.cyclonedx+json", empty, &[empty], Some("an SBOM")),
            ("", media_type::HELM_CONFIG, &[media_type::HELM_CHART], Some(CHART)),
            ("", "application/vnd.amazon.soci.index.v1+json", &["application/octet-stream"], Some("a SOCI index")),
            ("", image, &["application/vnd.oci.image.layer.nydus.blob.v1"], Some("nydus")),
            ("", "application/vnd.docker.plugin.v1+json", &[], Some("a Docker plugin")),
            ("", "application/vnd.wasm.config.v0+json", &["application/wasm"], Some("a WebAssembly module")),
            ("", "application/vnd.unknown.config.v1+json", &["x/y"], Some("of type application/vnd.unknown.config")),
            ("application/vnd.example.tool", empty, &[empty], Some("of type application/vnd.example.tool")),
            ("", "", &[], Some("of no type")),
            ("", image, &["application/x-thing"], Some("of type application/x-thing")),
            ("\u{1b}[2Jx", empty, &[], Some("of type [2Jx")),
        ] {
            let found = of_manifest(&manifest(artifact_type, config, layers));
            let fits = found.as_deref().zip(what).is_some_and(|(found, what)| found.contains(what));
            assert!(fits || (found.is_none() && what.is_none()), "{artifact_type} {config} {layers:?}: {found:?}");
        }
    }
}
