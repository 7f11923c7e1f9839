//! As much of the OCI distribution API as filling a registry needs: HTTP/1.1 over TLS over a connection that a host passes on.

use std::io::Read;
use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use ferry_bundle_format::Digest;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody, combinators::BoxBody};
use hyper::body::Frame;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};

use crate::host::{Host, HostError, HostErrorKind, Secret, Source};

/// How many bytes are read ahead of the connection at once.
const CHUNK: usize = 128 << 10;

type Body = BoxBody<Bytes, std::io::Error>;

/// A connection to a registry.
pub(super) struct Client {
    sender: SendRequest<Body>,
    host: String,
    authority: String,
    authorization: String,
}

/// How to reach a registry and prove who asks.
pub(super) struct Access {
    /// The name in its certificate.
    pub(super) server: String,
    /// The port on the host's loopback.
    pub(super) port: u16,
    /// The authority that signed its certificate, PEM.
    pub(super) authority: Secret,
    /// The user.
    pub(super) user: &'static str,
    /// The password.
    pub(super) password: Secret,
}

impl Client {
    /// Connects. `Ok(None)` if the host is there, but nothing listens on the port.
    pub(super) async fn connect(host: &dyn Host, access: &Access) -> Result<Option<Self>, HostError> {
        let fail = |why: String| HostError::new(host.name(), HostErrorKind::Lost(why));
        let Ok(stream) = host.dial("127.0.0.1", access.port).await else { return Ok(None) };
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(access.authority.expose().as_bytes()).flatten() {
            roots.add(certificate).map_err(|error| fail(format!("the registry's authority: {error}")))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| fail(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(access.server.clone()).map_err(|error| fail(error.to_string()))?;
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        // A tunnel to a port where nothing listens opens and then ends at once.
        let tls = match connector.connect(name, stream).await {
            Ok(tls) => tls,
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(fail(format!("the registry's TLS: {error}"))),
        };
        let (sender, connection) = handshake(TokioIo::new(tls)).await.map_err(|error| fail(error.to_string()))?;
        // Ends by itself when the sender is dropped or the connection breaks.
        tokio::spawn(connection);
        let pair = format!("{}:{}", access.user, access.password.expose());
        let authorization = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
        let authority = format!("{}:{}", access.server, access.port);
        Ok(Some(Self { sender, host: host.name().to_owned(), authority, authorization }))
    }

    fn fail(&self, why: impl Into<String>) -> HostError {
        HostError::new(self.host.clone(), HostErrorKind::Lost(why.into()))
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Result<Response<Bytes>, HostError> {
        self.sender.ready().await.map_err(|error| self.fail(format!("the registry: {error}")))?;
        let mut request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header(header::HOST, &self.authority)
            .header(header::AUTHORIZATION, &self.authorization);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).map_err(|error| self.fail(error.to_string()))?;
        let response = self.sender.send_request(request).await;
        let response = response.map_err(|error| self.fail(format!("{method} {path}: {error}")))?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| self.fail(error.to_string()))?.to_bytes();
        Ok(Response::from_parts(parts, body))
    }

    fn unexpected(&self, what: &str, response: &Response<Bytes>) -> HostError {
        let said = String::from_utf8_lossy(response.body()).chars().take(300).collect::<String>();
        let kind = HostErrorKind::Upload { path: what.to_owned(), why: format!("{}: {said}", response.status()) };
        HostError::new(self.host.clone(), kind)
    }

    /// The digest that `selector` (a tag or digest) of a repository has, if it is there.
    pub(super) async fn manifest(&mut self, repository: &str, selector: &str) -> Result<Option<String>, HostError> {
        let path = format!("/v2/{repository}/manifests/{selector}");
        let accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                      application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
        let response = self.send(Method::HEAD, &path, &[("accept", accept)], empty()).await?;
        match response.status() {
            StatusCode::OK => {
                let digest = response.headers().get("docker-content-digest").and_then(|value| value.to_str().ok());
                Ok(digest.map(str::to_owned))
            }
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(self.unexpected(&path, &response)),
        }
    }

    /// Whether a repository holds a blob.
    pub(super) async fn has(&mut self, repository: &str, digest: &Digest) -> Result<bool, HostError> {
        let path = format!("/v2/{repository}/blobs/{digest}");
        let response = self.send(Method::HEAD, &path, &[], empty()).await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.unexpected(&path, &response)),
        }
    }

    /// Puts a blob in: mounted from another repository if that holds it, else sent.
    pub(super) async fn blob(
        &mut self,
        repository: &str,
        digest: &Digest,
        from: Option<&str>,
        source: Arc<dyn Source>,
    ) -> Result<(), HostError> {
        let mount = from.map(|from| format!("?mount={digest}&from={from}")).unwrap_or_default();
        let path = format!("/v2/{repository}/blobs/uploads/{mount}");
        let response = self.send(Method::POST, &path, &[("content-length", "0")], empty()).await?;
        if response.status() == StatusCode::CREATED {
            return Ok(());
        }
        let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let Some(location) = location.filter(|_| response.status() == StatusCode::ACCEPTED) else {
            return Err(self.unexpected(&path, &response));
        };
        let place = path_of(location);
        let place = format!("{place}{}digest={digest}", if place.contains('?') { '&' } else { '?' });
        let length = source.length().to_string();
        let headers = [("content-length", length.as_str()), ("content-type", "application/octet-stream")];
        let response = self.send(Method::PUT, &place, &headers, stream(source)).await?;
        if response.status() == StatusCode::CREATED {
            Ok(())
        } else {
            Err(self.unexpected(&format!("blob {digest}"), &response))
        }
    }

    /// Puts a manifest or index in.
    pub(super) async fn put(
        &mut self,
        repository: &str,
        selector: &str,
        media_type: &str,
        bytes: Vec<u8>,
    ) -> Result<(), HostError> {
        let path = format!("/v2/{repository}/manifests/{selector}");
        let body = Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed();
        let response = self.send(Method::PUT, &path, &[("content-type", media_type)], body).await?;
        if response.status() == StatusCode::CREATED { Ok(()) } else { Err(self.unexpected(&path, &response)) }
    }
}

/// A `Location` may be a whole URL or a path.
fn path_of(location: &str) -> &str {
    match location.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => location,
    }
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

/// Reads on a blocking thread, a few chunks ahead.
fn stream(source: Arc<dyn Source>) -> Body {
    let (sender, receiver) = tokio::sync::mpsc::channel::<std::io::Result<Frame<Bytes>>>(4);
    tokio::task::spawn_blocking(move || {
        let mut reader = match source.open_at(0) {
            Ok(reader) => reader,
            Err(error) => return drop(sender.blocking_send(Err(error))),
        };
        loop {
            let mut chunk = vec![0; CHUNK];
            match reader.read(&mut chunk) {
                Ok(0) => return,
                Ok(read) => {
                    chunk.truncate(read);
                    if sender.blocking_send(Ok(Frame::data(Bytes::from(chunk)))).is_err() {
                        return;
                    }
                }
                Err(error) => return drop(sender.blocking_send(Err(error))),
            }
        }
    });
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|frame| (frame, receiver))
    });
    StreamBody::new(frames).boxed()
}

#[cfg(test)]
mod tests {
    #[test]
    fn locations_become_paths() {
        assert_eq!(super::path_of("https://r:5000/v2/a/blobs/uploads/1?_state=x"), "/v2/a/blobs/uploads/1?_state=x");
        assert_eq!(super::path_of("/v2/a"), "/v2/a");
    }
}
