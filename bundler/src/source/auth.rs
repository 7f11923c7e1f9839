//! Who we are at a registry: challenges learnt, tokens fetched and kept.
//!
//! ```text
//!  GET /v2/ ─401─► Challenge ─► Basic: user and password, to the registry itself
//!                          └──► Bearer: realm allowed? ─► token for (registry, scope), kept until it is old
//! ```
//! A failure to get a token is reported as that: it never turns into an anonymous request (CRATES trap 2).
//! A token is renewed when a tenth of its life, at least five seconds, is left, and once when the
//! registry refuses it all the same.

mod shared;
mod token;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode, Url};

use super::challenge::Challenge;
use super::credentials::{Credential, Credentials};
use super::error::SourceError;
use super::host::{authority, normalized};
use super::outgoing::Outgoing;
use super::reply::Reply;
use super::secret::Secret;
use super::settings::ClientSettings;
use super::transport::Transport;

use shared::SharedToken;
use token::Token;

/// What a request wants to do, in the words of token servers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    texts: Vec<String>,
    // Whose credentials: podman keeps them by namespace.
    repository: Option<String>,
    // Where blobs are taken from.
    from: Option<String>,
}

impl Scope {
    pub(super) fn pull(repository: &str) -> Self {
        Self {
            texts: vec![format!("repository:{repository}:pull")],
            repository: Some(repository.to_owned()),
            from: None,
        }
    }

    pub(super) fn push(repository: &str) -> Self {
        Self {
            texts: vec![format!("repository:{repository}:pull,push")],
            repository: Some(repository.to_owned()),
            from: None,
        }
    }

    /// Push to `repository`, with blobs taken from `from`: both must be in the token.
    pub(super) fn mount(repository: &str, from: &str) -> Self {
        let mut scope = Self::push(repository);
        scope.texts.push(format!("repository:{from}:pull"));
        scope.from = Some(from.to_owned());
        scope
    }

    pub(super) fn catalog() -> Self {
        Self { texts: vec!["registry:catalog:*".to_owned()], repository: None, from: None }
    }

    /// Push to all of `repositories`.
    fn push_to_all(repositories: &[String]) -> Self {
        let texts = repositories.iter().map(|repository| format!("repository:{repository}:pull,push")).collect();
        Self { texts, repository: repositories.first().cloned(), from: None }
    }
}

/// Challenges, credentials and tokens of all registries.
pub(super) struct Authenticator {
    transport: Transport,
    credentials: Credentials,
    realms: BTreeMap<String, BTreeSet<String>>,
    // The outer lock is held for a look only; the inner one while one request learns for all that wait.
    challenges: Slots<String, Option<Challenge>>,
    tokens: Slots<(String, Scope), Token>,
    shared: Mutex<HashMap<String, Vec<Arc<SharedToken>>>>,
}

/// One value a key, behind a lock of its own.
type Slots<K, V> = Mutex<HashMap<K, Arc<tokio::sync::Mutex<Option<V>>>>>;

fn slot<K: Eq + Hash, V>(slots: &Slots<K, V>, key: K) -> Arc<tokio::sync::Mutex<Option<V>>> {
    slots.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
}

/// The `Authorization` of a request, and who that is.
#[derive(Clone, Default)]
pub(super) struct Identity {
    pub(super) header: Option<HeaderValue>,
    pub(super) user: Option<String>,
}

impl Identity {
    /// A user and password for `host`.
    pub(super) fn basic(host: &str, credential: &Credential) -> Result<Self, SourceError> {
        Ok(Self { header: Some(basic(host, credential)?), user: Some(credential.user().to_owned()) })
    }
}

impl Authenticator {
    pub(super) fn new(settings: &ClientSettings, transport: Transport) -> Self {
        let realms = settings.realms.iter().map(|(registry, hosts)| (normalized(registry), hosts.clone())).collect();
        Self {
            transport,
            credentials: settings.credentials.clone(),
            realms,
            challenges: Slots::default(),
            tokens: Slots::default(),
            shared: Mutex::default(),
        }
    }

