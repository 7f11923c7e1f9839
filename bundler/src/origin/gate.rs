//! The gate in front of the registry: passwords checked, tokens issued, scopes enforced.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use ferry_bundle_format::Digest;
use url::form_urlencoded;

use super::auth::{Auth, Bearer};
use crate::distribution::paging::parameter;
use crate::distribution::path::Endpoint;
use crate::distribution::{Code, Refusal};

/// Decides who passes. Scopes are kept one action each, such as `repository:team/app:pull`.
#[derive(Debug)]
pub(super) struct Gate {
    auth: Auth,
    base: String,
    tokens: Mutex<Tokens>,
}

#[derive(Debug, Default)]
struct Tokens {
    issued: u64,
    grants: HashMap<String, Grant>,
}

#[derive(Debug)]
struct Grant {
    expires: Instant,
    scopes: BTreeSet<String>,
}

impl Gate {
    /// A gate of the origin at `base`, such as `http://127.0.0.1:5000`.
    pub(super) fn new(auth: Auth, base: &str) -> Self {
        Self { auth, base: base.to_owned(), tokens: Mutex::default() }
    }

    /// Lets a request below `/v2/` pass, or says what it lacks.
    pub(super) fn admit(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        match &self.auth {
            Auth::None => Ok(()),
            Auth::Basic(account) if account.admits(given) => Ok(()),
            Auth::Basic(_) => Err(unauthorized("Basic realm=\"ferry-origin\"")),
            Auth::Bearer(bearer) => {
                let wanted = scopes_of(method, uri);
                let (scheme, token) = given.and_then(|value| value.split_once(' ')).unwrap_or_default();
                if !scheme.eq_ignore_ascii_case("bearer") {
                    return Err(self.challenge(bearer, &wanted, None));
                }
                let tokens = self.tokens();
                match tokens.grants.get(token.trim()) {
                    Some(grant) if grant.expires <= Instant::now() => {
                        Err(self.challenge(bearer, &wanted, Some("invalid_token")))
                    }
                    Some(grant) if wanted.is_subset(&grant.scopes) => Ok(()),
                    Some(_) => Err(self.challenge(bearer, &wanted, Some("insufficient_scope"))),
                    None => Err(self.challenge(bearer, &wanted, Some("invalid_token"))),
                }
            }
        }
    }

    /// Ends all tokens; returns the challenge that the request is answered with.
    pub(super) fn expire(&self, method: &Method, uri: &Uri) -> Refusal {
        self.tokens().grants.clear();
        match &self.auth {
            Auth::Bearer(bearer) => self.challenge(bearer, &scopes_of(method, uri), Some("invalid_token")),
            Auth::None | Auth::Basic(_) => unauthorized("Basic realm=\"ferry-origin\""),
        }
    }

    /// Answers `GET /token?service=…&scope=…`.
    pub(super) fn issue(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
        let Auth::Bearer(bearer) = &self.auth else {
            return Refusal::not_found("this origin issues no tokens").into_response();
        };
        if method != Method::GET {
            return Refusal::new(Code::Unsupported, "tokens are issued to GET").into_response();
        }
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let known = bearer.account.as_ref().is_none_or(|account| account.admits(given));
        if !known && (given.is_some() || !bearer.anonymous_pull) {
            return unauthorized("Basic realm=\"ferry-origin\"").into_response();
        }
        let query = uri.query().unwrap_or_default();
        let asked = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == "scope");
        let scopes = asked
            .flat_map(|(_, value)| value.split(' ').flat_map(single_actions).collect::<Vec<_>>())
            .filter(|scope| known || scope.ends_with(":pull"))
            .collect();
        let mut tokens = self.tokens();
        tokens.issued += 1;
        let seed = format!("{} token {}", self.base, tokens.issued);
        let token = Digest::of(seed.as_bytes()).hex();
        tokens.grants.insert(token.clone(), Grant { expires: Instant::now() + bearer.lifetime, scopes });
        let document = serde_json::json!({
            "token": token, "access_token": token, "expires_in": bearer.lifetime.as_secs()
        });
        ([(header::CONTENT_TYPE, "application/json")], document.to_string()).into_response()
    }

    fn challenge(&self, bearer: &Bearer, wanted: &BTreeSet<String>, error: Option<&str>) -> Refusal {
        let own = || format!("{}/token", self.base);
        let realm = bearer.realm.clone().unwrap_or_else(own);
        let mut challenge = format!("Bearer realm=\"{realm}\",service=\"{}\"", bearer.service);
        if !wanted.is_empty() {
            challenge.extend([",scope=\"", &joined_actions(wanted), "\""]);
        }
        if let Some(error) = error {
            challenge.extend([",error=\"", error, "\""]);
        }
        unauthorized(&challenge)
    }

    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unauthorized(challenge: &str) -> Refusal {
    Refusal::new(Code::Unauthorized, "authentication required").with_header(header::WWW_AUTHENTICATE, challenge)
}

