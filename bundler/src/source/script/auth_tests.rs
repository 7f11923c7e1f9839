//! Challenges, tokens, and who never gets to see a credential.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ferry_bundle_format::reference::Reference;

use super::{Answer, Script, Seen, answer, client, settings};
use crate::source::credentials::{Credential, Credentials};
use crate::source::error::{SourceError, SourceErrorKind};
use crate::source::secret::Secret;
use crate::source::settings::ClientSettings;

const INDEX: &str = r#"{"schemaVersion":2,"manifests":[]}"#;

fn image(server: &Script) -> Reference {
    Reference::parse(&format!("{}/team/app:1", server.host())).unwrap()
}

fn with_password(mut settings: ClientSettings, server: &Script) -> ClientSettings {
    settings.credentials = Credentials::none().with_password(&server.host(), "alice", Secret::new("hunter2"));
    settings
}

/// A token server that gives out `token-1`, `token-2`, …
async fn token_server(expires_in: u64) -> Script {
    let count = AtomicUsize::new(0);
    Script::start(move |_| {
        let n = count.fetch_add(1, Ordering::Relaxed) + 1;
        answer(200, &[], format!(r#"{{"token":"token-{n}","expires_in":{expires_in}}}"#))
    })
    .await
}

/// A registry that wants a token for which `good` holds, from `realm`.
async fn bearer_registry(realm: String, good: impl Fn(&str) -> bool + Send + Sync + 'static) -> Script {
    Script::start(move |seen| bearer_answer(seen, &realm, &good)).await
}

fn bearer_answer(seen: &Seen, realm: &str, good: &dyn Fn(&str) -> bool) -> Answer {
    match seen.header("authorization").and_then(|value| value.strip_prefix("Bearer ")) {
        Some(token) if good(token) => answer(200, &[], INDEX),
        _ => answer(401, &[("WWW-Authenticate", &format!(r#"Bearer realm="{realm}",service="test, really""#))], ""),
    }
}

#[tokio::test]
async fn a_token_is_fetched_for_the_scope_and_kept() {
    let realm = token_server(300).await;
    let registry = bearer_registry(format!("http://{}/token?x=1", realm.host()), |_| true).await;
    let (client, _) = client(&with_password(settings(&[&realm, &registry]), &registry));
    client.manifest(&image(&registry)).await.unwrap();
    client.manifest(&image(&registry)).await.unwrap();
    assert_eq!(
        realm.lines(),
        ["GET /token?x=1&service=test%2C+really&scope=repository%3Ateam%2Fapp%3Apull&account=alice"]
    );
    // base64 of alice:hunter2
    assert_eq!(realm.seen()[0].header("authorization"), Some("Basic YWxpY2U6aHVudGVyMg=="));
    assert_eq!(registry.lines(), ["GET /v2/", "GET /v2/team/app/manifests/1", "GET /v2/team/app/manifests/1"]);
    let put = client.put_manifest(&image(&registry), "application/json", INDEX.into()).await;
    assert!(put.is_ok(), "{put:?}");
    assert!(realm.lines()[1].contains("pull%2Cpush"), "{:?}", realm.lines());
}

#[tokio::test]
async fn many_requests_at_once_share_one_token() {
    let realm = token_server(300).await;
    let registry = bearer_registry(format!("http://{}/token", realm.host()), |_| true).await;
    let (client, _) = client(&settings(&[&realm, &registry]));
    let name = image(&registry);
    let all: Vec<_> = (0..8).map(|_| client.manifest(&name)).collect();
    for result in futures_util::future::join_all(all).await {
        result.unwrap();
    }
    assert_eq!(realm.seen().len(), 1);
}

#[tokio::test]
async fn an_identity_token_is_exchanged_by_post() {
    let realm = token_server(300).await;
    let registry = bearer_registry(format!("http://{}/token", realm.host()), |t| t == "token-1").await;
    let mut settings = settings(&[&realm, &registry]);
    let token = Credential::IdentityToken(Secret::new("refresh me"));
    settings.credentials = Credentials::none().with(&registry.host(), token);
    client(&settings).0.manifest(&image(&registry)).await.unwrap();
    let seen = realm.seen();
    assert_eq!(seen[0].line(), "POST /token");
    let body = String::from_utf8(seen[0].body.clone()).unwrap();
    assert!(body.contains("grant_type=refresh_token") && body.contains("refresh_token=refresh+me"), "{body}");
    assert_eq!(seen[0].header("authorization"), None);
}

#[tokio::test]
async fn trap_02_a_failed_token_is_an_error_and_nothing_goes_out_anonymously() {
    for (status, body, kind) in [
        (401, "", SourceErrorKind::Auth),
        (403, "", SourceErrorKind::Auth),
        (400, r#"{"errors":[{"code":"BAD","message":"no such service"}]}"#, SourceErrorKind::Protocol),
        (404, "", SourceErrorKind::Protocol),
        (500, "", SourceErrorKind::Unreachable),
        (200, "<html>", SourceErrorKind::Protocol),
        (200, "{}", SourceErrorKind::Protocol),
        (200, r#"{"token":""}"#, SourceErrorKind::Protocol),
    ] {
        let realm = Script::start(move |_| answer(status, &[], body)).await;
        let registry = bearer_registry(format!("http://{}/token", realm.host()), |_| true).await;
        let (client, _) = client(&with_password(settings(&[&realm, &registry]), &registry));
        let error = client.manifest(&image(&registry)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status} {body}: {error:?}");
        assert!(!registry.lines().iter().any(|line| line.contains("manifests")), "{:?}", registry.lines());
        assert!(!format!("{error} {error:?} {:?}", error.hint()).contains("hunter2"));
    }
}

#[tokio::test]
async fn trap_03_each_repository_has_its_own_credential() {
    let dir = tempfile::tempdir().unwrap();
    let realm = token_server(300).await;
    let registry = bearer_registry(format!("http://{}/token", realm.host()), |_| true).await;
    let host = registry.host();
    let file = dir.path().join("auth.json");
    // base64 of host:x and team:x
    let auths = format!(r#"{{"auths":{{"{host}":{{"auth":"aG9zdDp4"}},"{host}/team":{{"auth":"dGVhbTp4"}}}}}}"#);
    std::fs::write(&file, auths).unwrap();
    let mut settings = settings(&[&realm, &registry]);
    settings.credentials = Credentials::none().with_file(file);
    let (client, _) = client(&settings);
    client.manifest(&Reference::parse(&format!("{host}/other/app:1")).unwrap()).await.unwrap();
    client.manifest(&image(&registry)).await.unwrap();
    assert!(realm.lines()[0].ends_with("account=host") && realm.lines()[1].ends_with("account=team"));
}

#[tokio::test]
async fn trap_04_a_foreign_realm_never_sees_the_password() {
    let realm = token_server(300).await;
    // The realm is `localhost`, the registry 127.0.0.1: another host.
    let registry = bearer_registry(format!("http://{}/token", realm.foreign()), |_| true).await;
    let base = with_password(settings(&[&realm, &registry]), &registry);
    let error = client(&base).0.manifest(&image(&registry)).await.unwrap_err();
    assert!(matches!(error, SourceError::ForeignRealm { .. }), "{error:?}");
    assert_eq!(error.kind(), SourceErrorKind::Refused);
    let text = format!("{error} {}", error.hint().unwrap());
    assert!(text.contains(&registry.host()) && text.contains(&realm.foreign()), "{text}");
    assert_eq!(realm.seen().len(), 0);

    let mut token = base.clone();
    token.credentials = Credentials::none().with(&registry.host(), Credential::IdentityToken(Secret::new("t")));
    client(&token).0.manifest(&image(&registry)).await.unwrap_err();
    assert_eq!(realm.seen().len(), 0);

    // Anonymously it may be asked, and if it was allowed.
    let mut anonymous = base.clone();
    anonymous.credentials = Credentials::none();
    client(&anonymous).0.manifest(&image(&registry)).await.unwrap();
    realm.assert_saw_no_credentials();
    let mut allowed = base;
    allowed.allow_realm(&registry.host(), "localhost");
    client(&allowed).0.manifest(&image(&registry)).await.unwrap();
    assert!(realm.seen().last().unwrap().header("authorization").is_some());
}

#[tokio::test]
async fn trap_04_a_realm_cannot_pass_the_password_on() {
    let thief = token_server(300).await;
    let to = format!("http://{}/steal", thief.foreign());
    let realm = Script::start(move |_| answer(307, &[("Location", &to)], "")).await;
    let registry = bearer_registry(format!("http://{}/token", realm.host()), |_| true).await;
    let servers = [&thief, &realm, &registry];
    client(&with_password(settings(&servers), &registry)).0.manifest(&image(&registry)).await.unwrap();
    assert_eq!(thief.seen().len(), 1);
    thief.assert_saw_no_credentials();

    let mut token = settings(&servers);
    token.credentials = Credentials::none().with(&registry.host(), Credential::IdentityToken(Secret::new("t")));
    let error = client(&token).0.manifest(&image(&registry)).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Refused, "{error:?}");
    thief.assert_saw_no_credentials();
}

#[tokio::test]
async fn trap_05_a_401_in_the_middle_brings_one_new_token() {
    let realm = token_server(300).await;
    let revoked = Arc::new(AtomicUsize::new(0));
    let valid = revoked.clone();
    let good = move |token: &str| token == format!("token-{}", valid.load(Ordering::Relaxed) + 1);
    let registry = bearer_registry(format!("http://{}/token", realm.host()), good).await;
    let (client, events) = client(&settings(&[&realm, &registry]));
    client.manifest(&image(&registry)).await.unwrap();
    revoked.store(1, Ordering::Relaxed);
    client.manifest(&image(&registry)).await.unwrap();
    assert_eq!(realm.seen().len(), 2);
    assert!(events.lock().unwrap().is_empty());

    // A registry that refuses new tokens too is not asked for ever.
    revoked.store(100, Ordering::Relaxed);
    let error = client.manifest(&image(&registry)).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Auth);
    assert_eq!(realm.seen().len(), 3);
}

#[tokio::test]
async fn trap_05_a_token_is_renewed_before_it_expires() {
    let realm = token_server(5).await;
    let registry = bearer_registry(format!("http://{}/token", realm.host()), |_| true).await;
    let (client, _) = client(&settings(&[&realm, &registry]));
    client.manifest(&image(&registry)).await.unwrap();
    client.manifest(&image(&registry)).await.unwrap();
    assert_eq!(realm.seen().len(), 2, "five seconds are the leeway, so there was nothing left of it");
}

#[tokio::test]
async fn basic_goes_to_the_registry_alone() {
    let registry = Script::start(|seen| match seen.header("authorization") {
        Some("Basic YWxpY2U6aHVudGVyMg==") => answer(200, &[], INDEX),
        _ => answer(401, &[("WWW-Authenticate", "Basic realm=\"x\"")], r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#),
    })
    .await;
    let base = settings(&[&registry]);
    client(&with_password(base.clone(), &registry)).0.manifest(&image(&registry)).await.unwrap();
    assert_eq!(registry.seen()[0].header("authorization"), None, "nothing is sent before it is asked for");

    let error = client(&base).0.manifest(&image(&registry)).await.unwrap_err();
    assert!(matches!(&error, SourceError::Unauthorized { user: None, detail: Some(_), .. }), "{error:?}");
    let mut wrong = base;
    wrong.credentials = Credentials::none().with_password(&registry.host(), "bob", Secret::new("hunter2"));
    let before = registry.seen().len();
    let error = client(&wrong).0.manifest(&image(&registry)).await.unwrap_err();
    assert!(error.to_string().contains("refuses the credentials of bob"), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    assert_eq!(registry.seen().len() - before, 2, "wrong credentials lock accounts: they are tried once");
}

#[tokio::test]
async fn a_challenge_that_comes_late_is_answered_too() {
    let registry = Script::start(|seen| match (seen.target.as_str(), seen.header("authorization")) {
        ("/v2/", _) => answer(200, &[], "{}"),
        (_, Some(_)) => answer(200, &[], INDEX),
        _ => answer(401, &[("WWW-Authenticate", "Basic")], ""),
    })
    .await;
    client(&with_password(settings(&[&registry]), &registry)).0.manifest(&image(&registry)).await.unwrap();
}

#[tokio::test]
async fn a_redirect_to_another_server_carries_no_credentials() {
    let store = Script::start(|_| answer(200, &[], INDEX)).await;
    let to = format!("http://{}/signed?sig=1", store.foreign());
    let registry = Script::start(move |seen| match seen.header("authorization") {
        Some(_) => answer(302, &[("Location", &to)], ""),
        None => answer(401, &[("WWW-Authenticate", "Basic")], ""),
    })
    .await;
    let (client, _) = client(&with_password(settings(&[&store, &registry]), &registry));
    client.manifest(&image(&registry)).await.unwrap();
    assert_eq!(store.lines(), ["GET /signed?sig=1"]);
    store.assert_saw_no_credentials();
}

#[tokio::test]
async fn a_redirect_to_another_port_of_the_same_host_carries_no_credentials() {
    let store = Script::start(|_| answer(200, &[], INDEX)).await;
    let to = format!("http://{}/x", store.host());
    let registry = Script::start(move |seen| match seen.header("authorization") {
        Some(_) => answer(307, &[("Location", &to)], ""),
        None => answer(401, &[("WWW-Authenticate", "Basic")], ""),
    })
    .await;
    client(&with_password(settings(&[&store, &registry]), &registry)).0.manifest(&image(&registry)).await.unwrap();
    store.assert_saw_no_credentials();
}

#[tokio::test]
async fn another_server_cannot_ask_for_the_password_after_a_redirect() {
    let thief = Script::start(|_| answer(401, &[("WWW-Authenticate", "Basic")], "")).await;
    let to = format!("http://{}/x", thief.foreign());
    let registry = Script::start(move |seen| match seen.target.as_str() {
        "/v2/" => answer(200, &[], "{}"),
        _ => answer(302, &[("Location", &to)], ""),
    })
    .await;
    let (client, _) = client(&with_password(settings(&[&thief, &registry]), &registry));
    let error = client.manifest(&image(&registry)).await.unwrap_err();
    assert!(matches!(&error, SourceError::RedirectWants { to, .. } if to.ends_with(&thief.foreign())), "{error:?}");
    let hint = error.hint().unwrap();
    assert!(error.to_string().contains("redirects to") && hint.contains(&thief.foreign()), "{error} {hint}");
    thief.assert_saw_no_credentials();
    assert!(registry.seen().iter().all(|seen| seen.header("authorization").is_none()));
}

/// A token server that says how many scopes it was asked for, and refuses more than `most`.
async fn counting_realm(most: usize) -> Script {
    Script::start(move |seen| match seen.target.matches("scope=").count() {
        count if count > most => answer(400, &[], "too many scopes"),
        count => answer(200, &[], format!(r#"{{"token":"for-{count}","expires_in":300}}"#)),
    })
    .await
}

#[tokio::test]
async fn one_token_serves_all_repositories_of_a_push_where_that_can_be() {
    let names = ["team/app", "team/second", "other/third"];
    // How many scopes the token server gives a token for, which tokens the registry takes, how many are fetched.
    for (most, good, fetched) in [(9, "for-", 1), (1, "for-1", 4), (9, "for-1", 4)] {
        let realm = counting_realm(most).await;
        let registry =
            bearer_registry(format!("http://{}/token", realm.host()), move |token| token.starts_with(good)).await;
        let (client, _) = client(&with_password(settings(&[&realm, &registry]), &registry));
        client.share_tokens(&registry.host(), &names).await.unwrap();
        for name in names {
            let name = Reference::parse(&format!("{}/{name}:1", registry.host())).unwrap();
            client.put_manifest(&name, "application/json", INDEX.into()).await.unwrap();
        }
        assert_eq!(realm.seen().len(), fetched, "{most} {good}: {:?}", realm.lines());
        assert_eq!(realm.lines()[0].matches("pull%2Cpush").count(), 3, "{:?}", realm.lines());
    }
}

#[tokio::test]
async fn a_token_service_in_trouble_is_found_before_anything_is_sent() {
    let realm = Script::start(|_| answer(500, &[], "")).await;
    let registry = bearer_registry(format!("http://{}/token", realm.host()), |_| true).await;
    let (client, _) = client(&with_password(settings(&[&realm, &registry]), &registry));
    let error = client.share_tokens(&registry.host(), &["team/app", "team/second"]).await.unwrap_err();
    assert!(matches!(error, SourceError::Token { .. }), "{error:?}");
    assert_eq!(registry.lines(), ["GET /v2/"]);
}
