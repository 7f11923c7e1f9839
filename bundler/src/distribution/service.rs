//! The service: a listener, a content and a shutdown in; served requests out.

use std::fmt;
use std::future::{Future, IntoFuture as _};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::answer::answer;
use super::connection::{Connections, Peer};
use super::content::Content;
use super::meter::metered;
use super::tls::TlsIdentity;

/// How long open transfers may go on after a shutdown was asked for.
const GRACE: Duration = Duration::from_secs(10);

/// One served request, for a log. The path may be anything a client sent: quote it.
#[derive(Debug, Clone)]
pub struct Access {
    /// The client.
    pub peer: SocketAddr,
    /// `GET` and the like.
    pub method: String,
    /// Path and query as they came.
    pub target: String,
    /// The answer's status.
    pub status: u16,
    /// Body bytes handed to the network: less than the whole when the client went away.
    pub sent: u64,
    /// From the request's head to the end of the body.
    pub took: Duration,
}

type AccessLog = Arc<dyn Fn(&Access) + Send + Sync>;

/// A read-only registry over a content.
#[derive(Clone)]
pub struct Service {
    content: Arc<dyn Content>,
    log: Option<AccessLog>,
    tls: Option<TlsIdentity>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("log", &self.log.is_some()).finish_non_exhaustive()
    }
}

impl Service {
    /// A service over plain HTTP, without a log.
    #[must_use]
    pub fn new(content: Arc<dyn Content>) -> Self {
        Self { content, log: None, tls: None }
    }

    /// Calls `log` at the end of each request, from the network's threads: it must not block for long.
    #[must_use]
    pub fn with_access_log(self, log: impl Fn(&Access) + Send + Sync + 'static) -> Self {
        Self { log: Some(Arc::new(log)), ..self }
    }

    /// Serves HTTPS with this certificate.
    #[must_use]
    pub fn with_tls(self, identity: TlsIdentity) -> Self {
        Self { tls: Some(identity), ..self }
    }

    /// Serves until `shutdown` is ready, then lets open transfers end for up to ten seconds.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let tls = self.tls.clone();
        let router = Router::new().fallback(handle).with_state(self);
        run(router, listener, tls.as_ref(), shutdown, GRACE).await
    }
}

/// Serves `content` over plain HTTP without a log until `shutdown` is ready: see [`Service::serve`].
pub async fn serve(
    listener: TcpListener,
    content: Arc<dyn Content>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    Service::new(content).serve(listener, shutdown).await
}

/// Runs a router on severable connections; after `shutdown` open requests have `grace` to end.
pub(crate) async fn run(
    router: Router,
    listener: TcpListener,
    tls: Option<&TlsIdentity>,
    shutdown: impl Future<Output = ()> + Send + 'static,
    grace: Duration,
) -> io::Result<()> {
    let (severed, stopping) = (CancellationToken::new(), CancellationToken::new());
    let _sever_on_drop = severed.clone().drop_guard();
    let connections = Connections::new(listener, tls, severed.clone());
    let asked = stopping.clone();
    let served = axum::serve(connections, router.into_make_service_with_connect_info::<Peer>())
        .with_graceful_shutdown(async move {
            shutdown.await;
            asked.cancel();
        })
        .into_future();
    tokio::select! {
        ended = served => ended,
        () = async { stopping.cancelled().await; tokio::time::sleep(grace).await } => Ok(()),
    }
}

async fn handle(
    State(service): State<Service>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    request: Request,
) -> Response {
    let started = Instant::now();
    let (parts, _) = request.into_parts();
    let (method, target) = (parts.method.to_string(), parts.uri.to_string());
    let response = answer(service.content, parts.method, parts.uri, parts.headers).await;
    let Some(log) = service.log else { return response };
    let status = response.status().as_u16();
    metered(response, Arc::new(AtomicU64::new(0)), move |sent| {
        log(&Access { peer, method, target, status, sent, took: started.elapsed() });
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::super::content::BlobReader as _;
    use super::*;
    use crate::origin::{GeneratedBlob, MemoryRegistry};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_client_that_does_not_read_does_not_hold_up_a_shutdown() {
        let registry = MemoryRegistry::default();
        let blob = GeneratedBlob::new(1, 64 << 20);
        let digest = blob.digest().unwrap();
        registry.put_blob_as("a", digest, Arc::new(blob));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        write!(client, "GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let router = Router::new().fallback(handle).with_state(Service::new(Arc::new(registry)));
        let shutdown = tokio::time::sleep(Duration::from_millis(100));
        let started = Instant::now();
        run(router, listener, None, shutdown, Duration::from_millis(100)).await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(5));
        let received = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            // A severed connection may end in an error; what matters is that it ends, and early.
            let _ = client.read_to_end(&mut bytes);
            bytes.len()
        });
        assert!(received.await.unwrap() < 64 << 20);
    }
}
