//! One token for many repositories: what a push asks for, so that the password is checked once and not once a
//! repository. A registry that gives no such token, or then refuses it, gets one token a repository, as everybody does.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use reqwest::Url;

use super::{Authenticator, Challenge, Identity, Scope, Token};
use crate::source::credentials::Credential;
use crate::source::error::SourceError;

/// For how many repositories one token is asked: it travels in a header, and proxies limit those to 8 KiB.
const REPOSITORIES: usize = 20;

/// A token for pushing to several repositories.
pub(super) struct SharedToken {
    repositories: BTreeSet<String>,
    scope: Scope,
    kept: tokio::sync::Mutex<Option<Token>>,
    /// The token server or the registry would not have it.
    given_up: AtomicBool,
}

impl SharedToken {
    fn new(repositories: &[String]) -> Self {
        Self {
            repositories: repositories.iter().cloned().collect(),
            scope: Scope::push_to_all(repositories),
            kept: tokio::sync::Mutex::default(),
            given_up: AtomicBool::new(false),
        }
    }

    fn covers(&self, scope: &Scope) -> bool {
        let has = |name: &String| self.repositories.contains(name);
        scope.repository.as_ref().is_some_and(has) && scope.from.iter().all(has)
    }
}

impl Authenticator {
    /// Gets tokens for all of `repositories` at once, those with the same login together.
    pub(in crate::source) async fn share(
        &self,
        registry: &str,
        base: &Url,
        repositories: &[&str],
    ) -> Result<(), SourceError> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).remove(registry);
        let Some(Challenge::Bearer { realm, service }) = self.challenge(registry, base).await? else { return Ok(()) };
        let mut logins: Vec<(Option<Credential>, Vec<String>)> = Vec::new();
        for &repository in repositories {
            let credential = self.credentials.find(registry, Some(repository)).await?;
            match logins.iter_mut().find(|(known, _)| *known == credential) {
                Some((_, names)) => names.push(repository.to_owned()),
                None => logins.push((credential, vec![repository.to_owned()])),
            }
        }
        let groups = logins.iter().flat_map(|(_, names)| names.chunks(REPOSITORIES));
        let groups: Vec<_> = groups.map(|names| Arc::new(SharedToken::new(names))).collect();
        for group in &groups {
            self.shared_identity(group, registry, base, &realm, service.as_deref()).await?;
        }
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).insert(registry.to_owned(), groups);
        Ok(())
    }

    pub(super) fn shared_for(&self, registry: &str, scope: &Scope) -> Option<Arc<SharedToken>> {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let usable = |one: &&Arc<SharedToken>| one.covers(scope) && !one.given_up.load(Ordering::Relaxed);
        shared.get(registry)?.iter().find(usable).cloned()
    }

    /// Who the shared token says we are; none if the token server gives no token for so much.
    pub(super) async fn shared_identity(
        &self,
        shared: &SharedToken,
        registry: &str,
        base: &Url,
        realm: &Url,
        service: Option<&str>,
    ) -> Result<Option<Identity>, SourceError> {
        let mut kept = shared.kept.lock().await;
        if let Some(token) = kept.as_ref().filter(|token| token.fresh_until > Instant::now()) {
            return token.identity().map(Some);
        }
        match self.fetch_token(registry, base, realm, service, &shared.scope).await {
            Ok(token) => {
                let identity = token.identity()?;
                *kept = Some(token);
                Ok(Some(identity))
            }
            // It may be the number of scopes that it does not like.
            Err(SourceError::Token { source, .. })
                if matches!(*source, SourceError::Status { status: 400..=499, .. })
                    && !matches!(*source, SourceError::Status { status: 408 | 429, .. }) =>
            {
                shared.given_up.store(true, Ordering::Relaxed);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether `identity` was a shared token for `scope`: it is not used again.
    pub(super) async fn shared_refused(&self, registry: &str, scope: &Scope, identity: &Identity) -> bool {
        let Some(shared) = self.covering(registry, scope) else { return false };
        let kept = shared.kept.lock().await;
        let was = kept.as_ref().is_some_and(|token| token.identity().is_ok_and(|i| i.header == identity.header));
        if was {
            shared.given_up.store(true, Ordering::Relaxed);
        }
        was
    }

    fn covering(&self, registry: &str, scope: &Scope) -> Option<Arc<SharedToken>> {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.get(registry)?.iter().find(|one| one.covers(scope)).cloned()
    }
}