/// What a request needs. A path that names nothing needs nothing: it is refused later, for what it is.
fn scopes_of(method: &Method, uri: &Uri) -> BTreeSet<String> {
    let reads = method == Method::GET || method == Method::HEAD;
    let mut scopes = BTreeSet::new();
    let Ok(endpoint) = Endpoint::parse(uri.path()) else { return scopes };
    if endpoint == Endpoint::Catalog {
        scopes.insert("registry:catalog:*".to_owned());
    }
    let Some(repository) = endpoint.repository() else { return scopes };
    scopes.insert(format!("repository:{repository}:pull"));
    if !reads {
        scopes.insert(format!("repository:{repository}:push"));
        if let Some(from) = parameter(uri.query().unwrap_or_default(), "from") {
            scopes.insert(format!("repository:{from}:pull"));
        }
    }
    scopes
}

/// `type:name:a,b` as `type:name:a` and `type:name:b`.
fn single_actions(scope: &str) -> Vec<String> {
    let Some((resource, actions)) = scope.rsplit_once(':') else { return Vec::new() };
    actions.split(',').map(|action| format!("{resource}:{action}")).collect()
}

/// The reverse: actions of one resource joined by commas, resources by blanks.
fn joined_actions(scopes: &BTreeSet<String>) -> String {
    let mut joined: Vec<(&str, String)> = Vec::new();
    for (resource, action) in scopes.iter().filter_map(|scope| scope.rsplit_once(':')) {
        match joined.last_mut() {
            Some((last, actions)) if *last == resource => actions.extend([",", action]),
            _ => joined.push((resource, action.to_owned())),
        }
    }
    joined.iter().map(|(resource, actions)| format!("{resource}:{actions}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_needs_what_it_does() {
        let scopes = |method, path: &'static str| joined_actions(&scopes_of(&method, &Uri::from_static(path)));
        assert_eq!(scopes(Method::GET, "/v2/"), "");
        assert_eq!(scopes(Method::GET, "/v2/_catalog"), "registry:catalog:*");
        assert_eq!(scopes(Method::HEAD, "/v2/a/b/manifests/v1"), "repository:a/b:pull");
        assert_eq!(scopes(Method::PUT, "/v2/a/b/manifests/v1"), "repository:a/b:pull,push");
        let mount = "/v2/b/blobs/uploads/?mount=x&from=a";
        assert_eq!(scopes(Method::POST, mount), "repository:a:pull repository:b:pull,push");
    }

    #[test]
    fn an_account_prints_no_password() {
        let account = super::super::auth::Account::new("u", "hunter2");
        assert!(!format!("{account:?} {:?}", Auth::Basic(account.clone())).contains("hunter2"));
        assert!(account.admits(Some("Basic dTpodW50ZXIy")));
        assert!(!account.admits(Some("Basic dTpodW50ZXIz")) && !account.admits(None));
    }
}