    /// Who we are for a request with `scope` at `registry`, whose API is at `base`.
    pub(super) async fn identity(&self, registry: &str, base: &Url, scope: &Scope) -> Result<Identity, SourceError> {
        let Some(challenge) = self.challenge(registry, base).await? else { return Ok(Identity::default()) };
        let repository = scope.repository.as_deref();
        match challenge {
            Challenge::Basic => {
                let credential = self.credentials.find(registry, repository).await?;
                // Some registries serve the public anonymously although they ask: no credential is no error yet.
                credential.map_or_else(|| Ok(Identity::default()), |c| Identity::basic(registry, &c))
            }
            Challenge::Bearer { realm, service } => {
                if let Some(shared) = self.shared_for(registry, scope)
                    && let Some(identity) =
                        self.shared_identity(&shared, registry, base, &realm, service.as_deref()).await?
                {
                    return Ok(identity);
                }
                let slot = slot(&self.tokens, (registry.to_owned(), scope.clone()));
                let mut kept = slot.lock().await;
                if let Some(token) = kept.as_ref().filter(|token| token.fresh_until > Instant::now()) {
                    return token.identity();
                }
                let token = self.fetch_token(registry, base, &realm, service.as_deref(), scope).await?;
                let identity = token.identity();
                *kept = Some(token);
                identity
            }
        }
    }

    /// The registry has refused `identity`. Forgets its token and learns the challenge anew; says whether
    /// another try makes sense.
    pub(super) async fn refused(&self, registry: &str, scope: &Scope, identity: &Identity, reply: &Reply) -> bool {
        let learnt = Challenge::best_of(&reply.headers(&WWW_AUTHENTICATE));
        if self.shared_refused(registry, scope, identity).await {
            return true;
        }
        let slot_of_token = slot(&self.tokens, (registry.to_owned(), scope.clone()));
        let mut kept = slot_of_token.lock().await;
        // Many requests may be refused with one old token: only the first of them throws it away.
        if kept.as_ref().is_some_and(|token| token.identity().is_ok_and(|i| i.header == identity.header)) {
            *kept = None;
        }
        drop(kept);
        let slot = slot(&self.challenges, registry.to_owned());
        let mut known = slot.lock().await;
        let again = match (&learnt, known.as_ref()) {
            // The same user and password would be refused again.
            (None, _) | (Some(Challenge::Basic), Some(Some(Challenge::Basic))) => false,
            (Some(_), _) => true,
        };
        if learnt.is_some() {
            *known = Some(learnt);
        }
        again
    }

    async fn challenge(&self, registry: &str, base: &Url) -> Result<Option<Challenge>, SourceError> {
        let slot = slot(&self.challenges, registry.to_owned());
        let mut known = slot.lock().await;
        if let Some(challenge) = known.as_ref() {
            return Ok(challenge.clone());
        }
        let probe = base
            .join("/v2/")
            .map_err(|_| SourceError::Setting { setting: "the registry", why: format!("{registry} is no host") })?;
        let reply = self.transport.send(Outgoing::new(Method::GET, probe)).await?;
        let challenge =
            match reply.status() {
                StatusCode::UNAUTHORIZED => {
                    let headers = reply.headers(&WWW_AUTHENTICATE);
                    Some(Challenge::best_of(&headers).ok_or_else(|| {
                        reply.protocol("401 without a Basic or Bearer challenge that can be answered")
                    })?)
                }
                status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                    return Err(reply.into_failure().await);
                }
                // Mirrors and gateways may not know `/v2/` and serve content all the same.
                _ => None,
            };
        *known = Some(challenge.clone());
        Ok(challenge)
    }
}

/// The `Authorization: Basic` of a user and password.
fn basic(host: &str, credential: &Credential) -> Result<HeaderValue, SourceError> {
    let Credential::Password { user, password } = credential else {
        return Err(SourceError::Unauthorized {
            host: host.to_owned(),
            user: Some(credential.user().to_owned()),
            detail: Some("it wants a user and password".to_owned()),
        });
    };
    let pair = Secret::new(format!("{user}:{}", password.expose()));
    header_of(&Secret::new(format!("Basic {}", STANDARD.encode(pair.expose()))), host)
}

/// A header value that is not printed.
fn header_of(text: &Secret, host: &str) -> Result<HeaderValue, SourceError> {
    let mut value = HeaderValue::from_str(text.expose()).map_err(|_| SourceError::Protocol {
        url: host.to_owned(),
        why: "its token is not a header value".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The error for a reply that says 401, after everything was tried.
pub(super) async fn unauthorized(mut reply: Reply, registry: &str, user: Option<String>) -> SourceError {
    let host = if registry.is_empty() { authority(reply.url()) } else { registry.to_owned() };
    SourceError::Unauthorized { host, user, detail: reply.complaint().await }
}
