//! Tokens: fetching one from the realm a registry names, and how long it is good for.

use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;

use super::{Authenticator, Identity, Scope, basic, header_of, unauthorized};
use crate::source::credentials::Credential;
use crate::source::error::SourceError;
use crate::source::host::{authority, check_url, shown};
use crate::source::outgoing::Outgoing;
use crate::source::payload::Payload;
use crate::source::realm::may_see;
use crate::source::secret::Secret;

/// The largest answer of a token server that is read, in bytes.
const MAX_ANSWER: u64 = 1024 * 1024;

/// How long a token is good for if its server does not say: what the specification says.
const DEFAULT_LIFE: u64 = 60;

/// A bearer token.
pub(super) struct Token {
    secret: Secret,
    pub(super) fresh_until: Instant,
    user: Option<String>,
    host: String,
}

impl Token {
    pub(super) fn identity(&self) -> Result<Identity, SourceError> {
        let text = Secret::new(format!("Bearer {}", self.secret.expose()));
        Ok(Identity { header: Some(header_of(&text, &self.host)?), user: self.user.clone() })
    }
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    /// A number by the specification; token servers write text, fractions and negative numbers too.
    #[serde(default)]
    expires_in: Value,
}

/// How many seconds `expires_in` says. What is not understood counts as not said.
fn seconds(value: &Value) -> u64 {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().trim_end_matches('s').parse().ok(),
        _ => None,
    };
    number
        .filter(|seconds| *seconds >= 1.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .map_or(DEFAULT_LIFE, |life| life.as_secs())
}

impl Authenticator {
    /// Fetches a token for `scope`. The errors of the token server come as [`SourceError::Token`].
    pub(super) async fn fetch_token(
        &self,
        registry: &str,
        base: &Url,
        realm: &Url,
        service: Option<&str>,
        scope: &Scope,
    ) -> Result<Token, SourceError> {
        let credential = self.credentials.find(registry, scope.repository.as_deref()).await?;
        let plain_registry = base.scheme() == "http";
        let open = realm.scheme() == "https" || plain_registry || self.transport.plain_http().lists_url(realm);
        if credential.is_some() && !(open && may_see(registry, realm, &self.realms)) {
            return Err(SourceError::ForeignRealm { host: registry.to_owned(), realm: realm_name(realm) });
        }
        check_url(realm)?;
        // A registry on plain HTTP has its token server there too.
        let request =
            token_request(realm, service, scope, credential.as_ref(), registry)?.plain_allowed(plain_registry);
        self.ask(registry, request, credential.as_ref()).await
    }

    async fn ask(
        &self,
        registry: &str,
        request: Outgoing,
        credential: Option<&Credential>,
    ) -> Result<Token, SourceError> {
        let user = credential.map(|c| c.user().to_owned());
        let asked = Instant::now();
        let realm = shown(&request.url);
        let failed =
            |source| SourceError::Token { host: registry.to_owned(), realm: realm.clone(), source: Box::new(source) };
        let mut reply = self.transport.send(request).await.map_err(failed)?;
        if matches!(reply.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(unauthorized(reply, registry, user).await);
        }
        if !reply.status().is_success() {
            return Err(failed(reply.into_failure().await));
        }
        let body = reply.bytes(MAX_ANSWER).await.map_err(failed)?;
        let answer: Answer =
            serde_json::from_slice(&body).map_err(|_| failed(reply.protocol("the token is not JSON")))?;
        let text = answer.token.filter(|t| !t.is_empty()).or(answer.access_token).filter(|t| !t.is_empty());
        let secret = Secret::new(text.ok_or_else(|| failed(reply.protocol("there is no token in its answer")))?);
        let life = fresh_for(seconds(&answer.expires_in));
        Ok(Token { secret, fresh_until: asked + life, user, host: registry.to_owned() })
    }
}

/// How long a token that lives for `seconds` is used: without its last tenth, at least 5 s.
fn fresh_for(seconds: u64) -> Duration {
    let seconds = seconds.min(24 * 3600);
    Duration::from_secs(seconds.saturating_sub((seconds / 10).max(5)))
}

fn realm_name(realm: &Url) -> String {
    if realm.scheme() == "https" { authority(realm) } else { format!("{}://{}", realm.scheme(), authority(realm)) }
}

/// GET with the scope in the query; for identity tokens, an OAuth POST.
fn token_request(
    realm: &Url,
    service: Option<&str>,
    scope: &Scope,
    credential: Option<&Credential>,
    registry: &str,
) -> Result<Outgoing, SourceError> {
    if let Some(Credential::IdentityToken(token)) = credential {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token").append_pair("client_id", "ferry");
        form.append_pair("service", service.unwrap_or_default()).append_pair("scope", &scope.texts.join(" "));
        form.append_pair("refresh_token", token.expose());
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        return Ok(Outgoing::new(Method::POST, realm.clone())
            .header(CONTENT_TYPE, form_type)
            .payload(Payload::Bytes(form.finish().into())));
    }
    let mut url = realm.clone();
    {
        let mut query = url.query_pairs_mut();
        if let Some(service) = service {
            query.append_pair("service", service);
        }
        for text in &scope.texts {
            query.append_pair("scope", text);
        }
        if let Some(credential) = credential {
            query.append_pair("account", credential.user());
        }
    }
    let header = credential.map(|credential| basic(registry, credential)).transpose()?;
    Ok(Outgoing::new(Method::GET, url).authorization(header))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_read_in_every_spelling() {
        for (json, expected) in [
            ("300", 300),
            ("300.0", 300),
            ("299.9", 299),
            ("3e2", 300),
            (r#""300""#, 300),
            (r#"" 300 ""#, 300),
            (r#""300s""#, 300),
            (r#""300.5""#, 300),
            ("1", 1),
            ("0", DEFAULT_LIFE),
            ("0.5", DEFAULT_LIFE),
            ("-1", DEFAULT_LIFE),
            (r#""-1""#, DEFAULT_LIFE),
            ("null", DEFAULT_LIFE),
            (r#""""#, DEFAULT_LIFE),
            (r#""soon""#, DEFAULT_LIFE),
            (r#""NaN""#, DEFAULT_LIFE),
            (r#""inf""#, DEFAULT_LIFE),
            ("true", DEFAULT_LIFE),
            ("[300]", DEFAULT_LIFE),
            (r#"{"seconds":300}"#, DEFAULT_LIFE),
            ("1e300", DEFAULT_LIFE),
            ("18446744073709551616", DEFAULT_LIFE),
        ] {
            let answer: Answer = serde_json::from_str(&format!(r#"{{"token":"T","expires_in":{json}}}"#)).unwrap();
            assert_eq!(seconds(&answer.expires_in), expected, "{json}");
        }
        let answer: Answer = serde_json::from_str(r#"{"token":"T"}"#).unwrap();
        assert_eq!(seconds(&answer.expires_in), DEFAULT_LIFE);
    }

    #[test]
    fn a_token_is_renewed_before_it_dies() {
        let fresh = |seconds| fresh_for(seconds).as_secs();
        assert_eq!((fresh(300), fresh(60), fresh(30), fresh(6), fresh(3)), (270, 54, 25, 1, 0));
        assert!(fresh_for(u64::MAX) <= Duration::from_secs(24 * 3600));
    }
}
