//! Manifests that arrive over HTTP: parsed strictly, complete before they are stored.

use ferry_bundle_format::Digest;
use ferry_bundle_format::oci::{Descriptor, Document, OciError};

use super::registry::{MemoryRegistry, Repository};
use crate::distribution::{Code, Refusal, Selector, StoredManifest};

/// A manifest that was taken in.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) digest: Digest,
    /// What it refers to: answered as `OCI-Subject`.
    pub(super) subject: Option<Digest>,
}

impl MemoryRegistry {
    /// Checks and stores a manifest. All it refers to must be in the repository; an index may miss manifests
    /// if the registry takes sparse ones.
    pub(super) fn accept_manifest(
        &self,
        repository: &str,
        selector: &Selector,
        served_as: Option<&str>,
        bytes: Vec<u8>,
    ) -> Result<Accepted, Refusal> {
        let document = Document::parse(&bytes, served_as).map_err(|e| match e {
            OciError::TooLarge { .. } => Refusal::new(Code::SizeInvalid, e.to_string()),
            e => Refusal::new(Code::ManifestInvalid, e.to_string()),
        })?;
        let stored = StoredManifest::new(document.media_type(), bytes);
        if let Selector::Digest(named) = selector
            && *named != stored.digest
        {
            return Err(Refusal::new(Code::DigestInvalid, format!("the manifest is {}, not {named}", stored.digest)));
        }
        let mut state = self.write();
        let found = state.repository(repository);
        let subject = match &document {
            Document::Manifest(manifest) => {
                let mut blobs = std::iter::once(&manifest.config).chain(&manifest.layers);
                refuse_missing(blobs.find(|blob| !found.blobs.contains(&blob.digest)))?;
                manifest.subject.as_ref().map(|subject| subject.digest)
            }
            Document::Index(index) => {
                let missing = index.manifests.iter().find(|child| !holds_manifest(found, child));
                refuse_missing(missing.filter(|_| !self.options.sparse_indexes))?;
                None
            }
        };
        let digest = stored.digest;
        found.manifests.insert(digest, stored);
        if let Selector::Tag(tag) = selector {
            found.tags.insert(tag.clone(), digest);
        }
        Ok(Accepted { digest, subject })
    }

    /// Deletes a manifest with its tags, or one tag.
    pub(super) fn delete_manifest(&self, repository: &str, selector: &Selector) -> Result<(), Refusal> {
        let mut state = self.write();
        let found = state.repositories.get_mut(repository);
        let gone = found.is_some_and(|found| match selector {
            Selector::Tag(tag) => found.tags.remove(tag).is_some(),
            Selector::Digest(digest) => {
                found.tags.retain(|_, target| target != digest);
                found.manifests.remove(digest).is_some()
            }
        });
        if gone { Ok(()) } else { Err(Refusal::new(Code::ManifestUnknown, format!("there is no manifest {selector}"))) }
    }

    /// Deletes a blob from one repository.
    pub(super) fn delete_blob(&self, repository: &str, digest: &Digest) -> Result<(), Refusal> {
        let mut state = self.write();
        let found = state.repositories.get_mut(repository);
        if found.is_some_and(|found| found.blobs.remove(digest)) {
            Ok(())
        } else {
            Err(Refusal::new(Code::BlobUnknown, format!("there is no blob {digest}")))
        }
    }
}

fn holds_manifest(repository: &Repository, child: &Descriptor) -> bool {
    repository.manifests.contains_key(&child.digest)
}

fn refuse_missing(missing: Option<&Descriptor>) -> Result<(), Refusal> {
    match missing {
        Some(missing) => Err(Refusal::new(
            Code::ManifestBlobUnknown,
            format!("the manifest refers to {}, which the repository does not hold", missing.digest),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::registry::RegistryOptions;
    use super::*;
    use crate::distribution::Content as _;

    fn code(result: Result<Accepted, Refusal>) -> Option<Code> {
        result.err().map(|refusal| refusal.code())
    }

    #[test]
    fn a_manifest_is_taken_only_when_all_it_names_is_there() {
        let registry = MemoryRegistry::default();
        let descriptor = |text: &str| serde_json::to_value(Descriptor::of("t", text.as_bytes())).unwrap();
        let manifest = serde_json::json!({
            "schemaVersion": 2, "config": descriptor("c"), "layers": [descriptor("l")]
        });
        let bytes = manifest.to_string().into_bytes();
        let tag = Selector::Tag("v1".into());
        let put = || registry.accept_manifest("a", &tag, None, bytes.clone());
        assert_eq!(code(put()), Some(Code::ManifestBlobUnknown));
        registry.put_blob("a", "c");
        registry.put_blob("elsewhere", "l");
        assert_eq!(code(put()), Some(Code::ManifestBlobUnknown));
        registry.put_blob("a", "l");
        let accepted = put().unwrap();
        assert_eq!(registry.manifest("a", &tag).unwrap().unwrap().digest, accepted.digest);

        let other = Selector::Digest(Digest::of(b"other"));
        assert_eq!(code(registry.accept_manifest("a", &other, None, bytes)), Some(Code::DigestInvalid));
        assert_eq!(code(registry.accept_manifest("a", &tag, None, b"{}".to_vec())), Some(Code::ManifestInvalid));
        registry.delete_manifest("a", &Selector::Digest(accepted.digest)).unwrap();
        assert_eq!(registry.tags("a").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn an_index_may_be_sparse_only_where_the_registry_says_so() {
        let child = serde_json::to_value(Descriptor::of("m", b"child")).unwrap();
        let bytes = serde_json::json!({ "schemaVersion": 2, "manifests": [child] }).to_string().into_bytes();
        let tag = Selector::Tag("v1".into());
        let strict = MemoryRegistry::default();
        assert_eq!(code(strict.accept_manifest("a", &tag, None, bytes.clone())), Some(Code::ManifestBlobUnknown));
        let sparse = MemoryRegistry::new(RegistryOptions { sparse_indexes: true, ..RegistryOptions::default() });
        assert_eq!(code(sparse.accept_manifest("a", &tag, None, bytes)), None);
    }
}
