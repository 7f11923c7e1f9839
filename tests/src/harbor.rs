//! A double of Harbor: the embedded origin with what Harbor has around a registry, as version 2.15 was seen to answer.
//!
//! ```text
//!  request ─► who is it? ─► is the project there? ─► may this user? ─► rules (read only, cache, fixed tags, quota) ─► origin
//! ```
//! `/api/v2.0/systeminfo` answers everybody; `/api/v2.0/projects` wants user and password and says 401 without a
//! challenge. Below a project that is not there everything is 401, to those who may do all, too. The token service says
//! 200 to whoever asks, and gives tokens that allow nothing.

mod options;

pub use options::HarborOptions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use ferry_bundler::distribution::{Content as _, Selector};
use ferry_bundler::origin::{Account, Around, MemoryRegistry, Origin, OriginConfig, RegistryOptions};
use serde_json::{Value, json};

/// A running double.
pub struct Harbor {
    /// The origin behind it.
    pub origin: Origin,
    shared: Arc<Shared>,
}

struct Shared {
    options: HarborOptions,
    account: Option<Account>,
    registry: Arc<MemoryRegistry>,
    /// Whether each project is public.
    projects: Mutex<BTreeMap<String, bool>>,
    read_only: AtomicBool,
    used: AtomicU64,
    asked: Mutex<Vec<String>>,
}

/// Who sends a request.
enum Who {
    /// Whoever has user and password.
    User,
    /// Whoever has a token: what it allows, `repository:action`.
    Token(BTreeSet<String>),
    /// Nobody.
    Nobody,
    /// Somebody with a wrong password or token.
    Wrong,
}

impl Harbor {
    /// Starts one on the current runtime.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(options: HarborOptions) -> Self {
        let account = options.account.map(|(user, password)| Account::new(user, password));
        let projects = options.projects.iter().map(|&name| (name.to_owned(), options.public.contains(&name)));
        let registry = RegistryOptions { absolute_locations: true, ..RegistryOptions::default() };
        let registry = Arc::new(MemoryRegistry::new(registry));
        let shared = Arc::new(Shared {
            account,
            registry: registry.clone(),
            projects: Mutex::new(projects.collect()),
            read_only: AtomicBool::new(false),
            used: AtomicU64::new(0),
            asked: Mutex::default(),
            options,
        });
        let state = shared.clone();
        let around = Around::new(move |origin: Router| {
            let guarded = origin.layer(from_fn_with_state(state.clone(), guard));
            Router::new()
                .route("/api/v2.0/systeminfo", get(system_info))
                .route("/api/v2.0/projects", any(projects_api))
                .route("/api/v2.0/projects/{name}", any(projects_api))
                .route("/service/token", get(token))
                .with_state(state)
                .fallback_service(guarded)
        });
        let config = OriginConfig { registry, around: Some(around), ..OriginConfig::default() };
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
        lock(&self.shared.projects).clone()
    }

    /// Sets the mode for reading only.
    pub fn read_only(&self, set: bool) {
        self.shared.read_only.store(set, Ordering::Relaxed);
    }

    /// Every request so far, `METHOD path?query`, those for tokens and projects included.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        lock(&self.shared.asked).clone()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        lock(&self.shared.asked).clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    answer(status, &json!({ "errors": [{ "code": code, "message": message }] }))
}

