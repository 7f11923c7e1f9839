//! The origin itself: one loopback port in front of registry, files and charts.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::auth::{Account, Auth};
use super::faults::{Action, Fault, Faults};
use super::files::FileStore;
use super::gate::Gate;
use super::record::{Record, Recorded};
use super::registry::MemoryRegistry;
use super::{sabotage, writes};
use crate::distribution::answer::versioned;
use crate::distribution::meter::metered;
use crate::distribution::service::run;
use crate::distribution::{Code, Refusal, TlsIdentity};

/// What an origin is started with. Registry and stores are shared: fill them before or while it runs, or start
/// a second origin over the same ones.
#[derive(Debug, Default)]
pub struct OriginConfig {
    /// The port on 127.0.0.1; 0 takes any free one.
    pub port: u16,
    /// The certificate to serve HTTPS with; `None`: plain HTTP.
    pub tls: Option<TlsIdentity>,
    /// Who may use the registry.
    pub auth: Auth,
    /// Who may read files and charts; `None`: anybody.
    pub files_account: Option<Account>,
    /// The script.
    pub faults: Vec<Fault>,
    /// What is below `/v2/`.
    pub registry: Arc<MemoryRegistry>,
    /// What is below `/files/`.
    pub files: Arc<FileStore>,
    /// What is below `/charts/`.
    pub charts: Arc<FileStore>,
    /// What stands around all that.
    pub around: Option<Around>,
}

/// Further routes, and layers before the origin's own: how a double of a particular product is made of it.
/// Neither gate nor faults nor record know of these routes.
pub struct Around(Box<dyn FnOnce(Router) -> Router + Send>);

impl Around {
    /// `wrap` gets the origin's router and gives the one to be served.
    pub fn new(wrap: impl FnOnce(Router) -> Router + Send + 'static) -> Self {
        Self(Box::new(wrap))
    }
}

impl fmt::Debug for Around {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Around")
    }
}

/// A running origin. Dropping it closes the port and cuts all connections.
#[derive(Debug)]
pub struct Origin {
    base: String,
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<io::Result<()>>,
    _shutdown: DropGuard,
}

#[derive(Debug)]
struct Shared {
    base: String,
    gate: Gate,
    files_account: Option<Account>,
    faults: Faults,
    record: Record,
    registry: Arc<MemoryRegistry>,
    files: Arc<FileStore>,
    charts: Arc<FileStore>,
}

impl Origin {
    /// Binds a loopback port and serves on the current tokio runtime.
    pub async fn start(config: OriginConfig) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port)).await?;
        let address = listener.local_addr()?;
        let base = format!("{}://{address}", if config.tls.is_some() { "https" } else { "http" });
        let shared = Arc::new(Shared {
            gate: Gate::new(config.auth, &base),
            base: base.clone(),
            files_account: config.files_account,
            faults: Faults::new(config.faults),
            record: Record::default(),
            registry: config.registry,
            files: config.files,
            charts: config.charts,
        });
        let shutdown = CancellationToken::new();
        let router = Router::new().fallback(handle).with_state(Arc::clone(&shared));
        let router = match config.around {
            Some(Around(wrap)) => wrap(router),
            None => router,
        };
        let stopped = shutdown.clone().cancelled_owned();
        let task =
            tokio::spawn(async move { run(router, listener, config.tls.as_ref(), stopped, Duration::ZERO).await });
        Ok(Self { base, address, shared, task, _shutdown: shutdown.drop_guard() })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `127.0.0.1:<port>`, the registry of image references.
    #[must_use]
    pub fn registry_host(&self) -> String {
        self.address.to_string()
    }

    /// The URL of a path, such as `/files/a`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The registry behind it.
    #[must_use]
    pub fn registry(&self) -> &Arc<MemoryRegistry> {
        &self.shared.registry
    }

    /// The files below `/files/`.
    #[must_use]
    pub fn files(&self) -> &Arc<FileStore> {
        &self.shared.files
    }

    /// The files below `/charts/`.
    #[must_use]
    pub fn charts(&self) -> &Arc<FileStore> {
        &self.shared.charts
    }

    /// The script, to be changed while it runs.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// All requests so far, in the order they came.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.record.snapshot()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.shared.record.clear();
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let outcome = shared.record.enter(&parts);
    let response = shared.respond(Request::from_parts(parts, body)).await;
    outcome.answered(response.status().as_u16());
    metered(response, outcome.sent, |_| ())
}

impl Shared {
    /// Gate, then faults, then content, then damage.
    async fn respond(self: &Arc<Self>, mut request: Request) -> Response {
        if let Err(refusal) = self.admit(&request) {
            return versioned(refusal);
        }
        let Some(action) = self.faults.strike(request.method().as_str(), request.uri().path()) else {
            return self.serve(request).await;
        };
        match &action {
            Action::ExpireTokens => return versioned(self.gate.expire(request.method(), request.uri())),
            Action::Delay(pause) => tokio::time::sleep(*pause).await,
            Action::IgnoreRange => drop(request.headers_mut().remove(header::RANGE)),
            _ => {}
        }
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
        match sabotage::instead(&action, &target) {
            Some(response) => response,
            None => sabotage::damaged(&action, self.serve(request).await),
        }
    }

    fn admit(&self, request: &Request) -> Result<(), Refusal> {
        let path = request.uri().path();
        if path == "/v2" || path.starts_with("/v2/") {
            return self.gate.admit(request.method(), request.uri(), request.headers());
        }
        let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        match &self.files_account {
            Some(account) if path != "/token" && !account.admits(given) => {
                Err(Refusal::new(Code::Unauthorized, "authentication required")
                    .with_header(header::WWW_AUTHENTICATE, "Basic realm=\"ferry-origin files\""))
            }
            _ => Ok(()),
        }
    }

    async fn serve(&self, request: Request) -> Response {
        let (method, headers, path) = (request.method(), request.headers(), request.uri().path());
        if let Some(path) = path.strip_prefix("/files/") {
            self.files.respond(method, headers, path)
        } else if let Some(path) = path.strip_prefix("/charts/") {
            self.charts.respond(method, headers, path)
        } else if path == "/token" {
            self.gate.issue(method, request.uri(), headers)
        } else if path == "/v2" || path.starts_with("/v2/") {
            writes::respond(Arc::clone(&self.registry), &self.base, request).await
        } else {
            Refusal::not_found("nothing is served here").into_response()
        }
    }
}
