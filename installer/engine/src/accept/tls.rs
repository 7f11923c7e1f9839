//! What a server shows: a TLS handshake from the operator's side over a connection that a host passes on.
//!
//! The handshake takes every certificate and keeps the chain; [`Served`] is then judged against the authority and the names
//! that are expected, so that a wrong certificate is a finding with evidence and not a broken connection.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferry_bundle_format::lock::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::context::{Unseen, said};
use crate::host::{Host, Stream};

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a server has shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Served {
    chain: Vec<CertificateDer<'static>>,
}

/// A connection that is encrypted, whoever is at its end, and what was shown.
pub(super) type Encrypted = TlsStream<Box<dyn Stream>>;

/// Connects to `address:port` as seen from `host`, and asks for `name`.
pub(super) async fn connect(
    host: &dyn Host,
    address: &str,
    port: u16,
    name: &str,
) -> Result<(Encrypted, Served), Unseen> {
    let (stream, served) = attempt(host, address, port, name).await?;
    Ok((stream.map_err(|why| format!("TLS with {address}:{port}: {why}"))?, served))
}

/// What the server at `address:port` shows. A server that wants a client's certificate shows its own first, so a handshake
/// that it ends afterwards is none of our concern.
pub(super) async fn served(host: &dyn Host, address: &str, port: u16, name: &str) -> Result<Served, Unseen> {
    let (stream, served) = attempt(host, address, port, name).await?;
    match stream {
        Err(why) if served.chain.is_empty() => Err(format!("TLS with {address}:{port}: {why}")),
        _ => Ok(served),
    }
}

async fn attempt(
    host: &dyn Host,
    address: &str,
    port: u16,
    name: &str,
) -> Result<(Result<Encrypted, String>, Served), Unseen> {
    let stream = host.dial(address, port).await.map_err(|error| said(&error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let seen = Arc::new(Recorder { provider: provider.clone(), chain: Mutex::default() });
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(seen.clone())
        .with_no_client_auth();
    let server = ServerName::try_from(name.to_owned()).map_err(|error| format!("{name:?}: {error}"))?;
    let handshake = TlsConnector::from(Arc::new(config)).connect(server, stream);
    let stream = match tokio::time::timeout(PATIENCE, handshake).await {
        Ok(ended) => ended.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no end within {} s", PATIENCE.as_secs())),
    };
    let chain = seen.chain.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    Ok((stream, Served { chain }))
}

impl Served {
    fn first(&self) -> Result<X509Certificate<'_>, Unseen> {
        let first = self.chain.first().ok_or_else(|| "no certificate was shown".to_owned())?;
        X509Certificate::from_der(first).map(|(_, one)| one).map_err(|error| format!("the certificate: {error}"))
    }

    /// How many days it is still valid, at `now` in seconds since 1970.
    pub(super) fn days(&self, now: i64) -> Result<i64, Unseen> {
        Ok((self.first()?.validity().not_after.timestamp() - now).div_euclid(86_400))
    }

    /// The last moment it is valid, for people.
    pub(super) fn until(&self) -> Result<String, Unseen> {
        Ok(Timestamp::from_unix(self.first()?.validity().not_after.timestamp()).to_string())
    }

    /// Whether it was signed by itself or by an authority that it brings along: how a kubelet makes its own.
    pub(super) fn issuer(&self) -> Result<String, Unseen> {
        Ok(self.first()?.issuer().to_string())
    }

    /// The names and addresses it stands for.
    pub(super) fn names(&self) -> Result<Vec<String>, Unseen> {
        let first = self.first()?;
        let names = first.subject_alternative_name().map_err(|error| error.to_string())?;
        let names = names.map(|found| found.value.general_names.iter().filter_map(shown).collect());
        Ok(names.unwrap_or_default())
    }

    /// Whether it leads to the authority and stands for each of `names`. An error says what is wrong.
    pub(super) fn verify(&self, authority: &str, names: &[String]) -> Result<(), Unseen> {
        let (first, rest) = self.chain.split_first().ok_or_else(|| "no certificate was shown".to_owned())?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()).flatten() {
            roots.add(certificate).map_err(|error| format!("the authority: {error}"))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = verifier.build().map_err(|error| format!("the authority: {error}"))?;
        for name in names {
            let server = ServerName::try_from(name.as_str()).map_err(|error| format!("{name:?}: {error}"))?;
            let result = verifier.verify_server_cert(first, rest, &server, &[], UnixTime::now());
            result.map_err(|error| self.explain(&error, name))?;
        }
        Ok(())
    }

    fn explain(&self, error: &Error, name: &str) -> Unseen {
        let names = self.names().unwrap_or_default().join(", ");
        match error {
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => {
                format!("it does not stand for {name}, only for {names}")
            }
            Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                let issuer = self.issuer().unwrap_or_default();
                format!("it was signed by {issuer}, which does not lead to the site's authority")
            }
            other => format!("{other} (asked for {name}; it stands for {names})"),
        }
    }
}

fn shown(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(text) => Some((*text).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|one| std::net::IpAddr::from(one).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|one| std::net::IpAddr::from(one).to_string()),
        },
        _ => None,
    }
}

/// Takes every certificate, and keeps it. The handshake's signatures are checked: the server holds the key it shows.
#[derive(Debug)]
struct Recorder {
    provider: Arc<CryptoProvider>,
    chain: Mutex<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        first: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut chain = self.chain.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *chain = std::iter::once(first).chain(rest).map(|one| one.clone().into_owned()).collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