/// Harbor's 401: what it wants, or with nothing behind the name of the header.
fn unauthorized(challenge: &str, message: &str) -> Response {
    let mut response = refusal(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message);
    if let Ok(value) = challenge.parse() {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
    response
}

async fn system_info(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    shared.note(&request);
    answer(
        StatusCode::OK,
        &json!({ "auth_mode": "db_auth", "primary_auth_mode": false, "self_registration": false, "banner_message": "", "oidc_provider_name": "" }),
    )
}

/// Gives a token to everybody; it allows what the user may.
async fn token(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    shared.note(&request);
    if shared.options.no_tokens {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", "internal server error");
    }
    let known = matches!(shared.who(request.headers()), Who::User);
    let query = request.uri().query().unwrap_or_default();
    let scopes = query.split('&').filter_map(|pair| pair.strip_prefix("scope=")).map(decoded);
    let mut allowed = Vec::new();
    for scope in scopes.flat_map(|scope| scope.split(' ').map(str::to_owned).collect::<Vec<_>>()) {
        let Some((repository, actions)) = scope.strip_prefix("repository:").and_then(|rest| rest.rsplit_once(':'))
        else {
            continue;
        };
        for action in actions.split(',').filter(|action| known && shared.may(repository, action)) {
            allowed.push(format!("{repository}:{action}"));
        }
    }
    let token = format!("t.{}", allowed.join("|"));
    answer(StatusCode::OK, &json!({ "token": token, "access_token": token, "expires_in": 1800 }))
}

/// `%3A`, `%2F`, `%2C` and `+` as they were before they became part of a query.
fn decoded(text: &str) -> String {
    ["%3A", "%2F", "%2C"]
        .iter()
        .zip([":", "/", ","])
        .fold(text.replace('+', " "), |text, (from, to)| text.replace(from, to))
}

async fn projects_api(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    shared.note(&request);
    if !matches!(shared.who(request.headers()), Who::User) {
        return refusal(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "unauthorized");
    }
    let query = request.uri().query().unwrap_or_default().to_owned();
    match *request.method() {
        Method::HEAD => {
            let name = query.strip_prefix("project_name=").unwrap_or_default();
            let known = lock(&shared.projects).contains_key(name) && !shared.options.race;
            if known { StatusCode::OK.into_response() } else { StatusCode::NOT_FOUND.into_response() }
        }
        Method::GET => {
            let name = request.uri().path().rsplit('/').next().unwrap_or_default();
            let Some(public) = lock(&shared.projects).get(name).copied() else {
                return refusal(StatusCode::NOT_FOUND, "NOT_FOUND", &format!("project {name} not found"));
            };
            let cache = shared.options.caches.contains(&name);
            let metadata = json!({
                "public": public.to_string(), "enable_content_trust_cosign": shared.options.signed_only.to_string()
            });
            let cached = if cache { json!(1) } else { Value::Null };
            answer(StatusCode::OK, &json!({ "name": name, "metadata": metadata, "registry_id": cached }))
        }
        Method::POST => shared.make_project(request).await,
        _ => refusal(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "not of this double"),
    }
}

/// Harbor's grammar of project names.
fn is_project(name: &str) -> bool {
    let word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    name.len() <= 255 && name.split(['.', '_', '-']).all(word)
}

impl Shared {
    fn note(&self, request: &Request) {
        lock(&self.asked).push(format!("{} {}", request.method(), request.uri()));
    }

    fn who(&self, headers: &HeaderMap) -> Who {
        let Some(account) = &self.account else { return Who::User };
        let Some(given) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) else {
            return Who::Nobody;
        };
        if account.admits(Some(given)) {
            return Who::User;
        }
        match given.strip_prefix("Bearer t.") {
            Some(allowed) => Who::Token(allowed.split('|').map(str::to_owned).collect()),
            None => Who::Wrong,
        }
    }

    /// Whether the user has a right, which nobody has below a project that is not there.
    fn may(&self, repository: &str, action: &str) -> bool {
        let project = repository.split('/').next().unwrap_or_default();
        let rights = &self.options.rights;
        let has = rights.is_empty() || rights.get(project).is_some_and(|may| may.split(',').any(|one| one == action));
        has && lock(&self.projects).contains_key(project)
    }

    async fn make_project(&self, request: Request) -> Response {
        let body = to_bytes(request.into_body(), 64 * 1024).await.unwrap_or_default();
        let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
        let Some(name) = asked["project_name"].as_str() else {
            return refusal(StatusCode::BAD_REQUEST, "BAD_REQUEST", "a project needs a name");
        };
        if asked["metadata"]["public"].is_boolean() {
            let message = "metadata.public in body must be of type string: \"boolean\"";
            return answer(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "code": 601, "message": message }));
        }
        if self.read_only.load(Ordering::Relaxed) {
            return read_only();
        }
        if self.options.no_new_projects {
            return refusal(StatusCode::FORBIDDEN, "FORBIDDEN", "Only system admin can create project");
        }
        if !is_project(name) {
            let message = "project name is not in lower case or contains illegal characters!";
            return refusal(StatusCode::BAD_REQUEST, "BAD_REQUEST", message);
        }
        let mut projects = lock(&self.projects);
        if projects.contains_key(name) {
            let message = format!("The project named {name} already exists");
            return refusal(StatusCode::CONFLICT, "CONFLICT", &message);
        }
        // Harbor takes the text "true" for public; without metadata a project is private.
        projects.insert(name.to_owned(), asked["metadata"]["public"] == "true");
        let location = format!("/api/v2.0/projects/{}", projects.len());
        (StatusCode::CREATED, [(header::LOCATION, location)]).into_response()
    }

    /// Why a write is refused although the user may write.
    fn rule(&self, request: &Request, repository: &str) -> Option<Response> {
        let project = repository.split('/').next().unwrap_or_default();
        let path = request.uri().path();
        if self.read_only.load(Ordering::Relaxed) {
            return Some(read_only());
        }
        if self.options.caches.contains(&project) {
            let message = format!("denied: can not push artifact to a proxy project: {project}");
            return Some(refusal(StatusCode::FORBIDDEN, "DENIED", &message));
        }
        if request.method() != Method::PUT {
            return None;
        }
        if let (true, Some((_, tag))) = (self.options.immutable, path.split_once("/manifests/")) {
            let there = !tag.contains(':')
                && self
                    .registry
                    .manifest(repository, &Selector::Tag(tag.to_owned()))
                    .is_ok_and(|found| found.is_some());
            if there {
                let message = format!("Failed to process request due to '{repository}:{tag}' configured as immutable.");
                return Some(refusal(StatusCode::PRECONDITION_FAILED, "PRECONDITION", &message));
            }
        }
        let quota = self.options.quota.filter(|&quota| self.used.load(Ordering::Relaxed) + length(request) > quota);
        quota.filter(|_| path.contains("/blobs/uploads/")).map(|quota| {
            let message = format!(
                "adding 3.0 MiB of storage resource, which when updated to current usage of 248 B will exceed the configured upper limit of {quota} B."
            );
            refusal(StatusCode::FORBIDDEN, "DENIED", &message)
        })
    }
}

