//! As much of the OCI distribution API as filling a registry needs: HTTP/1.1 over TLS over a connection that a host passes on.
//!
//! Nothing is waited for without end: a registry that says nothing and takes nothing for a while does not answer
//! ([`HostErrorKind::Service`]); one that answers wrongly, or with another certificate, is wrong ([`HostErrorKind::Protocol`]). Neither
//! makes its host one that can't be reached.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use ferry_bundle_format::Digest;
use http_body_util::{BodyExt as _, Empty, Full, Limited, StreamBody, combinators::BoxBody};
use hyper::body::Frame;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};

use crate::host::{Host, HostError, HostErrorKind, Secret, Source};

/// How many bytes are read ahead of the connection at once.
const CHUNK: usize = 128 << 10;

/// The largest answer, in bytes: those that are asked for here are short.
const ANSWER: usize = 1 << 20;

type Body = BoxBody<Bytes, std::io::Error>;

/// A connection to a registry.
pub(super) struct Client {
    sender: SendRequest<Body>,
    host: String,
    authority: String,
    authorization: String,
    patience: Duration,
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
    /// How long it may say nothing, and take nothing.
    pub(super) patience: Duration,
}

impl Client {
    /// Connects. `Ok(Err(why))` if the host is there, but nothing listens on the port.
    pub(super) async fn connect(host: &dyn Host, access: &Access) -> Result<Result<Self, String>, HostError> {
        let error = |kind| HostError::new(host.name(), kind);
        let wrong = |what: &str, said: String| error(HostErrorKind::Protocol { what: what.to_owned(), said });
        let at = format!("127.0.0.1:{}", access.port);
        let Ok(dialled) = tokio::time::timeout(access.patience, host.dial("127.0.0.1", access.port)).await else {
            return Err(error(silent(access, "no connection")));
        };
        let stream = match dialled {
            Ok(stream) => stream,
            // The host says so of its own port: it is there.
            Err(HostError { kind: HostErrorKind::Unreachable { address, why }, .. }) if address == at => {
                return Ok(Err(why));
            }
            Err(error) => return Err(error),
        };
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(access.authority.expose().as_bytes()).flatten() {
            roots.add(certificate).map_err(|error| wrong("the registry's authority", error.to_string()))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong("TLS", error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(access.server.clone());
        let name = name.map_err(|error| wrong("the registry's name", error.to_string()))?;
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let Ok(connected) = tokio::time::timeout(access.patience, connector.connect(name, stream)).await else {
            return Err(error(silent(access, "no answer in the TLS handshake")));
        };
        let tls = match connected {
            Ok(tls) => tls,
            // A tunnel to a port where nothing listens opens and then ends at once.
            Err(ended) if is_end(&ended) => return Ok(Err("the connection ended at once".into())),
            Err(other) if other.kind() == std::io::ErrorKind::InvalidData => {
                return Err(wrong(&format!("TLS of the registry {} at {at}", access.server), other.to_string()));
            }
            Err(other) => return Err(error(HostErrorKind::Service { what: what(access), why: other.to_string() })),
        };
        let (sender, connection) =
            handshake(TokioIo::new(tls)).await.map_err(|error| wrong("HTTP", error.to_string()))?;
        // Ends by itself when the sender is dropped or the connection breaks.
        tokio::spawn(connection);
        let pair = format!("{}:{}", access.user, access.password.expose());
        let authorization = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
        let authority = format!("{}:{}", access.server, access.port);
        let (host, patience) = (host.name().to_owned(), access.patience);
        Ok(Ok(Self { sender, host, authority, authorization, patience }))
    }

    fn error(&self, kind: HostErrorKind) -> HostError {
        HostError::new(self.host.clone(), kind)
    }

    /// A request that came to no answer: because of what was said, or because nothing more was said.
    fn broken(&self, doing: &str, error: &hyper::Error) -> HostError {
        let (what, said) = (format!("the registry {}: {doing}", self.authority), error.to_string());
        self.error(if error.is_parse() || error.is_user() {
            HostErrorKind::Protocol { what, said }
        } else {
            HostErrorKind::Service { what, why: said }
        })
    }

    /// `work`, as long as it moves: given up when nothing was `moved` for a while.
    async fn moving<T>(&self, doing: &str, moved: &AtomicU64, work: impl Future<Output = T>) -> Result<T, HostError> {
        tokio::pin!(work);
        let mut before = moved.load(Ordering::Relaxed);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = tokio::time::sleep(self.patience) => {
                    let now = moved.load(Ordering::Relaxed);
                    if now == before {
                        let what = format!("the registry {}: {doing}", self.authority);
                        let why = format!("it has said and taken nothing for {} s", self.patience.as_secs());
                        return Err(self.error(HostErrorKind::Service { what, why }));
                    }
                    before = now;
                }
            }
        }
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Result<Response<Bytes>, HostError> {
        self.send_moving(method, path, headers, body, &AtomicU64::new(0)).await
    }

    /// Sends a request whose body counts in `moved` what is taken of it.
    async fn send_moving(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
        moved: &AtomicU64,
    ) -> Result<Response<Bytes>, HostError> {
        let doing = format!("{method} {}", path.split('?').next().unwrap_or_default());
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.authority)
            .header(header::AUTHORIZATION, &self.authorization);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let wrong = |said: String| HostErrorKind::Protocol { what: doing.clone(), said };
        let request = request.body(body).map_err(|error| self.error(wrong(error.to_string())))?;
        let ready = std::future::poll_fn(|cx| self.sender.poll_ready(cx));
        let ready = tokio::time::timeout(self.patience, ready).await;
        match ready {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(self.broken(&doing, &error)),
            Err(_) => {
                let what = format!("the registry {}: {doing}", self.authority);
                return Err(self.error(HostErrorKind::Service { what, why: "the connection is not free".into() }));
            }
        }
        let response = self.sender.send_request(request);
        let response = self.moving(&doing, moved, response).await?.map_err(|error| self.broken(&doing, &error))?;
        let (parts, body) = response.into_parts();
        let collected = self.moving(&doing, moved, Limited::new(body, ANSWER).collect()).await?;
        let body = collected.map_err(|error| match error.downcast_ref::<hyper::Error>() {
            Some(error) => self.broken(&doing, error),
            None => self.error(wrong(format!("an answer of more than {ANSWER} bytes: {error}"))),
        })?;
        Ok(Response::from_parts(parts, body.to_bytes()))
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
        let moved = Arc::new(AtomicU64::new(0));
        let body = stream(source, moved.clone());
        let response = self.send_moving(Method::PUT, &place, &headers, body, &moved).await?;
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

fn what(access: &Access) -> String {
    format!("the registry {}:{}", access.server, access.port)
}

fn silent(access: &Access, why: &str) -> HostErrorKind {
    HostErrorKind::Service { what: what(access), why: format!("{why} for {} s", access.patience.as_secs()) }
}

fn is_end(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | BrokenPipe)
}

/// Reads on a blocking thread, a few chunks ahead; counts what is taken of it.
fn stream(source: Arc<dyn Source>, moved: Arc<AtomicU64>) -> Body {
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
    let frames = futures_util::stream::unfold((receiver, moved), |(mut receiver, moved)| async {
        let frame = receiver.recv().await?;
        moved.fetch_add(1, Ordering::Relaxed);
        Some((frame, (receiver, moved)))
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
