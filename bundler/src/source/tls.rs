//! Which CAs are trusted: the system's and those of the person's files.
//!
//! A certificate of the system store that cannot be parsed is left out, as everybody does; one in a file
//! that a person named is an error with the file's name (a broken CA file must never mean "the
//! default", CRATES trap 1). Without any root HTTPS fails, and plain HTTP still works.

use std::path::{Path, PathBuf};

use reqwest::Certificate;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::error::SourceError;

/// The system's roots and those of `ca_files`.
pub(super) fn roots(ca_files: &[PathBuf]) -> Result<Vec<Certificate>, SourceError> {
    let mut roots = Vec::new();
    for der in rustls_native_certs::load_native_certs().certs {
        if usable(&der).is_ok() {
            roots.extend(Certificate::from_der(&der));
        }
    }
    for path in ca_files {
        roots.extend(of_file(path)?);
    }
    Ok(roots)
}

fn of_file(path: &Path) -> Result<Vec<Certificate>, SourceError> {
    let fail = |why: String| SourceError::CaFile { path: path.to_owned(), why };
    let pem = std::fs::read(path).map_err(|source| SourceError::File { path: path.to_owned(), source })?;
    let mut certificates = Vec::new();
    for der in CertificateDer::pem_slice_iter(&pem) {
        let der = der.map_err(|e| fail(format!("it is not valid PEM ({e})")))?;
        usable(&der).map_err(|e| fail(format!("certificate {} is unusable ({e})", certificates.len() + 1)))?;
        certificates.push(Certificate::from_der(&der).map_err(|e| fail(e.to_string()))?);
    }
    if certificates.is_empty() {
        return Err(fail("it holds no PEM certificate".to_owned()));
    }
    Ok(certificates)
}

fn usable(der: &CertificateDer<'_>) -> Result<(), rustls::Error> {
    RootCertStore::empty().add(der.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trap_01_a_bad_ca_file_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site-ca.pem");
        for (content, says) in [
            ("", "no PEM certificate"),
            ("hello", "no PEM certificate"),
            ("-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n", "not valid PEM"),
            ("-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n", "certificate 1 is unusable"),
        ] {
            std::fs::write(&path, content).unwrap();
            let error = roots(std::slice::from_ref(&path)).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("site-ca.pem") && text.contains(says), "{text}");
            assert!(error.hint().is_some());
        }
        let error = roots(&[dir.path().join("missing.pem")]).unwrap_err();
        assert!(matches!(error, SourceError::File { .. }), "{error:?}");
    }

    #[test]
    fn roots_are_not_needed() {
        // Whatever this machine has: it is no error.
        roots(&[]).unwrap();
    }
}