fn length(request: &Request) -> u64 {
    let text = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn read_only() -> Response {
    refusal(StatusCode::FORBIDDEN, "DENIED", "The system is in read only mode. Any modification is prohibited.")
}

/// Lets a request below `/v2/` pass as Harbor does.
async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    shared.note(&request);
    let method = request.method().clone();
    let response = guarded(&shared, request, next).await;
    // An answer to HEAD has no body, so nobody learns why.
    if method == Method::HEAD && response.status().is_client_error() {
        let (parts, _) = response.into_parts();
        return Response::from_parts(parts, Body::empty());
    }
    response
}

async fn guarded(shared: &Shared, request: Request, next: Next) -> Response {
    let who = shared.who(request.headers());
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let allowed = match who {
        Who::User => None,
        Who::Token(allowed) => Some(allowed),
        Who::Wrong => return unauthorized("Basic realm=\"harbor\"", "unauthorized"),
        Who::Nobody => {
            let challenge = format!("Bearer realm=\"http://{host}/service/token\",service=\"harbor-registry\"");
            return unauthorized(&challenge, "unauthorized to access repository");
        }
    };
    let path = request.uri().path().to_owned();
    let Some(below) = path.strip_prefix("/v2/").filter(|below| !below.is_empty() && !below.starts_with('_')) else {
        return next.run(request).await;
    };
    let end = ["/blobs/", "/manifests/", "/tags/", "/referrers/"].iter().filter_map(|mark| below.find(mark)).min();
    let repository = below[..end.unwrap_or(below.len())].to_owned();
    let writes = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH | Method::DELETE);
    if writes && !repository.contains('/') {
        let message = format!("bad request: invalid repository name: {repository}");
        return refusal(StatusCode::BAD_REQUEST, "BAD_REQUEST", &message);
    }
    let query = request.uri().query().unwrap_or_default();
    let from = query.split('&').find_map(|pair| pair.strip_prefix("from=")).map(decoded);
    for name in [Some(repository.clone()), from.clone()].into_iter().flatten() {
        let project = name.split('/').next().unwrap_or_default();
        if !lock(&shared.projects).contains_key(project) {
            return unauthorized("", &format!("project {project} not found: project {project} not found"));
        }
    }
    let wanted = [(&repository, "pull"), (&repository, "push")].into_iter().take(if writes { 2 } else { 1 });
    for (name, action) in wanted.chain(from.iter().map(|from| (from, "pull"))) {
        let has = match &allowed {
            Some(allowed) => allowed.contains(&format!("{name}:{action}")),
            None => shared.may(name, action),
        };
        if !has {
            let text = format!("unauthorized to access repository: {name}, action: {action}");
            return unauthorized("Basic realm=\"harbor\"", &format!("{text}: {text}"));
        }
    }
    let reads_manifest = !writes && path.contains("/manifests/");
    if writes && let Some(refused) = shared.rule(&request, &repository) {
        return refused;
    }
    if shared.options.signed_only && reads_manifest && *request.method() == Method::GET {
        let message = "The image is not signed by cosign.";
        return refusal(StatusCode::PRECONDITION_FAILED, "PROJECTPOLICYVIOLATION", message);
    }
    // The state in the location is from before what was sent.
    if *request.method() == Method::GET && path.contains("/blobs/uploads/") {
        return refusal(StatusCode::NOT_FOUND, "BLOB_UPLOAD_INVALID", "blob upload invalid");
    }
    let sent = if path.contains("/blobs/uploads/") { length(&request) } else { 0 };
    let response = next.run(request).await;
    if response.status().is_success() {
        shared.used.fetch_add(sent, Ordering::Relaxed);
    }
    if response.status() == StatusCode::NOT_FOUND && reads_manifest && shared.registry.tags(&repository).is_none() {
        return refusal(StatusCode::NOT_FOUND, "NOT_FOUND", &format!("repository {repository} not found"));
    }
    response
}
