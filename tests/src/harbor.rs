//! A double of Harbor: the embedded origin with what Harbor has around a registry.
//!
//! `/api/v2.0/systeminfo` answers everybody; `/api/v2.0/projects` wants user and password and, as Harbor does, says
//! 401 without a challenge. What is written must be below a project that exists.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use ferry_bundler::origin::{Account, Around, Auth, MemoryRegistry, Origin, OriginConfig};
use serde_json::{Value, json};

/// How a Harbor is set up.
#[derive(Debug, Clone, Default)]
pub struct HarborOptions {
    /// The projects that are there.
    pub projects: Vec<&'static str>,
    /// The user and password that may push; without them everybody may.
    pub account: Option<(&'static str, &'static str)>,
    /// Whether that user may not make projects.
    pub no_new_projects: bool,
    /// Says of each project asked for that it is not there, and then that somebody else has just made it.
    pub race: bool,
}

/// A running double.
pub struct Harbor {
    /// The origin behind it.
    pub origin: Origin,
    shared: Arc<Shared>,
}

struct Shared {
    options: HarborOptions,
    account: Option<Account>,
    /// Whether each project is public.
    projects: Mutex<BTreeMap<String, bool>>,
}

impl Harbor {
    /// Starts one on the current runtime.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(options: HarborOptions) -> Self {
        let account = options.account.map(|(user, password)| Account::new(user, password));
        let projects = options.projects.iter().map(|&name| (name.to_owned(), false)).collect();
        let auth = account.clone().map_or(Auth::None, Auth::Basic);
        let shared = Arc::new(Shared { options, account, projects: Mutex::new(projects) });
        let state = shared.clone();
        let around = Around::new(move |origin: Router| {
            let guarded = origin.layer(from_fn_with_state(state.clone(), guard));
            Router::new()
                .route("/api/v2.0/systeminfo", get(async || answer(StatusCode::OK, &json!({"auth_mode": "db_auth"}))))
                .route("/api/v2.0/projects", any(projects_api))
                .with_state(state)
                .fallback_service(guarded)
        });
        let registry = Arc::new(MemoryRegistry::default());
        let config = OriginConfig { auth, registry, around: Some(around), ..OriginConfig::default() };
        let origin = Origin::start(config).await.expect("an origin can be started");
        Self { origin, shared }
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn host(&self) -> String {
        self.origin.registry_host()
    }

    /// The projects, and whether each is public.
    #[must_use]
    pub fn projects(&self) -> BTreeMap<String, bool> {
        self.shared.projects.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    answer(status, &json!({ "errors": [{ "code": code, "message": message }] }))
}

async fn projects_api(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if shared.account.as_ref().is_some_and(|account| !account.admits(given)) {
        return refusal(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "unauthorized");
    }
    let query = request.uri().query().unwrap_or_default().to_owned();
    match *request.method() {
        Method::HEAD => {
            let name = query.strip_prefix("project_name=").unwrap_or_default();
            let known = shared.projects.lock().unwrap_or_else(PoisonError::into_inner).contains_key(name);
            let known = known && !shared.options.race;
            if known { StatusCode::OK.into_response() } else { StatusCode::NOT_FOUND.into_response() }
        }
        Method::POST => shared.make_project(request).await,
        _ => refusal(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "not of this double"),
    }
}

impl Shared {
    async fn make_project(&self, request: Request) -> Response {
        let body = to_bytes(request.into_body(), 64 * 1024).await.unwrap_or_default();
        let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
        let Some(name) = asked["project_name"].as_str() else {
            return refusal(StatusCode::BAD_REQUEST, "BAD_REQUEST", "a project needs a name");
        };
        if self.options.no_new_projects {
            return refusal(StatusCode::FORBIDDEN, "FORBIDDEN", "Only system admin can create project");
        }
        let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        if projects.contains_key(name) {
            return refusal(StatusCode::CONFLICT, "CONFLICT", "the project exists");
        }
        // Harbor takes the text "true" for public.
        projects.insert(name.to_owned(), asked["metadata"]["public"] == "true");
        StatusCode::CREATED.into_response()
    }
}

/// Lets a write pass if its project is there.
async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let writes = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    if let Some(path) = request.uri().path().strip_prefix("/v2/").filter(|_| writes) {
        let end = ["/blobs/", "/manifests/"].iter().filter_map(|mark| path.find(mark)).min();
        let repository = &path[..end.unwrap_or(path.len())];
        let Some((project, _)) = repository.split_once('/') else {
            return refusal(StatusCode::BAD_REQUEST, "NAME_INVALID", &format!("{repository} has no project"));
        };
        if !shared.projects.lock().unwrap_or_else(PoisonError::into_inner).contains_key(project) {
            return refusal(StatusCode::NOT_FOUND, "NAME_UNKNOWN", &format!("project {project} not found"));
        }
    }
    next.run(request).await
}
